"""Learn a whole preparation: which steps each column needs, and each step on the training rows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from ml_platform.kernel.errors import DataError
from ml_platform.preparation.budget import keep_freed_memory
from ml_platform.preparation.columns import Column, Columns
from ml_platform.preparation.dates import Depth, durations, learn_parts
from ml_platform.preparation.encoding import Method, free_names, learn_and_encode
from ml_platform.preparation.filling import Judged
from ml_platform.preparation.fitted import RECODED, REFUSED, Cells, Preparation
from ml_platform.preparation.options import AUTO, DELETE, OFF, column_word
from ml_platform.preparation.outliers import Bounds, is_clippable, learn_bounds, learn_forest
from ml_platform.preparation.race import Wanted, learn_filling
from ml_platform.preparation.reading import Reader, learn_and_read
from ml_platform.preparation.receipt import PICTURED_ROWS, Findings
from ml_platform.preparation.text import Method as TextMethod
from ml_platform.preparation.text import learn_text

NUMERIC = ("number", "flag")
_KEY_SHARE = 0.9
_OUTLIERS_GO = {"flag": "flagged", DELETE: "deleted"}


@dataclass(frozen=True)
class Options:
    """What is asked of a preparation, all words checked; see AutoPrepare for what they mean."""

    missing_num: str = AUTO
    missing_categ: str = AUTO
    fill_value: float = 0.0
    indicators: bool | str = False
    outliers: str = AUTO
    outlier_param: float | None = None
    outlier_skip: tuple[str, ...] = ()
    encode: str = AUTO
    dates: str = AUTO
    cyclical: bool = False
    holidays: str | None = None
    durations: tuple[tuple[str, str], ...] = ()
    text: str = OFF
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    budget_s: float | None = None
    seed: int = 0
    jobs: int = 1

    def of(self, name: str, what: str, *, is_number: bool) -> str:
        """What is asked for one column: its own word, else the table's."""
        said = self.columns.get(name, {})
        if what in said:
            return column_word(name, what, said[what], is_number=is_number)
        if what == "missing":
            return self.missing_num if is_number else self.missing_categ
        words = {
            "outliers": self.outliers,
            "encode": self.encode,
            "dates": self.dates,
            "text": self.text,
        }
        return words[what]


@dataclass(frozen=True)
class Learnt:
    """A preparation, the rows it was learnt from as it prepares them, and what was seen."""

    preparation: Preparation
    columns: Columns
    made: Columns
    cells: Cells
    findings: Findings


def learn(frame: pd.DataFrame, options: Options, target: Column | None = None) -> Learnt:
    """Learn each step on these rows.

    Args:
        frame: training rows.
        options: what is asked.
        target: the labels, for encodings that average them; they fill no gap.
    """
    keep_freed_memory()
    seconds: dict[str, float] = {}
    with _timed(seconds, "reading"):
        readers, columns, cells = _read_all(frame, options)
    found = {name: list(reader.found) for name, reader in readers.items()}
    preparation = Preparation(readers, kept=options.kept)
    with _timed(seconds, "outliers"):
        preparation = _with_outliers(preparation, columns, options, found)
    with _timed(seconds, "gaps"):
        preparation, judged = _with_filling(preparation, columns, options)
    base = preparation.apply(columns, cells)
    with _timed(seconds, "encoding"):
        preparation, made = _with_derived(preparation, base, options, target, found)
    return Learnt(preparation, columns, made, cells, Findings(found, judged, seconds))


class _timed:  # noqa: N801 - reads as a word at its use
    """Add the CPU seconds of a block to a table."""

    def __init__(self, table: dict[str, float], name: str) -> None:
        self._table, self._name = table, name

    def __enter__(self) -> None:
        self._start = time.process_time()

    def __exit__(self, *_: object) -> None:
        self._table[self._name] = time.process_time() - self._start


def _read_all(
    frame: pd.DataFrame, options: Options
) -> tuple[dict[str, Reader], dict[str, Column], Cells]:
    readers, columns, cells = {}, {}, {}
    for name in frame.columns:
        if name in options.kept:
            continue
        readers[name], read = learn_and_read(
            name, frame[name], options.columns.get(name, {}).get("kind")
        )
        columns[name] = read.column
        cells[name] = read.marked(RECODED, REFUSED)
    return readers, columns, cells


