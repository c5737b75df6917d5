"""Whether a table's columns are distributed as they were in a reference.

For numbers the population stability index (Siddiqi, Credit Risk Scorecards, 2006) over the tenths
of the reference and the Kolmogorov-Smirnov distance (Kolmogorov 1933, Smirnov 1948); for categories
the Jensen-Shannon distance (Lin, Divergence Measures Based on the Shannon Entropy, 1991; Endres and
Schindelin 2003) to the base of two; for all of them the share of missing values.

A limit is one of size: with many rows any two samples differ "significantly", so no p-value
decides. With few rows chance alone goes over a limit, so a figure also has to be larger than chance
makes it once in a thousand times: the index of equal distributions is about (1/n + 1/m) times a
chi-squared variable (Yurdakul and Naranjo, Statistical Properties of the Population Stability
Index, 2020), the Jensen-Shannon divergence an eighth of that, the distance is below
1.95 sqrt(1/n + 1/m).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_platform.checks.profile import OTHER, Profile, Values, shares_at
from ml_platform.checks.result import escaped
from ml_platform.storage.shown import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

TENTHS = 10
CHANCE = 0.999
_KS_CHANCE = 1.95
"""The distance's factor at one in a thousand."""

_MISSING_CHANCE = 3.29
"""The same for the difference of two shares, by the normal distribution."""


@dataclass(frozen=True)
class Limits:
    """How much of each figure is not yet drift; zero or less than the figure is.

    Attributes:
        psi: of numbers; up to 0.1 is taken as none, from 0.25 as a shift, since Siddiqi.
        ks: of numbers: the largest difference between the shares up to a value, 0 to 1.
        jensen_shannon: of categories: 0 for equal ones, 1 for such as have nothing in common.
        missing: the difference between the shares of missing values, 0 to 1.
    """

    psi: float = 0.25
    ks: float = 0.15
    jensen_shannon: float = 0.15
    missing: float = 0.1


@dataclass(frozen=True)
class Figure:
    """One figure of a column: its value, its limit, and what chance makes of it with few rows."""

    column: str
    name: str
    value: float
    limit: float
    chance: float

    @property
    def most(self) -> float:
        """The largest value that is no drift: its limit, or what chance makes of it."""
        return max(self.limit, self.chance)

    @property
    def is_drift(self) -> bool:
        """Whether it is larger than that."""
        return self.value > self.most


def compare(
    before: Mapping[str, Profile], now: Mapping[str, Values], limits: Limits = Limits()
) -> list[Figure]:
    """The figures of every column that is in both, in the order of the columns.

    A column whose values are of another kind than before has the figure `kind`; what is new or gone
    is not a matter of distributions.
    """
    return [
        figure
        for name, values in now.items()
        if name in before
        for figure in _figures(name, before[name], values, limits)
    ]


def _figures(name: str, before: Profile, now: Values, limits: Limits) -> Iterator[Figure]:
    rows = _both(before.rows, now.rows)
    if rows:
        change = abs(now.missing / now.rows - before.missing_share)
        pooled = (before.missing + now.missing) / (before.rows + now.rows)
        by_chance = _MISSING_CHANCE * math.sqrt(pooled * (1 - pooled) * rows)
        yield Figure(name, "missing", change, limits.missing, by_chance)
    there = _both(before.present, len(now.there))
    if not there:
        return
    if before.kind != now.kind:
        yield Figure(name, "kind", 1.0, 0.0, 0.0)
    elif now.kind == "number":
        shares = _tenths(before, now.there)
        chance = _chi_squared(len(shares[0]) - 1) * there
        yield Figure(name, "psi", _psi(*shares), limits.psi, chance)
        distance = _distance(before, now.there)
        yield Figure(name, "ks", distance, limits.ks, _KS_CHANCE * math.sqrt(there))
    else:
        _, first, second = shares_of_categories(before, now)
        chance = math.sqrt(_chi_squared(len(first) - 1) * there / 8 / math.log(2))
        yield Figure(
            name, "jensen_shannon", _jensen_shannon(first, second), limits.jensen_shannon, chance
        )


def _both(first: int, second: int) -> float:
    """1/n + 1/m; zero where one of them has nothing to compare."""
    return 1 / first + 1 / second if first and second else 0.0


def _chi_squared(degrees: int) -> float:
    """What a chi-squared variable is below in all but one of a thousand cases."""
    from scipy.stats import chi2

    return float(chi2.ppf(CHANCE, degrees)) if degrees else 0.0


