"""The words for what a column holds, and whether a column is of such a type.

Here: the words, Python's values and the dtypes that fit each, and the few dtypes to which every
library's columns are brought. Not here: what else a declaration may say (schema.py).
"""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Word = Literal["integer", "number", "text", "boolean", "date", "timestamp"]
"""What the values of a column are, whatever library holds them."""

WORDS: tuple[Word, ...] = get_args(Word)

ORDERED: tuple[Word, ...] = ("integer", "number", "date", "timestamp")
"""The types that `min` and `max` have a meaning for."""

Scalar = bool | int | float | datetime | date | str

Mask = NDArray[np.bool_]


def article(word: str) -> str:
    """The word as it stands in a sentence: "an integer"."""
    return {"integer": "an integer", "text": "text"}.get(word, f"a {word}")


def of_type(column: "pd.Series[Any]", word: Word | None) -> Mask:
    """For each row whether its value is of the type; a missing one is."""
    missing = column.isna().to_numpy(dtype=bool)
    if word is None or missing.all():
        return np.ones(len(column), dtype=bool)
    if column.dtype == object:
        return missing | _objects_of_type(column.to_numpy()[~missing], word, missing)
    fitting: Mask = missing | _dtype_of_type(column, word)
    return fitting


def _objects_of_type(values: Any, word: Word, missing: Mask) -> Mask:
    """The same for Python's values, given those that are there."""
    result = ~missing
    # Nearly all such columns are texts, which need no look at each value: 10 times faster.
    if set(map(type, values)) == {str}:
        return result & (word == "text")
    fits = FITS[word]
    result[result] = np.fromiter(map(fits, values), dtype=bool, count=len(values))
    return result


def _dtype_of_type(column: "pd.Series[Any]", word: Word) -> Mask:
    """The same for a column whose dtype says what its values are."""
    from pandas.api import types

    dtype = column.dtype
    if word == "integer" and types.is_float_dtype(dtype):
        return np.asarray(np.isfinite(column) & (column == np.floor(column)), dtype=bool)
    if word == "date" and types.is_datetime64_any_dtype(dtype):
        midnight: Mask = (column.dt.normalize() == column).to_numpy(dtype=bool)
        return midnight
    holds = {
        "boolean": types.is_bool_dtype(dtype),
        "integer": types.is_integer_dtype(dtype),
        "number": types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype),
        "text": types.is_string_dtype(dtype),
        "timestamp": types.is_datetime64_any_dtype(dtype),
    }
    return np.full(len(column), holds.get(word, False))


# --- Python's values


def is_midnight(value: datetime) -> bool:
    """Whether it stands for a day: the day's first moment, in no zone."""
    return value.tzinfo is None and value.time() == time()


def in_utc(value: datetime) -> datetime:
    """Without a zone, in UTC; what has no zone is taken to be in UTC already."""
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _is_number(value: object) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value) and value == int(value)


def _is_date(value: object) -> bool:
    return isinstance(value, date) and (not isinstance(value, datetime) or is_midnight(value))


FITS: dict[Word, Callable[[Any], bool]] = {
    "integer": _is_integer,
    "number": _is_number,
    "text": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, (bool, np.bool_)),
    "date": _is_date,
    "timestamp": lambda value: isinstance(value, datetime),
}
"""For a column of mixed Python values: whether one that is not missing is of the type."""


# --- Columns, however a library holds them


def as_frame(table: "pd.DataFrame | pa.Table") -> "pd.DataFrame":
    """The table as pandas; Arrow's own types stay, so that integers beside gaps stay exact."""
    import pandas as pd

    return table if isinstance(table, pd.DataFrame) else table.to_pandas(types_mapper=pd.ArrowDtype)


def plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The column with one of the few dtypes that the rules know.

    Numbers with a fraction become float64, where NaN is missing: in Arrow's and pandas' own
    types a NaN counts as a value. Times with a zone become times in UTC without one. Categories,
    decimals and days become Python's values.
    """
    import pandas as pd

    dtype = column.dtype
    if pd.api.types.is_float_dtype(dtype):
        return pd.Series(column.to_numpy(dtype="float64", na_value=np.nan), column.index)
    if isinstance(dtype, pd.ArrowDtype) and _arrow_needs_python(dtype):
        return column.astype(object)
    if isinstance(dtype, pd.CategoricalDtype):
        return column.astype(object)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return zoneless(column)
    return column


def _arrow_needs_python(dtype: "pd.ArrowDtype") -> bool:
    from pyarrow import types

    kind = dtype.pyarrow_dtype
    return bool(types.is_decimal(kind) or types.is_date(kind) or types.is_dictionary(kind))


def zoneless(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Moments in UTC without a zone; those that have none are in UTC already."""
    import pandas as pd

    if isinstance(column.dtype, pd.ArrowDtype):
        column = pd.Series(column.array.to_numpy(), column.index)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column
