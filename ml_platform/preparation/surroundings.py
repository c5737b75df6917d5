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

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.roles import Codes, Numbers, Rows
from ml_platform.preparation.timelines import Known, Moments, Spots, Timeline, known_of

WHOLE = ""
"""The group of all rows."""

SHRINKAGE = 2.0
"""Rows' worth of belief that a group is like all others; empirical Bayes with a fixed prior."""

_SIMILAR_BANDS = 8
_MOST_EFFECTS = 3
_LEAST_EFFECT = 0.002

_PLANNED_ROWS = 20_000

Table = NDArray[np.float64]


def group_means(codes: Codes, values: Numbers, levels: int) -> Table:
    """The mean of each group, drawn towards 0 where rows are few; the last two are of none."""
    known = ~np.isnan(values)
    if not known.all():
        codes, values = codes[known], values[known]
    return _total(codes, levels, values) / (_total(codes, levels) + SHRINKAGE)


def _total(codes: Codes, levels: int, values: Numbers | None = None) -> Table:
    """The sum of each group's values, or how many rows it has; nothing for two groups more."""
    if codes.min(initial=0) < 0:  # those without a group come first, and are left away
        total = np.bincount(codes + 1, weights=values, minlength=levels + 3)[1:]
    else:
        total = np.bincount(codes, weights=values, minlength=levels + 2)
    total[levels:] = 0
    return total.astype(np.float64)


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

    @staticmethod
    def groups(key: str, rows: Rows) -> Codes:
        """The codes of a key; of all rows one."""
        return rows.keys[key] if key else np.zeros(rows.count, dtype=np.int64)


def axis_of(rows: Rows) -> Numbers:
    """The time of each row; of rows that have no order it is not known."""
    return np.full(rows.count, np.nan) if rows.axis is None else rows.axis


def choose_plans(names: Sequence[str], rows: Rows, levels: Mapping[str, int]) -> dict[str, Plan]:
    """Of each column: which key's neighbours in time, and then which groups, tell a known value."""
    if rows.count > _PLANNED_ROWS:
        # Rows that follow each other, so that neighbours in time are as near as they are in all.
        start = (rows.count - _PLANNED_ROWS) // 2
        rows = rows.take(np.arange(start, start + _PLANNED_ROWS))
    known = known_of({name: rows.numbers[name] for name in names}, axis_of(rows))
    return {name: _plan(rows.numbers[name], known[name], rows, levels) for name in names}


def _plan(values: Numbers, known: Known, rows: Rows, levels: Mapping[str, int]) -> Plan:
    usable = [key for key, count in levels.items() if 1 < count < rows.count]
    left = values - np.nanmean(values)
    time_key = WHOLE
    if rows.axis is not None:
        tried = {key: _left_of_time(values, left, known, rows, key) for key in (WHOLE, *usable)}
        time_key = min(tried, key=lambda key: float(np.nanmean(np.square(tried[key]))))
        left = tried[time_key]
    strength = {}
    for key in usable:
        strength[key] = _told_by_group(rows.keys[key], left, levels[key])
    ranked = sorted((key for key in usable if strength[key] > _LEAST_EFFECT), key=strength.get)  # type: ignore[arg-type]
    return Plan(time_key, tuple(ranked[::-1][:_MOST_EFFECTS]), levels)


def _left_of_time(values: Numbers, alone: Numbers, known: Known, rows: Rows, key: str) -> Numbers:
    """What the neighbours in time leave of each known value; what has none leaves its all."""
    order, moments = known.by(key, Plan.groups(key, rows))
    line = Timeline(moments, values[order])
    expected = line.among_themselves()
    left = alone.copy()
    left[order] = np.where(np.isnan(expected), left[order], line.values - expected)
    return left


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

    def ask(self, rows: Rows, found: "Found | None" = None) -> Said:
        """What is told of each row.

        Args:
            rows: the rows.
            found: where these rows lie among moments, as far as others have asked.
        """
        found = Found(rows) if found is None else found
        if rows.count == 1:
            one = self._ask_one(rows, found)
            return Said(np.array([[one[word]] for word in FEATURES]))
        groups, axis = self.plan.groups(self.plan.time_key, rows), axis_of(rows)
        spots = found.spots(self.line.moments, groups)
        near = np.where(np.isnan(axis), np.nan, self.line.near(spots))
        near = _or(near, np.float64(self.mean))
        told = {
            "near": near,
            "between": _or(self.line.between(spots, axis), near),
            "wide": _or(self.line.wide(spots), near),
        }
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
        alike = found.spots(self.similar.moments, self._banded(groups, ratio))
        similar = self.similar.between(alike, axis)
        own = self.own.between(found.spots(self.own.moments, best), axis)
        told |= {"scaled": near * ratio, "seen": looked_up(self.seen, best)}
        told |= {"similar": _or(similar, told["expected"]), "own": _or(own, told["expected"])}
        return _said(told)

    def _ask_one(self, rows: Rows, found: "Found") -> dict[str, float]:
        """The same of one row, without arrays, whose making would take most of the time."""
        key, time = self.plan.time_key, math.nan if rows.axis is None else float(rows.axis[0])
        group = int(rows.keys[key][0]) if key else 0
        spot = found.spot(self.line.moments, group, time)
        near = _either(math.nan if math.isnan(time) else self.line.near_one(spot), self.mean)
        told = {
            "near": near,
            "between": _either(self.line.between_one(spot, time), near),
            "wide": _either(self.line.wide_one(spot), near),
        }
        differs = 0.0
        for effect, table in self.effects.items():
            differs += float(table[rows.keys[effect][0]])  # `sum` may round in another way
        told["expected"] = expected = near + differs
        if self._best is None:
            return told | {"scaled": near, "similar": near, "own": near, "seen": 0.0}
        best = int(rows.keys[self._best][0])
        ratio = float(self.ratio[best])
        band = group * (_SIMILAR_BANDS + 1) + int(self.bands.searchsorted(ratio))
        alike = found.spot(self.similar.moments, band, time)
        own = found.spot(self.own.moments, best, time)
        return told | {
            "scaled": near * ratio,
            "seen": float(self.seen[best]),
            "similar": _either(self.similar.between_one(alike, time), expected),
            "own": _either(self.own.between_one(own, time), expected),
        }

    def _banded(self, groups: Codes, ratio: Numbers) -> Codes:
        return groups * (_SIMILAR_BANDS + 1) + np.searchsorted(self.bands, ratio)


