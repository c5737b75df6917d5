"""A table larger than memory: learnt from a sample of its rows, prepared batch by batch.

The rows come from DuckDB as Arrow batches and leave as Arrow batches, so that a table of any length
takes the memory of one batch. Duplicates, which lie anywhere, are found by DuckDB, which spills to
disk what it cannot hold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ml_platform.kernel.errors import DeclarationError
from ml_platform.preparation.budget import rows_within, stratified
from ml_platform.preparation.receipt import Receipt, added_up
from ml_platform.preparation.transformer import AutoPrepare, Prepared
from ml_platform.storage.engine import quote

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_ROW, _MARK = "__row", "__mark"
_FEW = 1_000


@dataclass(frozen=True)
class Batch:
    """Prepared rows of one batch, and what was done to their cells."""

    rows: pa.RecordBatch
    cells: pa.RecordBatch


@dataclass
class Batches:
    """A table, prepared batch by batch.

    Args:
        preparation: fitted already, or to be fitted on a sample of the table.
        table: the rows, in an order that is the same each time they are asked for.
        budget_mb: what all this may take, in MiB beside what the program takes anyway.

    Attributes:
        learnt_from: rows that taught the preparation; None where it came fitted.
    """

    preparation: AutoPrepare
    table: "DuckDBPyRelation"
    budget_mb: float
    learnt_from: int | None = None
    _receipts: list[Receipt] = field(default_factory=list, init=False)

    @cached_property
    def count(self) -> int:
        """How many rows the table has."""
        return int(self.table.aggregate("count(*)").fetchall()[0][0])

    @cached_property
    def at_once(self) -> int:
        """How many rows are held at a time."""
        return rows_within(self.budget_mb, len(self.table.columns))

    def learn(self) -> None:
        """Fit the preparation on a sample of the table, stratified by the order of its rows."""
        self._refuse_near()
        places = stratified(self.count, self.at_once, int(self.preparation.random_state or 0))
        self.preparation.fit(_frame_of(self._rows_at(places)))
        self.learnt_from = len(places)

    def prepared(self) -> Iterator[Batch]:
        """The prepared rows.

        Raises:
            DeclarationError: near duplicates are to be dropped, which only a whole table can tell.
        """
        self._refuse_near()
        # Before the table is read: a connection answers one question at a time.
        schema, drops = self.schema, self._duplicates()
        first = 0
        for batch in self._batches():
            dropped = {
                reason: np.isin(np.arange(first, first + batch.num_rows), places)
                for reason, places in drops.items()
            }
            first += batch.num_rows
            done = self.preparation.apply(
                _frame_of(pa.Table.from_batches([batch])), duplicates=dropped
            )
            self._receipts.append(done.receipt)
            yield self._as_arrow(done, batch, schema)

    @property
    def receipt(self) -> Receipt:
        """What was done to all batches that were prepared."""
        return replace(
            added_up(self._receipts, self.preparation.receipt_), learnt_from=self.learnt_from
        )

    @cached_property
    def schema(self) -> pa.Schema:
        """The prepared columns: whole numbers are integers where they were integers before.

        Whether all of a column of floats are whole is known when the last batch has been written.
        """
        return pa.schema([self._field(name) for name in self.preparation.get_feature_names_out()])

    @cached_property
    def cells_schema(self) -> pa.Schema:
        """A mark for each column that came, but for one that is passed on."""
        return pa.schema([(name, pa.uint8()) for name in self.preparation.preparation_.readers])

    def _field(self, name: str) -> pa.Field:
        if name in self.preparation.preparation_.kept:
            return self._source.field(name)
        like = self._like[[name]]
        kind = pa.Schema.from_pandas(like, preserve_index=False).field(0).type
        if pa.types.is_integer(kind) and not self._stays_whole(name):
            kind = pa.float64()
        return pa.field(name, pa.string() if pa.types.is_null(kind) else kind)

    def _stays_whole(self, name: str) -> bool:
        """Whether no row of the table can leave with a part of a whole number."""
        learnt = self.preparation.preparation_
        bounds = learnt.bounds.get(name)
        fill = learnt.filling.numbers.get(name) if learnt.filling else None
        return (
            pa.types.is_integer(self._source.field(name).type)
            and (bounds is None or all(map(_is_whole_or_open, (bounds.low, bounds.high))))
            and (fill is None or fill.is_whole())
        )

    @cached_property
    def _like(self) -> pd.DataFrame:
        """A few prepared rows, for their types."""
        few = _frame_of(self.table.limit(_FEW).to_arrow_table())
        made: pd.DataFrame = self.preparation.transform(few)
        return made

    @cached_property
    def _source(self) -> pa.Schema:
        return self.table.limit(0).to_arrow_table().schema

    def _batches(self) -> Iterator[pa.RecordBatch]:
        return iter(self.table.to_arrow_reader(self.at_once))

    def _rows_at(self, places: NDArray[np.int64]) -> pa.Table:
        """The rows at these places, which rise."""
        found, first = [], 0
        for batch in self._batches():
            low, high = np.searchsorted(places, [first, first + batch.num_rows])
            found.append(batch.take(pa.array(places[low:high] - first)))
            first += batch.num_rows
        return pa.Table.from_batches(found, schema=self._source)

    def _refuse_near(self) -> None:
        if self.preparation.near_duplicates:
            raise DeclarationError(
                "option near_duplicates",
                f"the table has {self.count:,} rows, of which {self.at_once:,} are held at a time",
                allowed="tables that fit into `budget_mb`",
                fix="give more budget_mb, or drop near duplicates before",
            )

    def _duplicates(self) -> dict[str, NDArray[np.int64]]:
        """By reason, the places of rows that repeat an earlier one."""
        asked = dict(self.preparation.duplicates_of(tuple(self.table.columns)))
        return {reason: _repeated(self.table, keys) for reason, keys in asked.items()}

    def _as_arrow(self, done: Prepared, batch: pa.RecordBatch, schema: pa.Schema) -> Batch:
        frame = done.frame
        left = pa.array(frame.index.to_numpy())
        passed_on = {
            name: batch.column(name).take(left) for name in self.preparation.preparation_.kept
        }
        columns = [
            passed_on[name] if name in passed_on else _array(frame[name], schema.field(name))
            for name in schema.names
        ]
        marks = [pa.array(done.cells[name].to_numpy()) for name in self.cells_schema.names]
        return Batch(
            pa.RecordBatch.from_arrays(columns, schema=schema),
            pa.RecordBatch.from_arrays(marks, schema=self.cells_schema),
        )


def _frame_of(rows: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas(date_as_object=False)
    return frame


def _is_whole_or_open(bound: float) -> bool:
    return bool(np.isinf(bound) or bound == np.rint(bound))


def _array(values: pd.Series, field: pa.Field) -> pa.Array:
    return pa.Array.from_pandas(values, type=field.type)


def _repeated(table: "DuckDBPyRelation", keys: Sequence[str]) -> NDArray[np.int64]:
    """Places of rows that have these columns in common with an earlier row, rising.

    Rows are compared only where their hashes agree, so that what is held is a number a row.
    """
    names = ", ".join(map(quote, keys))
    is_key = " AND ".join(f"{quote(key)} IS NOT NULL" for key in keys)
    whole = len(keys) == len(table.columns)
    numbered = table.project(f"row_number() OVER () - 1 AS {_ROW}, hash({names}) AS {_MARK}, *")
    query = f"""
        WITH suspects AS (SELECT {_MARK} FROM numbered GROUP BY {_MARK} HAVING count(*) > 1)
        SELECT {_ROW} FROM (FROM numbered SEMI JOIN suspects USING ({_MARK}))
        WHERE {"true" if whole else is_key}
        QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY {_ROW}) > 1
        ORDER BY {_ROW}
    """
    found = cast("DuckDBPyRelation", numbered.query("numbered", query))
    return np.array(found.to_arrow_table()[_ROW], np.int64)
