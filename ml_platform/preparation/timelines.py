"""What a column was shortly before and after a row, within the row's group.

`Moments` says when a column is known, `Timeline` what it was then. Columns that are known in the
same rows, as those that go missing together are, share their moments and each search in them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.columns import Mask
from ml_platform.preparation.roles import Codes, Numbers

_NEAR, _WIDE = 3, 10
_EXACT, _LARGEST = 2.0**51, 2.0**63  # whole numbers whose distance is exact, and an integer's end
_SHORT = np.iinfo(np.uint16).max
_SHORT_BITS = 16
_MANY_ASKED = 1_000
_STEPS = 2_000


class Spots(NamedTuple):
    """Where rows lie among known cells: how many lie before, and where their group's begin and end.

    Arrays of many rows, or numbers of one.
    """

    place: Any
    first: Any
    last: Any


@dataclass(frozen=True)
class Moments:
    """When a column is known: group and time of each known cell, sorted by group and time."""

    groups: Codes
    times: Numbers

    def __getstate__(self) -> dict[str, NDArray[Any]]:
        """What it was made of; what was worked out of it since is not kept with it."""
        return {"groups": self.groups, "times": self.times}

    @cached_property
    def _keys(self) -> Numbers:
        return self._key(self.groups, self.times)

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        if not len(self.times):
            return 0.0, 1.0
        first, last = float(self.times.min()), float(self.times.max())
        return first, 3 * (last - first) + 1.0

    @cached_property
    def scale(self) -> float:
        """Seconds below which two times count as one: a tenth of the usual step within a group."""
        cells = np.arange(1, len(self.times), len(self.times) // _STEPS + 1)
        steps = self.times[cells] - self.times[cells - 1]
        steps = steps[(steps > 0) & (self.groups[cells] == self.groups[cells - 1])]
        return float(np.median(steps)) / 10 if len(steps) else 1.0

    def _key(self, groups: Codes, times: Numbers) -> Numbers:
        """One number that sorts as group and time do; times far outside stay in their group."""
        first, span = self._bounds
        place: Numbers = np.minimum(np.maximum(times - first, -span / 3), 2 * span / 3)
        return groups * span + place

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where the cells of each group begin, from the lowest group to the one after the last."""
        if not len(self.groups):
            return np.zeros(1, dtype=np.intp)
        counts = np.bincount(self.groups - self.groups[0])
        return np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def near_ends(self) -> Spots:
        """The cells that are near an end of their group, and where their group begins and ends."""
        count = len(self.groups)
        bounds = np.r_[0, np.flatnonzero(self.groups[1:] != self.groups[:-1]) + 1, count]
        is_near = np.zeros(count, dtype=bool)
        near = np.add.outer(bounds, np.arange(-_NEAR, _NEAR))
        is_near[np.minimum(np.maximum(near, 0), count - 1)] = True
        place = np.flatnonzero(is_near)
        group = np.searchsorted(bounds[:-1], place, side="right") - 1
        return Spots(place, bounds[group], bounds[group + 1])

    @cached_property
    def _lowest(self) -> int:
        return int(self.groups[0]) if len(self.groups) else 0

    def spots(self, groups: Codes, times: Numbers) -> Spots:
        """Where each row lies; a group of no cell ends where it begins."""
        last = len(self.starts) - 1
        place = groups - self._lowest
        inside = (place >= 0) & (place < last)
        low = self.starts[np.where(inside, place, last)]
        high = self.starts[np.minimum(np.where(inside, place, 0) + 1, last)]
        return Spots(self._places(groups, times), low, np.where(inside, high, low))

    def _places(self, groups: Codes, times: Numbers) -> NDArray[np.intp]:
        keys = self._key(groups, times)
        if len(keys) < _MANY_ASKED:
            return np.searchsorted(self._keys, keys)
        # In order, each search begins where the one before has ended, and memory is read once.
        order = np.argsort(keys)
        found = np.empty(len(keys), dtype=np.intp)
        found[order] = np.searchsorted(self._keys, keys[order])
        return found

    def spot(self, group: int, time: float) -> Spots:
        """Where one row lies, as numbers."""
        first, span = self._bounds
        key = group * span + min(max(time - first, -span / 3), 2 * span / 3)
        place, at, starts = int(self._keys.searchsorted(key)), group - self._lowest, self.starts
        if not 0 <= at < len(starts) - 1:
            return Spots(place, int(starts[-1]), int(starts[-1]))
        return Spots(place, int(starts[at]), int(starts[at + 1]))