def _with_outliers(
    preparation: Preparation, columns: Columns, options: Options, found: dict[str, list[str]]
) -> Preparation:
    learnt: dict[str, dict[str, Bounds]] = {"bounds": {}, "flagged": {}, "deleted": {}}
    for name, column in columns.items():
        how = options.of(name, "outliers", is_number=True)
        if column.kind != "number" or how in (OFF, "forest") or name in options.outlier_skip:
            continue
        reason = is_clippable(column) if how == AUTO else None
        if reason:
            found[name].append(f"outliers left alone: {reason}")
            continue
        own = learn_bounds(
            column.values, "zscore" if how == "zscore" else "iqr", options.outlier_param
        )
        own = own.whole() if preparation.readers[name].integers else own
        outside = int(own.outside(column.values).sum())
        if outside:
            found[name].append(f"{outside:,} values outside {own.low:,.6g} to {own.high:,.6g}")
        learnt[_OUTLIERS_GO.get(how, "bounds")][name] = own
    forest = (
        learn_forest(columns, random_state=options.seed) if options.outliers == "forest" else None
    )
    return replace(
        preparation,
        bounds=learnt["bounds"],
        flagged=learnt["flagged"],
        deleted=learnt["deleted"],
        forest=forest,
    )


def _with_filling(
    preparation: Preparation, columns: Columns, options: Options
) -> tuple[Preparation, Mapping[str, Judged]]:
    asked = {
        name: options.of(name, "missing", is_number=column.kind in NUMERIC)
        for name, column in columns.items()
        if column.kind in (*NUMERIC, "category")
    }
    preparation = replace(preparation, indicators=_indicators(columns, options, {}))
    if options.missing_num not in (OFF, DELETE):
        preparation = replace(preparation, usual_moments=_usual_moments(columns))
    if all(how in (OFF, DELETE) for how in asked.values()):
        return preparation, {}
    readers = preparation.readers
    wanted = Wanted(
        {name: _method(how) for name, how in asked.items()},
        _method(options.missing_categ),
        dict.fromkeys(asked, options.fill_value),
        {n: 0 if columns[n].kind == "flag" else readers[n].decimals for n in asked},
        options.seed,
        options.budget_s,
        options.jobs,
    )
    clipped = {
        name: column.with_values(preparation.bounds[name].winsorise(column.values))
        if name in preparation.bounds
        else column
        for name, column in columns.items()
    }
    filling = learn_filling(clipped, wanted)
    filled = replace(
        preparation,
        filling=filling,
        unfilled=tuple(name for name, how in asked.items() if how in (OFF, DELETE)),
        own=tuple(name for name, how in asked.items() if how == "own"),
        indicators=_indicators(columns, options, filling.judged),
    )
    return filled, filling.judged


