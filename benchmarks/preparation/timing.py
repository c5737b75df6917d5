"""CPU seconds of preparation: the missing stage beside AutoClean's, everything beside skrub's.

Each variant runs in a fresh process. The clock stands still for imports (every method runs once on
a few rows before) and for reading the file; the whole process is told beside.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bench
import pandas as pd

from preparation.peer import Cleaned
from preparation.run import (
    AUTO,
    AUTOCLEAN,
    BOOSTED,
    CLOSED,
    OURS,
    ROWS_KEPT,
    SIMPLE,
    SKRUB,
    WHOLE,
    Run,
)
from preparation.tables import Parts, Table, parts_of

LONGER = 10
LEAST_ROWS = 190_000
"""Ratios are promised for so many: AutoClean's cost is nearly quadratic in the rows."""
ASKED = {CLOSED: (750, 1200), BOOSTED: (220, 400), AUTO: (150, 300)}
"""Times less CPU than AutoClean: what is promised, and the mark after it."""


@dataclass(frozen=True)
class Times:
    """Figures by method: on the table, and on one ten times as long; and AutoClean's."""

    table: str
    rows: int
    gaps: int
    found: dict[str, dict[str, float]]
    long: dict[str, dict[str, float]]
    peer: Cleaned

    def less(self, method: str) -> float:
        """How many times less CPU than AutoClean."""
        return self.peer.cpu_s / self.found[method]["cpu_s"]


def take(on: Run, table: Table, runs: int, peer_rows: int | None) -> Times:
    """All variants on the table; on `peer_rows` of its rows only, if that is given."""
    frame = table.frame
    if peer_rows and peer_rows < len(frame):
        frame = frame.sample(peer_rows, random_state=0).reset_index(drop=True)
    parts = parts_of(frame)
    peer = on.autoclean(frame)
    source, long = on.write("time", frame), on.write("long", longer(frame, parts))

    def variants(methods: tuple[str, ...], path: Path):
        return {method: partial(_figures, on, method, parts, path) for method in methods}

    found = bench.medians(variants((*OURS, WHOLE, ROWS_KEPT, SKRUB, SIMPLE), source), runs)
    grown = bench.medians(variants((*OURS, WHOLE), long), 1)
    gaps = int(frame.isna().to_numpy().sum())
    return Times(table.name, len(frame), gaps, found, grown, peer)


def _figures(on: Run, method: str, parts: Parts, path: Path) -> dict[str, float]:
    taken = on.fill(method, parts, [(path, None)])
    return {name: taken[name] for name in ("cpu_s", "process_cpu_s", "peak_mb", "gaps")}


def longer(frame: pd.DataFrame, parts: Parts) -> pd.DataFrame:
    """The table ten times over, each time later than the one before; times keep their type."""
    tables = [again_later(frame, parts, number) for number in range(LONGER)]
    return pd.concat(tables, ignore_index=True)


def again_later(frame: pd.DataFrame, parts: Parts, number: int) -> pd.DataFrame:
    """The table with its times so many times 400 days later."""
    shift = pd.Timedelta(days=400 * number)
    moments = {name: pd.to_datetime(frame[name], errors="coerce") for name in parts.times}
    later = {name: _as_given(cells + shift, frame[name]) for name, cells in moments.items()}
    return frame.assign(**later) if number else frame


def _as_given(moments: pd.Series, given: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(given):
        return moments
    return moments.dt.strftime("%Y-%m-%d %H:%M:%S").where(moments.notna(), None)


def report(times: Times, stack: dict[str, str]) -> int:
    """The table and the promises; 1 if one is not kept."""
    header = ["stage", "by", "rows", "CPU s", "process, CPU s", "peak MB", "gaps left", "x less"]
    print(f"\nTime: {times.table}, {times.rows:,} rows, {times.gaps:,} gaps")
    code = bench.finish("preparation-time", header, _rows(times), list(_promises(times)), stack)
    print(f"AutoClean measured at {times.peer.taken} {times.peer.failure}".rstrip())
    return code


def _rows(times: Times) -> Iterator[tuple[object, ...]]:
    peer = times.peer
    left = peer.failure or int(peer.frame.isna().to_numpy().sum())
    yield "missing", AUTOCLEAN, times.rows, peer.cpu_s, "", peer.peak_mb, left, 1.0
    for method, one in times.found.items():
        whole = method in (WHOLE, ROWS_KEPT, SKRUB)
        stage, less = ("everything", "") if whole else ("missing", times.less(method))
        yield stage, method, times.rows, *_cells(one), less
    for method, one in times.long.items():
        yield "ten times the rows", method, LONGER * times.rows, *_cells(one), ""


def _cells(one: dict[str, float]) -> tuple[object, ...]:
    return one["cpu_s"], one["process_cpu_s"], one["peak_mb"], int(one["gaps"])


def _promises(times: Times) -> Iterator[bench.Promise]:
    if not times.peer.failure and times.rows >= LEAST_ROWS:
        for method, (asked, mark) in ASKED.items():
            text = f"{method}: AutoClean's CPU / its own (next mark {mark:,})"
            yield bench.AtLeast(text, times.less(method), asked)
    whole, skrub = (times.found[method]["cpu_s"] for method in (WHOLE, SKRUB))
    yield bench.Promise(f"CPU, {WHOLE} / {SKRUB} (next mark 1)", whole / skrub, 2.0)
    for method, long in times.long.items():
        growth = long["cpu_s"] / times.found[method]["cpu_s"]
        yield bench.Promise(f"{method}: CPU of ten times the rows / of these", growth, 12)
