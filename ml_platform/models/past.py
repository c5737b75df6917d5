"""Each series' own past: as it was seen at an origin, and what it says for one choice or another.

What belongs here: how firmly a regression's effects may be held, judging that at origins in the
past, and the widths of intervals. What does not: the solve (`batch`), the estimator (`harmonic`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, cast

import numpy as np

from ml_platform.models.batch import Batch, Clock, Hold, fitted, recent
from ml_platform.models.ridge import Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml_platform.models.panel import Floats, Grid, Ints

HOLDS = (
    Hold(slope=0.3, bend=0.3),
    Hold(slope=10.0, bend=1.0),
    Hold(slope=300.0, bend=1.0),
    Hold(slope=300.0, bend=1.0, season=5.0, known=3.0),
)
MEMORIES = (4.0, 20.0)
"""Half-lives, in steps, of the residuals that make up the latest level."""

CARRIES = (0.0, 0.5, 1.0)
"""Shares of that level that the forecast goes on with."""

CHOICES = tuple(product(range(len(HOLDS)), range(len(MEMORIES)), CARRIES))
USUAL = 2
"""The hold of series that are too short to choose."""

FEWEST = 8
"""Values that a series needs before an inner origin, so that it is judged from there."""

KEENNESS = 8.0
"""A choice counts by its error to minus this power."""

BLOCKS = 3
"""Parts of the horizon that have an interval's width of their own."""

UNIT = 52.0
"""Steps in a unit of time where there is no season."""

TINY = 1e-12


@dataclass(frozen=True)
class History:
    """S series on the scale on which they are learnt.

    Attributes:
        steps: the step numbers of the T columns.
        heights: S x T values on that scale, NaN where there is none.
        known: k x S x T.
        scale: from the target to `heights`.
        seasons: in steps.
    """

    steps: "Ints"
    heights: "Floats"
    known: "Floats"
    scale: Scale
    seasons: tuple[float, ...]

    @classmethod
    def of(cls, grid: "Grid", seasons: tuple[float, ...]) -> "History":
        """Of a training grid."""
        scale = Scale.of(grid.target)
        known = np.ascontiguousarray(np.moveaxis(grid.known, 2, 0))
        return cls(grid.steps, scale.forward(grid.target), known, scale, seasons)


@dataclass(frozen=True)
class Basis:
    """What turns effects into values.

    Attributes:
        clock: the columns of time.
        centre: the S means of the values seen.
        low: the least value of each known column so far, k x S.
        span: its range so far; infinite where it never changed, which leaves it without effect.
    """

    clock: Clock
    centre: "Floats"
    low: "Floats"
    span: "Floats"

    def lines(self, effects: "Sequence[Floats]", steps: "Ints", known: "Floats") -> "list[Floats]":
        """Values at any steps, S x T, for each S x q effects, from k x S x T known columns."""
        own, time = scaled(known, self.low, self.span), self.clock.columns(steps)
        return [self.centre[:, None] + fitted(one, time, own) for one in effects]

    def only(self, rows: "Ints") -> "Basis":
        """Of some of the series."""
        return Basis(self.clock, self.centre[rows], self.low[:, rows], self.span[:, rows])


