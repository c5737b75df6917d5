"""The tables of the preparation benchmark, and what part each of their columns plays.

The parts are found by the same rules on every table, so that a table of one's own (`--data FILE`)
is treated as those that the benchmark names. Of a column's name only a last word such as `id` is
heard: whole numbers alone do not say whether they count or name.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from preparation import made

VARIABLE = "ML_PLATFORM_DATA_DIR"
FEW = 12
"""A column of whole numbers with at most as many levels is a category."""


@dataclass(frozen=True)
class Table:
    """Rows as they are, with their gaps, and whether they are real."""

    name: str
    frame: pd.DataFrame
    origin: str


@dataclass(frozen=True)
class Parts:
    """The part that each column plays.

    `keys` say who (a store), `times` when; `together` are numbers that really go missing together,
    `group` the category by whose levels they do so, `often` how often in each, `run` for how many
    rows on end, in time.
    """

    times: list[str]
    keys: list[str]
    categories: list[str]
    numbers: list[str]
    gappy: list[str]
    together: list[str]
    group: str | None
    often: dict[str, float]
    run: int


def tables(data: Path | None) -> tuple[Table, list[Table]]:
    """The table on which time is taken, and those on which errors are."""
    stations = Table("stations", made.stations(), "made up")
    if data is not None:
        own = Table(data.name, _read(data), "given")
        return own, [own, stations]
    folder = os.environ.get(VARIABLE)
    if folder:
        long, real = (Path(folder) / f"delivery_{which}.parquet" for which in ("197k", "real"))
        known = Table(real.name, pd.read_parquet(real), "real")
        return Table(long.name, pd.read_parquet(long), "real"), [known, stations]
    long_table = Table("deliveries", made.deliveries(), "made up")
    small = Table("deliveries", made.deliveries(40_000), "made up")
    return long_table, [small, stations]


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise SystemExit(f"--data {path}: there is no such file")
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def parts_of(frame: pd.DataFrame) -> Parts:
    """The parts, found from the cells and their gaps."""
    kinds = {str(name): _kind(str(name), frame[name]) for name in frame}

    def which(kind: str) -> list[str]:
        return [name for name, one in kinds.items() if one == kind]

    gaps = frame.isna()
    numbers, categories, times = which("number"), which("category"), which("time")
    together = _together(gaps[numbers])
    missing = gaps[together[0]] if together else pd.Series(data=False, index=frame.index)
    group = _group(frame[categories], missing) if together else None
    by = frame[group] if group else pd.Series(0, index=frame.index)
    order = frame[times[0]].argsort() if times else np.arange(len(frame))
    return Parts(
        times=times,
        keys=which("key"),
        categories=categories,
        numbers=numbers,
        gappy=[name for name in (*numbers, *categories) if gaps[name].any()],
        together=together,
        group=group,
        often={str(level): float(share) for level, share in missing.groupby(by).mean().items()},
        run=_run(missing.iloc[order], by.iloc[order]),
    )


def _kind(name: str, values: pd.Series) -> str:
    known = values.dropna()
    if len(known) == 0 or (known == known.iloc[0]).all():
        return "other"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "time"
    if pd.api.types.is_bool_dtype(values):
        return "category"
    if pd.api.types.is_numeric_dtype(values):
        return _kind_of_number(name, known)
    return "time" if _reads_as_time(known) else _kind_of_text(known)


def _kind_of_number(name: str, known: pd.Series) -> str:
    if not (known % 1 == 0).all():
        return "number"
    if known.nunique() <= FEW:
        return "category"
    return "key" if re.search(r"(^|_)(id|key|code|store|user)$", name.lower()) else "number"


def _kind_of_text(known: pd.Series) -> str:
    return "category" if known.nunique() <= max(100, len(known) // 100) else "key"


def _reads_as_time(known: pd.Series) -> bool:
    sample = known.astype(str).head(1000)
    if not sample.str.contains(r"\d[-/:.]\d").mean() > 0.95:
        return False
    return pd.to_datetime(sample, format="mixed", errors="coerce").notna().mean() > 0.95


def _together(gaps: pd.DataFrame) -> list[str]:
    """The largest set of columns whose gaps are, nine times in ten, the same rows."""
    best: list[str] = []
    for name in gaps.columns[gaps.any()]:
        either = gaps.to_numpy() | gaps[[name]].to_numpy()
        both = gaps.to_numpy() & gaps[[name]].to_numpy()
        same = both.sum(axis=0) >= 0.9 * either.sum(axis=0)
        if same.sum() > max(1, len(best)):
            best = list(gaps.columns[same])
    return best


def _group(categories: pd.DataFrame, missing: pd.Series) -> str | None:
    """The category whose levels differ most in how often there is a gap."""
    spread = {
        name: (missing.groupby(values).transform("mean") - missing.mean()).pow(2).mean()
        for name, values in categories.items()
    }
    return str(max(spread, key=lambda name: spread[name])) if spread else None


def _run(missing: pd.Series, by: pd.Series) -> int:
    """How many rows a block of gaps has, where gaps at random would give 1."""
    rows = blocks = 0.0
    for _, part in missing.groupby(by):
        cells = part.to_numpy()
        starts = int(np.sum(cells[1:] & ~cells[:-1]) + cells[0])
        rows += cells.sum() * (1 - cells.mean())
        blocks += starts
    return max(1, round(rows / blocks)) if blocks else 1