@dataclass(frozen=True)
class Timeline:
    """The known values of a column, one at each of its moments."""

    moments: Moments
    values: Numbers

    def __getstate__(self) -> dict[str, Any]:
        """What it was made of; what was worked out of it since is not kept with it."""
        return {"moments": self.moments, "values": self.values}

    def parted(self, parts: Codes, count: int) -> "Timeline":
        """The same with each group in `count` parts; `parts` says of each value in which it is."""
        groups, times = self.moments.groups * count + parts, self.moments.times
        order = _order_of_codes(groups)
        return Timeline(Moments(groups[order], times[order]), self.values[order])

    @cached_property
    def _sums(self) -> Numbers:
        sums = np.zeros(len(self.values) + 1)
        np.cumsum(self.values, out=sums[1:])
        return sums

    def near(self, spots: Spots) -> Numbers:
        """The mean of the few known values before and after each row; NaN in a group without."""
        return self._window(spots.place, spots.place, spots.first, spots.last, _NEAR)

    def wide(self, spots: Spots) -> Numbers:
        """The mean of many."""
        return self._window(spots.place, spots.place, spots.first, spots.last, _WIDE)

    def between(self, spots: Spots, times: Numbers) -> Numbers:
        """Linear between the value before and the one after; the nearer one at an end.

        NaN where the group has no known value, or the row no time.
        """
        if not len(self.values):
            return np.full(len(times), np.nan)
        place, first, last = spots
        total, weight = np.zeros(len(times)), np.zeros(len(times))
        for cell, inside in ((place - 1, place > first), (place, place < last)):
            cell = np.minimum(np.maximum(cell, 0), len(self.values) - 1)  # noqa: PLW2901 - outside ones weigh 0
            away = np.abs(self.moments.times[cell] - times)
            nearness = np.where(inside, 1 / (self.moments.scale + away), 0.0)
            total += nearness * self.values[cell]
            weight += nearness
        return np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.nan)

    def near_one(self, spot: Spots) -> float:
        """What `near` says, of one row by the same sums of floats."""
        return self._mean_of(spot, _NEAR)

    def wide_one(self, spot: Spots) -> float:
        """What `wide` says, of one row."""
        return self._mean_of(spot, _WIDE)

    def _mean_of(self, spot: Spots, width: int) -> float:
        low, high = max(spot.place - width, spot.first), min(spot.place + width, spot.last)
        if high <= low:
            return math.nan
        return float(self._sums[high] - self._sums[low]) / float(high - low)

    def between_one(self, spot: Spots, time: float) -> float:
        """What `between` says, of one row."""
        place, first, last = spot
        total = weight = 0.0
        for cell, is_inside in ((place - 1, place > first), (place, place < last)):
            if is_inside:
                away = abs(float(self.moments.times[cell]) - time)
                nearness = 1 / (self.moments.scale + away)
                total += nearness * float(self.values[cell])
                weight += nearness
        return total / weight if weight > 0 else math.nan

    def among_themselves(self) -> Numbers:
        """For each known cell the mean of the few around it, without itself."""
        count = len(self.values)
        if not count:
            return self.values
        found, span = np.empty(count), 2 * _NEAR + 1
        if count > 2 * _NEAR:
            inner = found[_NEAR : count - _NEAR]
            np.subtract(self._sums[span:], self._sums[:-span], out=inner)
            inner -= self.values[_NEAR : count - _NEAR]
            inner /= span - 1
        # Near the ends of a group there are fewer.
        place, first, last = self.moments.near_ends
        found[place] = self._window(place, place + 1, first, last, _NEAR)
        return found

    def _window(
        self,
        before: NDArray[np.intp],
        after: NDArray[np.intp],
        first: NDArray[np.intp],
        last: NDArray[np.intp],
        width: int,
    ) -> Numbers:
        """The mean of up to `width` cells on each side; what lies from before to after is left."""
        low, high = np.maximum(before - width, first), np.minimum(after + width, last)
        own = self._sums[after] - self._sums[before]
        count = high - low - (after - before)
        total = self._sums[high] - self._sums[low] - own
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Known:
    """The rows in which a column is known, and their moments by each key that groups them."""

    mask: Mask
    axis: Numbers

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """Their places, in order."""
        return np.flatnonzero(self.mask)

    @cached_property
    def times(self) -> Numbers:
        """Their times, NaN where there is none."""
        return self.axis[self.rows]

    def of(self, key: str, codes: Codes) -> Codes:
        """The codes that they have of a key; `codes` is of all rows."""
        if key not in self._codes:
            self._codes[key] = codes[self.rows]
        return self._codes[key]

    def by(self, key: str, codes: Codes) -> tuple[NDArray[np.intp], Moments]:
        """Those that have a time in the order of group and time, and their moments."""
        if key not in self._moments:
            rows, groups, times = self.rows, self.of(key, codes), self.times
            has_time = ~np.isnan(times)
            if not has_time.all():
                rows, groups, times = rows[has_time], groups[has_time], times[has_time]
            order = order_of(groups, times)
            self._moments[key] = rows[order], Moments(groups[order], times[order])
        return self._moments[key]

    @cached_property
    def _codes(self) -> dict[str, Codes]:
        return {}

    @cached_property
    def _moments(self) -> dict[str, tuple[NDArray[np.intp], Moments]]:
        return {}


