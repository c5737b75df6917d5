"""What texts say, as numbers, for what learns of texts beside numbers and categories.

Feature hashing: K. Weinberger et al., "Feature hashing for large scale multitask learning", ICML
2009. Nothing is learnt, so a word that was never seen is read like any other.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH = 128
"""Numbers a column: few enough for some thousand rows to learn, enough to keep most words apart."""


def said_in(texts: Mapping[str, NDArray[Any]], count: int) -> NDArray[np.float64]:
    """Rows x (128 a column): the words of each text; of none, zeros."""
    if not count:
        return np.empty((0, WIDTH * len(texts)))
    read = _reader().transform
    parts = [read(["" if one is None else one for one in cells]) for cells in texts.values()]
    return np.hstack([np.empty((count, 0)), *(part.toarray() for part in parts)])


@cache
def _reader() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=WIDTH)
