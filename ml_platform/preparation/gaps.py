"""Where values are missing, and cells hidden on purpose in the same way.

Values seldom go missing alone: a sensor is off for a night and three columns are empty together. A
method that learns with all its neighbours in sight fails exactly there. So cells are hidden the
way the table's own gaps lie: its gaps, moved along.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.columns import Mask

_MOST_MOVES = 24
_INTEGER = 8  # bytes


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
    draw, moved = np.random.default_rng(seed), np.zeros_like(gaps)
    columns, moving = gaps.T, moved.T
    asks = [column.any() for column in columns[:asking]]
    for _ in range(_MOST_MOVES):
        short = [
            column
            for column, to, asked in zip(columns, moving, asks, strict=False)
            if asked and np.count_nonzero(to & ~column) < wanted
        ]
        if not short:
            break
        which = any_of(np.array(short).T)
        sources = [np.flatnonzero(column & which) for column in columns]
        # As many at once as are wanted, for one move of rare gaps hides few cells.
        for _ in range(max(1, wanted // (4 * int(np.count_nonzero(which))))):
            by = int(draw.integers(1, max(len(gaps), 2)))
            for to, rows in zip(moving, sources, strict=True):
                to[(rows + by) % len(gaps)] = True
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
    words = as_words(gaps.T[:, np.flatnonzero(any_of(gaps))].T)
    lines, counts = np.unique(words, return_counts=True)
    bits = lines.view(np.uint8).reshape(len(lines), -1)
    patterns = np.unpackbits(bits, axis=1, count=len(names))
    ranked = sorted(zip(counts.tolist(), patterns.tolist(), strict=True), reverse=True)
    return [
        (tuple(name for name, is_missing in zip(names, pattern, strict=True) if is_missing), count)
        for count, pattern in ranked
    ]


def as_words(marks: Mask) -> NDArray[Any]:
    """Each row's marks as one thing to compare; unique rows are found fifty times sooner so."""
    packed = np.packbits(marks.T, axis=0)
    width = max(len(packed), _INTEGER)
    words = np.zeros((len(marks), width), dtype=np.uint8)
    words[:, : len(packed)] = packed.T
    return words.view(np.int64 if width == _INTEGER else f"V{width}").ravel()
