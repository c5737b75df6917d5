"""What the cells around a gap say: the same column, nearby in time and within the same groups.

For one column that has gaps, `Surroundings` keeps its known values so that each row, an old one or
a new one, can be told what the column was shortly before and after in its own group, how rows of
its store or its hour differ from that, and what a similar store had. It is learnt from cells that
are known and asked for cells that are not, so no value ever helps to guess itself; where known
rows are asked (to learn how groups differ), their own value is left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.roles import Codes, Numbers, Rows

WHOLE = ""
"""The group of all rows."""

SHRINKAGE = 2.0
"""Rows' worth of belief that a group is like all others; empirical Bayes with a fixed prior."""

_NEAR, _WIDE = 3, 10
_SIMILAR_BANDS = 8
_MOST_EFFECTS = 3
_LEAST_EFFECT = 0.002

_EXACT, _LARGEST = 2.0**53, 2.0**63
_SHORT = np.iinfo(np.uint16).max
_SHORT_BITS = 16
_PLANNED_ROWS = 20_000
_MANY_ASKED = 1_000
_STEPS = 2_000

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Timeline:
    """Known values of a column in groups, each group in the order of time.

    groups, times, values: one a known cell, sorted by group and time.
    """

    groups: Codes
    times: Numbers
    values: Numbers

    @classmethod
    def of(cls, groups: Codes, times: Numbers, values: Numbers) -> "Timeline":
        """Keep what is known; `order_of` is what takes the time here."""
        known = ~(np.isnan(values) | np.isnan(times))
        if not known.all():
            groups, times, values = groups[known], times[known], values[known]
        order = order_of(groups, times)
        return cls(groups[order], times[order], values[order])

    def __getstate__(self) -> dict[str, NDArray[Any]]:
        """What it was made of; what was worked out of it since is not kept with it."""
        return {"groups": self.groups, "times": self.times, "values": self.values}

    @cached_property
    def _sums(self) -> Numbers:
        return np.concatenate([[0.0], np.cumsum(self.values)])

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
    def _scale(self) -> float:
        """Seconds below which two times count as one: the usual step within a group."""
        cells = np.arange(1, len(self.times), len(self.times) // _STEPS + 1)
        steps = self.times[cells] - self.times[cells - 1]
        steps = steps[(steps > 0) & (self.groups[cells] == self.groups[cells - 1])]
        return float(np.median(steps)) / 10 if len(steps) else 1.0

    def _key(self, groups: Codes, times: Numbers) -> Numbers:
        """One number that sorts as group and time do; times far outside stay in their group."""
        first, span = self._bounds
        place: Numbers = np.minimum(np.maximum(times - first, -span / 3), 2 * span / 3)
        return groups * span + place

    def places(self, groups: Codes, times: Numbers) -> NDArray[np.intp]:
        """How many known cells lie before each row."""
        keys = self._key(groups, times)
        if len(keys) < _MANY_ASKED:
            return np.searchsorted(self._keys, keys)
        # In order, each search begins where the one before has ended, and memory is read once.
        order = np.argsort(keys)
        found = np.empty(len(keys), dtype=np.intp)
        found[order] = np.searchsorted(self._keys, keys[order])
        return found

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        """Where the cells of each group begin, from the lowest group to the one after the last."""
        if not len(self.groups):
            return np.zeros(1, dtype=np.intp)
        counts = np.bincount(self.groups - self.groups[0])
        return np.concatenate([[0], np.cumsum(counts)])

    def _edges(self, groups: Codes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where the cells of each row's group begin and end; the same for a group of no cell."""
        last = len(self._starts) - 1
        place = groups - (self.groups[0] if len(self.groups) else 0)
        inside = (place >= 0) & (place < last)
        low = self._starts[np.where(inside, place, last)]
        return low, np.where(
            inside, self._starts[np.minimum(np.where(inside, place, 0) + 1, last)], low
        )

    def around(self, groups: Codes, times: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Of each row: between its two nearest known values, the mean of few, the mean of many.

        NaN where the group has no known value, or the row no time.
        """
        place = self.places(groups, times)
        first, last = self._edges(groups)
        near, wide = (self._window(place, place, first, last, width) for width in (_NEAR, _WIDE))
        between = self._between(place, first, last, times)
        return between, np.where(np.isnan(times), np.nan, near), wide

    def around_one(self, group: int, time: float) -> tuple[float, float, float]:
        """What `around` says of a single row, in a tenth of the time: the same sums of floats."""
        place, first, last = self._place_of(group, time)
        near, wide = (self._mean_of(place, first, last, width) for width in (_NEAR, _WIDE))
        between = self._between_of(place, first, last, time)
        return between, math.nan if math.isnan(time) else near, wide

    def between_one(self, group: int, time: float) -> float:
        """The first of `around_one` alone."""
        return self._between_of(*self._place_of(group, time), time)

    def _place_of(self, group: int, time: float) -> tuple[int, int, int]:
        """How many cells lie before a row, and where those of its group begin and end."""
        first, span = self._bounds
        key = group * span + min(max(time - first, -span / 3), 2 * span / 3)
        place = int(self._keys.searchsorted(key))
        at = group - (int(self.groups[0]) if len(self.groups) else 0)
        starts = self._starts
        if not 0 <= at < len(starts) - 1:
            return place, int(starts[-1]), int(starts[-1])
        return place, int(starts[at]), int(starts[at + 1])

    def _mean_of(self, place: int, first: int, last: int, width: int) -> float:
        low, high = max(place - width, first), min(place + width, last)
        if high <= low:
            return math.nan
        return float(self._sums[high] - self._sums[low]) / (high - low)

    def _between_of(self, place: int, first: int, last: int, time: float) -> float:
        total = weight = 0.0
        for cell, is_inside in ((place - 1, place > first), (place, place < last)):
            if is_inside:
                nearness = 1 / (self._scale + abs(float(self.times[cell]) - time))
                total += nearness * float(self.values[cell])
                weight += nearness
        return total / weight if weight > 0 else math.nan

    def between(self, groups: Codes, times: Numbers) -> Numbers:
        """The first of `around` alone."""
        return self._between(self.places(groups, times), *self._edges(groups), times)

    def among_themselves(self) -> Numbers:
        """For each known cell the mean of the few around it, without itself."""
        count = len(self.values)
        if not count:
            return self.values
        found, span = np.empty(count), 2 * _NEAR + 1
        inner = self._sums[span:] - self._sums[:-span] - self.values[_NEAR : count - _NEAR]
        found[_NEAR : count - _NEAR] = inner / (span - 1)
        # Near the ends of a group there are fewer.
        bounds = np.r_[0, np.flatnonzero(self.groups[1:] != self.groups[:-1]) + 1, count]
        starts, ends = bounds[:-1], bounds[1:]
        is_near = np.zeros(count, dtype=bool)
        near = np.add.outer(bounds, np.arange(-_NEAR, _NEAR))
        is_near[np.minimum(np.maximum(near, 0), count - 1)] = True
        place = np.flatnonzero(is_near)
        group = np.searchsorted(starts, place, side="right") - 1
        found[place] = self._window(place, place + 1, starts[group], ends[group], _NEAR)
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

    def _between(
        self,
        place: NDArray[np.intp],
        first: NDArray[np.intp],
        last: NDArray[np.intp],
        times: Numbers,
    ) -> Numbers:
        """Linear between the value before and the one after; the nearer one at an end."""
        if not len(self.values):
            return np.full(len(times), np.nan)
        total, weight = np.zeros(len(times)), np.zeros(len(times))
        for cell, inside in ((place - 1, place > first), (place, place < last)):
            cell = np.minimum(np.maximum(cell, 0), len(self.values) - 1)  # noqa: PLW2901 - outside ones weigh 0
            nearness = np.where(inside, 1 / (self._scale + np.abs(self.times[cell] - times)), 0.0)
            total += nearness * self.values[cell]
            weight += nearness
        return np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.nan)


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


def group_means(codes: Codes, values: Numbers, levels: int) -> Table:
    """The mean of each group, drawn towards 0 where rows are few; the last two are of none."""
    total, count = _totals(codes, values, levels)
    return total / (count + SHRINKAGE)


def _totals(codes: Codes, values: Numbers, levels: int) -> tuple[Table, Table]:
    """The sum and the number of known values of each group, and nothing for two more."""
    known = ~np.isnan(values)
    if not known.all():
        codes, values = codes[known], values[known]
    at = codes + 1  # those without a group come first, and are left away
    total = np.bincount(at, weights=values, minlength=levels + 3)[1:].astype(np.float64)
    count = np.bincount(at, minlength=levels + 3)[1:].astype(np.float64)
    total[levels:], count[levels:] = 0.0, 0.0
    return total, count


def left_by_groups(codes: Codes, values: Numbers) -> Numbers:
    """How far each value is from the mean of its group."""
    levels = int(codes.max(initial=-1)) + 1
    return values - looked_up(group_means(codes, values, levels), codes)


def looked_up(table: Table, codes: Codes) -> Numbers:
    """The table's entry of each code; the code of a missing key, -1, is the entry of none."""
    found: Numbers = table[codes]
    return found


@dataclass(frozen=True)
class Plan:
    """Which groups tell something of a column; chosen once, before its cells are hidden.

    time_key: the key within which neighbours in time are alike; WHOLE for all rows.
    effects: keys whose groups differ beyond that, the strongest first.
    levels: how many groups each key has.
    """

    time_key: str
    effects: tuple[str, ...]
    levels: Mapping[str, int]

    def times(self, rows: Rows) -> tuple[Codes, Numbers]:
        """Group and time of each row."""
        axis = np.full(rows.count, np.nan) if rows.axis is None else rows.axis
        return self.groups(self.time_key, rows), axis

    @staticmethod
    def groups(key: str, rows: Rows) -> Codes:
        """The codes of a key; of all rows one."""
        return rows.keys[key] if key else np.zeros(rows.count, dtype=np.int64)


def choose_plan(values: Numbers, rows: Rows, levels: Mapping[str, int]) -> Plan:
    """Try each key: how well its neighbours in time, and then its groups, tell a known value."""
    if rows.count > _PLANNED_ROWS:
        # Rows that follow each other, so that neighbours in time are as near as they are in all.
        start = (rows.count - _PLANNED_ROWS) // 2
        some = np.arange(start, start + _PLANNED_ROWS)
        values, rows = values[some], rows.take(some)
    usable = [key for key, count in levels.items() if 1 < count < rows.count]
    time_key, left = WHOLE, values - np.nanmean(values)
    if rows.axis is not None:
        tried = {key: _left_of_time(values, rows, key) for key in (WHOLE, *usable)}
        time_key = min(tried, key=lambda key: float(np.nanmean(np.square(tried[key]))))
        left = tried[time_key]
    strength = {}
    for key in usable:
        strength[key] = _told_by_group(rows.keys[key], left, levels[key])
    ranked = sorted((key for key in usable if strength[key] > _LEAST_EFFECT), key=strength.get)  # type: ignore[arg-type]
    return Plan(time_key, tuple(ranked[::-1][:_MOST_EFFECTS]), levels)


def _left_of_time(values: Numbers, rows: Rows, key: str) -> Numbers:
    """What the neighbours in time leave of each known value; what has none leaves its all."""
    plan = Plan(key, (), {})
    groups, axis = plan.times(rows)
    line, order = _line(values, groups, axis)
    expected = line.among_themselves()
    left = values - np.nanmean(values)
    left[order] = np.where(np.isnan(expected), left[order], line.values - expected)
    return left


def _line(values: Numbers, groups: Codes, axis: Numbers) -> tuple[Timeline, NDArray[np.intp]]:
    known = np.flatnonzero(~np.isnan(values) & ~np.isnan(axis))
    order = known[order_of(groups[known], axis[known])]
    return Timeline(groups[order], axis[order], values[order]), order


def _told_by_group(codes: Codes, left: Numbers, levels: int) -> float:
    """The share of variance that a group's other rows explain; 0 and less is nothing."""
    known = ~np.isnan(left) & (codes >= 0)
    codes, left = codes[known], left[known]
    total = np.bincount(codes, weights=left, minlength=levels)[codes] - left
    count = np.bincount(codes, minlength=levels)[codes] - 1
    spread = float(np.mean(np.square(left))) if len(left) else 0.0
    if spread == 0.0:
        return 0.0
    return 1 - float(np.mean(np.square(left - total / (count + SHRINKAGE)))) / spread


FEATURES = ("expected", "near", "between", "wide", "scaled", "similar", "own", "seen")
"""What a row is told, each in the column's own unit but `seen`, a count of rows:

expected: near, plus what its groups differ by. near, between, wide: the time key's neighbours.
scaled: near, times its strongest group's usual ratio. similar: neighbours among groups of a like
ratio. own: neighbours within the strongest group alone. seen: known rows of that group.
"""

_LINES = {word: place for place, word in enumerate(FEATURES)}


@dataclass(frozen=True, slots=True)
class Said:
    """What is told of rows, a line for each of FEATURES; never NaN."""

    lines: Table

    def __getitem__(self, word: str) -> Numbers:
        """What one of FEATURES is, for each row."""
        line: Numbers = self.lines[_LINES[word]]
        return line

    def at(self, places: NDArray[np.intp]) -> "Said":
        """The same of some of the rows."""
        return Said(self.lines.take(places, axis=1))

    def beside(self, others: "Sequence[Said]") -> "Said":
        """The same, and then what is told of other rows."""
        return Said(np.concatenate([self.lines, *(one.lines for one in others)], axis=1))


def _said(told: Mapping[str, Numbers]) -> Said:
    lines = np.concatenate([told[word] for word in FEATURES])
    return Said(lines.reshape(len(FEATURES), -1))


@dataclass(frozen=True)
class Surroundings:
    """The known values of one column, ready to be asked."""

    plan: Plan
    mean: float
    line: Timeline
    effects: Mapping[str, Table]
    ratio: Table
    bands: Numbers
    similar: Timeline
    own: Timeline
    seen: Table

    @property
    def _best(self) -> str | None:
        return self.plan.effects[0] if self.plan.effects else None

    def ask(self, rows: Rows) -> Said:
        """What is told of each row."""
        if rows.count == 1:
            one = self._ask_one(rows)
            return Said(np.array([[one[word]] for word in FEATURES]))
        groups, axis = self.plan.times(rows)
        between, near, wide = self.line.around(groups, axis)
        near = np.where(np.isnan(near), self.mean, near)
        told = {"near": near, "between": _or(between, near), "wide": _or(wide, near)}
        differs = sum(
            (looked_up(table, rows.keys[key]) for key, table in self.effects.items()),
            start=np.zeros(rows.count),
        )
        told["expected"] = near + differs
        if self._best is None:
            nothing = {"scaled": near, "similar": near, "own": near, "seen": np.zeros(rows.count)}
            return _said(told | nothing)
        best = rows.keys[self._best]
        ratio = looked_up(self.ratio, best)
        similar = self.similar.between(self._banded(groups, ratio), axis)
        own = self.own.between(best, axis)
        told |= {"scaled": near * ratio, "seen": looked_up(self.seen, best)}
        told |= {"similar": _or(similar, told["expected"]), "own": _or(own, told["expected"])}
        return _said(told)

    def _ask_one(self, rows: Rows) -> dict[str, float]:
        """The same of one row, without arrays, whose making would take most of the time."""
        groups, axis = self.plan.times(rows)
        group, time = int(groups[0]), float(axis[0])
        between, near, wide = self.line.around_one(group, time)
        near = _either(near, self.mean)
        told = {"near": near, "between": _either(between, near), "wide": _either(wide, near)}
        differs = 0.0
        for key, table in self.effects.items():
            differs += float(table[rows.keys[key][0]])  # `sum` may round in another way
        told["expected"] = expected = near + differs
        if self._best is None:
            return told | {"scaled": near, "similar": near, "own": near, "seen": 0.0}
        best = int(rows.keys[self._best][0])
        ratio = float(self.ratio[best])
        band = group * (_SIMILAR_BANDS + 1) + int(self.bands.searchsorted(ratio))
        return told | {
            "scaled": near * ratio,
            "seen": float(self.seen[best]),
            "similar": _either(self.similar.between_one(band, time), expected),
            "own": _either(self.own.between_one(best, time), expected),
        }

    def _banded(self, groups: Codes, ratio: Numbers) -> Codes:
        return groups * (_SIMILAR_BANDS + 1) + np.searchsorted(self.bands, ratio)


def learn_surroundings(values: Numbers, rows: Rows, plan: Plan) -> Surroundings:
    """Keep what is known of a column; hidden cells are NaN in `values`."""
    groups, axis = plan.times(rows)
    known = np.flatnonzero(~np.isnan(values))
    mean = float(values[known].mean()) if len(known) else 0.0
    line, order = _line(values, groups, axis)
    near = np.full(len(values), mean)
    near[order] = _or(line.among_themselves(), np.full(len(order), mean))
    keys = {key: rows.keys[key][known] for key in plan.effects}
    seen = _Seen(groups[known], axis[known], values[known], near[known], keys)
    effects, left = {}, seen.values - seen.near
    for key, codes in keys.items():
        effects[key] = group_means(codes, left, plan.levels[key])
        left = left - looked_up(effects[key], codes)
    nothing = Timeline(groups[:0], axis[:0], values[:0])
    empty = Surroundings(
        plan, mean, line, effects, np.ones(2), np.zeros(0), nothing, nothing, np.zeros(2)
    )
    return _with_best(empty, seen) if plan.effects else empty


@dataclass(frozen=True)
class _Seen:
    """The known cells of a column: group and time, value, the mean around, codes of the effects."""

    groups: Codes
    times: Numbers
    values: Numbers
    near: Numbers
    keys: Mapping[str, Codes]


def _with_best(base: Surroundings, seen: _Seen) -> Surroundings:
    """Add what the strongest group tells: its ratio to its surroundings, its like, itself."""
    plan = base.plan
    best, levels = seen.keys[plan.effects[0]], plan.levels[plan.effects[0]]
    ratio = _ratios(best, seen, levels, base.mean)
    some = looked_up(ratio, best[:: len(best) // _PLANNED_ROWS + 1])
    bands = np.quantile(some, np.linspace(0, 1, _SIMILAR_BANDS + 1)[1:-1])
    # Of the groups and not of the rows, of which there are many more.
    banded = seen.groups * (_SIMILAR_BANDS + 1) + np.searchsorted(bands, ratio)[best]
    return Surroundings(
        plan,
        base.mean,
        base.line,
        base.effects,
        ratio,
        bands,
        Timeline.of(banded, seen.times, seen.values),
        Timeline.of(best, seen.times, seen.values),
        _totals(best, seen.values, levels)[1],
    )


def _ratios(codes: Codes, seen: _Seen, levels: int, mean: float) -> Table:
    """How many times its surroundings each group has; 1 for none, and near 1 for few rows."""
    belief = SHRINKAGE * abs(mean) or 1.0
    have = _totals(codes, seen.values, levels)[0] + belief
    around = _totals(codes, seen.near, levels)[0] + belief
    return np.where(np.abs(around) > 1e-9 * belief, have / np.where(around == 0, 1, around), 1.0)


def _or(values: Numbers, instead: Numbers) -> Numbers:
    return np.where(np.isnan(values), instead, values)


def _either(value: float, instead: float) -> float:
    """The value, or the other where it is NaN."""
    return instead if math.isnan(value) else value