@dataclass(frozen=True)
class View:
    """What a regression at an origin sees, ready to be solved.

    Attributes:
        basis: of the columns.
        batch: the cross products.
        rest: S x T values less their centre, 0 where unseen.
        lengths: steps from the first value to the origin, S numbers.
    """

    basis: Basis
    batch: Batch
    rest: "Floats"
    lengths: "Ints"

    @classmethod
    def of(cls, history: History, origin: int) -> "View":
        """Nothing after the place `origin` is looked at."""
        past = slice(0, origin + 1)
        steps, values, known = (
            history.steps[past],
            history.heights[:, past],
            history.known[:, :, past],
        )
        seen = np.isfinite(values)
        centre = np.where(seen, values, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        low, span = _range(known, seen)
        lengths = np.where(seen.any(axis=1), len(steps) - seen.argmax(axis=1), 0)
        clock = Clock(int(steps[-1]), max(history.seasons, default=UNIT), history.seasons)
        clock = clock.for_length(int(lengths.max()))
        own = np.where(seen, scaled(known, low, span), 0.0)
        batch = Batch.of(clock.columns(steps), own, seen.astype(float))
        rest = np.where(seen, values - centre[:, None], 0.0)
        return cls(Basis(clock, centre, low, span), batch, rest, lengths)

    def holds(self, hold: Hold) -> "Floats":
        """The penalties of all columns, S x q."""
        known = np.full(self.basis.low.T.shape, hold.known)
        return np.hstack([self.basis.clock.holds(hold, self.lengths), known])

    def effects(self) -> "Floats":
        """The effects under each of HOLDS, len(HOLDS) x S x q."""
        tamed = self.batch.tamed(self.rest, self.holds(HOLDS[1]))
        return np.stack([self.batch.solve(tamed, self.holds(one)) for one in HOLDS])

    def levels(self, effects: "Floats") -> "Floats":
        """The latest residuals of S x q effects, len(MEMORIES) x S."""
        rest = np.where(self.batch.seen > 0, self.rest - self.batch.line(effects), np.nan)
        return recent(rest, np.full(len(rest), rest.shape[1] - 1), MEMORIES)


def _range(known: "Floats", seen: "NDArray[np.bool_]") -> "tuple[Floats, Floats]":
    """Least value and range of each series' columns where it has values, k x S each."""
    low = np.where(seen, known, np.inf).min(axis=2)
    span = np.where(seen, known, -np.inf).max(axis=2) - low
    usable = np.isfinite(span) & (span > 0)
    return np.where(usable, low, 0.0), np.where(usable, span, np.inf)


def scaled(known: "Floats", low: "Floats", span: "Floats") -> "Floats":
    """Known columns with a range of one in the past, k x S x T; 0 where they are missing."""
    return np.nan_to_num((known - low[:, :, None]) / span[:, :, None])


# --- Choosing in each series' own past ------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """What each hold says at an inner origin, and what came then.

    Attributes:
        actual: S x horizon on the scale, NaN where it is not known or the series is too short.
        lines: len(HOLDS) x S x horizon.
        levels: len(HOLDS) x len(MEMORIES) x S.
    """

    actual: "Floats"
    lines: "Floats"
    levels: "Floats"

    @classmethod
    def of(cls, history: History, origin: int, horizon: int) -> "Trial":
        """Learn at the place `origin` and look `horizon` steps on."""
        view = View.of(history, origin)
        effects = view.effects()
        ahead = slice(origin + 1, origin + 1 + horizon)
        steps, known = history.steps[ahead], history.known[:, :, ahead]
        lines = np.stack(view.basis.lines(list(effects), steps, known))
        enough = view.batch.seen.sum(axis=1) >= FEWEST
        actual = np.where(enough[:, None], history.heights[:, ahead], np.nan)
        return cls(actual, lines, np.stack([view.levels(one) for one in effects]))

    def errors(self) -> "tuple[Floats, Floats]":
        """The summed size of each choice's errors, S x len(CHOICES), and their S counts."""
        known = np.isfinite(self.actual)
        rest = np.where(known, self.actual - self.lines, 0.0)
        sums = []
        for hold, memory, carry in CHOICES:
            moved = rest[hold] - carry * self.levels[hold, memory][:, None]
            sums.append(np.abs(moved * known).sum(axis=1))
        return np.stack(sums, axis=1), known.sum(axis=1).astype(float)

    def misses(self, weights: "Floats") -> "Floats":
        """The residuals of the average of all choices, S x horizon."""
        said = np.zeros_like(self.actual)
        for number, (hold, memory, carry) in enumerate(CHOICES):
            moved = self.lines[hold] + carry * self.levels[hold, memory][:, None]
            said += weights[:, number, None] * moved
        return self.actual - said


def weighed(trials: Sequence[Trial], count: int) -> "tuple[Floats, NDArray[np.bool_]]":
    """How much each choice counts for each series, S x len(CHOICES), and whether it was judged."""
    usual = np.array([float(hold == USUAL) for hold, _, _ in CHOICES])
    usual /= usual.sum()
    sums, counts = np.zeros((count, len(CHOICES))), np.zeros(count)
    for trial in trials:
        errors, number = trial.errors()
        sums, counts = sums + errors, counts + number
    best = sums.min(axis=1, keepdims=True)
    # A series that never changes is foretold without error by many choices: they count alike.
    share = np.where(best > TINY, best, 1.0) / np.maximum(sums, np.where(best > TINY, TINY, 1.0))
    keen = share**KEENNESS
    judged = counts > 0
    found = keen / keen.sum(axis=1, keepdims=True)
    return np.where(judged[:, None], found, usual), judged


def mixed(effects: "Floats", weights: "Floats") -> "tuple[Floats, Floats]":
    """Effects averaged over the choices, S x q, and the share of each memory, S x memories."""
    average = np.zeros(effects.shape[1:])
    carried = np.zeros((len(weights), len(MEMORIES)))
    for number, (hold, memory, carry) in enumerate(CHOICES):
        average += weights[:, number, None] * effects[hold]
        carried[:, memory] += weights[:, number] * carry
    return average, carried


def widths_of(misses: Sequence["Floats"], view: View, horizon: int, level: float) -> "Floats":
    """Half of each series' interval at each step ahead, S x horizon, never narrower further on."""
    widths = np.full((len(view.rest), horizon), np.nan)
    for block in np.array_split(np.arange(horizon), min(BLOCKS, horizon)):
        near = [one[:, block[block < one.shape[1]]] for one in misses]
        widths[:, block] = quantiles(near, level, len(widths))[:, None]
    walk = _steps_of(view, level)[:, None] * np.sqrt(np.arange(1, horizon + 1))
    return np.maximum.accumulate(np.where(np.isfinite(widths), widths, walk), axis=1)


def _steps_of(view: View, level: float) -> "Floats":
    """The usual size of a change from one step to the next, S numbers; 0 where there is none."""
    rest = np.where(view.batch.seen > 0, view.rest, np.nan)
    return np.nan_to_num(quantiles([np.diff(rest, axis=1)], level, len(rest)))


def quantiles(scores: Sequence["Floats"], level: float, count: int) -> "Floats":
    """`forecast.conformal_quantile` of the sizes in each row, S numbers; NaN without any."""
    sizes = np.abs(np.hstack([*scores, np.full((count, 1), np.nan)]))
    ordered = np.sort(sizes, axis=1)  # what is missing goes last
    number = np.isfinite(sizes).sum(axis=1)
    rank = np.minimum(np.ceil((number + 1) * level).astype(np.int64), number)
    return cast("Floats", ordered[np.arange(count), rank - 1])
