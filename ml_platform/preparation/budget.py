"""How much memory a preparation may take, and the rows that it learns from when they are too many.

Only what grows with the rows is bounded: the program and its libraries were there before.
"""

import numpy as np
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError

LEARNING_BYTES = 200
"""What learning takes for one cell of a table at its peak, copies and all (docs/benchmarks.md)."""

_SHARE = 0.75
"""Of the budget, for learning; the rest is for reading and for what Python does not give back."""

_LEAST = 1_000
_LARGEST_KEPT = 2**25 - 2**16  # bytes, with room for what glibc adds


def rows_within(budget_mb: float, columns: int) -> int:
    """How many rows of a table of that many columns can be learnt from, or prepared, at a time.

    Raises:
        DataError: too few to learn anything of.
    """
    rows = int(_SHARE * budget_mb * 2**20 / (LEARNING_BYTES * max(columns, 1)))
    if rows < _LEAST:
        needed = _LEAST * LEARNING_BYTES * columns / _SHARE / 2**20
        raise DataError(
            f"budget_mb: {budget_mb:g}",
            f"it has room for {rows:,} rows of {columns} columns",
            allowed=f"room for {_LEAST:,} rows at least, {needed:.0f} MB",
            fix="set a larger budget, or leave columns out",
        )
    return rows


def stratified(count: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """Places of `wanted` of `count` rows, one at random of each of as many equal stretches.

    Tables lie in the order of time, or of what they were gathered by: each stretch is a stratum, so
    every period has its share. Every n-th row would always fall on the same hour or the same shop.
    """
    if wanted >= count:
        return np.arange(count)
    bounds = np.linspace(0, count, wanted + 1).astype(np.int64)
    return np.random.default_rng(seed).integers(bounds[:-1], bounds[1:])


def keep_freed_memory() -> None:
    """Have arrays that are freed kept for the next ones, and not given back to the system at once.

    glibc does so for arrays smaller than the largest that was ever freed, up to 32 MiB (mallopt(3)
    on M_MMAP_THRESHOLD). Without it a step gives back its memory and the next takes it again page
    by page, a tenth of the CPU seconds of preparing. The block is never written to and costs
    nothing; other allocators do not mind.
    """
    np.empty(_LARGEST_KEPT, np.uint8)
