"""JSON objects as Arrow batches: what a JSON file and an HTTP API have in common.

JSON knows numbers, texts, booleans and null. A nested object or list stays JSON text, so that a
column has the same type in every partition whatever is inside; DuckDB's JSON functions read it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError
from ml_platform.sources.shape import Shape, cast_batches

if TYPE_CHECKING:
    import pyarrow as pa

Record = Mapping[str, Any]

BATCH_ROWS = 50_000

_LONGEST_SHOWN = 60
_INT64 = range(-(2**63), 2**63)


@dataclass
class Tally:
    """The type of each field, learnt record by record.

    Attributes:
        subject: the source, as messages call it.
        declared: the columns that get a declared type, whose values may differ in kind: where they
            do, they are kept as text, from which the declared type is cast.
    """

    subject: str
    declared: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    kinds: dict[str, str] = field(default_factory=dict)

    def add(self, record: object, place: Callable[[], str]) -> None:
        """Learn from one record, which lies at `place`.

        Raises:
            DataError: it is not an object, or a value is of another kind than those before it.
        """
        if not isinstance(record, dict):
            raise DataError(
                self.subject,
                f"{place()}: {shown(record)} is not an object",
                allowed="objects with a value for each column",
            )
        for name, value in record.items():
            kind = _kind(value)
            before = self.kinds.setdefault(name, kind)
            if kind not in (before, "null"):
                self.kinds[name] = self._merged(name, before, kind, value, place)

    def _merged(
        self, name: str, before: str, kind: str, value: object, place: Callable[[], str]
    ) -> str:
        if before == "null":
            return kind
        if {before, kind} == {"integer", "float"}:
            return "float"
        if name in self.declared:
            return "text"
        raise DataError(
            self.subject,
            f"{place()}, column '{name}': {shown(value)} is {kind}, "
            f"where the values before it are {before}",
            fix=f"correct the value, or declare a type, as in dtypes: {{{name}: string}}",
        )

    def schema(self) -> "pa.Schema":
        """The columns in the order of their first appearance."""
        import pyarrow as pa

        types = {
            "null": pa.null(),
            "boolean": pa.bool_(),
            "integer": pa.int64(),
            "float": pa.float64(),
        }
        return pa.schema(
            [(name, types.get(kind, pa.string())) for name, kind in self.kinds.items()]
        )


def batches(records: Iterable[Record], tally: Tally) -> "Iterator[pa.RecordBatch]":
    """The records as batches of the tally's schema; a field that a record lacks is null."""
    import pyarrow as pa

    schema = tally.schema()
    rest = iter(records)
    while chunk := list(islice(rest, BATCH_ROWS)):
        arrays = [
            pa.array([_plain(record.get(name), kind) for record in chunk], schema.field(name).type)
            for name, kind in tally.kinds.items()
        ]
        yield pa.record_batch(arrays, schema=schema)


def table_of(
    records: list[Any], shape: Shape, subject: str, place: Callable[[int], str]
) -> "pa.Table":
    """A list of records as one table in the declared shape.

    No record gives an empty table with the columns that are declared.

    Raises:
        DataError: an item is not an object, or a value does not fit its column.
    """
    import pyarrow as pa

    if not records:
        return shape.empty().empty_table()
    tally = Tally(subject, shape.dtypes)
    for index, record in enumerate(records):
        tally.add(record, lambda index=index: place(index))  # type: ignore[misc]
    found = tally.schema()
    schema = shape.schema(found, subject)
    names = shape.selected(found.names, subject)
    rows = cast_batches(batches(records, tally), names, schema, subject, place)
    return pa.Table.from_batches(rows, schema)


def shown(value: object) -> str:
    """A value as JSON, cut to what a message has room for."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if value in _INT64 else "number of more than 64 bits"
    if isinstance(value, float):
        return "float"
    return "text" if isinstance(value, str) else "nested"


def _plain(value: Any, kind: str) -> Any:
    if value is None or kind in ("boolean", "integer"):
        return value
    if kind == "float":
        return float(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
