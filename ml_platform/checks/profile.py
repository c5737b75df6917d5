"""How the values of a column are distributed, small enough to be kept as a text for years.

Here: the profile of a column or table, and its form as JSON. Not here: what two of them say when
they are compared (drift.py), and which rows are compared with which (reference.py).
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ml_platform.checks.words import as_frame, plain
from ml_platform.kernel.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

POINTS = 1000
"""At so many quantiles a distribution is kept: a distance is off by a thousandth at most."""

CATEGORIES = 50
"""So many of the most frequent values have a count of their own; all others share one."""

OTHER = "(other)"
DAY_S = 86_400


@dataclass(frozen=True)
class Profile:
    """The distribution of one column.

    Attributes:
        kind: `number` has points and shares, `category` has counts.
        rows: how many rows there were; `missing` of them had no value.
        points: values of the column, ascending.
        below: the share of values, 0 to 1, that is less than each point; `upto` also counts those
            that are equal to it.
        counts: how many rows have each of the most frequent values.
    """

    kind: Literal["number", "category"]
    rows: int
    missing: int
    points: tuple[float, ...] = ()
    below: tuple[float, ...] = ()
    upto: tuple[float, ...] = ()
    counts: Mapping[str, int] | None = None

    @property
    def present(self) -> int:
        """How many rows have a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """The share of rows, 0 to 1, without a value."""
        return self.missing / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Values:
    """The values of one column as they are compared: numbers ascending, or texts."""

    kind: Literal["number", "category"]
    rows: int
    there: "NDArray[Any]"

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return self.rows - len(self.there)

    def profile(self) -> Profile:
        """The distribution of these values."""
        if self.kind == "category":
            return Profile(self.kind, self.rows, self.missing, counts=_counts(self.there))
        if not len(self.there):
            return Profile(self.kind, self.rows, self.missing)
        steps = np.linspace(0, 1, POINTS)
        points = np.unique(np.quantile(self.there, steps, method="inverted_cdf"))
        below, upto = shares_at(self.there, points)
        return Profile(
            self.kind,
            self.rows,
            self.missing,
            tuple(points.tolist()),
            tuple(below.tolist()),
            tuple(upto.tolist()),
        )


def shares_at(
    ascending: "NDArray[Any]", points: "NDArray[Any]"
) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """The share of values less than each point, and of those up to each point."""
    found = [np.searchsorted(ascending, points, side) / len(ascending) for side in _SIDES]
    return found[0], found[1]


_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def values_of(table: "pd.DataFrame | pa.Table", columns: Collection[str]) -> dict[str, Values]:
    """The values of these columns; without names, of all that are no days and no moments.

    Days and moments that are named count as days since 1970.

    Raises:
        DataError: the table has no column of such a name.
    """
    from pandas.api import types

    frame = as_frame(table)
    for name in columns:
        if name not in frame.columns:
            raise DataError(
                "drift",
                f"the table has no column '{name}'",
                allowed=", ".join(str(one) for one in frame.columns),
            )
    found = {}
    for name in columns or [str(one) for one in frame.columns]:
        column = plain(frame[name])
        is_time = types.is_datetime64_any_dtype(column.dtype) or _are_days(column)
        if columns or not is_time:
            found[name] = _values(column, is_time=is_time)
    return found


def _are_days(column: "pd.Series[Any]") -> bool:
    from datetime import date

    from pandas.api import types

    there = column.dropna()
    return (
        types.is_object_dtype(column.dtype) and len(there) > 0 and isinstance(there.iloc[0], date)
    )


def _values(column: "pd.Series[Any]", *, is_time: bool) -> Values:
    import pandas as pd
    from pandas.api import types

    rows, there = len(column), column.dropna()
    if is_time:
        moments = pd.to_datetime(there).to_numpy(dtype="datetime64[s]")
        return Values("number", rows, np.sort(moments.astype("int64") / DAY_S))
    dtype = there.dtype
    if types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype):
        return Values("number", rows, np.sort(there.to_numpy(dtype="float64")))
    if types.is_object_dtype(dtype) and len(there) and all(map(_is_number, there)):
        return Values("number", rows, np.sort(there.to_numpy(dtype="float64")))
    return Values("category", rows, there.astype(str).to_numpy(dtype=object))


def _is_number(value: object) -> bool:
    from decimal import Decimal

    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _counts(there: "NDArray[Any]") -> dict[str, int]:
    import pandas as pd

    counted = pd.Series(there, dtype=object).value_counts()
    counts = {str(value): int(number) for value, number in counted.iloc[:CATEGORIES].items()}
    rest = int(counted.iloc[CATEGORIES:].sum())
    return counts | ({OTHER: rest} if rest else {})


def to_text(profiles: Mapping[str, Profile], mark: str, about: str) -> str:
    """The profiles of a table as JSON, with what they are of: `mark` names it, `about` says it."""
    columns = {name: asdict(one) for name, one in profiles.items()}
    return json.dumps({"mark": mark, "about": about, "columns": columns}, ensure_ascii=False)


def from_text(text: str) -> tuple[dict[str, Profile], str, str]:
    """The profiles of a text that `to_text` wrote, their mark, and what they are of."""
    found = json.loads(text)
    return (
        {name: _profile(one) for name, one in found["columns"].items()},
        found["mark"],
        found["about"],
    )


def _profile(plain_: Mapping[str, Any]) -> Profile:
    lists = {name: tuple(plain_[name]) for name in ("points", "below", "upto")}
    return Profile(**{**plain_, **lists})
