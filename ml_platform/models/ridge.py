"""The parts of the global model: a scale, the columns of a linear model, and ridge in two steps.

What belongs here: turning a grid into columns and columns into effects, in closed form. What does
not: reading panels (`panel`), and choosing the tuning and forecasting (`forecast`).
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from ml_platform.models.panel import Grid

if TYPE_CHECKING:
    from ml_platform.models.panel import Floats, Ints


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