class Found:
    """Where some rows lie among moments; looked for once, though many columns ask."""

    def __init__(self, rows: Rows) -> None:
        self._axis = axis_of(rows)
        self._spots: dict[int, Spots] = {}

    def spots(self, moments: Moments, groups: Codes) -> Spots:
        """Where each row of these groups lies."""
        if id(moments) not in self._spots:
            self._spots[id(moments)] = moments.spots(groups, self._axis)
        return self._spots[id(moments)]

    def spot(self, moments: Moments, group: int, time: float) -> Spots:
        """The same of one row, as numbers."""
        if id(moments) not in self._spots:
            self._spots[id(moments)] = moments.spot(group, time)
        return self._spots[id(moments)]


def learn_surroundings(
    columns: Mapping[str, Numbers], rows: Rows, plans: Mapping[str, Plan]
) -> dict[str, Surroundings]:
    """Keep what is known of each column; hidden cells are NaN in `columns`."""
    known = known_of(columns, axis_of(rows))
    return {
        name: _surroundings(values, known[name], rows, plans[name])
        for name, values in columns.items()
    }


def _surroundings(values: Numbers, known: Known, rows: Rows, plan: Plan) -> Surroundings:
    groups, cells = plan.groups(plan.time_key, rows), values[known.rows]
    mean = float(cells.mean()) if len(cells) else 0.0
    order, moments = known.by(plan.time_key, groups)
    line = Timeline(moments, values[order])
    near = np.full(len(values), mean)
    near[order] = _or(line.among_themselves(), np.float64(mean))
    seen = _Seen(known, cells, near[known.rows])
    effects, left = {}, cells - seen.near
    for key in plan.effects:
        codes = known.of(key, rows.keys[key])
        effects[key] = group_means(codes, left, plan.levels[key])
        left = left - looked_up(effects[key], codes)
    nothing = Timeline(Moments(groups[:0], near[:0]), values[:0])
    empty = Surroundings(
        plan, mean, line, effects, np.ones(2), np.zeros(0), nothing, nothing, np.zeros(2)
    )
    return _with_best(empty, seen, values, rows) if plan.effects else empty


@dataclass(frozen=True)
class _Seen:
    """The known cells of a column: which they are, their values, the means around them."""

    known: Known
    values: Numbers
    near: Numbers


def _with_best(base: Surroundings, seen: _Seen, values: Numbers, rows: Rows) -> Surroundings:
    """Add what the strongest group tells: its ratio to its surroundings, its like, itself."""
    plan, known = base.plan, seen.known
    key = plan.effects[0]
    best, levels = known.of(key, rows.keys[key]), plan.levels[key]
    ratio = _ratios(best, seen, levels, base.mean)
    some = np.sort(looked_up(ratio, best[:: len(best) // _PLANNED_ROWS + 1]))
    places = len(some) * np.arange(1, _SIMILAR_BANDS) // _SIMILAR_BANDS
    bands = some[places] if len(some) else some
    # Of the groups and not of the rows, of which there are many more.
    order, _ = known.by(plan.time_key, plan.groups(plan.time_key, rows))
    band = np.searchsorted(bands, ratio)[rows.keys[key][order]]
    similar = base.line.parted(band, _SIMILAR_BANDS + 1)
    order, moments = known.by(key, rows.keys[key])
    return Surroundings(
        plan,
        base.mean,
        base.line,
        base.effects,
        ratio,
        bands,
        similar,
        Timeline(moments, values[order]),
        _total(best, levels),
    )


def _ratios(codes: Codes, seen: _Seen, levels: int, mean: float) -> Table:
    """How many times its surroundings each group has; 1 for none, and near 1 for few rows."""
    belief = SHRINKAGE * abs(mean) or 1.0
    have = _total(codes, levels, seen.values) + belief
    around = _total(codes, levels, seen.near) + belief
    return np.where(np.abs(around) > 1e-9 * belief, have / np.where(around == 0, 1, around), 1.0)


def _or(values: Numbers, instead: Numbers | np.float64) -> Numbers:
    return np.where(np.isnan(values), instead, values)


def _either(value: float, instead: float) -> float:
    """The value, or the other where it is NaN."""
    return instead if math.isnan(value) else value
