"""What an estimator of one number sees of a row: plain numbers, time, surroundings, deviations.

The strongest clue is often how far another column of the same row is from what *it* was expected
to be. Where that column is empty too, the clue is NaN; the estimators know what to do with that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.roles import Numbers, Rows
from ml_platform.preparation.surroundings import FEATURES, Found, Said, Surroundings
from ml_platform.preparation.words import said_in

Matrix = NDArray[np.float64]

DAY_S, WEEK_S, YEAR_S = 86_400.0, 604_800.0, 31_556_952.0
MOST_PARTNERS = 8
_LEAST_TOGETHER = 0.15
"""The correlation below which two columns have little to tell each other: 2 % of the variance."""


@dataclass(frozen=True)
class Told:
    """Rows with what their surroundings say of each column that is filled."""

    rows: Rows
    of: Mapping[str, Said]


def ask_all(
    surroundings: Mapping[str, Surroundings],
    rows: Rows,
    wanted: Mapping[str, NDArray[np.intp]],
    needs: Mapping[str, Sequence[str]],
) -> dict[str, Told]:
    """Ask the surroundings about some of the rows for each target, each row only once.

    Args:
        surroundings: by column.
        rows: the rows.
        wanted: by target, which of the rows, in order.
        needs: by target, the columns whose surroundings are told.
    """
    of: dict[str, dict[str, Said]] = {target: {} for target in wanted}
    parts: dict[bytes, tuple[Rows, Found]] = {}

    def part(which: NDArray[np.intp]) -> tuple[Rows, Found]:
        key = which.tobytes()
        if key not in parts:
            some = rows if len(which) == rows.count else rows.take(which)
            parts[key] = some, Found(some)
        return parts[key]

    for name in dict.fromkeys(one for target in wanted for one in needs[target]):
        targets = [target for target in wanted if name in needs[target]]
        places = _union([wanted[target] for target in targets], rows.count)
        said = surroundings[name].ask(*part(places))
        for target in targets:
            of[target][name] = _at(said, places, wanted[target])
    return {target: Told(part(which)[0], of[target]) for target, which in wanted.items()}


def _union(places: Sequence[NDArray[np.intp]], count: int) -> NDArray[np.intp]:
    if len(places) == 1:
        return places[0]
    is_in = np.zeros(count, dtype=bool)
    for some in places:
        is_in[some] = True
    return np.flatnonzero(is_in)


def _at(said: Said, places: NDArray[np.intp], which: NDArray[np.intp]) -> Said:
    return said if len(which) == len(places) else said.at(np.searchsorted(places, which))


@dataclass(frozen=True)
class Design:
    """The matrix for one target: `plain` columns without gaps, then a few deviations with NaN.

    target: the column to fill. partners: columns that are filled too, whose surroundings are told
    and whose deviations are clues. others: the rest of the numbers. usual: their medians, which
    stand in for what is missing. periods: seconds after which time repeats itself. texts: columns
    whose words are told.
    """

    target: str
    partners: tuple[str, ...]
    others: tuple[str, ...]
    usual: Mapping[str, float]
    periods: tuple[float, ...]
    texts: tuple[str, ...] = ()

    @property
    def clues(self) -> int:
        """How many columns at the right may be NaN."""
        return 2 * len(self.partners)

    def matrix(self, told: Told) -> Matrix:
        """Rows x columns; only the last `clues` columns have NaN. Each column is in one piece."""
        said = [told.of[name].lines.ravel() for name in (self.target, *self.partners)]
        plain = [told.rows.numbers[name] for name in self.others]
        waves = self._of_time(told.rows)
        clues = [clue for name in self.partners for clue in self._deviations(told, name)]
        # One after the other: numpy's `stack` would put the rows in one piece, cell by cell.
        words = [said_in({name: told.rows.texts[name]}, told.rows.count) for name in self.texts]
        wordy = [one.T.ravel() for one in words]
        found = np.concatenate([*said, *plain, waves.ravel(), *wordy, *clues], dtype=np.float64)
        found = found.reshape(-1, told.rows.count)
        first = len(said) * len(FEATURES)
        others = found[first : first + len(plain)]
        np.copyto(others, self._instead, where=np.isnan(others))
        return found.T

    @cached_property
    def _instead(self) -> Matrix:
        return np.array([[self.usual[name]] for name in self.others]).reshape(-1, 1)

    def _of_time(self, rows: Rows) -> NDArray[np.float32]:
        """The sines and then the cosines of how far each period is gone."""
        if rows.axis is None:
            return np.empty((0, rows.count), dtype=np.float32)
        if rows.count == 1:
            return _waves_at(float(rows.axis[0]), self.periods)
        return _waves(rows.axis, self.periods)

    def _deviations(self, told: Told, name: str) -> tuple[Numbers, Numbers]:
        """How far a partner is from its expectation: in its unit, and in the target's by ratio."""
        if told.rows.count == 1:
            return self._deviation(told, name)
        partner, of = told.rows.numbers[name], told.of[name]
        expected = np.maximum(np.abs(of["scaled"]), self._floor(name))
        times = np.minimum(np.maximum((partner - of["scaled"]) / expected, -5.0), 5.0)
        return partner - of["similar"], told.of[self.target]["scaled"] * times

    def _deviation(self, told: Told, name: str) -> tuple[Numbers, Numbers]:
        """The same of one row, without the arrays between, whose making takes most of the time."""
        partner, of = float(told.rows.numbers[name][0]), told.of[name]
        scaled, similar = float(of["scaled"][0]), float(of["similar"][0])
        expected = max(abs(scaled), self._floor(name))
        times = min(max((partner - scaled) / expected, -5.0), 5.0)  # NaN stays NaN
        own = float(told.of[self.target]["scaled"][0])
        return np.array([partner - similar]), np.array([own * times])

    def _floor(self, name: str) -> float:
        return abs(self.usual[name]) / 20 + 1e-12


