"""What the columns of a source shall be: which ones, called what, of which type.

Every kind of source ends here: it delivers batches with the types that it found, and a `Shape`
checks, renames and casts them, naming the place of the first value that does not fit.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from ml_platform.kernel.errors import DataError, DeclarationError, closest

if TYPE_CHECKING:
    import pyarrow as pa

DTYPES = (
    "string",
    "integer",
    "float",
    "boolean",
    "date",
    "timestamp",
    "timestamp_utc",
    "decimal(precision, scale)",
)
"""The words for types; an integer has 64 bits, a timestamp counts microseconds."""

_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_MOST_DIGITS = 38


@dataclass(frozen=True)
class Shape:
    """What is declared of a source's columns; nothing declared leaves them as they come.

    Attributes:
        columns: the columns that must be there, by the source's names; others are left out.
        rename: the source's name -> the table's name.
        dtypes: the source's name -> one of `DTYPES`; the other columns keep the type they have.

    Raises:
        DeclarationError: a type's word is unknown, or two columns would get one name.
    """

    columns: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    dtypes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for column, word in self.dtypes.items():
            arrow_type(word, f"dtypes of column '{column}'")

    def selected(self, present: Sequence[str], subject: str) -> list[str]:
        """The source's columns that the table gets, in order.

        Raises:
            DataError: a declared column is not there, or two would have one name.
        """
        named = [*self.columns, *self.rename, *self.dtypes]
        missing = list(dict.fromkeys(name for name in named if name not in present))
        if missing:
            raise DataError(
                subject,
                f"{_columns(missing)} missing",
                allowed=closest(missing[0], list(present)) or "it has no columns",
                fix="correct the names under columns, rename or dtypes, or ask for the data",
            )
        chosen = list(self.columns or present)
        _refuse_twins([self.rename.get(name, name) for name in chosen], subject)
        return chosen

    def schema(self, found: "pa.Schema", subject: str) -> "pa.Schema":
        """The table's schema for a source in which `found` was found."""
        import pyarrow as pa

        return pa.schema(
            [
                pa.field(self.rename.get(name, name), self._type(name, found))
                for name in self.selected(found.names, subject)
            ]
        )

    def _type(self, name: str, found: "pa.Schema") -> "pa.DataType":
        if name in self.dtypes:
            return arrow_type(self.dtypes[name], f"dtypes of column '{name}'")
        return found.field(name).type

    def empty(self) -> "pa.Schema":
        """The schema of a source that delivered no row, as far as it was declared."""
        import pyarrow as pa

        names = self.columns or tuple(dict.fromkeys((*self.rename, *self.dtypes)))
        return self.schema(pa.schema([(name, pa.null()) for name in names]), "columns")


def cast_batches(
    batches: "Iterator[pa.RecordBatch]",
    names: Sequence[str],
    schema: "pa.Schema",
    subject: str,
    place: Callable[[int], str],
) -> "Iterator[pa.RecordBatch]":
    """The columns `names` of each batch, cast to `schema` in the same order.

    Args:
        batches: what the source delivers.
        names: the source's columns to take.
        schema: the names and types that they get.
        subject: the source, as messages call it.
        place: says where the row of an index is, such as "line 7".

    Raises:
        DataError: a value does not fit its column's type; it names the place and the value.
    """
    import pyarrow as pa

    seen = 0
    for batch in batches:
        arrays = []
        for name, wanted in zip(names, schema, strict=True):
            column = batch.column(batch.schema.get_field_index(name))
            try:
                arrays.append(cast(column, wanted.type))
            except pa.ArrowException as error:
                row = first_misfit(column, wanted.type)
                raise _misfit(
                    subject, f"{place(seen + row)}, column '{name}'", column[row], wanted.type
                ) from error
        seen += batch.num_rows
        yield pa.record_batch(arrays, schema=schema)


def cast(column: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    """The column as another type; what would lose a part of a value is refused."""
    import pyarrow as pa

    if pa.types.is_null(kind) and column.null_count == len(column):
        return pa.nulls(len(column))
    return column if column.type == kind else column.cast(kind, safe=True)


def first_misfit(column: "pa.Array", kind: "pa.DataType") -> int:
    """The index of the first value that cannot be cast, found by halving."""
    import pyarrow as pa

    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            cast(column[low:middle], kind)
        except pa.ArrowException:
            high = middle
        else:
            low = middle
    return low


def _misfit(subject: str, place: str, value: "pa.Scalar", kind: "pa.DataType") -> DataError:
    return DataError(
        subject,
        f"{place}: {value.as_py()!r} is not of type {kind}",
        fix="correct the value, or declare another type under dtypes",
    )


def arrow_type(word: str, subject: str) -> "pa.DataType":
    """The Arrow type that a word of `DTYPES` stands for.

    Raises:
        DeclarationError: the word is unknown.
    """
    import pyarrow as pa

    if match := _DECIMAL.fullmatch(word):
        precision, scale = int(match[1]), int(match[2])
        if scale <= precision and 1 <= precision <= _MOST_DIGITS:
            return pa.decimal128(precision, scale)
    types = {
        "string": pa.string(),
        "integer": pa.int64(),
        "float": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamp_utc": pa.timestamp("us", "UTC"),
    }
    if word not in types:
        raise DeclarationError(subject, f"'{word}' is no type", allowed=closest(word, list(DTYPES)))
    return types[word]


def _refuse_twins(names: Sequence[str], subject: str) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise DataError(
            subject,
            f"after renaming, several columns are called {', '.join(twins)}",
            fix="rename all but one, or leave the others out of columns",
        )


def _columns(names: Sequence[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names)
    return f"column {listed} is" if len(names) == 1 else f"columns {listed} are"
