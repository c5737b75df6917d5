"""A preparation that has been learnt: one object of plain data that prepares a table or one row.

`Preparation.apply` is the same code for both. What differs is how rows are read: a table column by
column, one row cell by cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError
from ml_platform.preparation.columns import Column, Columns, Mask
from ml_platform.preparation.dates import durations
from ml_platform.preparation.encoding import free_names
from ml_platform.preparation.filling import Filling
from ml_platform.preparation.outliers import Bounds, Forest
from ml_platform.preparation.reading import Reader

RECODED, REFUSED, CLIPPED, FILLED = 1, 2, 4, 8
"""The bits of a cell mask: what was done to a cell. 0 is a cell as it came."""

_EXACT = 2.0**53

Cells = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Preparation:
    """What was learnt on training rows.

    readers: by column, in the order of the table. filling: None when no gap is filled.
    bounds: of columns whose outliers are moved to them. flagged: of columns whose outliers get a
    column of their own. deleted: of columns whose outliers a table's rows are dropped for. forest:
    of rows that stand alone. derived: by column, what is made of it (parts of a date, an encoding)
    in its place. durations: new columns, and the two dates whose distance they are. usual_moments:
    what stands in for a date that is missing. indicators: columns that get `<name>_missing`.
    unfilled: columns whose gaps stay. own: categories whose gaps are a level. dropped: columns of
    which nothing leaves. kept: columns that are passed on as they come, like a target.
    """

    readers: Mapping[str, Reader]
    filling: Filling | None = None
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    flagged: Mapping[str, Bounds] = field(default_factory=dict)
    deleted: Mapping[str, Bounds] = field(default_factory=dict)
    forest: Forest | None = None
    derived: Mapping[str, Any] = field(default_factory=dict)
    durations: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    usual_moments: Mapping[str, np.datetime64] = field(default_factory=dict)
    indicators: tuple[str, ...] = ()
    unfilled: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def read(self, frame: pd.DataFrame) -> tuple[Columns, Cells]:
        """Typed columns of a table, in the order that was learnt.

        Raises:
            DataError: a column is missing.
        """
        absent = [name for name in self.readers if name not in frame.columns]
        if absent:
            raise DataError(
                "the rows to prepare",
                f"there is no column {', '.join(map(repr, absent))}",
                allowed="the columns that it was learnt with: " + ", ".join(self.readers),
                fix="add it, empty if its values are not known",
            )
        columns, cells = {}, {}
        for name, reader in self.readers.items():
            read = reader.read(frame[name])
            columns[name] = read.column
            cells[name] = read.marked(RECODED, REFUSED)
        return columns, cells

    def read_row(self, values: Mapping[str, object]) -> Columns:
        """Typed columns of one row; what is not named is missing."""
        return {n: reader.read_one(values.get(n)) for n, reader in self.readers.items()}

    def apply(self, columns: Columns, cells: Cells | None = None) -> Columns:
        """Prepare typed rows; what is done to cells is added to `cells`."""
        was_missing = {name: columns[name].missing() for name in self.indicators}
        worked = self._clip(columns, cells)
        worked = self._fill(worked, cells)
        return self._made(columns, worked, was_missing)

    def _clip(self, columns: Columns, cells: Cells | None) -> dict[str, Column]:
        worked = dict(columns)
        for name, bounds in self.bounds.items():
            column = columns[name]
            if cells is not None:
                cells[name] |= np.where(bounds.outside(column.values), CLIPPED, 0).astype(np.uint8)
            worked[name] = column.with_values(bounds.winsorise(column.values))
        return worked

    def _fill(self, worked: dict[str, Column], cells: Cells | None) -> dict[str, Column]:
        if self.filling is None:
            return self._fill_moments(worked, cells)
        filled, masks = self.filling.fill(worked)
        result = dict(filled)
        for name in self.unfilled:
            result[name] = worked[name]
        for name in self.own:
            result[name] = _with_own_level(worked[name])
        if cells is not None:
            for name, mask in masks.items():
                if name not in self.unfilled:
                    cells[name] |= np.where(mask, FILLED, 0).astype(np.uint8)
        return self._fill_moments(result, cells)

    def _fill_moments(self, worked: dict[str, Column], cells: Cells | None) -> dict[str, Column]:
        """Dates last: their gaps must not tell the other columns a time that nobody knew."""
        for name, usual in self.usual_moments.items():
            gaps = worked[name].missing()
            if gaps.any():
                values = np.where(gaps, usual, worked[name].values)
                worked = {**worked, name: worked[name].with_values(values)}
                if cells is not None:
                    cells[name] |= np.where(gaps, FILLED, 0).astype(np.uint8)
        return worked

    def _made(
        self, columns: Columns, worked: Mapping[str, Column], was_missing: Mapping[str, Mask]
    ) -> dict[str, Column]:
        """The columns that leave, each original's where it stood."""
        made: dict[str, Column] = {}
        for name, column in worked.items():
            if name in self.derived:
                made |= self.derived[name].apply(column)
            elif name not in self.dropped:
                made[name] = column
            if name in was_missing:
                gaps = was_missing[name].astype(np.float64)
                made[self._free(f"{name}_missing")] = Column("flag", gaps)
            if name in self.flagged:
                outside = self.flagged[name].outside(columns[name].values)
                made[self._free(f"{name}_outlier")] = Column("flag", outside.astype(np.float64))
        for name, (start, end) in self.durations.items():
            made[name] = durations(worked[start], worked[end])
        if self.forest is not None:
            score = self.forest.score({n: worked[n] for n in self.forest.names})
            outside = (score > self.forest.limit).astype(np.float64)
            made[self._free("row_outlier")] = Column("flag", outside)
        return made

    def _free(self, wanted: str) -> str:
        """A name for a new column: as wanted, or with a number behind where one came so called."""
        if wanted not in self.readers and wanted not in self.kept:
            return wanted
        return free_names([wanted], [*self.readers, *self.kept])[0]


OWN_LEVEL = "(missing)"


def _with_own_level(column: Column) -> Column:
    """A category whose gaps are a level of their own, after all others."""
    codes = column.values.astype(np.int32)
    unseen = len(column.levels)
    # The unseen keep a code beyond all levels, which now are one more.
    codes = np.where(codes == unseen, unseen + 1, np.where(codes < 0, unseen, codes))
    return Column("category", codes, (*column.levels, OWN_LEVEL))


def to_series(column: Column, *, whole: bool = False) -> Any:
    """A column as pandas has it: numbers, flags, dates, or the words themselves."""
    if column.kind == "category":
        words = np.array([*column.levels, None, None], dtype=object)
        return words[np.where(column.values < 0, len(column.levels) + 1, column.values)]
    return column.values.astype(np.int64) if whole and _is_whole(column.values) else column.values


def to_cell(column: Column, *, whole: bool = False) -> Any:
    """The one value of a column of one row, as `to_series` has it."""
    value = column.values[0]
    if column.kind == "category":
        return column.levels[value] if 0 <= value < len(column.levels) else None
    if whole and value.is_integer() and abs(value) < _EXACT:
        return np.int64(value)
    return value


def _is_whole(values: NDArray[np.float64]) -> bool:
    """Whether integers say the same: later rows may hold what training rows did not."""
    low, high = values.min(initial=0.0), values.max(initial=0.0)
    if not -_EXACT < low <= high < _EXACT:  # NaN is not below anything
        return False
    return bool((values == values.astype(np.int64)).all())
