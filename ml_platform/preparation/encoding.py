"""Encoding: categories as numbers that a model can use, learnt once and applied by look-up.

An encoding is a table with a row for each level, one for levels that were not there when it was
learnt, and one, the last, for a missing value (whose code, -1, finds the last row by itself).

`auto` takes one-hot up to 10 levels, where columns are few and say most; up to 40 the rank by
frequency, which a tree can divide; above that the target's mean where a target is given (a rank of
hundreds says little), else the frequency.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError, DeclarationError, closest
from ml_platform.preparation.columns import Column, Columns, Kind

Method: TypeAlias = Literal["auto", "onehot", "ordinal", "target", "frequency", "hashing"]
Floats: TypeAlias = NDArray[np.float64]

METHODS: tuple[Method, ...] = ("auto", "onehot", "ordinal", "target", "frequency", "hashing")
ONEHOT_AUTO, ORDINAL_AUTO = 10, 40
MOST_COLUMNS = 1000
_WIDTH = 8
_FOLDS = 5
_BELIEF = 10.0


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the levels of one column become numbers.

    Args:
        name: the column.
        method: what was chosen, never "auto".
        outputs: the new columns.
        kind: what they hold: flags of one-hot, otherwise numbers.
        table: a row a level, then unseen, then missing; a column an output.
    """

    name: str
    method: Method
    outputs: tuple[str, ...]
    kind: Kind
    table: Floats

    def apply(self, column: Column) -> Columns:
        """The new columns, for one row or many."""
        return {
            output: Column(self.kind, self.table[:, i][column.values])
            for i, output in enumerate(self.outputs)
        }


def free_names(wanted: Sequence[str], taken: Collection[str]) -> tuple[str, ...]:
    """Names for new columns: as wanted, with a number behind where one is taken.

    >>> free_names(["day", "day", "hour"], ["hour", "hour_2"])
    ('day', 'day_2', 'hour_3')
    """
    used = set(taken)
    names = []
    for name in wanted:
        free, number = name, 1
        while free in used:
            number += 1
            free = f"{name}_{number}"
        used.add(free)
        names.append(free)
    return tuple(names)


def learn_encoding(
    name: str,
    column: Column,
    method: Method = "auto",
    *,
    target: Column | None = None,
    taken: Collection[str] = (),
    width: int = _WIDTH,
) -> Encoding:
    """Learns how to encode a category column.

    Args:
        name: its name.
        column: its rows.
        method: "onehot" has a flag a level, "ordinal" the rank by frequency (0 is the most
            frequent), "frequency" the share of rows, "hashing" `width` columns into which levels
            are added with a sign by their hash (Weinberger et al. 2009), "target" the mean of the
            target, drawn towards the mean of all as if ten rows more had it (Micci-Barreca 2001).
        target: what "target" averages: numbers, a flag, or a category, of whose levels each has a
            column (one of two levels is enough). Rows without it teach nothing.
        taken: names that the table has already.
        width: how many columns "hashing" makes.

    Raises:
        DeclarationError: there is no such method.
        DataError: the column is no category, "target" has none or one of another length, or
            "onehot" would make more than a thousand columns.
    """
    chosen = _chosen(name, column, method, target)
    if chosen == "onehot":
        table, wanted = _onehot(name, column)
    elif chosen == "ordinal":
        table, wanted = _ordinal(name, column)
    elif chosen == "frequency":
        table, wanted = _frequency(name, column)
    elif chosen == "hashing":
        table, wanted = _hashing(name, column, width)
    else:
        goals, wanted = _goals(name, column, target)
        table = _means(column.values, goals, len(column.levels))
    kind: Kind = "flag" if chosen == "onehot" else "number"
    return Encoding(name, chosen, free_names(wanted, taken), kind, table)


def learn_and_encode(
    name: str,
    column: Column,
    method: Method = "auto",
    *,
    target: Column | None = None,
    taken: Collection[str] = (),
    width: int = _WIDTH,
    random_state: int = 0,
) -> tuple[Encoding, Columns]:
    """`learn_encoding`, and the rows it was learnt from, encoded for training.

    With "target" each of these rows gets the means of four fifths of the rows to which it does not
    belong: its own target in its own mean would tell a model the answer.
    """
    encoding = learn_encoding(name, column, method, target=target, taken=taken, width=width)
    if encoding.method != "target":
        return encoding, encoding.apply(column)
    goals, _wanted = _goals(name, column, target)
    values = _cross_fitted(column, goals, random_state)
    return encoding, {
        output: Column("number", values[:, i]) for i, output in enumerate(encoding.outputs)
    }


