"""Many small regressions in one solve: each series its own effects, all of them in closed form.

What belongs here: the columns of time, cross products, ridge and its robust variant, for S series
side by side. A series' numbers never depend on which others are solved with it. What does not:
reading panels (`panel`), choosing how firmly effects are held, forecasting (`harmonic`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from ml_platform.models.panel import Floats, Ints

KNOTS = (1 / 24, 1 / 12, 1 / 6, 1 / 3, 2 / 3, 4 / 3, 8 / 3)
"""How long before the origin the slope may have changed, in units of the longest season."""

HARMONICS = 10
EVERY_STEP = 60
"""Seasons of up to so many steps get all their harmonics: each step its own effect."""

HUBER = 1.345
"""Robust deviations beyond which a residual counts no more; 95 % as sharp on normal noise."""

YEARS_TO_LEARN = 1.5
"""How many times a series must be as long as a season before it is learnt (Prophet waits for 2)."""

SEEN_ONCE = 0.99
"""From so many times on, its first harmonic is learnt already; 52 weeks are no whole year."""

FIRM_ONCE = 0.05
"""How firmly that one is held then, in shares of the season's steps: it might be a trend's bend."""

NEVER = 1e12


@dataclass(frozen=True)
class Hold:
    """How firmly effects are held to zero; a number counts like that many rows that say so.

    Attributes:
        slope: the slope at the origin, over a unit of time.
        bend: each earlier change of slope.
        season: the first harmonic of each season; higher ones are held more firmly.
        known: the whole range of a known column.
    """

    slope: float
    bend: float
    season: float = 0.5
    known: float = 0.3


@dataclass(frozen=True)
class Clock:
    """The columns that depend on time alone, T x p: one, slope, bends, waves.

    Time runs backwards from `origin`, so that the slope is today's and what is held to zero is what
    the forecast would go on with. The bends are hinges at fixed ages (a linear spline).

    Attributes:
        origin: the step of the last known value.
        unit: steps in a unit of time: the longest season.
        seasons: lengths in steps, not necessarily whole (365.25).
        knots: the ages of the bends, in units.
        young: the seasons of which only the first harmonic is there.
    """

    origin: int
    unit: float
    seasons: tuple[float, ...]
    knots: tuple[float, ...] = KNOTS
    young: tuple[float, ...] = ()

    def for_length(self, steps: int) -> "Clock":
        """Without what no series of at most so many steps can learn: it would be zero anyway."""
        seasons = tuple(one for one in self.seasons if steps >= SEEN_ONCE * one)
        knots = tuple(one for one in self.knots if one * self.unit < steps)
        young = tuple(one for one in seasons if steps < YEARS_TO_LEARN * one)
        return replace(self, seasons=seasons, knots=knots, young=young)

    def columns(self, steps: "Ints") -> "Floats":
        """The columns at these steps; hinges are zero after the origin."""
        age = (self.origin - steps) / self.unit
        hinges = np.maximum(age[:, None] - np.array(self.knots)[None, :], 0)
        waves = [wave for season in self.seasons for wave in self._waves(steps, season)]
        return np.column_stack([np.ones(len(steps)), -age, hinges, *waves])

    def _waves(self, steps: "Ints", season: float) -> "list[Floats]":
        angles = 2 * np.pi * np.outer(steps, self._orders(season)) / season
        return [np.sin(angles), np.cos(angles)]

    def holds(self, hold: Hold, lengths: "Ints") -> "Floats":
        """The penalties of the columns for series of these lengths in steps, S x p."""
        shared = [1e-9, hold.slope, *[hold.bend] * len(self.knots)]
        parts = [np.tile(shared, (len(lengths), 1))]
        parts += [one for season in self.seasons for one in self._firmness(hold, season, lengths)]
        return np.hstack(parts)

    def _firmness(self, hold: Hold, season: float, lengths: "Ints") -> "list[Floats]":
        """The penalties of a season's sines and cosines, S x orders each."""
        orders = self._orders(season)
        # A short season's harmonics are all alike; a long one's get rarer the finer they are.
        rise = hold.season * orders ** (1.0 if season > EVERY_STEP else 0.5)
        first = np.where(orders == 1, max(FIRM_ONCE * season, hold.season), NEVER)
        times = lengths[:, None] / season
        seen_once = np.where(times >= SEEN_ONCE, first, NEVER)
        return [np.where(times >= YEARS_TO_LEARN, rise, seen_once)] * 2

    def _orders(self, season: float) -> "Floats":
        """The orders of a season's harmonics; the one of two steps has no sine and is left out."""
        most = int(np.ceil(season / 2)) - 1
        most = most if season <= EVERY_STEP else min(most, HARMONICS)
        return np.arange(1.0, (1 if season in self.young else most) + 1)


