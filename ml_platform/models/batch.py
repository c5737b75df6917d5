"""Many small regressions in one solve: each series its own effects, all of them in closed form.

What belongs here: the columns of time, cross products, ridge and its robust variant, for S series
side by side. A series' numbers never depend on which others are solved with it. What does not:
reading panels (`panel`), choosing how firmly effects are held, forecasting (`harmonic`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from ml_platform.models.panel import Floats, Ints

KNOTS = (1 / 24, 1 / 12, 1 / 6, 1 / 3, 2 / 3, 4 / 3, 8 / 3)
"""How long before the origin the slope may have changed, in units of the longest season."""

HARMONICS = 10
EVERY_STEP = 60
"""Seasons of up to so many steps get all their harmonics: each step its own effect."""

YEARS_TO_LEARN = 1.5
"""How many times a series must be as long as a season before it is learnt (Prophet waits for 2)."""


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
    """

    origin: int
    unit: float
    seasons: tuple[float, ...]

    def columns(self, steps: "Ints") -> "Floats":
        """The columns at these steps; hinges are zero after the origin."""
        age = (self.origin - steps) / self.unit
        hinges = np.maximum(age[:, None] - np.array(KNOTS)[None, :], 0)
        waves = [wave for season in self.seasons for wave in self._waves(steps, season)]
        return np.column_stack([np.ones(len(steps)), -age, hinges, *waves])

    @staticmethod
    def _waves(steps: "Ints", season: float) -> "list[Floats]":
        angles = 2 * np.pi * np.outer(steps, _orders(season)) / season
        return [np.sin(angles), np.cos(angles)]

    def holds(self, hold: Hold, lengths: "Ints") -> "Floats":
        """The penalties of the columns for series of these lengths in steps, S x p."""
        shared = [1e-9, hold.slope, *[hold.bend] * len(KNOTS)]
        parts = [np.tile(shared, (len(lengths), 1))]
        for season in self.seasons:
            # A short season's harmonics are all alike; a long one's get rarer the finer they are.
            rise = _orders(season) ** (1.0 if season > EVERY_STEP else 0.5)
            firm = np.where(lengths >= YEARS_TO_LEARN * season, hold.season, 1e12)
            parts += [firm[:, None] * rise[None, :]] * 2
        return np.hstack(parts)


def _orders(season: float) -> "Floats":
    """The orders of a season's harmonics; the one of two steps has no sine and is left out."""
    most = int(np.ceil(season / 2)) - 1
    return np.arange(1.0, (most if season <= EVERY_STEP else min(most, HARMONICS)) + 1)


@dataclass(frozen=True)
class Batch:
    """S regressions over the same T steps, with their cross products.

    Attributes:
        time: T x p, the columns that all series share.
        own: S x T x k, each series' own columns, finite everywhere.
        seen: S x T, 1 where the series has a value, else 0.
        gram: S x q x q cross products of the columns, q = p + k.
    """

    time: "Floats"
    own: "Floats"
    seen: "Floats"
    gram: "Floats"

    @classmethod
    def of(cls, time: "Floats", own: "Floats", seen: "Floats") -> "Batch":
        """Cross products over the seen steps; the shared part is one matrix product for all."""
        p, k = time.shape[1], own.shape[2]
        gram = np.empty((len(seen), p + k, p + k))
        i, j = np.triu_indices(p)
        gram[:, i, j] = gram[:, j, i] = seen @ (time[:, i] * time[:, j])
        kept = own * seen[:, :, None]
        for one in range(k):
            gram[:, :p, p + one] = gram[:, p + one, :p] = kept[:, :, one] @ time
        gram[:, p:, p:] = kept.transpose(0, 2, 1) @ own
        return cls(time, own, seen, gram)

    def solve(self, values: "Floats", holds: "Floats") -> "Floats":
        """Ridge: the effects of each series, S x q, from S x T values (0 where unseen)."""
        matrix = self.gram.copy()
        place = np.arange(matrix.shape[1])
        matrix[:, place, place] += holds
        return cast("Floats", np.linalg.solve(matrix, self._cross(values)[:, :, None])[:, :, 0])

    def _cross(self, values: "Floats") -> "Floats":
        kept = values * self.seen
        return np.hstack([kept @ self.time, np.einsum("stk,st->sk", self.own, kept)])

    def line(self, effects: "Floats") -> "Floats":
        """The fitted values at all T steps, S x T."""
        return fitted(effects, self.time, self.own)

    def tamed(self, values: "Floats", holds: "Floats", *, rounds: int = 2) -> "Floats":
        """Values whose residuals are drawn in to what is usual for the series, S x T.

        Least squares on them is Huber's M-estimate by modified residuals: Huber, Robust Statistics,
        1981, 7.8. It needs no new cross products, which weights would.
        """
        result = values
        for _ in range(rounds):
            line = self.line(self.solve(result, holds))
            rest = np.where(self.seen > 0, values - line, np.nan)
            reach = 1.345 * spread_of(rest)[:, None]
            result = line + np.where(self.seen > 0, np.clip(values - line, -reach, reach), 0)
        return result * self.seen


def fitted(effects: "Floats", time: "Floats", own: "Floats") -> "Floats":
    """S x T values of S x q effects."""
    p = time.shape[1]
    line = effects[:, :p] @ time.T
    for one in range(own.shape[2]):
        line += effects[:, p + one, None] * own[:, :, one]
    return cast("Floats", line)


def spread_of(rest: "Floats") -> "Floats":
    """A robust deviation of each row: 1.4826 x the median of its sizes; the mean size where 0."""
    sizes = np.abs(rest)
    count = np.isfinite(sizes).sum(axis=1)
    ordered = np.sort(sizes, axis=1)  # what is missing goes last
    rows = np.arange(len(ordered))
    middle = (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2 % sizes.shape[1]]) / 2
    mean = np.nansum(sizes, axis=1) / np.maximum(count, 1)
    found = np.where(count > 0, 1.4826 * np.nan_to_num(middle), 0)
    return np.where(found > 0, found, mean)


def recent(rest: "Floats", last: "Ints", memories: Sequence[float]) -> "Floats":
    """Means of the residuals up to place `last`, old ones counting less, memories x S.

    A residual counts half after `memory` steps. One residual of zero is counted too, so that a
    level is not moved far by a single value.
    """
    age = last[:, None] - np.arange(rest.shape[1])[None, :]
    known = np.isfinite(rest) & (age >= 0)
    size = np.where(known, rest, 0.0)
    found = []
    for memory in memories:
        fading = 0.5 ** (np.arange(rest.shape[1]) / memory)
        weight = np.where(known, fading[np.maximum(age, 0)], 0.0)
        found.append((weight * size).sum(axis=1) / (weight.sum(axis=1) + 1))
    return np.stack(found)
