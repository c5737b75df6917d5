"""What an estimator of one number sees of a row: plain numbers, time, surroundings, deviations.

The strongest clue is often how far another column of the same row is from what *it* was expected
to be. Where that column is empty too, the clue is NaN; the estimators know what to do with that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.roles import Numbers, Rows
from ml_platform.preparation.surroundings import FEATURES, Surroundings

Matrix = NDArray[np.float64]

DAY_S, WEEK_S, YEAR_S = 86_400.0, 604_800.0, 31_556_952.0
MOST_PARTNERS = 8
_USUAL_ROWS = 20_000


@dataclass(frozen=True)
class Told:
    """Rows with what their surroundings say of each column that is filled."""

    rows: Rows
    of: Mapping[str, Mapping[str, Numbers]]

    def take(self, rows: NDArray[np.intp]) -> "Told":
        """Some of the rows."""
        some = {n: {f: v[rows] for f, v in told.items()} for n, told in self.of.items()}
        return Told(self.rows.take(rows), some)


def ask_all(surroundings: Mapping[str, Surroundings], rows: Rows) -> Told:
    """Ask all surroundings about the same rows."""
    return Told(rows, {name: one.ask(rows) for name, one in surroundings.items()})


@dataclass(frozen=True)
class Design:
    """The matrix for one target: `plain` columns without gaps, then a few deviations with NaN.

    target: the column to fill. partners: columns that are filled too, whose surroundings are told
    and whose deviations are clues. others: the rest of the numbers. usual: their medians, which
    stand in for what is missing. periods: seconds after which time repeats itself.
    """

    target: str
    partners: tuple[str, ...]
    others: tuple[str, ...]
    usual: Mapping[str, float]
    periods: tuple[float, ...]

    @property
    def clues(self) -> int:
        """How many columns at the right may be NaN."""
        return 2 * len(self.partners)

    def matrix(self, told: Told) -> Matrix:
        """Rows x columns; only the last `clues` columns have NaN."""
        plain = [told.of[name][word] for name in (self.target, *self.partners) for word in FEATURES]
        numbers = told.rows.numbers
        plain += [_filled(numbers[name], self.usual[name]) for name in self.others]
        plain += self._of_time(told.rows)
        clues = [clue for name in self.partners for clue in self._deviations(told, name)]
        return stacked([*plain, *clues])

    def _of_time(self, rows: Rows) -> list[Numbers]:
        if rows.axis is None:
            return []
        time = _filled(rows.axis, 0.0)
        turns = [2 * np.pi * time / period for period in self.periods]
        return [wave(turn) for turn in turns for wave in (np.sin, np.cos)]

    def _deviations(self, told: Told, name: str) -> tuple[Numbers, Numbers]:
        """How far a partner is from its expectation: in its unit, and in the target's by ratio."""
        partner, of = told.rows.numbers[name], told.of[name]
        floor = abs(self.usual[name]) / 20 + 1e-12
        expected = np.maximum(np.abs(of["scaled"]), floor)
        times = np.minimum(np.maximum((partner - of["scaled"]) / expected, -5.0), 5.0)
        return partner - of["similar"], told.of[self.target]["scaled"] * times


def design_for(target: str, filled: tuple[str, ...], rows: Rows, has_calendar: bool) -> Design:  # noqa: FBT001 - read at its one call
    """Choose what the target's estimator sees: the partners that go with it most.

    Args:
        target: the column to fill.
        filled: all columns that have surroundings.
        rows: training rows.
        has_calendar: whether the axis is time, whose day, week and year repeat.
    """
    known = rows.numbers
    near = {n: _together_with(known[target], known[n]) for n in filled if n != target}
    partners = tuple(sorted(near, key=lambda n: -near[n])[:MOST_PARTNERS])
    others = tuple(name for name in known if name != target and name not in partners)
    usual = {name: _usual(known[name]) for name in (*partners, *others)}
    return Design(target, partners, others, usual, _periods(rows) if has_calendar else ())


def _periods(rows: Rows) -> tuple[float, ...]:
    """Those repetitions of the calendar that the rows have seen at least twice."""
    if rows.axis is None or np.isnan(rows.axis).all():
        return ()
    span = float(np.nanmax(rows.axis) - np.nanmin(rows.axis))
    periods = (DAY_S, DAY_S / 2, DAY_S / 3, WEEK_S, YEAR_S, YEAR_S / 2)
    return tuple(period for period in periods if span >= 2 * period)


def _together_with(one: Numbers, other: Numbers) -> float:
    step = len(one) // _USUAL_ROWS + 1
    one, other = one[::step], other[::step]
    both = ~np.isnan(one) & ~np.isnan(other)
    if both.sum() < 3 or one[both].std() == 0 or other[both].std() == 0:  # noqa: PLR2004 - no correlation of two
        return 0.0
    return abs(float(np.corrcoef(one[both], other[both])[0, 1]))


def _usual(values: Numbers) -> float:
    """The median, of some rows where there are many."""
    known = values[:: len(values) // _USUAL_ROWS + 1]
    known = known[~np.isnan(known)]
    return float(np.median(known)) if len(known) else 0.0


def stacked(columns: Sequence[Numbers]) -> Matrix:
    """Columns side by side, each in one piece; numpy's own puts rows in one piece, cell by cell."""
    return np.array(columns).T


def _filled(values: Numbers, by: float) -> Numbers:
    return np.where(np.isnan(values), by, values)
