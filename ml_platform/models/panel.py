"""Panels: many series, one row a series and time step, in one pandas frame, and their grid.

What belongs here: which column plays which part, how times become steps, and laying a panel onto a
regular grid. What does not: learning from it (`ridge`, `forecast`) and cutting history into origins
(`backtest`).

A panel has the columns `series`, `time` and `target`, `known` columns that are known in advance
(calendar, prices that are set, promotions) and `observed` columns that are known only up to the
origin (weather, fuel price). `observed` values after a series' last known target are dropped while
the panel is read, so that no estimator can see them, in evaluation or in use.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ml_platform.kernel.errors import DataError, DeclarationError, closest

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """Which column of a panel plays which part."""

    series: str
    time: str
    target: str
    known: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()

    @property
    def all(self) -> list[str]:
        """Every column that a forecaster reads, in a fixed order."""
        return [self.series, self.time, self.target, *self.known, *self.observed]

    def check(self, panel: "pd.DataFrame") -> None:
        """Refuse a panel that lacks a column, or a column with two parts to play."""
        twice = sorted({one for one in self.all if self.all.count(one) > 1})
        if twice:
            raise DeclarationError(
                "forecast",
                f"columns named twice: {', '.join(twice)}",
                allowed="each column is series, time, target, known or observed",
            )
        have = [str(one) for one in panel.columns]
        for name in self.all:
            if name not in have:
                raise DataError(
                    "forecast panel", f"no column '{name}'", allowed=closest(name, have)
                )


@dataclass(frozen=True)
class Calendar:
    """How times become whole step numbers, the same in fitting and in forecasting.

    Attributes:
        anchor: the time of step 0.
        start: the same as a number: seconds since 1970 for dates.
        months: steps are so many calendar months; 0 when they have a fixed length.
        length: the fixed length of a step, in seconds for dates, else in the times' own unit.
    """

    anchor: Any
    start: float
    months: int
    length: float

    @classmethod
    def of(cls, times: "pd.Series[Any]") -> "Calendar":
        """The calendar of these times: the commonest distance between neighbours is one step.

        Raises:
            DataError: fewer than two different times.
        """
        distinct = np.sort(_plain(times.drop_duplicates()))
        if len(distinct) < 2:  # noqa: PLR2004 - a distance needs two
            raise DataError(
                "forecast panel",
                "fewer than two different times",
                fix="give a history of at least two steps",
            )
        gaps, counts = np.unique(np.diff(distinct), return_counts=True)
        length = float(gaps[counts.argmax()])
        months = _months(length, gaps) if _is_dates(times) else 0
        return cls(times.min(), float(distinct[0]), months, length)

    def number(self, times: "pd.Series[Any]") -> "Ints":
        """The step number of each time.

        Raises:
            DataError: a time that lies between two steps, or numbers where dates were in fitting.
        """
        if _is_dates(times) != hasattr(self.anchor, "year"):
            raise DataError(
                "forecast panel",
                f"times of type {times.dtype}",
                allowed=f"the same kind as in fitting, such as {self.anchor}",
            )
        if self.months:
            months = (times.dt.year * 12 + times.dt.month).to_numpy(np.int64)
            return cast("Ints", (months - self.anchor.year * 12 - self.anchor.month) // self.months)
        exact = (_plain(times) - self.start) / self.length
        steps = np.round(exact)
        off = np.abs(exact - steps) > 0.1  # noqa: PLR2004 - an hour's shift of summer time is fine
        if off.any():
            raise DataError(
                "forecast panel",
                f"time {times[off].iloc[0]} lies between two steps of {self._words()}",
                allowed=f"whole steps from {self.anchor}",
                fix="bring the table to one row a series and step first",
            )
        return steps.astype(np.int64)

    def dates(self, steps: "Ints") -> "pd.DatetimeIndex":
        """The times of these steps, where times are dates; without their time zone."""
        import pandas as pd

        start = pd.Timestamp(self.anchor).tz_localize(None)
        if self.months:
            moved = [start + pd.DateOffset(months=int(step) * self.months) for step in steps]
            return pd.DatetimeIndex(moved)
        return start + pd.to_timedelta(steps * self.length, unit="s")

    def _words(self) -> str:
        days = self.length / 86_400
        return f"{days:g} days" if hasattr(self.anchor, "year") else f"{self.length:g}"


def _is_dates(times: "pd.Series[Any]") -> bool:
    return times.dtype.kind == "M"


def _plain(times: "pd.Series[Any]") -> "Floats":
    """Times as numbers: seconds since 1970 for dates."""
    if _is_dates(times):
        return times.to_numpy("datetime64[ns]").astype(np.int64) / 1e9
    return times.to_numpy(float)


def _months(length: float, gaps: "Floats") -> int:
    """How many calendar months a step of about `length` seconds is; 0 for a fixed length."""
    days = length / 86_400
    if bool(np.all(gaps % length == 0)) and len(gaps) > 1:
        return 0
    return next(
        (m for m, low, high in ((1, 28, 31), (3, 90, 92), (12, 365, 366)) if low <= days <= high), 0
    )


@dataclass(frozen=True)
class Grid:
    """A panel on a regular grid of S series and T steps; NaN where there is no row or value.

    Attributes:
        names: the S series, sorted.
        first: the step number of the grid's first column.
        target: S x T.
        known: S x T x number of known columns.
        observed: S x T x number of observed columns, NaN after each series' origin.
        rows: the panel's rows in the grid, their series and time.
        places: of each row the series and the step in the grid, two arrays of integers.
    """

    names: list[Any]
    first: int
    target: "Floats"
    known: "Floats"
    observed: "Floats"
    rows: "pd.DataFrame"
    places: "tuple[Ints, Ints]"

    @property
    def steps(self) -> "Ints":
        """The step number of each of the T columns."""
        return self.first + np.arange(self.target.shape[1])

    @property
    def last(self) -> "Ints":
        """For each series the place of its last known target; -1 when it has none."""
        known = np.isfinite(self.target)
        back = known[:, ::-1].argmax(axis=1)
        return np.where(known.any(axis=1), known.shape[1] - 1 - back, -1)

    def only(self, rows: "Ints") -> "Grid":
        """The same grid with some of its series; `rows` stay those of all."""
        return replace(
            self,
            names=[self.names[row] for row in rows],
            target=self.target[rows],
            known=self.known[rows],
            observed=self.observed[rows],
        )

    def part_of(self, whole: "Grid") -> slice:
        """Where the steps of this grid are in a longer one."""
        start = self.first - whole.first
        return slice(start, start + self.target.shape[1])

    def without_rows(self) -> "Grid":
        """The same grid, but which rows it came from is forgotten."""
        none = np.empty(0, dtype=np.int64)
        return replace(self, rows=self.rows.iloc[:0], places=(none, none))

    def until(self, place: int) -> "Grid":
        """The same grid with everything that is learnt only later than `place` taken out."""
        target, observed = self.target.copy(), self.observed.copy()
        target[:, place + 1 :] = np.nan
        observed[:, place + 1 :] = np.nan
        return replace(self, target=target, observed=observed)


def read_grid(panel: "pd.DataFrame", columns: Columns, calendar: Calendar) -> Grid:
    """Lay a panel onto its grid and drop what cannot have been known.

    Raises:
        DataError: a missing column, a series or time that is missing or given twice, values that
            are no numbers, a `known` column without a value in a row that needs one.
    """
    import pandas as pd

    # Hashing finds the few names among many rows ten times sooner than sorting them all.
    series, names = pd.factorize(panel[columns.series].to_numpy(), sort=True)
    numbers = calendar.number(panel[columns.time])
    first = int(numbers.min())
    steps = numbers - first
    rows = panel[[columns.series, columns.time]]
    shape = (len(names), int(steps.max()) + 1)
    _refuse_twice(rows, series * shape[1] + steps)

    def lay(wanted: Sequence[str]) -> "Floats":
        cube = np.full((*shape, len(wanted)), np.nan)
        for k, name in enumerate(wanted):
            cube[series, steps, k] = _numbers(panel, name)
        return cube

    target = lay([columns.target])[:, :, 0]
    known, observed = lay(columns.known), lay(columns.observed)
    grid = Grid(list(names), first, target, known, observed, rows, (series, steps))
    after = np.arange(shape[1])[None, :] > grid.last[:, None]
    grid.observed[after] = np.nan
    _refuse_unknown(grid, columns)
    return grid


def joined(before: Grid, grid: Grid) -> Grid:
    """The grid with what an earlier one knows of its series, where it has no value itself.

    It begins and ends where the first and the last of the two do; `Grid.part_of` is the way back.
    """
    first = min(before.first, grid.first)
    length = max(one.first + one.target.shape[1] for one in (before, grid)) - first
    place = {name: row for row, name in enumerate(before.names)}
    old_rows = np.array([place.get(name, -1) for name in grid.names])
    there = np.flatnonzero(old_rows >= 0)

    def over(old: "Floats", new: "Floats") -> "Floats":
        cube = np.full((len(grid.names), length, *old.shape[2:]), np.nan)
        begin = before.first - first
        cube[there, begin : begin + old.shape[1]] = old[old_rows[there]]
        late = cube[:, grid.first - first :][:, : new.shape[1]]
        np.copyto(late, new, where=np.isfinite(new))
        return cube

    target, known = over(before.target, grid.target), over(before.known, grid.known)
    observed = over(before.observed, grid.observed)
    series, steps = grid.places
    return replace(
        grid,
        first=first,
        target=target,
        known=known,
        observed=observed,
        places=(series, steps + grid.first - first),
    )


def clean_panel(panel: "pd.DataFrame", columns: Columns) -> "pd.DataFrame":
    """The columns that are read, times as dates or whole numbers, a fresh index.

    Raises:
        DataError: a column is missing, or a series or a time is.
    """
    import pandas as pd

    columns.check(panel)
    frame = panel[columns.all].reset_index(drop=True)
    for name in (columns.series, columns.time):
        if frame[name].isna().any():
            count = int(frame[name].isna().sum())
            raise DataError("forecast panel", f"column '{name}' has no value in {count} rows")
    if frame[columns.time].dtype.kind not in "Miu":
        try:
            frame[columns.time] = pd.to_datetime(frame[columns.time], format="ISO8601")
        except (ValueError, TypeError) as error:
            raise DataError(
                "forecast panel",
                f"column '{columns.time}' holds no times: {error}",
                allowed="dates, ISO 8601 text or whole numbers",
            ) from error
    return frame


def _numbers(panel: "pd.DataFrame", name: str) -> "Floats":
    column = panel[name]
    if column.dtype.kind not in "biuf" and not column.isna().all():
        raise DataError(
            "forecast panel",
            f"column '{name}' holds {column.dtype}",
            allowed="numbers or true/false",
            fix="turn categories into columns of 0 and 1 in the features table",
        )
    values = column.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(values).any():
        raise DataError("forecast panel", f"column '{name}' holds infinite values")
    return cast("Floats", values)


def _refuse_twice(rows: "pd.DataFrame", place: "Ints") -> None:
    """Two rows at one place of the grid; `rows` are their series and time."""
    import pandas as pd

    if np.bincount(place).max() > 1:
        twice = pd.Series(place).duplicated().to_numpy()
        series, time = rows[twice].iloc[0]
        raise DataError(
            "forecast panel",
            f"{int(twice.sum())} rows share a series and time step with another, the first is "
            f"{series} at {time}",
            allowed="one row a series and time step",
        )


def _refuse_unknown(grid: Grid, columns: Columns) -> None:
    """Known columns must have values where they are used: known targets and the rows after."""
    s, t = grid.places
    used = np.isfinite(grid.target[s, t]) | (t > grid.last[s])
    for k, name in enumerate(columns.known):
        empty = used & np.isnan(grid.known[s, t, k])
        if empty.any():
            one = grid.rows[empty].iloc[0]
            raise DataError(
                "forecast panel",
                f"known column '{name}' has no value in {int(empty.sum())} rows, the first is "
                f"{one[columns.series]} at {one[columns.time]}",
                fix="fill it for past and future rows, or list it under observed",
            )
