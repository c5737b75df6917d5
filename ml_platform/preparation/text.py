"""Free text as numbers, by skrub's encoders, on request.

They are the one step that asks pandas, and takes milliseconds for one row (GapEncoder a hundred).
They learn on at most 10,000 texts: what they learn, which letters stand together, changes little
with more, while GapEncoder takes seconds for a few thousand.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError, DeclarationError, closest
from ml_platform.preparation.columns import Column, Columns
from ml_platform.preparation.encoding import free_names

Method: TypeAlias = Literal["string", "minhash", "gap"]

METHODS: tuple[Method, ...] = ("string", "minhash", "gap")
MOST_ROWS = 10_000
_WIDTH = 30


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """How the texts of one column become numbers.

    Args:
        name: the column.
        method: which encoder.
        outputs: the new columns.
        encoder: skrub's, fitted.
    """

    name: str
    method: Method
    outputs: tuple[str, ...]
    encoder: Any

    def apply(self, column: Column) -> Columns:
        """The new columns; missing where there is no text."""
        known = np.flatnonzero(~column.missing())
        numbers = np.full((len(column.values), len(self.outputs)), np.nan)
        if len(known):
            numbers[known] = self.encoder.transform(_series(self.name, column.take(known).values))
        return {
            output: Column("number", numbers[:, place].copy())
            for place, output in enumerate(self.outputs)
        }


def learn_text(
    name: str,
    column: Column,
    method: Method = "string",
    *,
    width: int = _WIDTH,
    taken: Collection[str] = (),
    random_state: int = 0,
) -> TextEncoding:
    """Learns how to turn a text column into numbers.

    Args:
        name: its name; the new columns are called `<name>_text_0`, `<name>_text_1` and so on.
        column: its rows.
        method: "string" is the share of letter groups, condensed (tf-idf and a singular value
            decomposition); "minhash" is near for texts that share letter groups, and learns
            nothing; "gap" finds topics (Cerda and Varoquaux 2020), and is slow.
        width: how many columns at most; fewer where the texts do not give as many.
        taken: names that the table has already.
        random_state: the same seed learns the same encoding.

    Raises:
        DataError: the column holds no text, or fewer than two different ones.
        DeclarationError: there is no such method, or `width` is below one.
    """
    _check(name, column, method, width)
    texts = column.take(~column.missing()).values
    texts = texts[:: -(-len(texts) // MOST_ROWS) or 1]
    columns = _columns(texts, method, width)
    if columns < 1 or len(set(texts)) < 2:  # noqa: PLR2004 - one text tells nothing
        raise DataError(
            f"column {name}", f"it holds {len(set(texts))} different texts",
            allowed="two or more, of at least a letter", fix="leave it out of the text encoding",
        )  # fmt: skip
    encoder = _encoder(method, columns, random_state).fit(_series(name, texts))
    names = [f"{name}_text_{place}" for place in range(columns)]
    return TextEncoding(name, method, free_names(names, taken), encoder)


def _check(name: str, column: Column, method: Method, width: int) -> None:
    if method not in METHODS:
        raise DeclarationError(
            f"column {name}", f"no text encoding is called {method!r}",
            allowed=closest(str(method), list(METHODS)),
        )  # fmt: skip
    if width < 1:
        raise DeclarationError(f"column {name}", f"text in {width} columns", allowed="1 or more")
    if column.kind != "text":
        raise DataError(
            f"column {name}", f"it is a {column.kind} column", allowed="a text column",
            fix="encode it as another kind, or say that it is text",
        )  # fmt: skip


def _columns(texts: NDArray[Any], method: Method, width: int) -> int:
    """As many columns as the texts can give: fewer than rows and groups of letters for "string"."""
    if method == "minhash":
        return width
    groups: set[str] = set()
    for text in texts:
        groups.update(_groups(text.lower(), method))
        if len(groups) > width:
            break
    most = min(len(set(texts)), len(groups))
    return min(width, most if method == "gap" else most - 1)


def _groups(text: str, method: Method) -> set[str]:
    """Letters that stand together: pairs in the text, for "string" threes in its words."""
    if method == "gap":
        return {text[at : at + 2] for at in range(len(text) - 1)}
    words = [f" {word} " for word in text.split()]
    return {word[at : at + 3] for word in words for at in range(len(word) - 2)}


def _encoder(method: Method, columns: int, random_state: int) -> Any:
    import skrub

    if method == "minhash":
        return skrub.MinHashEncoder(n_components=columns)
    made = {"string": skrub.StringEncoder, "gap": skrub.GapEncoder}[method]
    return made(n_components=columns, random_state=random_state)


def _series(name: str, texts: NDArray[Any]) -> pd.Series:
    return pd.Series(texts, name=name, dtype="str")