def _waves(moments: Numbers, periods: tuple[float, ...]) -> NDArray[np.float32]:
    turns = np.where(np.isnan(moments), 0.0, moments) / np.array(periods).reshape(-1, 1)
    # Seven figures are enough for an angle, and take a tenth of the time.
    angles = (2 * np.pi * (turns - np.floor(turns))).astype(np.float32)
    return np.concatenate([np.sin(angles), np.cos(angles)])


@lru_cache(maxsize=64)
def _waves_at(moment: float, periods: tuple[float, ...]) -> NDArray[np.float32]:
    """The same of one row, which is asked for each of its gaps."""
    return _waves(np.array([moment]), periods)


def design_for(
    target: str,
    filled: tuple[str, ...],
    rows: Rows,
    rest: Mapping[str, Numbers],
    *,
    has_calendar: bool,
) -> Design:
    """Choose what the target's estimator sees: the partners that go with it most.

    A column that goes with it in nothing is no partner: its surroundings would be asked in vain.

    Args:
        target: the column to fill.
        filled: all columns that have surroundings.
        rows: training rows, or some of them.
        rest: what its groups leave of each of these columns; two that stand for the size of a
            shop may have nothing in common within one, and two others only there.
        has_calendar: whether the axis is time, whose day, week and year repeat.
    """
    known = rows.numbers
    near = {
        name: max(_together_with(of[target], of[name]) for of in (known, rest))
        for name in filled
        if name != target
    }
    worthy = [name for name in near if near[name] >= _LEAST_TOGETHER]
    partners = tuple(sorted(worthy, key=lambda n: -near[n])[:MOST_PARTNERS])
    others = tuple(name for name in known if name != target and name not in partners)
    usual = {name: median_of(known[name]) for name in (*partners, *others)}
    return Design(target, partners, others, usual, _periods(rows) if has_calendar else ())


def _periods(rows: Rows) -> tuple[float, ...]:
    """Those repetitions of the calendar that the rows have seen at least twice."""
    if rows.axis is None or np.isnan(rows.axis).all():
        return ()
    span = float(np.nanmax(rows.axis) - np.nanmin(rows.axis))
    periods = (DAY_S, DAY_S / 2, DAY_S / 3, WEEK_S, YEAR_S, YEAR_S / 2)
    return tuple(period for period in periods if span >= 2 * period)


def _together_with(one: Numbers, other: Numbers) -> float:
    """The correlation where both are known, without its sign; numpy's takes twice as long."""
    both = np.flatnonzero(~(np.isnan(one) | np.isnan(other)))
    if len(both) < 3:  # noqa: PLR2004 - no correlation of two
        return 0.0
    one, other = one[both], other[both]
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    spread = np.sqrt(one @ one) * np.sqrt(other @ other)
    return abs(float(one @ other / spread)) if spread else 0.0


def median_of(values: Numbers) -> float:
    """What numpy's median says of what is known, in a third of its time; 0 where nothing is."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0
    middle = len(known) // 2
    parted = np.partition(known, middle)
    if len(known) % 2:
        return float(parted[middle])
    return float(np.mean([parted[:middle].max(), parted[middle]]))


def some_rows(matrix: Matrix, rows: NDArray[np.intp]) -> Matrix:
    """Rows of a matrix whose columns are each in one piece, and stay so."""
    return matrix if len(rows) == len(matrix) else matrix.T.take(rows, axis=1).T