def tenths(before: Profile) -> "NDArray[np.float64]":
    """The upper ends of the reference's tenths but the last; fewer where many values are equal."""
    upto, points = np.array(before.upto), np.array(before.points)
    wanted = np.arange(1, TENTHS) / TENTHS
    places = np.unique(np.searchsorted(upto, wanted - 1e-9))
    edges: NDArray[np.float64] = points[places[places < len(points) - 1]]
    return edges


def _tenths(
    before: Profile, ascending: "NDArray[Any]"
) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """The share of each tenth, before and now; half a row more in each, so that none is empty."""
    edges = tenths(before)
    known = dict(zip(before.points, before.upto, strict=True))
    first = _smoothed(
        np.diff([0.0, *(known[edge] for edge in edges.tolist()), 1.0]), before.present
    )
    ends = shares_at(ascending, edges)[1]
    return first, _smoothed(np.diff([0.0, *ends, 1.0]), len(ascending))


def _smoothed(shares: "NDArray[np.float64]", rows: int) -> "NDArray[np.float64]":
    return (shares * rows + 0.5) / (rows + 0.5 * len(shares))


def _psi(before: "NDArray[np.float64]", now: "NDArray[np.float64]") -> float:
    return float(np.sum((now - before) * np.log(now / before)))


def _distance(before: Profile, ascending: "NDArray[Any]") -> float:
    """The largest difference between the two shares up to a value, looked at on both its sides."""
    below, upto = shares_at(ascending, np.array(before.points))
    return float(
        max(np.abs(below - np.array(before.below)).max(), np.abs(upto - before.upto).max())
    )


def shares_of_categories(
    before: Profile, now: Values
) -> tuple[list[str], "NDArray[np.float64]", "NDArray[np.float64]"]:
    """The categories of the reference with their shares, before and now; the last is any other."""
    import pandas as pd

    counts = dict(before.counts or {})
    names = [*(name for name in counts if name != OTHER), OTHER]
    # Numbers are found by their own place, so that a text `(other)` in the table is one of them.
    seen = pd.Series(now.there, dtype=object).value_counts()
    mine = [int(seen.get(name, 0)) for name in names[:-1]]
    mine.append(len(now.there) - sum(mine))
    theirs = [counts.get(name, 0) for name in names]
    kept = [place for place, both in enumerate(zip(mine, theirs, strict=True)) if any(both)]
    first = np.array([theirs[place] for place in kept]) / before.present
    return (
        [names[place] for place in kept],
        first,
        np.array([mine[p] for p in kept]) / len(now.there),
    )


def _jensen_shannon(before: "NDArray[np.float64]", now: "NDArray[np.float64]") -> float:
    from scipy.spatial.distance import jensenshannon

    # Of two that are equal the root is taken of what rounding left, which may be less than zero.
    found = float(jensenshannon(before, now, base=2))
    return 0.0 if math.isnan(found) else found


def report(figures: Sequence[Figure], said: str) -> str:
    """All figures as a table in Markdown, those over their limit first and in bold."""
    lines = [
        "| column | figure | value | up to | chance alone |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in sorted(figures, key=lambda one: not one.is_drift):
        value = f"**{one.value:.3f}**" if one.is_drift else f"{one.value:.3f}"
        cells = [escaped(one.column), one.name, value, shown(one.limit), f"{one.chance:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return f"{escaped(said)}\n\n" + "\n".join(lines) + "\n"


def worst(figures: Sequence[Figure]) -> Figure | None:
    """The figure that is furthest over its limit, of those that a picture can show."""
    shown_ = [
        one for one in figures if one.is_drift and one.name in {"psi", "ks", "jensen_shannon"}
    ]
    return max(shown_, key=lambda one: one.value / one.most, default=None)


def bars(before: Profile, now: Values) -> tuple[list[str], list[float], list[float]]:
    """What a picture of one column shows: its tenths or categories, and the shares of each."""
    if now.kind == "category":
        names, first, second = shares_of_categories(before, now)
        return names, first.tolist(), second.tolist()
    edges = tenths(before)
    labels = [f"to {shown(float(edge))}" for edge in edges]
    labels.append(f"over {shown(float(edges[-1]))}" if len(edges) else "all")
    known = dict(zip(before.points, before.upto, strict=True))
    first = np.diff([0.0, *(known[edge] for edge in edges.tolist()), 1.0])
    return labels, first.tolist(), np.diff([0.0, *shares_at(now.there, edges)[1], 1.0]).tolist()
