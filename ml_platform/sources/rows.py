"""Rows of a database driver as Arrow batches: dates, decimals, NULLs and booleans keep their kind.

What the driver tells of a column's type is taken; else the type is learnt from the first batch of
values. Numbers of unlimited precision become decimals with as many places as the first batch has.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError
from ml_platform.sources.records import shown

if TYPE_CHECKING:
    import pyarrow as pa

Row = Sequence[Any]

_INT64 = range(-(2**63), 2**63)
_MOST_DIGITS = 38
_PLAIN = {bool: "boolean", float: "float", str: "text", Decimal: "decimal", bytes: "bytes"}
"""The kinds that a type alone tells; of other values each has to be looked at."""

_WIDER = {
    frozenset({"integer", "float"}): "float",
    frozenset({"integer", "decimal"}): "decimal",
    frozenset({"decimal", "float"}): "float",
}
# PostgreSQL's own numbers for its types, from its catalogue pg_type.
_POSTGRES = {
    16: "boolean",
    20: "integer",
    21: "integer",
    23: "integer",
    26: "integer",
    700: "float",
    701: "float",
    25: "text",
    1042: "text",
    1043: "text",
    2950: "text",
    114: "text",
    3802: "text",
    17: "bytes",
    1082: "date",
    1083: "time",
    1114: "timestamp",
    1184: "timestamp_utc",
    1186: "duration",
}
_POSTGRES_NUMERIC = 1700


def postgres_types(description: Sequence[Any]) -> "dict[str, pa.DataType]":
    """The types of those columns for which a PostgreSQL cursor's description tells one."""
    import pyarrow as pa

    types = {}
    for column in description:
        name, code, _, _, precision, scale = column[:6]
        if code in _POSTGRES:
            types[name] = _arrow(_POSTGRES[code])
        elif code == _POSTGRES_NUMERIC and _is_storable(precision, scale or 0):
            types[name] = pa.decimal128(precision, scale or 0)
    return types


def _is_storable(precision: int | None, scale: int) -> bool:
    return precision is not None and 0 <= scale <= precision <= _MOST_DIGITS


def learnt_types(
    names: Sequence[str],
    rows: Sequence[Row],
    told: "Mapping[str, pa.DataType]",
    declared: Mapping[str, str],
    subject: str,
) -> "pa.Schema":
    """The schema of a result: told by the driver, or learnt from these first rows.

    Args:
        names: the columns.
        rows: the first batch of rows.
        told: the types that the driver told.
        declared: the columns that get a declared type; where their values differ in kind they are
            delivered as text.
        subject: the query, as messages call it.

    Raises:
        DataError: the values of a column are of several kinds; it names the row.
    """
    import pyarrow as pa

    fields = []
    for at, name in enumerate(names):
        values = [row[at] for row in rows]
        fields.append((name, told.get(name) or _learnt(name, values, declared, subject)))
    return pa.schema(fields)


def _learnt(
    name: str, values: list[Any], declared: Mapping[str, str], subject: str
) -> "pa.DataType":
    import pyarrow as pa

    if (plain := _plain_kind(values)) is not None:
        return _decimal_for(values) if plain == "decimal" else _arrow(plain)
    kind = "null"
    for row, value in enumerate(values, start=1):
        own = kind_of(value)
        if own in ("null", kind):
            continue
        wider = own if kind == "null" else _WIDER.get(frozenset({kind, own}))
        if wider is None and name not in declared:
            raise mixture(subject, row, name, value, kind)
        if wider is None:
            return pa.string()
        kind = wider
    return _decimal_for(values) if kind == "decimal" else _arrow(kind)


def _plain_kind(values: list[Any]) -> str | None:
    """The kind of all values where their type tells it; None where each has to be looked at."""
    types = set(map(type, values)) - {type(None)}
    if types == {int}:
        whole = [value for value in values if value is not None]
        return "integer" if min(whole) in _INT64 and max(whole) in _INT64 else None
    return _PLAIN.get(types.pop()) if len(types) == 1 else None


def _decimal_for(values: list[Any]) -> "pa.DataType":
    import pyarrow as pa

    exponents = [value.as_tuple().exponent for value in values if isinstance(value, Decimal)]
    places = max((-one for one in exponents if isinstance(one, int)), default=0)
    return pa.decimal128(_MOST_DIGITS, min(max(places, 0), _MOST_DIGITS))


def batches(
    chunks: Iterator[Sequence[Row]], schema: "pa.Schema", subject: str
) -> "Iterator[pa.RecordBatch]":
    """The chunks of rows as batches of the schema.

    Raises:
        DataError: a value of a later chunk is not of the type that the first ones had.
    """
    import pyarrow as pa

    seen = 0
    for chunk in chunks:
        arrays = [
            _array([row[at] for row in chunk], column, subject, seen)
            for at, column in enumerate(schema)
        ]
        seen += len(chunk)
        yield pa.record_batch(arrays, schema=schema)


def _array(values: list[Any], column: "pa.Field", subject: str, seen: int) -> "pa.Array":
    import pyarrow as pa

    try:
        return pa.array(_converted(values, column.type), column.type)
    except (pa.ArrowException, ValueError, TypeError):
        for row, value in enumerate(values, start=seen + 1):
            if not _fits(value, column.type):
                raise mixture(subject, row, column.name, value, str(column.type)) from None
        raise


def _fits(value: Any, kind: "pa.DataType") -> bool:
    import pyarrow as pa

    try:
        pa.array(_converted([value], kind), kind)
    except (pa.ArrowException, ValueError, TypeError):
        return False
    return True


def _converted(values: list[Any], kind: "pa.DataType") -> list[Any]:
    """The values as Arrow takes them for a type; most are already."""
    import pyarrow as pa

    types = set(map(type, values)) - {type(None)}
    if pa.types.is_string(kind) and types != {str}:
        return [None if value is None else as_text(value) for value in values]
    if pa.types.is_floating(kind) and types != {float}:
        return [None if value is None else float(value) for value in values]
    return values


def as_text(value: Any) -> str:
    """A value as text: what is text stays, what is nested is JSON, other kinds as they print."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.isoformat() if isinstance(value, date | time) else str(value)


def kind_of(value: Any) -> str:
    """The word for the kind of a driver's value."""
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool):
        return "integer" if value in _INT64 else "decimal"
    if isinstance(value, datetime):
        return "timestamp" if value.tzinfo is None else "timestamp_utc"
    if isinstance(value, time) and value.tzinfo is not None:
        return "text"
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (float, "float"),
        (Decimal, "decimal"),
        (date, "date"),
        (time, "time"),
        (timedelta, "duration"),
        (bytes, "bytes"),
        (memoryview, "bytes"),
    )
    return next((word for of, word in kinds if isinstance(value, of)), "text")


def _arrow(kind: str) -> "pa.DataType":
    import pyarrow as pa

    types = {
        "null": pa.null(),
        "boolean": pa.bool_(),
        "integer": pa.int64(),
        "float": pa.float64(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamp_utc": pa.timestamp("us", str(UTC)),
        "duration": pa.duration("us"),
        "bytes": pa.binary(),
    }
    return types.get(kind, pa.string())


def mixture(subject: str, row: int, name: str, value: Any, before: str) -> DataError:
    """The error for a value that is not of the kind of those before it."""
    were = "there was no value" if before == "null" else f"the values are {before}"
    return DataError(
        subject,
        f"row {row}, column '{name}': {shown(value)} is {kind_of(value)}, where before it {were}",
        fix=f"cast the column in the query, or declare its type, as in dtypes: {{{name}: string}}",
    )
