"""What one row costs that comes alone, as a serving model meets it: CPU milliseconds.

The preparation is learnt on the whole table with every step, saved and loaded again; then rows as
they really are come one by one, those without a gap, and those in which the columns that go missing
together are missing.
"""

import pickle
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bench
import pandas as pd

from preparation.tables import Table, parts_of

ASKED_MS = 2.0
ROWS, TIMES = 50, 10


@dataclass(frozen=True)
class Alone:
    """CPU milliseconds of a row, the median: by what it lacks, and what filled that."""

    table: str
    found: Mapping[str, float]
    methods: tuple[str, ...]


def take(table: Table) -> Alone:
    """Learn, load, and prepare single rows."""
    from ml_platform.preparation.transformer import AutoPrepare

    learnt = AutoPrepare().fit(table.frame)
    loaded = pickle.loads(pickle.dumps(learnt))
    together = parts_of(table.frame).together
    found = {name: _ms(loaded, rows) for name, rows in _rows(table.frame, together) if len(rows)}
    methods = tuple(sorted({loaded.receipt_.column(name).method for name in together}))
    return Alone(table.name, found, methods)


def _rows(frame: pd.DataFrame, together: list[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    gaps = frame.isna()
    lacking = gaps.sum(axis=1)
    yield "no gap", frame[lacking == 0].head(ROWS).to_dict("records")
    if together:
        are = gaps[together].all(axis=1) & (lacking == len(together))
        yield f"{len(together)} gaps", frame[are].head(ROWS).to_dict("records")


def _ms(learnt: Any, rows: list[dict[str, Any]]) -> float:
    for row in rows:
        learnt.row(row)
    taken = []
    for row in rows * TIMES:
        start = time.process_time()
        learnt.row(row)
        taken.append(1_000 * (time.process_time() - start))
    return statistics.median(taken)


def report(alone: Alone, stack: dict[str, str]) -> int:
    """The table and the promise; 1 if it is not kept."""
    print(
        f"\nOne row alone: {alone.table}; what is missing is filled by {', '.join(alone.methods)}"
    )
    promises = [
        bench.Promise(f"one row, {what}: CPU ms", ms, ASKED_MS) for what, ms in alone.found.items()
    ]
    rows = list(alone.found.items())
    return bench.finish("preparation-alone", ["a row with", "CPU ms"], rows, promises, stack)