@dataclass(frozen=True)
class Batch:
    """S regressions over the same T steps, with their cross products.

    Series with values at the same steps and with the same columns of their own are twins: they
    share one matrix, and are solved by one factorisation with a right-hand side each.

    Attributes:
        time: T x p, the columns that all series share.
        own: k x S x T, each series' own columns; 0 where it has no value.
        seen: S x T, 1 where the series has a value, else 0.
        twins: the rows of each of U sets of twins.
        gram: U x q x q cross products of the columns, q = p + k.
    """

    time: "Floats"
    own: "Floats"
    seen: "Floats"
    twins: "list[Ints]"
    gram: "Floats"

    @classmethod
    def of(cls, time: "Floats", own: "Floats", seen: "Floats") -> "Batch":
        """Cross products over the seen steps; the shared part is one matrix product for all."""
        twins = _twins(own, seen)
        first = np.array([rows[0] for rows in twins])
        return cls(time, own, seen, twins, _gram(time, own[:, first], seen[first]))

    def solve(self, values: "Floats", holds: "Floats") -> "Floats":
        """Ridge: the effects of each series, S x q.

        Args:
            values: S x T, 0 where unseen.
            holds: S x q, how many rows of zero each effect is worth; alike for twins.
        """
        cross = np.hstack([values @ self.time, np.einsum("kst,st->sk", self.own, values)])
        first = np.array([rows[0] for rows in self.twins])
        matrix, place = self.gram.copy(), np.arange(self.gram.shape[1])
        matrix[:, place, place] += holds[first]
        effects = np.empty_like(cross)
        single = np.array([len(rows) == 1 for rows in self.twins])
        if single.any():
            alone = first[single]
            effects[alone] = np.linalg.solve(matrix[single], cross[alone][:, :, None])[:, :, 0]
        for number in np.flatnonzero(~single):
            rows = self.twins[number]
            effects[rows] = np.linalg.solve(matrix[number], cross[rows].T).T
        return effects

    def line(self, effects: "Floats") -> "Floats":
        """The fitted values at all T steps, S x T."""
        return fitted(effects, self.time, self.own)

    def tamed(self, values: "Floats", holds: "Floats", *, rounds: int = 2) -> "Floats":
        """Values whose residuals are drawn in to what is usual for the series, S x T, 0 if unseen.

        Least squares on them is Huber's M-estimate by modified residuals: Huber, Robust Statistics,
        1981, 7.8. It needs no new cross products, which weights would.
        """
        result = values
        for _ in range(rounds):
            line = self.line(self.solve(result, holds))
            rest = values - line
            reach = HUBER * spread_of(np.where(self.seen > 0, rest, np.nan))[:, None]
            result = (line + np.clip(rest, -reach, reach)) * self.seen
        return result


def _twins(own: "Floats", seen: "Floats") -> "list[Ints]":
    """The rows that are alike to the last bit, set by set."""
    sets: dict[tuple[bytes, bytes], list[int]] = {}
    for row, known in enumerate(seen.astype(bool)):
        sets.setdefault((known.tobytes(), own[:, row].tobytes()), []).append(row)
    return [np.array(rows) for rows in sets.values()]


def _gram(time: "Floats", own: "Floats", seen: "Floats") -> "Floats":
    """S x q x q cross products of the columns of time and each series' own."""
    p, k = time.shape[1], len(own)
    gram = np.empty((len(seen), p + k, p + k))
    if len(seen) < p // 2:  # fewer products than all pairs of columns would be
        gram[:, :p, :p] = [time.T @ (time * row[:, None]) for row in seen]
    else:
        i, j = np.triu_indices(p)
        gram[:, i, j] = gram[:, j, i] = seen @ (time[:, i] * time[:, j])
    for a in range(k):
        gram[:, :p, p + a] = gram[:, p + a, :p] = own[a] @ time
        for b in range(a, k):
            both = np.einsum("st,st->s", own[a], own[b])
            gram[:, p + a, p + b] = gram[:, p + b, p + a] = both
    return gram


def fitted(effects: "Floats", time: "Floats", own: "Floats") -> "Floats":
    """S x T values of S x q effects; `own` is k x S x T."""
    p = time.shape[1]
    line = effects[:, :p] @ time.T
    for number, column in enumerate(own):
        line += effects[:, p + number, None] * column
    return line


def spread_of(rest: "Floats") -> "Floats":
    """A robust deviation of each row: 1.4826 x the median of its sizes; the mean size where 0."""
    sizes = np.abs(rest)
    count = np.isfinite(sizes).sum(axis=1)
    ordered = np.sort(sizes, axis=1)  # what is missing goes last
    middle = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0) // 2]
    mean = np.nansum(sizes, axis=1) / np.maximum(count, 1)
    return cast("Floats", np.where(np.nan_to_num(middle) > 0, 1.4826 * middle, mean))


def recent(rest: "Floats", last: "Ints", memories: Sequence[float]) -> "Floats":
    """Means of S x T residuals up to places `last`, old ones counting less, memories x S.

    A residual counts half after `memory` steps, one without a value (NaN) nothing. One residual of
    zero is counted too, so that a level is not moved far by a single value.
    """
    age = int(last.max()) - np.arange(rest.shape[1])
    fading = 0.5 ** (np.maximum(age, 0)[:, None] / np.array(memories))
    known = np.isfinite(rest)
    # Ages are counted from the latest end of all; the added one is moved there instead.
    one = 0.5 ** ((last.max() - last)[:, None] / np.array(memories))
    total, count = np.where(known, rest, 0.0) @ fading, known.astype(float) @ fading
    return cast("Floats", (total / np.maximum(count + one, np.finfo(float).tiny)).T)
