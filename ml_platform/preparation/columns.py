"""What every step of a preparation takes and gives: rows as typed columns of plain arrays.

pandas stays at the edges (`reading` and `transformer`). In between are arrays, because a step that
costs microseconds on one row can serve it by the very code that prepares a million.

| kind | values | missing |
|---|---|---|
| number | float64 | NaN |
| flag | float64, 0 or 1 | NaN |
| category | int32, a code in `levels` | -1 |
| moment | datetime64[us], UTC when it had a zone | NaT |
| text | object, str | None |

A category that was not there when the levels were learnt has the code `len(levels)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["number", "flag", "category", "moment", "text"]
Mask: TypeAlias = NDArray[np.bool_]

MISSING_CODE = -1


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its kind and its values, one a row."""

    kind: Kind
    values: NDArray[Any]
    levels: tuple[Any, ...] = ()

    def missing(self) -> Mask:
        """Where there is no value."""
        if self.kind in ("number", "flag"):
            found: Mask = np.isnan(self.values)
        elif self.kind == "category":
            found = self.values < 0
        elif self.kind == "moment":
            found = np.isnat(self.values)
        else:
            found = np.fromiter((text is None for text in self.values), bool, len(self.values))
        return found

    def with_values(self, values: NDArray[Any]) -> "Column":
        """The same column with other values."""
        return Column(self.kind, values, self.levels)  # `replace` takes four times as long

    def take(self, rows: NDArray[Any]) -> "Column":
        """Some of its rows: their positions, or a mask."""
        return self.with_values(self.values[rows])


Columns: TypeAlias = Mapping[str, Column]
"""Columns by name, in the order of the table; all have as many values."""


def rows_of(columns: Columns) -> int:
    """How many rows there are; 0 when there is no column."""
    return next((len(column.values) for column in columns.values()), 0)
