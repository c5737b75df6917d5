"""Duplicates: rows that say the same again, wholly, by their key, or nearly in one text.

Every function marks the rows to drop; of rows that are the same the first stays.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError, DeclarationError, closest
from ml_platform.preparation.columns import Mask

WINDOW = 10
"""How many neighbours in each order a text is compared with."""


def exact(frame: pd.DataFrame) -> Mask:
    """Rows that are the same as an earlier one in all columns.

    Missing cells are the same as each other; 1 and True, or 1 and "1", are not.
    """
    return _repeated(frame, range(frame.shape[1]))


def by_key(frame: pd.DataFrame, keys: Sequence[object]) -> Mask:
    """Rows that have the key of an earlier one; rows with a gap in their key stay.

    Raises:
        DataError: there is no such column, or no key was named.
    """
    places = [place for place, name in enumerate(frame.columns) if name in keys]
    absent = [key for key in keys if key not in frame.columns]
    if absent or not places:
        raise DataError(
            "duplicates by key",
            f"no column is called {absent[0]!r}" if absent else "no key was named",
            allowed=closest(str(absent[0] if absent else ""), list(map(str, frame.columns))),
            fix="name the columns that tell rows apart",
        )
    gaps = frame.iloc[:, places].isna().any(axis=1).to_numpy(dtype=np.bool_)
    return _repeated(frame, places) & ~gaps


def _repeated(frame: pd.DataFrame, places: Sequence[int]) -> Mask:
    if not len(places):
        return np.zeros(len(frame), np.bool_)
    cells = {place: _comparable(frame.iloc[:, place]) for place in places}
    # A type that is said is not guessed: pandas fails at integers that no float can hold.
    columns = {place: pd.Series(column, dtype=column.dtype) for place, column in cells.items()}
    return pd.DataFrame(columns).duplicated().to_numpy()


def _comparable(values: pd.Series) -> Any:
    """A column whose cells can be compared: of mixed and unhashable ones, something to stand in."""
    if getattr(values.dtype, "kind", "O") != "O" or isinstance(values.dtype, pd.CategoricalDtype):
        return values.array
    cells = values.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(cells) in ("string", "empty"):
        return cells
    keys = np.empty(len(cells), object)
    for row, cell in enumerate(cells):
        keys[row] = _key(cell)
    return keys


def _key(cell: object) -> object:
    if isinstance(cell, (bool, np.bool_)):
        return "bool", bool(cell)
    if isinstance(cell, (list, dict, set, tuple, np.ndarray)):
        return type(cell).__name__, _parts(cell)
    try:
        hash(cell)
    except TypeError:
        return type(cell).__name__, repr(cell)
    return cell


def _parts(cell: Any) -> object:
    """The elements of a list or mapping, and theirs; mappings and sets know no order."""
    if isinstance(cell, dict):
        return frozenset((_key(name), _key(value)) for name, value in cell.items())
    if isinstance(cell, set):
        return frozenset(map(_key, cell))
    return tuple(map(_key, cell.tolist() if isinstance(cell, np.ndarray) else cell))


def near(texts: NDArray[Any], similarity: float = 0.9) -> Mask:
    """Rows whose text is nearly that of an earlier one.

    Two texts are as similar as the share of their letters that need not be taken out or put in to
    make one of the other (rapidfuzz's ratio), small and capital letters and white space alike.
    Every row that is dropped is similar to one that stays. Not all pairs are compared, which for
    100,000 texts are five thousand million: each text is compared with its ten neighbours in the
    order of the texts, of their ends, and of their middles (the sorted neighbourhood of Hernandez
    and Stolfo 1995). One slip spoils one of these orders and leaves two; texts that differ in the
    beginning, the middle and the end are missed, and so are those with more than ten between them
    in each order.

    Args:
        texts: str, None where there is none; such rows stay.
        similarity: from which on two texts are the same, above 0, up to 1.

    Raises:
        DeclarationError: `similarity` lies outside.
    """
    if isinstance(similarity, bool) or not 0 < similarity <= 1:
        raise DeclarationError(
            "near duplicates", f"the similarity is {similarity!r}", allowed="above 0, up to 1"
        )
    folded = np.array(
        [None if text is None else " ".join(text.casefold().split()) for text in texts], object
    )
    codes, distinct = pd.factorize(folded)
    dropped = np.zeros(len(distinct) + 1, np.bool_)  # the last stands for those without a text
    for earlier, later in _similar(distinct.tolist(), similarity):
        dropped[later] |= not dropped[earlier]
    first = np.zeros(len(folded), np.bool_)
    first[np.unique(codes, return_index=True)[1]] = True
    return (dropped[codes] | ~first) & (codes >= 0)


def _similar(texts: list[str], similarity: float) -> Iterator[tuple[int, int]]:
    """Pairs of similar texts, the earlier first, in the order of the later."""
    from rapidfuzz import fuzz, process

    pairs = np.zeros((0, 2), np.int64)
    for order in _orders(texts):
        ordered = [texts[place] for place in order]
        for distance in range(1, min(WINDOW, len(texts) - 1) + 1):
            scores = process.cpdist(
                ordered[:-distance], ordered[distance:], scorer=fuzz.ratio,
                score_cutoff=100 * similarity, dtype=np.float64,
            )  # fmt: skip
            hits = np.flatnonzero(scores >= 100 * similarity)
            found = np.column_stack([order[hits], order[hits + distance]])
            pairs = np.vstack([pairs, np.sort(found, axis=1)])
    unique = np.unique(pairs[:, ::-1], axis=0)  # by the later, then by the earlier
    return ((earlier, later) for later, earlier in unique.tolist())


def _orders(texts: list[str]) -> list[NDArray[np.int64]]:
    """Places of the texts sorted by themselves, by their ends, by their middles."""
    sights = (
        texts,
        [text[::-1] for text in texts],
        [text[len(text) // 3 :] for text in texts],
    )
    return [
        np.array(sorted(range(len(texts)), key=sight.__getitem__), np.int64) for sight in sights
    ]