def known_of(columns: Mapping[str, Numbers], axis: Numbers) -> dict[str, Known]:
    """Where each column is known; one and the same for columns that are known in the same rows."""
    masks = {name: ~np.isnan(values) for name, values in columns.items()}
    packed = {name: np.packbits(mask).tobytes() for name, mask in masks.items()}
    known = {bits: Known(masks[name], axis) for name, bits in packed.items()}
    return {name: known[bits] for name, bits in packed.items()}


def in_order(times: Numbers) -> NDArray[np.intp]:
    """What numpy's stable sort says, in less of its time."""
    low, high = np.fmin.reduce(times, initial=np.inf), np.fmax.reduce(times, initial=-np.inf)
    bits = len(times).bit_length()
    if -_EXACT < low <= high < _EXACT and (high - low + 2) * 2.0**bits < _LARGEST:
        whole = np.where(np.isnan(times), high + 1, times)
        if (whole == np.rint(whole)).all():
            return _in_order_of_whole((whole - low).astype(np.int64), bits)
    return _in_order_of_any(times)


def _in_order_of_whole(steps: Codes, bits: int) -> NDArray[np.intp]:
    """In a tenth: each number with its row behind it, sorted as one integer."""
    both = (steps << bits) | np.arange(len(steps))
    both.sort()
    return both & ((1 << bits) - 1)


def _in_order_of_any(times: Numbers) -> NDArray[np.intp]:
    """In half: sorted anyhow, and then those alike."""
    order = np.argsort(times)
    later = times[order]
    is_new = later[1:] != later[:-1]
    is_new[np.isnan(later[1:]) & np.isnan(later[:-1])] = False
    if is_new.all():
        return order
    turn = np.concatenate([[0], np.cumsum(is_new)])
    return np.sort(turn * len(order) + order) % len(order)


def order_of(groups: Codes, times: Numbers) -> NDArray[np.intp]:
    """The order by group and then by time; quick where rows already lie in the order of time."""
    if np.all(times[1:] >= times[:-1]):
        return _order_of_codes(groups)
    by_time = in_order(times)
    return by_time[_order_of_codes(groups[by_time])]


def _order_of_codes(codes: Codes) -> NDArray[np.intp]:
    """A stable order; numpy sorts short integers by radix, in a tenth of the time."""
    low, high = (int(codes.min()), int(codes.max())) if len(codes) else (0, 0)
    if high - low <= _SHORT:
        return np.argsort((codes - low).astype(np.uint16), kind="stable")
    if high - low >= _SHORT << _SHORT_BITS:
        return np.argsort(codes, kind="stable")
    upper, lower = (codes - low) >> _SHORT_BITS, (codes - low) & _SHORT
    first = np.argsort(lower.astype(np.uint16), kind="stable")
    return first[np.argsort(upper.astype(np.uint16)[first], kind="stable")]
