"""Forecasters for panels: a baseline, and one model for all series.

What belongs here: estimators of scikit-learn's shape that learn from the rows whose target is known
and forecast the rows after them. What does not: reading a panel (`panel`), the linear model's parts
(`ridge`), cutting history into origins (`backtest`) and judging (`metrics`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator  # noqa: TID253 - a base class is needed while defining

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.models.panel import Calendar, Columns, Grid, clean_panel, joined, read_grid
from ml_platform.models.ridge import Design, Effects, Scale, Sums, Tuning

if TYPE_CHECKING:
    import pandas as pd

    from ml_platform.models.panel import Floats, Ints


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
        self.grid_ = grid.without_rows()
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

        check_is_fitted(self, "grid_")
        frame = clean_panel(panel, self.columns)
        grid = self._continued(read_grid(frame, self.columns, self.calendar_))
        s, t = grid.places
        asked = (t > grid.last[s]) & (t <= grid.last.max() + self.horizon)
        if not asked.any():
            raise DataError(
                "forecast panel",
                f"no row without '{self.target}' in the {self.horizon} steps after the last known",
                fix="add rows for the steps to forecast, with their known columns",
            )
        forecast, lower, upper = self._forecast(grid)
        s, t = s[asked], t[asked]
        bounds = {"forecast": forecast[s, t], "lower": lower[s, t], "upper": upper[s, t]}
        answer: pd.DataFrame = grid.rows[asked].assign(**bounds)
        return answer.reset_index(drop=True)

    def _continued(self, grid: Grid) -> Grid:
        """Series without a known target here go on from where fitting ended."""
        wanted = {name for name, last in zip(grid.names, grid.last, strict=True) if last < 0}
        if not wanted:
            return grid
        before = self.grid_
        ended = zip(before.names, before.last, strict=True)
        there = [row for row, (name, last) in enumerate(ended) if name in wanted and last >= 0]
        strange = sorted(wanted - {before.names[row] for row in there})
        if strange:
            raise DataError(
                "forecast panel",
                f"series without any history: {', '.join(map(str, strange[:5]))}",
                fix="leave them out until they have values, or add their history",
            )
        return joined(before.only(np.array(there)), grid)

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
