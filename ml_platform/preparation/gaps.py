"""Where values are missing, and cells hidden on purpose in the same way.

Values seldom go missing alone: a sensor is off for a night and three columns are empty together. A
method that learns with all its neighbours in sight fails exactly there. So cells are hidden the
way the table's own gaps lie: its gaps, moved along.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.columns import Mask

_MOST_MOVES = 24


def hidden_like(gaps: Mask, wanted: int, seed: int, asking: int | None = None) -> Mask:
    """Known cells to hide, as many as `wanted` a column where the table has them.

    The pattern of gaps is moved along the order of the rows by a random number of them: columns
    that are empty together stay so, and a gap of twelve rows hides twelve. It is moved again, with
    the rows that concern them alone, for columns that have too few hidden cells.

    Args:
        gaps: where cells are missing, rows x columns; rows in the order of time.
        wanted: hidden cells asked for in each column that has gaps.
        seed: of the random moves.
        asking: how many columns, the first ones, ask for cells; the others only go along where
            they are missing together with them. All when it is not said.

    Returns:
        Where known cells are to be hidden, rows x columns.
    """
    draw = np.random.default_rng(seed)
    moved, count = np.zeros_like(gaps), np.zeros(gaps.shape[1], dtype=int)
    sources = np.flatnonzero(any_of(gaps))
    lying = gaps[sources]
    has_gaps = lying.any(axis=0) & (np.arange(gaps.shape[1]) < (asking or gaps.shape[1]))
    for _ in range(_MOST_MOVES):
        short = (count < wanted) & has_gaps
        which = np.flatnonzero(any_of(lying[:, short]))
        if not len(which):
            break
        # As many at once as are wanted, for one move of rare gaps hides few cells.
        for _ in range(max(1, wanted // (4 * len(which)))):
            to = (sources[which] + int(draw.integers(1, max(len(gaps), 2)))) % len(gaps)
            before = moved[to]
            moved[to] |= lying[which]
            count += (lying[which] & ~before & ~gaps[to]).sum(axis=0)
    return moved & ~gaps


def beside(gaps: Mask, others: Mask) -> Mask:
    """`gaps`, and to their right the `others` in rows that have a gap, if there is any such."""
    if not gaps.shape[1] or not others.shape[1]:
        return gaps
    is_beside = any_of(gaps)
    along = [other & is_beside for other in others.T]
    if not any(other.any() for other in along):
        return gaps
    return side_by_side([*gaps.T, *along], len(gaps))


def side_by_side(marks: Sequence[Mask], count: int) -> Mask:
    """Marks of `count` rows as rows x columns, each column in one piece: they are read so."""
    return np.array(marks, dtype=bool).reshape(len(marks), count).T


def any_of(marks: Mask) -> Mask:
    """Rows with a mark in any column; numpy's own `any` along rows is twenty times slower."""
    found = np.zeros(len(marks), dtype=bool)
    for column in marks.T:
        found |= column
    return found


def together(gaps: Mask, names: tuple[str, ...]) -> list[tuple[tuple[str, ...], int]]:
    """Columns that are missing together and in how many rows, most frequent first."""
    if not gaps.any():
        return []
    packed = np.packbits(gaps[any_of(gaps)], axis=1)
    lines, counts = np.unique(_as_words(packed), return_counts=True)
    patterns = np.unpackbits(_as_bytes(lines, packed.shape[1]), axis=1, count=len(names))
    ranked = sorted(zip(counts.tolist(), patterns.tolist(), strict=True), reverse=True)
    return [
        (tuple(name for name, is_missing in zip(names, pattern, strict=True) if is_missing), count)
        for count, pattern in ranked
    ]


def _as_words(packed: NDArray[np.uint8]) -> NDArray[np.void]:
    """Each row's bytes as one thing to compare; unique rows are found fifty times sooner so."""
    words: NDArray[np.void] = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel()
    return words


def _as_bytes(words: NDArray[np.void], width: int) -> NDArray[np.uint8]:
    return words.view(np.uint8).reshape(len(words), width)
