"""Forecasters for panels: many series, one row a series and time step, in one pandas frame.

What belongs here: reading a panel onto a regular grid, and estimators of scikit-learn's shape that
learn from the rows whose target is known and forecast the rows after them. What does not: cutting
history into origins (`backtest`) and judging (`metrics`).

A panel has the columns `series`, `time` and `target`, `known` columns that are known in advance
(calendar, prices that are set, promotions) and `observed` columns that are known only up to the
origin (weather, fuel price). `observed` values after a series' last known target are dropped while
the panel is read, so that no estimator can see them, in evaluation or in use.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from sklearn.base import BaseEstimator  # noqa: TID253 - a base class is needed while defining

from ml_platform.kernel.errors import DataError, DeclarationError, closest

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


# --- Panels -------------------------------------------------------------------------------------


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
        distinct = np.unique(_plain(times))
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
        rows: the panel's rows in the grid: series, time, and `_s`, `_t` (their place in it).
    """

    names: list[Any]
    first: int
    target: "Floats"
    known: "Floats"
    observed: "Floats"
    rows: "pd.DataFrame"

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
    names, series = np.unique(panel[columns.series].to_numpy(), return_inverse=True)
    numbers = calendar.number(panel[columns.time])
    first = int(numbers.min())
    rows = panel[[columns.series, columns.time]].assign(_s=series, _t=numbers - first)
    _refuse_twice(rows, columns)
    shape = (len(names), int(rows["_t"].max()) + 1)

    def lay(wanted: Sequence[str]) -> "Floats":
        cube = np.full((*shape, len(wanted)), np.nan)
        for k, name in enumerate(wanted):
            cube[series, numbers - first, k] = _numbers(panel, name)
        return cube

    target = lay([columns.target])[:, :, 0]
    grid = Grid(list(names), first, target, lay(columns.known), lay(columns.observed), rows)
    after = np.arange(shape[1])[None, :] > grid.last[:, None]
    grid.observed[after] = np.nan
    _refuse_unknown(grid, columns)
    return grid


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


def _refuse_twice(rows: "pd.DataFrame", columns: Columns) -> None:
    twice = rows.duplicated(["_s", "_t"])
    if twice.any():
        one = rows[twice].iloc[0]
        raise DataError(
            "forecast panel",
            f"{int(twice.sum())} rows share a series and time step with another, the first is "
            f"{one[columns.series]} at {one[columns.time]}",
            allowed="one row a series and time step",
        )


def _refuse_unknown(grid: Grid, columns: Columns) -> None:
    """Known columns must have values where they are used: known targets and the rows after."""
    s, t = grid.rows["_s"].to_numpy(), grid.rows["_t"].to_numpy()
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


# --- What the forecasters share -------------------------------------------------------------------