def _usual_moments(columns: Columns) -> dict[str, np.datetime64]:
    """The median date of each column of dates, of some rows where there are many."""
    usual = {}
    for name, column in columns.items():
        if column.kind == "moment":
            known = column.values[~column.missing()]
            known = known[:: len(known) // PICTURED_ROWS + 1]
            if len(known):
                # As integers, which numpy puts in order ten times as fast.
                middle = np.partition(known.view(np.int64), len(known) // 2)[len(known) // 2]
                usual[name] = middle.view(known.dtype)
    return usual


def _method(asked: str) -> str:
    """What the race is told: for what is not filled anyhow, the simplest."""
    return "most_frequent" if asked in (OFF, DELETE, "own") else asked


def _indicators(
    columns: Columns, options: Options, judged: Mapping[str, Judged]
) -> tuple[str, ...]:
    if not options.indicators:
        return ()
    gappy = (name for name, column in columns.items() if column.missing().any())
    if options.indicators is True:
        return tuple(gappy)
    return tuple(name for name in gappy if name in judged and not judged[name].recoverable)


@dataclass
class _Making:
    """The columns that leave, while they are made."""

    names: frozenset[str]
    made: dict[str, Column] = field(default_factory=dict)
    derived: dict[str, Any] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    @property
    def taken(self) -> list[str]:
        """Names that a new column must not have."""
        return [*self.names, *self.made]


def _with_derived(
    preparation: Preparation,
    base: Columns,
    options: Options,
    target: Column | None,
    found: dict[str, list[str]],
) -> tuple[Preparation, Columns]:
    """Take dates apart, encode categories and texts; what tells nothing is left out, and told."""
    making = _Making(frozenset((*base, *options.kept)))
    for name, column in base.items():
        said = found.get(name, [])
        if name not in preparation.readers or column.kind in NUMERIC:
            making.made[name] = column
        elif column.kind == "moment":
            _take_apart(name, column, options, making, said)
        elif column.kind == "category":
            _encode(name, column, options, target, making, said)
        else:
            _encode_text(name, column, options, making, said)
    distances = _distances(preparation, options, making)
    columns = {n: durations(base[start], base[end]) for n, (start, end) in distances.items()}
    ready = replace(
        preparation,
        derived=making.derived,
        dropped=tuple(making.dropped),
        durations=distances,
    )
    return ready, {**making.made, **columns}


def _take_apart(
    name: str, column: Column, options: Options, making: _Making, said: list[str]
) -> None:
    how = options.of(name, "dates", is_number=False)
    if how == OFF:
        making.made[name] = column
        return
    parts = learn_parts(
        name,
        column,
        cast("Depth", how),
        cyclical=options.cyclical,
        holidays=options.holidays,
        taken=making.taken,
    )
    making.derived[name] = parts
    making.made.update(parts.apply(column))
    said.append(f"taken apart: {', '.join(parts.parts) or 'no part differs'}")


def _encode(
    name: str,
    column: Column,
    options: Options,
    target: Column | None,
    making: _Making,
    said: list[str],
) -> None:
    how = options.of(name, "encode", is_number=False)
    known = int((column.values >= 0).sum())
    if how == OFF:
        making.made[name] = column
    elif how == AUTO and known and len(column.levels) > max(_KEY_SHARE * known, 2):
        making.dropped.append(name)
        said.append("left out: nearly every value is another, which tells nothing of a new row")
    else:
        encoding, columns = learn_and_encode(
            name,
            column,
            cast("Method", how),
            target=target,
            taken=making.taken,
            random_state=options.seed,
        )
        making.derived[name] = encoding
        making.made.update(columns)
        said.append(f"encoded: {encoding.method}, {_in_columns(encoding.outputs)}")


def _in_columns(outputs: Sequence[str]) -> str:
    return f"in {len(outputs)} columns" if len(outputs) > 1 else "in one column"


def _encode_text(
    name: str, column: Column, options: Options, making: _Making, said: list[str]
) -> None:
    how = options.of(name, "text", is_number=False)
    if how != OFF:
        encoding = learn_text(
            name, column, cast("TextMethod", how), taken=making.taken, random_state=options.seed
        )
        making.derived[name] = encoding
        making.made.update(encoding.apply(column))
        said.append(f"encoded: {how}, {_in_columns(encoding.outputs)}")
    elif options.of(name, "encode", is_number=False) == OFF:
        making.made[name] = column
    else:
        making.dropped.append(name)
        said.append("left out: a text; `text: string` makes numbers of it")


def _distances(
    preparation: Preparation, options: Options, making: _Making
) -> dict[str, tuple[str, str]]:
    """The wanted distances between dates, by the names of their columns."""
    kinds = {name: reader.kind for name, reader in preparation.readers.items()}
    for one in (name for pair in options.durations for name in pair):
        if kinds.get(one) != "moment":
            raise DataError(
                f"column '{one}' in `durations`",
                f"it is a {kinds[one]}" if one in kinds else "there is no such column",
                allowed="columns of dates: "
                + (
                    ", ".join(n for n, kind in kinds.items() if kind == "moment") or "there is none"
                ),
            )
    wanted = [f"{start}_to_{end}_s" for start, end in options.durations]
    return dict(zip(free_names(wanted, making.taken), options.durations, strict=True))
