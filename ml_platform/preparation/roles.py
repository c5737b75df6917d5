"""What a column can do for its neighbours: numbers, keys that group rows, and the axis of time.

A market's number is no quantity, and its mean is no market. Declared categories are keys; so is a
number that behaves like a name. `Rows` is what the filling of gaps works on.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.columns import Column, Columns, rows_of

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]

_NAMED_AS_KEY = re.compile(
    r"(^|[_\s.-])(id|ids|code|key|zip|zipcode|postcode|uuid)$", re.IGNORECASE
)
_CAMEL_KEY = re.compile(r"[a-z](Id|ID|Code|Key)$")
_SAMPLE = 10_000
_MOST_SHARE_OF_LEVELS = 0.3
_FEW_LEVELS = 50
_LEAST_ROWS = 10
_LEAST_GAIN = 0.05
_OF_OWN_GAIN = 0.1
_DENSE = 8
"""Whole numbers per known one up to which a table of all of them is quicker than a search."""

_EXTREME = 1e100
"""Beyond it, and below one by it, squares of numbers end; such columns get a unit of their own."""


@dataclass(frozen=True)
class Rows:
    """Rows as the filling of gaps sees them.

    numbers: quantities, NaN where missing. keys: codes from 0, -1 where missing. axis: seconds, or
    another number that orders the rows; NaN where missing, None when the table has no order.
    texts: those that a method asks for, None where missing.
    """

    numbers: Mapping[str, Numbers]
    keys: Mapping[str, Codes]
    axis: Numbers | None = None
    count: int = 0
    texts: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def take(self, rows: NDArray[np.intp]) -> "Rows":
        """Some of the rows."""
        return Rows(
            {name: values[rows] for name, values in self.numbers.items()},
            {name: codes[rows] for name, codes in self.keys.items()},
            None if self.axis is None else self.axis[rows],
            len(rows),
            {name: texts[rows] for name, texts in self.texts.items()},
        )

    def with_numbers(self, numbers: Mapping[str, Numbers]) -> "Rows":
        """The same rows with other numbers in some columns."""
        return replace(self, numbers={**self.numbers, **numbers})

    def with_keys(self, keys: Mapping[str, Codes]) -> "Rows":
        """The same rows with other codes in some keys."""
        return replace(self, keys={**self.keys, **keys})


@dataclass(frozen=True)
class Roles:
    """Which column plays which part; learnt on training rows, the same for all later ones.

    coded: numbers that behave like names, with their known values in order; `as_names` are those
    of them whose gaps are filled with a value that exists and not with a quantity between.
    units: of columns near the end of what a float can hold, the power of two that counts as one.
    texts: the columns of texts that a method asks for.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    coded: Mapping[str, Numbers]
    as_names: tuple[str, ...]
    axis: str | None
    units: Mapping[str, float] = field(default_factory=dict)
    texts: tuple[str, ...] = ()

    def rows(self, columns: Columns) -> Rows:
        """The rows of these columns in their parts."""
        keys = {name: columns[name].values.astype(np.int64) for name in self.categories}
        keys |= {name: code_of(columns[name].values, known) for name, known in self.coded.items()}
        numbers = {name: in_unit(columns[name].values, self.unit(name)) for name in self.numbers}
        texts = {name: columns[name].values for name in self.texts}
        return Rows(numbers, keys, self._along(columns), rows_of(columns), texts)

    def unit(self, name: str) -> float:
        """What counts as one in a column."""
        return self.units.get(name, 1.0)

    def _along(self, columns: Columns) -> Numbers | None:
        if self.axis is None:
            return None
        column = columns[self.axis]
        if column.kind == "moment":
            return seconds(column)
        return in_unit(column.values, self.unit(self.axis))


def seconds(column: Column) -> Numbers:
    """Moments as seconds since 1970, NaN where missing."""
    values: Numbers = column.values.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(column.values), np.nan, values)


def in_unit(values: Numbers, unit: float) -> Numbers:
    """Numbers counted in a unit; those whose squares would still be too large are drawn in."""
    found = values if unit == 1.0 else values / unit
    return found if _most(found) <= _EXTREME else np.clip(found, -_EXTREME, _EXTREME)


def out_of_unit(values: Numbers, unit: float) -> Numbers:
    """Numbers counted back; what would be more than a float can hold is drawn to its end."""
    if unit == 1.0:
        return values
    most = float(np.finfo(np.float64).max) / max(unit, 1.0)
    return np.clip(values, -most, most) * unit


def _most(values: Numbers) -> float:
    """The largest of them, without their signs; 0 where nothing is known."""
    if len(values) == 1:
        return 0.0 if np.isnan(values[0]) else float(abs(values[0]))
    low, high = np.fmin.reduce(values, initial=0.0), np.fmax.reduce(values, initial=0.0)
    return float(max(-low, high))


def _unit_of(values: Numbers) -> float:
    most = _most(values)
    if most == 0.0 or 1 / _EXTREME <= most <= _EXTREME:
        return 1.0
    # A power of two, so that counting back gives the very number.
    return float(np.ldexp(1.0, int(np.frexp(most)[1]) - 1))


def code_of(values: Numbers, known: Numbers) -> Codes:
    """The place of each value among the known ones; -1 when missing, their number when unseen."""
    if len(values) == 1:
        return np.array([_code_of_one(values[0], known)])
    if len(values) > _SAMPLE and len(known) and known[-1] - known[0] < _DENSE * len(known):
        return _looked_up(values, known)
    place = np.minimum(np.searchsorted(known, values), max(len(known) - 1, 0))
    found = known[place] == values if len(known) else np.zeros(len(values), dtype=bool)
    codes = np.where(found, place, len(known))
    return np.where(np.isnan(values), -1, codes)