def _chosen(name: str, column: Column, method: Method, target: Column | None) -> Method:
    if method not in METHODS:
        raise DeclarationError(
            f"column {name}", f"no encoding is called {method!r}",
            allowed=closest(str(method), list(METHODS)),
        )  # fmt: skip
    if column.kind != "category":
        raise DataError(
            f"column {name}", f"it is a {column.kind} column", allowed="a category column",
            fix="encode it as another kind, or leave it out of the encoding",
        )  # fmt: skip
    levels = len(column.levels)
    if method == "onehot" and levels > MOST_COLUMNS:
        raise DataError(
            f"column {name}", f"one-hot would make {levels:,} columns of it",
            allowed=f"up to {MOST_COLUMNS:,}", fix="choose frequency, hashing or target",
        )  # fmt: skip
    return _by_levels(levels, target) if method == "auto" else method


def _by_levels(levels: int, target: Column | None) -> Method:
    if levels <= ONEHOT_AUTO:
        return "onehot"
    if levels <= ORDINAL_AUTO:
        return "ordinal"
    return "frequency" if target is None else "target"


def _onehot(name: str, column: Column) -> tuple[Floats, list[str]]:
    levels = len(column.levels)
    table = np.vstack([np.eye(levels), np.zeros((2, levels))])
    return table, [f"{name}_{level}" for level in column.levels]


def _ordinal(name: str, column: Column) -> tuple[Floats, list[str]]:
    """Levels stand in order of frequency, so the code is the rank; unseen is the rarest."""
    ranks = np.arange(len(column.levels) + 2, dtype=np.float64)
    ranks[-1] = np.nan
    return ranks[:, None], [f"{name}_ordinal"]


def _frequency(name: str, column: Column) -> tuple[Floats, list[str]]:
    rows = len(column.levels) + 2
    counts = np.bincount(column.values % rows, minlength=rows)
    shares = counts / max(len(column.values), 1)
    return shares[:, None], [f"{name}_frequency"]


def _hashing(name: str, column: Column, width: int) -> tuple[Floats, list[str]]:
    if width < 1:
        raise DeclarationError(
            f"column {name}", f"hashing into {width} columns", allowed="1 or more"
        )
    table = np.zeros((len(column.levels) + 2, width))
    for code, level in enumerate(column.levels):
        number = zlib.crc32(str(level).encode("utf-8", "surrogatepass"))
        table[code, (number >> 1) % width] = 1.0 if number & 1 else -1.0
    table[-1] = np.nan
    return table, [f"{name}_hash_{i}" for i in range(width)]


def _goals(name: str, column: Column, target: Column | None) -> tuple[Floats, list[str]]:
    """What is averaged, a column an output, NaN where a row has no target; and the names."""
    if target is None or len(target.values) != len(column.values):
        given = "no target" if target is None else f"a target of {len(target.values):,} rows"
        raise DataError(
            f"column {name}", f"{given} for {len(column.values):,} rows to encode by their target",
            allowed="one value a row", fix="give the target, or choose frequency or hashing",
        )  # fmt: skip
    if target.kind in ("number", "flag"):
        return target.values[:, None], [f"{name}_target"]
    if target.kind != "category":
        raise DataError(
            f"column {name}", f"the target is a {target.kind} column",
            allowed="numbers, a flag or a category", fix="choose frequency or hashing",
        )  # fmt: skip
    classes = list(enumerate(target.levels))
    if len(classes) == 2:  # noqa: PLR2004 - the share of one tells the other's
        classes = classes[1:]
    goals = np.column_stack([target.values == code for code, _ in classes]).astype(np.float64)
    goals[target.values < 0] = np.nan
    return goals, [f"{name}_target_{level}" for _, level in classes]


def _means(codes: NDArray[np.int32], goals: Floats, levels: int) -> Floats:
    sums, times = _sums(codes, goals, levels + 2)
    return _drawn(sums, times, sums.sum(axis=0), times.sum())


def _sums(codes: NDArray[np.int32], goals: Floats, rows: int) -> tuple[Floats, Floats]:
    """The sum of the goals of each code, and how many there are; missing is the last."""
    known = np.isfinite(goals).all(axis=1)
    places = codes[known] % rows
    sums = [np.bincount(places, weights=goal, minlength=rows) for goal in goals[known].T]
    return np.column_stack(sums), np.bincount(places, minlength=rows).astype(np.float64)


def _drawn(sums: Floats, times: Floats, total: Floats, rows: float) -> Floats:
    """Means drawn towards the mean of all, the more the fewer rows they stand on."""
    prior = total / rows if rows else np.full(len(total), np.nan)
    means: Floats = (sums + _BELIEF * prior) / (times + _BELIEF)[:, None]
    return means


def _cross_fitted(column: Column, goals: Floats, random_state: int) -> Floats:
    rows, size = len(column.levels) + 2, len(column.values)
    folds = np.random.default_rng(random_state).permutation(size) % _FOLDS
    sums, times = _sums(column.values, goals, rows)
    values = np.empty_like(goals)
    for fold in range(_FOLDS):
        mine = folds == fold
        own_sums, own_times = _sums(column.values[mine], goals[mine], rows)
        other_sums, other_times = sums - own_sums, times - own_times
        table = _drawn(other_sums, other_times, other_sums.sum(axis=0), other_times.sum())
        values[mine] = table[column.values[mine]]
    return values
