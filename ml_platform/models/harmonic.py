"""Harmonic regression for many series: a model of its own for each, all of them in one solve.

What belongs here: the estimator, and turning what it learnt into forecasts. What does not: the
solve (`batch`), choosing how firmly effects are held (`past`), reading panels (`panel`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_platform.models.batch import recent
from ml_platform.models.forecast import PanelForecaster
from ml_platform.models.past import (
    FEWEST,
    MEMORIES,
    Basis,
    History,
    Trial,
    View,
    mixed,
    weighed,
    widths_of,
)
from ml_platform.models.ridge import Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml_platform.models.panel import Calendar, Floats, Grid, Ints

DAY = 86_400
LEAST_SEASON = 2.5
"""Shorter ones are no waves at this step."""

NEAR = 0.02
"""Seasons that differ by less are one: 52 weeks and 52.18 are a year."""


class HarmonicRegression(PanelForecaster):
    """A level, a trend that bends, seasons as waves and known columns; one model a series.

    Dynamic harmonic regression (Hyndman and Athanasopoulos, Forecasting: Principles and Practice,
    3rd ed., 10.5) with the trend of Taylor and Letham, Forecasting at scale, 2018, by ridge in
    closed form instead of sampling, on a logarithmic scale (`ridge.Scale`). The seasons are those
    of the calendar (a day, a week, a year) and `season_length`. How firmly effects are held, and
    how much of the latest residuals is carried on, is an average of choices, weighted for each
    series by their errors at three origins in its own past; intervals come from the residuals there
    (split conformal). Nothing passes between series.

    Takes the same parameters as `PanelForecaster`; `observed` columns are not used.
    """

    ORIGINS = 3

    def _learn(self, grid: "Grid") -> None:
        self.parts_ = self._parts(grid)
        self.place_ = {
            name: (number, row)
            for number, part in enumerate(self.parts_)
            for row, name in enumerate(part.names)
        }
        short = sum(int((~part.judged).sum()) for part in self.parts_)
        if short:
            self.notes_.append(
                f"{short} series are too short to be judged {self.horizon} steps ahead in their "
                "past: usual settings are used, and their intervals come from one-step changes."
            )
        if self.observed:
            self.notes_.append("The observed columns are not used by a harmonic regression.")

    def _parts(self, grid: "Grid") -> "list[Part]":
        """Series that end at the same step are solved together."""
        ends = [int(one) for one in np.unique(grid.last) if one >= 0]
        return [self._part(grid.only(np.flatnonzero(grid.last == end)), end) for end in ends]

    def _part(self, grid: "Grid", end: int) -> "Part":
        history = History.of(grid, seasons_of(self.calendar_, self.season_length))
        origins = [end - self.horizon * k for k in range(1, self.ORIGINS + 1)]
        trials = [Trial.of(history, at, self.horizon) for at in origins if at >= FEWEST - 1]
        weights, judged = weighed(trials, len(grid.names))
        misses = [trial.misses(weights) for trial in trials]
        view = View.of(history, end)
        widths = widths_of(misses, view, self.horizon, self.level)
        effects, carried = mixed(view.effects(), weights)
        names = np.array(grid.names, dtype=object)
        return Part(names, view.basis, history.scale, effects, carried, widths, judged)

    def _forecast(self, grid: "Grid") -> "tuple[Floats, Floats, Floats]":
        answer = np.full((3, *grid.target.shape), np.nan)
        places = [self.place_.get(name, (-1, -1)) for name in grid.names]
        number, row = np.array(places, dtype=np.int64).T
        for k, part in enumerate(self.parts_):
            rows = np.flatnonzero(number == k)
            if len(rows):
                answer[:, rows] = part.only(row[rows]).say(grid.only(rows))
        strange = np.flatnonzero(number < 0)
        if len(strange):  # they have a history here, and no other series is needed to learn it
            self._say_new(grid, strange, answer)
        return answer[0], answer[1], answer[2]

    def _say_new(self, grid: "Grid", strange: "Ints", answer: "Floats") -> None:
        for part in self._parts(grid.only(strange)):
            rows = np.array([grid.names.index(name) for name in part.names])
            answer[:, rows] = part.say(grid.only(rows))


def seasons_of(calendar: "Calendar", season_length: int) -> tuple[float, ...]:
    """Seasons of the calendar in steps (day, week, year), and the declared one if it differs."""
    found: list[float] = []
    if calendar.months:
        found = [12 / calendar.months]
    elif hasattr(calendar.anchor, "year"):
        found = [days * DAY / calendar.length for days in (1, 7, 365.25)]
    found = [one for one in found if one >= LEAST_SEASON]
    near = any(abs(one / season_length - 1) < NEAR for one in found)
    return tuple(found if near or season_length < LEAST_SEASON else sorted([*found, season_length]))


# --- What was learnt ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """What was learnt of the series that end at one step.

    Attributes:
        names: the S series.
        basis: what turns effects into values.
        scale: from the target to these values.
        effects: S x q.
        carried: S x len(MEMORIES), the share of each recent level that is carried on.
        widths: S x horizon, half of the interval on the scale.
        judged: whether each series was long enough to choose for itself.
    """

    names: "NDArray[np.object_]"
    basis: Basis
    scale: Scale
    effects: "Floats"
    carried: "Floats"
    widths: "Floats"
    judged: "NDArray[np.bool_]"

    def only(self, rows: "Ints") -> "Part":
        """Of some of the series."""
        return Part(
            self.names[rows],
            self.basis.only(rows),
            Scale(self.scale.unit[rows], self.scale.floor[rows]),
            self.effects[rows],
            self.carried[rows],
            self.widths[rows],
            self.judged[rows],
        )

    def say(self, grid: "Grid") -> "Floats":
        """Forecast, lower and upper bound of these series, 3 x S x T; NaN up to the last value.

        The level is that of the grid's latest values, which may be later than those learnt from.
        """
        known = np.moveaxis(grid.known, 2, 0)
        (line,) = self.basis.lines([self.effects], grid.steps, known)
        last, end = grid.last, int(grid.last.min()) + 1
        rest = self.scale.forward(grid.target) - line
        level = (self.carried * recent(rest, last, MEMORIES).T).sum(axis=1)
        ahead = np.arange(end, line.shape[1])[None, :] - last[:, None]
        place = np.clip(ahead, 1, self.widths.shape[1]) - 1
        half = np.take_along_axis(self.widths, place, axis=1)
        said = line[:, end:] + level[:, None]
        answer = np.full((3, *line.shape), np.nan)
        for number, move in enumerate((0, -half, half)):
            answer[number, :, end:] = self.scale.back(said + move)
        return answer