def _code_of_one(value: np.float64, known: Numbers) -> int:
    place = int(known.searchsorted(value))
    if place < len(known) and known[place] == value:
        return place
    return -1 if np.isnan(value) else len(known)


def _looked_up(values: Numbers, known: Numbers) -> Codes:
    """The same from a table of all whole numbers between the known ones, in a third of the time."""
    low, unseen = known[0], len(known)
    table = np.full(int(known[-1] - low) + 2, unseen)
    table[(known - low).astype(np.int64)] = np.arange(unseen)
    away = values - low
    is_inside = (away >= 0) & (away < len(table) - 1) & (away == np.rint(away))
    codes = table[np.where(is_inside, away, -1).astype(np.int64)]
    return np.where(np.isnan(values), -1, codes)


def learn_roles(columns: Columns, seed: int) -> Roles:
    """Find the parts that columns play."""
    given = {n: c.values for n, c in columns.items() if c.kind in ("number", "flag")}
    units = {name: _unit_of(values) for name, values in given.items()}
    numeric = {name: in_unit(values, units[name]) for name, values in given.items()}
    sample = _sample(rows_of(columns), seed)
    some = {name: values[sample] for name, values in numeric.items()}
    coded = {}
    for name, values in numeric.items():
        if columns[name].kind == "number" and _is_coded(name, values, some):
            coded[name] = _different(given[name])
    few = tuple(n for n, known in coded.items() if len(known) <= _FEW_LEVELS or _is_named_key(n))
    return Roles(
        numbers=tuple(name for name in numeric if name not in few),
        categories=tuple(name for name, column in columns.items() if column.kind == "category"),
        coded=coded,
        as_names=few,
        axis=_axis(columns, numeric),
        units={name: unit for name, unit in units.items() if unit != 1.0},
    )


def _different(values: Numbers) -> Numbers:
    """The known values, each once and in order: numpy's `unique`, in a third of its time."""
    known = values[~np.isnan(values)]
    low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
    if not 0 <= high - low < _DENSE * len(known) or (known != np.rint(known)).any():
        return np.unique(known)
    is_there = np.zeros(int(high - low) + 1, dtype=bool)
    is_there[(known - low).astype(np.int64)] = True
    found: Numbers = np.flatnonzero(is_there) + low
    return found


def _sample(count: int, seed: int) -> NDArray[np.intp]:
    if count <= _SAMPLE:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, _SAMPLE, replace=False))


def _axis(columns: Columns, numeric: Mapping[str, Numbers]) -> str | None:
    """The moment with fewest gaps, else a number that only rises."""
    moments = [name for name, column in columns.items() if column.kind == "moment"]
    if moments:
        return min(moments, key=lambda name: int(columns[name].missing().sum()))
    for name, values in numeric.items():
        if len(values) > 1 and bool(np.all(np.diff(values) > 0)):
            return name
    return None


def _is_named_key(name: str) -> bool:
    return bool(_NAMED_AS_KEY.search(name) or _CAMEL_KEY.search(name))


def _is_coded(name: str, values: Numbers, some: Mapping[str, Numbers]) -> bool:
    """Whether a number is a name: by what it is called, or by how it behaves in some rows."""
    part = some[name]
    known = part[~np.isnan(part)]
    if not len(known) or bool(np.any(known != np.rint(known))):
        return False
    if _is_named_key(name):
        # Of all rows: in a sample most of a thousand stores are seen once, and look like numbers.
        known = values[~np.isnan(values)]
        levels = len(_different(known))
        return 1 < levels <= max(_FEW_LEVELS, _MOST_SHARE_OF_LEVELS * len(known))
    levels = len(np.unique(known))
    if not 2 < levels <= _FEW_LEVELS:  # noqa: PLR2004 - two values have no order
        return False
    gains = _gains(part, [other for which, other in some.items() if which != name])
    own_gain, near_gain = max(gains, default=(0.0, 0.0))
    return own_gain > _LEAST_GAIN and near_gain < _OF_OWN_GAIN * own_gain


def _gains(values: Numbers, told: Sequence[Numbers]) -> list[tuple[float, float]]:
    """What values tell of each of some others."""
    known = np.flatnonzero(~np.isnan(values))
    _, codes = np.unique(values[known], return_inverse=True)
    return [_gain(codes, other[known]) for other in told]


def _gain(codes: Codes, told: Numbers) -> tuple[float, float]:
    """The share of another column's variance that is told by rows of a value, and by those beside.

    The mean of the rows with the next lower and the next higher value says as much about a
    quantity as the rows of the value itself; about a name it says less than nothing.
    """
    is_told = ~np.isnan(told)
    if not is_told.all():
        codes, told = codes[is_told], told[is_told]
    count = np.bincount(codes).astype(float)
    firm = np.flatnonzero((count >= _LEAST_ROWS)[codes])
    if not len(firm):
        return 0.0, 0.0
    target = told - told[firm].mean()
    total = np.bincount(codes, weights=target)
    codes, target = codes[firm], target[firm]
    spread = float(np.mean(np.square(target)))
    if spread == 0.0:
        return 0.0, 0.0
    alone = (total[codes] - target) / np.maximum(count[codes] - 1, 1)
    beside = np.convolve(total, [1, 0, 1], "same") / np.maximum(
        np.convolve(count, [1, 0, 1], "same"), 1
    )
    return (
        1 - float(np.mean(np.square(target - alone))) / spread,
        1 - float(np.mean(np.square(target - beside[codes]))) / spread,
    )