class PanelForecaster(BaseEstimator, ABC):  # type: ignore[misc] # scikit-learn has no types
    """What every forecaster has: columns, horizon, season, and fit / predict on panels.

    Args:
        series: column that names the series.
        time: column of the time step: dates, or whole numbers.
        target: column to forecast; missing in the rows that are to be forecast.
        known: columns known in advance, with values in future rows too.
        observed: columns known only up to the origin; their values after it are never read.
        horizon: how many steps ahead forecasts are made; later rows get none.
        season_length: steps in a season (52 for weeks in a year, 7 for days in a week).
        level: share of outcomes that should lie between `lower` and `upper`.
        random_state: seed of what is drawn at random.

    Attributes:
        notes_: what was done differently than usual and why, as sentences.
    """

    def __init__(  # noqa: PLR0913 - scikit-learn reads an estimator's parameters from here
        self,
        *,
        series: str = "series",
        time: str = "time",
        target: str = "target",
        known: Sequence[str] = (),
        observed: Sequence[str] = (),
        horizon: int = 13,
        season_length: int = 52,
        level: float = 0.8,
        random_state: int = 0,
    ) -> None:
        self.series, self.time, self.target = series, time, target
        self.known, self.observed = known, observed
        self.horizon, self.season_length, self.level = horizon, season_length, level
        self.random_state = random_state

    @property
    def columns(self) -> Columns:
        """The columns by their parts."""
        known, observed = tuple(self.known), tuple(self.observed)
        return Columns(self.series, self.time, self.target, known, observed)

    def fit(self, panel: "pd.DataFrame") -> Self:
        """Learn from the rows whose target is known.

        Raises:
            DataError: no known target at all, or a panel that cannot be read.
            DeclarationError: a parameter that makes no sense.
        """
        self._check_parameters()
        frame = clean_panel(panel, self.columns)
        self.calendar_ = Calendar.of(frame[self.time])
        grid = read_grid(frame, self.columns, self.calendar_)
        if not np.isfinite(grid.target).any():
            raise DataError("forecast panel", f"no row has a value of '{self.target}'")
        self.history_ = frame[frame[self.target].notna()]
        self.notes_: list[str] = []
        self._learn(grid)
        return self

    def predict(self, panel: "pd.DataFrame") -> "pd.DataFrame":
        """Forecast the rows without a target after each series' last known one.

        A series of which `panel` holds no known target goes on from where fitting ended.

        Returns:
            `series`, `time`, `forecast`, `lower`, `upper` (the target's unit), in the panel's
            order, for the rows up to `horizon` steps after the panel's last known target.

        Raises:
            DataError: there is no such row, or a series without any history.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "history_")
        grid = read_grid(self._with_history(panel), self.columns, self.calendar_)
        place = grid.rows["_t"].to_numpy()
        after = place > grid.last[grid.rows["_s"].to_numpy()]
        future = grid.rows[after & (place <= grid.last.max() + self.horizon)]
        if future.empty:
            raise DataError(
                "forecast panel",
                f"no row without '{self.target}' in the {self.horizon} steps after the last known",
                fix="add rows for the steps to forecast, with their known columns",
            )
        forecast, lower, upper = self._forecast(grid)
        s, t = future["_s"].to_numpy(), future["_t"].to_numpy()
        bounds = {"forecast": forecast[s, t], "lower": lower[s, t], "upper": upper[s, t]}
        answer: pd.DataFrame = future[[self.series, self.time]].assign(**bounds)
        return answer.reset_index(drop=True)

    def _with_history(self, panel: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        frame = clean_panel(panel, self.columns)
        have = frame.loc[frame[self.target].notna(), self.series].unique()
        wanted = frame.loc[~frame[self.series].isin(have), self.series].unique()
        if not len(wanted):
            return frame
        kept = self.history_[self.history_[self.series].isin(wanted)]
        strange = sorted(set(wanted) - set(kept[self.series].unique()))
        if strange:
            raise DataError(
                "forecast panel",
                f"series without any history: {', '.join(map(str, strange[:5]))}",
                fix="leave them out until they have values, or add their history",
            )
        return pd.concat([kept, frame], ignore_index=True)

    def _check_parameters(self) -> None:
        for name, least in (("horizon", 1), ("season_length", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise DeclarationError(
                    f"forecast {name}", repr(value), allowed=f"a whole number from {least}"
                )
        if not 0 < self.level < 1:
            raise DeclarationError("forecast level", repr(self.level), allowed="between 0 and 1")

    @abstractmethod
    def _learn(self, grid: Grid) -> None:
        """Set what forecasting needs, as attributes that end in `_`."""

    @abstractmethod
    def _forecast(self, grid: Grid) -> "tuple[Floats, Floats, Floats]":
        """Forecast, lower and upper bound, each S x T; only places after the last are read."""


def conformal_quantile(scores: "Floats", level: float) -> float:
    """The score that covers `level` of new ones, from scores of the same kind (split conformal).

    Rank ceil((n + 1) x level), at most n; Vovk et al., Algorithmic Learning in a Random World,
    2005.
    """
    ordered = np.sort(scores[np.isfinite(scores)])
    rank = int(np.ceil((len(ordered) + 1) * level))
    return float(ordered[min(rank, len(ordered)) - 1])


# --- The baseline ---------------------------------------------------------------------------------


class SeasonalNaive(PanelForecaster):
    """The value of the same step one season earlier; the last value when there is none yet.

    The interval is as wide as the series' own changes from season to season (or, without a full
    season, from step to step, growing with the root of the steps ahead) were.
    """

    def _learn(self, grid: Grid) -> None:
        lengths = grid.last - np.isfinite(grid.target).argmax(axis=1) + 1
        short = [str(n) for n, k in zip(grid.names, lengths, strict=True) if k < self.season_length]
        if short:
            self.notes_.append(
                f"{len(short)} series have less than one season of {self.season_length} steps "
                f"({', '.join(short[:5])}): their last value stands in for last season's."
            )

    def _forecast(self, grid: Grid) -> "tuple[Floats, Floats, Floats]":
        forecast = grid.target.copy()
        half = np.full_like(forecast, np.nan)
        for s, last in enumerate(grid.last):
            season = self._width(grid.target[s], self.season_length)
            step = self._width(grid.target[s], 1)
            for t in range(last + 1, forecast.shape[1]):
                value = self._last_season(grid.target[s], t, int(last))
                grown = step * np.sqrt(t - last)
                forecast[s, t] = grid.target[s, last] if np.isnan(value) else value
                half[s, t] = grown if np.isnan(value) or np.isnan(season) else season
        lower = forecast - half
        positive = np.nanmin(grid.target, axis=1, keepdims=True) >= 0
        return forecast, np.where(positive, np.maximum(lower, 0), lower), forecast + half

    def _last_season(self, target: "Floats", t: int, last: int) -> float:
        """The latest known value whole seasons before place t, NaN when there is none."""
        places = np.arange(t - self.season_length, -1, -self.season_length)
        values = target[places[places <= last]]
        known = values[np.isfinite(values)]
        return float(known[0]) if len(known) else float("nan")

    def _width(self, target: "Floats", lag: int) -> float:
        changes = np.abs(target[lag:] - target[:-lag])
        changes = changes[np.isfinite(changes)]
        if len(changes):
            return conformal_quantile(changes, self.level)
        return float("nan") if lag > 1 else 0.0


# --- The champion ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """Logarithms, so that effects are shares and series of any size can learn from each other.

    A series with zeros or negative values takes the inverse hyperbolic sine of its values over a
    quarter of their mean size instead, which is nearly a logarithm for large values and defined
    for all.

    Attributes:
        unit: one number a series, 0 for the plain logarithm.
        floor: one number a series, below which its forecasts do not go (0 or minus infinity).
    """

    unit: "Floats"
    floor: "Floats"

    NOTHING: ClassVar = 1e-9  # the unit of a series of zeros: other series' effects stay zero there

    @classmethod
    def of(cls, target: "Floats") -> "Scale":
        """The scale of S x T values."""
        filled = np.where(np.isfinite(target), target, np.inf)
        least = filled.min(axis=1)
        count = np.maximum(np.isfinite(target).sum(axis=1), 1)
        size = np.nansum(np.abs(target), axis=1) / count
        unit = np.where(least > 0, 0.0, np.where(size > 0, size / 4, cls.NOTHING))
        return cls(unit, np.where(least >= 0, 0.0, -np.inf))

    def for_rows(self, rows: "Ints", other: "Scale") -> "Scale":
        """This scale's numbers for the series in `rows`, those of `other` where a row is -1."""
        return Scale(
            np.where(rows >= 0, self.unit[rows], other.unit),
            np.where(rows >= 0, self.floor[rows], other.floor),
        )

    def forward(self, target: "Floats") -> "Floats":
        """Target to scale, S x T."""
        unit = self.unit[:, None]
        logs = np.log(np.where(target > 0, target, np.nan))
        return np.where(unit == 0, logs, np.arcsinh(target / np.where(unit == 0, 1, unit)))

    def back(self, values: "Floats") -> "Floats":
        """Scale to target, S x T."""
        unit = self.unit[:, None]
        # A linear model can run away on a wild panel; e^80 is beyond any target and no overflow.
        safe = np.clip(values, -80, 80)
        return np.maximum(
            np.where(unit == 0, np.exp(safe), np.sinh(safe) * unit), self.floor[:, None]
        )


@dataclass(frozen=True)
class Tuning:
    """What inner validation chooses.

    Attributes:
        pull: how strongly a series' own effects are pulled to the common ones (1: moderately).
        slope: how strongly trends are pulled to none.
        memory: half-life, in steps, of the recent residuals that make up the level.
        carry: the share of that level that is carried into the forecast.
        observed: whether the observed columns' anomalies are used.
    """

    pull: float = 1.0
    slope: float = 1.0
    memory: float = 6.0
    carry: float = 0.75
    observed: bool = False


@dataclass(frozen=True)
class Design:
    """The columns of the linear model, S x T x p, and how much each is held back.

    In this order: one; trend (in seasons from the origin); known columns (their range in training
    is one); anomalies of the observed columns; sine and cosine pairs of the season; a column for
    each part of the season.
    """

    origin: int
    season: int
    seasonal: bool
    low: "Floats"
    span: "Floats"
    climate: "Climate"

    HARMONICS: ClassVar = 6
    PARTS: ClassVar = 53

    @classmethod
    def of(cls, grid: Grid, season: int) -> "Design":
        """The design that this training grid allows: no season is learnt from less than one."""
        used = np.isfinite(grid.target)
        lengths = grid.last - used.argmax(axis=1) + 1
        flat = grid.known[used]
        low, span = flat.min(axis=0), np.ptp(flat, axis=0)
        seasonal = season > 1 and int(lengths.max()) > season
        origin = int(grid.steps[grid.last.max()])
        return cls(origin, season, seasonal, low, span, Climate.of(grid, season))

    def columns(self, grid: Grid) -> "Floats":
        """S x T x p; zero where a value is missing, which a weight of zero leaves out anyway."""
        steps = grid.steps
        s, t = grid.target.shape
        shared = [np.ones((t, 1)), ((steps - self.origin) / self.season)[:, None]]
        known = np.nan_to_num((grid.known - self.low) / np.where(self.span > 0, self.span, np.inf))
        wide = [np.broadcast_to(one, (s, *one.shape)) for one in (*shared, self._waves(steps))]
        return np.concatenate([*wide[:2], known, self.climate.anomalies(grid), wide[2]], axis=2)

    def _waves(self, steps: "Ints") -> "Floats":
        if not self.seasonal:
            return np.zeros((len(steps), 0))
        count = min(self.HARMONICS, (self.season - 1) // 2)
        angles = 2 * np.pi * np.outer(steps, np.arange(1, count + 1)) / self.season
        parts = np.eye(min(self.season, self.PARTS))[season_part(steps, self.season)]
        return np.hstack([np.sin(angles), np.cos(angles), parts])

    def penalties(self, tuning: Tuning) -> "tuple[Floats, Floats]":
        """How much the common and the series' own effects are held back, p numbers each.

        A penalty counts like that many rows (of an average series, for the common effects) which
        say that the effect is zero. Rare columns and parts of a season need a firmer hand.
        """
        observed = 1.0 if tuning.observed else 1e9
        waves = 2 * min(self.HARMONICS, (self.season - 1) // 2) if self.seasonal else 0
        parts = min(self.season, self.PARTS) if self.seasonal else 0
        kinds = [1, 1, len(self.low), self.climate.fade.size, waves, parts]
        common = [1e-6, 0.01 * tuning.slope, 0.02, 0.1 * observed, 0.002, 0.5]
        own = [1e-6, 2 * tuning.slope, *(tuning.pull * np.array([3, 10 * observed, 1, 3]))]
        return np.repeat(common, kinds), np.repeat(own, kinds)


def season_part(steps: "Ints", season: int) -> "Ints":
    """Which part of the season each step lies in: its place, or one of at most 53 stretches."""
    return steps % season * min(season, Design.PARTS) // season


@dataclass(frozen=True)
class Climate:
    """What is usual for the observed columns, so that the model sees only what is unusual.

    After the origin the last anomaly fades as that column's anomalies have faded in training:
    weather is soon back at what is usual for the season, a price stays where it is for longer.

    Attributes:
        names: the S series of training.
        usual: S x parts of the season x columns: mean of the same part in the years so far.
        spread: one number a column: standard deviation of its anomalies.
        fade: one number a column: what is left of an anomaly after a step, 0 to 1.
    """

    names: list[Any]
    usual: "Floats"
    spread: "Floats"
    fade: "Floats"
    season: int

    @classmethod
    def of(cls, grid: Grid, season: int) -> "Climate":
        """Learn it from the values up to the origin."""
        parts, count = min(season, Design.PARTS), grid.observed.shape[2]
        where = np.eye(parts)[season_part(grid.steps, season)]
        seen = np.isfinite(grid.observed)
        total = np.einsum("sto,tp->spo", np.nan_to_num(grid.observed), where)
        often = np.einsum("sto,tp->spo", seen.astype(float), where)
        usual = total / np.where(often > 0, often, np.nan)
        plain = cls(grid.names, usual, np.ones(count), np.zeros(count), season)
        odd = plain._raw(grid)
        power = np.nansum(odd**2, axis=(0, 1))
        number = np.maximum(np.isfinite(odd).sum(axis=(0, 1)), 1)
        spread = np.sqrt(power / number)
        echo = np.nansum(odd[:, 1:] * odd[:, :-1], axis=(0, 1)) / np.where(power > 0, power, 1)
        return replace(plain, spread=spread, fade=np.clip(echo, 0, 1))

    def anomalies(self, grid: Grid) -> "Floats":
        """S x T x columns in standard deviations; after the last value the fading last anomaly."""
        odd = self._raw(grid) / np.where(self.spread > 0, self.spread, np.inf)
        for t in range(1, odd.shape[1]):
            gone = np.isnan(odd[:, t]) & (t > grid.last)[:, None]
            odd[:, t] = np.where(gone, odd[:, t - 1] * self.fade, odd[:, t])
        return np.nan_to_num(odd)

    def _raw(self, grid: Grid) -> "Floats":
        place = {name: k for k, name in enumerate(self.names)}
        rows = np.array([place.get(name, -1) for name in grid.names])
        usual = self.usual[rows][:, season_part(grid.steps, self.season)]
        return np.where((rows >= 0)[:, None, None], grid.observed - usual, np.nan)


@dataclass(frozen=True)
class Effects:
    """The fitted linear model: common effects, each series' own, and the residuals' spread."""

    tuning: Tuning
    common: "Floats"
    own: "Floats"
    spread: "Floats"

    def line(self, columns: "Floats", rows: "Ints") -> "Floats":
        """S x T fitted values on the scale; `rows` is each series' place in training, or -1."""
        own = np.where((rows >= 0)[:, None], self.own[rows], 0.0)
        return cast("Floats", np.einsum("stp,sp->st", columns, self.common + own))

    def level(self, residuals: "Floats", last: "Ints") -> "Floats":
        """What the latest residuals say about each series' level now, S numbers."""
        age = np.maximum(last[:, None] - np.arange(residuals.shape[1])[None, :], 0)
        weight = np.where(np.isfinite(residuals), 0.5 ** (age / self.tuning.memory), 0.0)
        total = np.nansum(weight * np.nan_to_num(residuals), axis=1)
        return cast("Floats", total / np.maximum(weight.sum(axis=1), 1e-12))


@dataclass(frozen=True)
class Sums:
    """Cross products of a design with itself and with the target: all that fitting needs."""

    gram: "Floats"
    cross: "Floats"
    square: "Floats"

    @classmethod
    def of(cls, columns: "Floats", values: "Floats") -> "Sums":
        """S x p x p and S x p, over the steps whose value is known."""
        known = np.isfinite(values)
        kept = columns * known[:, :, None]
        turned = kept.transpose(0, 2, 1)
        filled = np.nan_to_num(values)
        return cls(turned @ kept, (turned @ filled[:, :, None])[:, :, 0], (filled**2).sum(axis=1))

    def solve(self, design: Design, tuning: Tuning) -> Effects:
        """Ridge in two steps: effects common to all series, then each one's departures from them.

        Common effects come from values and columns with each series' mean taken out, so that
        series of different sizes and starting dates count alike (the within estimator).
        """
        common_hold, own_hold = design.penalties(tuning)
        count = np.maximum(self.gram[:, 0, 0], 1e-12)
        mean = self.gram[:, 0, :] / count[:, None]
        gram = self.gram - count[:, None, None] * mean[:, :, None] * mean[:, None, :]
        cross = self.cross - mean * self.cross[:, :1]
        common = np.linalg.solve(gram.mean(axis=0) + np.diag(common_hold), cross.mean(axis=0))
        left = self.cross - self.gram @ common
        own = np.linalg.solve(self.gram + np.diag(own_hold), left[:, :, None])[:, :, 0]
        spread = self._spread(cast("Floats", common + own))
        return Effects(tuning, cast("Floats", common), cast("Floats", own), spread)

    def _spread(self, effects: "Floats") -> "Floats":
        """Root mean square residual of each series, pulled a little to that of all."""
        fitted = np.einsum("sp,spq,sq->s", effects, self.gram, effects)
        sums = np.maximum(self.square - 2 * (effects * self.cross).sum(axis=1) + fitted, 0)
        count = self.gram[:, 0, 0]
        usual = sums.sum() / max(count.sum(), 1)
        return cast("Floats", np.sqrt(np.maximum((sums + 5 * usual) / (count + 5), 1e-12)))


class GlobalForecaster(PanelForecaster):
    """One model for all series: common effects, and each series' departures from them.

    On a logarithmic scale a series is its level, a trend, the season (waves and the parts of it)
    and the effects of the known columns. The effects are learnt for all series together and, held
    back by ridge penalties, for each one; the latest residuals move the level. How strongly things
    are held back is chosen inside `fit` on origins within the training data, and the forecasts of
    the best few choices are averaged. Intervals come from these inner origins' out-of-sample
    residuals by steps ahead (split conformal).

    Takes the same parameters as `PanelForecaster`.
    """

    BEST = 5
    INNER_ORIGINS = 3
    FEWEST = 4  # steps of training at an inner origin
    ENOUGH = 50  # residuals for a quantile; fewer at one step ahead borrow from its neighbours

    def _learn(self, grid: Grid) -> None:
        self.scale_ = Scale.of(grid.target)
        values = self.scale_.forward(grid.target)
        self.names_ = grid.names
        self.tunings_, misses = self._validate(grid, values)
        self.design_ = Design.of(grid, self.season_length)
        if not self.design_.seasonal and self.season_length > 1:
            self.notes_.append(
                f"No series has more than one season of {self.season_length} steps: "
                "the forecast has level, trend and known columns, and no season."
            )
        sums = Sums.of(self.design_.columns(grid), values)
        self.effects_ = [sums.solve(self.design_, one) for one in self.tunings_]
        self.widths_ = self._widths(misses) if np.isfinite(misses).any() else self._walk(values)

    def _validate(self, grid: Grid, values: "Floats") -> "tuple[list[Tuning], Floats]":
        """The best tunings on inner origins, and their residuals there (origins x S x horizon)."""
        origins = self._inner_origins(grid)
        if not origins:
            self.notes_.append(
                f"The history is too short to validate {self.horizon} steps ahead inside it: "
                "usual settings are used, and intervals come from one-step changes."
            )
            return [Tuning()], np.zeros((0, *values.shape[:1], self.horizon))
        trials = [self._trial(grid, values, origin) for origin in origins]
        errors = {one: np.mean([t[one][0] for t in trials]) for one in trials[0]}
        best = sorted(errors, key=lambda one: errors[one])[: self.BEST]
        # Averaging after scaling back and before differ by a hair; residuals are averaged here.
        return best, np.stack([np.mean([t[one][1] for one in best], axis=0) for t in trials])

    def _inner_origins(self, grid: Grid) -> list[int]:
        """Places in training from which a whole horizon can be checked, latest first."""
        end = int(grid.last.max())
        found = [end - self.horizon * k for k in range(1, self.INNER_ORIGINS + 1)]
        for least in (self.season_length + self.horizon, self.horizon):
            enough = [one for one in found if one + 1 >= max(least, self.FEWEST)]
            if enough:
                return enough
        return []

    def _trial(
        self, grid: Grid, values: "Floats", origin: int
    ) -> "dict[Tuning, tuple[float, Floats]]":
        """Error (WAPE) and residuals of every tuning at one inner origin."""
        past = grid.until(origin)
        design = Design.of(past, self.season_length)
        columns = design.columns(past)
        known = np.where(np.arange(values.shape[1]) <= origin, values, np.nan)
        sums = Sums.of(columns, known)
        ahead = slice(origin + 1, origin + 1 + self.horizon)
        result = {}
        for effects in (sums.solve(design, one) for one in self._linear_tunings()):
            line = effects.line(columns, np.arange(len(values)))
            for tuning in _carried(effects.tuning):
                level = replace(effects, tuning=tuning).level(known - line, past.last)
                said = line[:, ahead] + tuning.carry * level[:, None]
                error = self._error(grid.target[:, ahead], said, past)
                started = (past.last >= 0)[:, None]
                result[tuning] = (error, np.where(started, values[:, ahead] - said, np.nan))
        return result

    def _error(self, actual: "Floats", said: "Floats", past: Grid) -> float:
        """WAPE on the series that had a history; 0 when there is nothing to judge by."""
        miss = np.abs(actual - self.scale_.back(said))[past.last >= 0]
        size = np.nansum(np.abs(actual[past.last >= 0]))
        return float(np.nansum(miss) / size) if size > 0 else 0.0

    def _linear_tunings(self) -> list[Tuning]:
        use = (False, True) if self.observed else (False,)
        return [
            Tuning(pull=pull, slope=slope, observed=observed)
            for pull, slope, observed in product((0.3, 1.0, 3.0), (1.0, 30.0), use)
        ]

    def _widths(self, misses: "Floats") -> "Floats":
        """Half the interval's width at each step ahead, in spreads; never narrower further out.

        Inner origins have less history, so their own spreads flatter; the final ones are used.
        """
        scores = np.abs(misses) / self.effects_[0].spread[None, :, None]
        found = []
        for step in range(self.horizon):
            for reach in range(self.horizon):
                near = scores[:, :, max(0, step - reach) : step + reach + 1]
                if np.isfinite(near).sum() >= self.ENOUGH:
                    break
            found.append(conformal_quantile(near, self.level))
        return np.maximum.accumulate(found)

    def _walk(self, values: "Floats") -> "Floats":
        """Widths when nothing could be validated: one-step changes, times the root of the steps."""
        changes = np.abs(np.diff(values, axis=1)) / self.effects_[0].spread[:, None]
        changes = changes[np.isfinite(changes)]
        one_step = conformal_quantile(changes, self.level) if changes.size else 1.0
        return one_step * np.sqrt(np.arange(1, self.horizon + 1))

    def _forecast(self, grid: Grid) -> "tuple[Floats, Floats, Floats]":
        place = {name: k for k, name in enumerate(self.names_)}
        rows = np.array([place.get(name, -1) for name in grid.names])
        scale = self.scale_.for_rows(rows, Scale.of(grid.target))
        columns, values = self.design_.columns(grid), scale.forward(grid.target)
        said = np.mean(
            [self._say(one, columns, values, rows, grid) for one in self.effects_], axis=0
        )
        ahead = np.arange(values.shape[1])[None, :] - grid.last[:, None]
        spread = np.where(rows >= 0, self.effects_[0].spread[rows], self.effects_[0].spread.max())
        half = self.widths_[np.clip(ahead, 1, self.horizon) - 1] * spread[:, None]
        return scale.back(said), scale.back(said - half), scale.back(said + half)

    @staticmethod
    def _say(
        effects: Effects, columns: "Floats", values: "Floats", rows: "Ints", grid: Grid
    ) -> "Floats":
        """S x T on the scale: the fitted line, moved by what is carried of the latest level.

        A series that was not there in training has no level of its own but the latest one.
        """
        line = effects.line(columns, rows)
        level = effects.level(values - line, grid.last)
        carry = np.where(rows >= 0, effects.tuning.carry, 1.0)
        return line + (carry * level)[:, None]


def _carried(tuning: Tuning) -> Iterator[Tuning]:
    for memory, carry in product((3.0, 6.0, 12.0), (0.5, 0.75, 1.0)):
        yield replace(tuning, memory=memory, carry=carry)
