"""Tables made by `AutoPrepare`: their rows, what was done to each cell, what was learnt, receipts.

Beside a prepared table stand a table of its cells, the fitted preparation, which prepares other
rows in the same way, and the receipt as JSON and as a page. The component knows how they are asked
for; this knows how they are made, kept and found again.
"""

import json
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError
from ml_platform.kernel.names import TableKey, file_stem
from ml_platform.storage.files import full_disk_is_told
from ml_platform.storage.tables import TableStore, Write, Written

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from duckdb import DuckDBPyRelation
    from numpy.typing import NDArray

    from ml_platform.preparation.batches import Batch, Batches
    from ml_platform.preparation.receipt import Receipt
    from ml_platform.preparation.transformer import AutoPrepare, Prepared
    from ml_platform.storage.tables import Data

KEPT = "preparation.pickle"
"""The name of the fitted preparation in the folder of its table."""

IMPUTED_SHARE = "imputed_share"

_ENGINE_MB = 64
"""With less DuckDB reads no file."""

_LIBRARIES = ("scikit-learn", "pandas", "numpy", "lightgbm", "skrub")


@dataclass(frozen=True)
class Kept:
    """A fitted preparation, and its version: the same for the same bytes."""

    preparation: "AutoPrepare"
    version: str


@dataclass(frozen=True)
class Place:
    """Where a prepared table lies and what made it."""

    store: TableStore
    project: str
    key: TableKey
    partition: str | None
    run_id: str
    keep_versions: int

    def write(self, key: TableKey, data: "Data", how: Write) -> Written:
        """Write this table, or the one beside it."""
        return self.store.write(self.project, key, data, partition=self.partition, how=how)

    def publish(self, name: str, content: bytes) -> str:
        """Put a document beside the table; its URL."""
        return self.store.publish(
            self.project, self.key, name, content, keep_versions=self.keep_versions
        )


def cells_key(key: TableKey) -> TableKey:
    """The table of the cells of a prepared table."""
    return TableKey(key.layer, f"{key.name}_cells")


def learn(frame: "pd.DataFrame", options: Mapping[str, Any]) -> "tuple[AutoPrepare, Prepared]":
    """Learn a preparation from these rows, and prepare them.

    Raises:
        DataError, DeclarationError: the rows or the options do not allow it.
    """
    from ml_platform.preparation.transformer import AutoPrepare

    preparation = AutoPrepare(**options)
    return preparation, preparation.prepare(frame)


def within(store: TableStore, budget_mb: float) -> TableStore:
    """The same tables; what the engine holds spills to disk beyond a quarter of the budget."""
    return replace(store, memory_limit=f"{max(budget_mb / 4, _ENGINE_MB):.0f}MiB")


def is_larger(table: "DuckDBPyRelation", budget_mb: float) -> bool:
    """Whether a table has more rows than the budget holds at a time."""
    from ml_platform.preparation.budget import rows_within

    count = table.aggregate("count(*)").fetchall()[0][0]
    return bool(count > rows_within(budget_mb, len(table.columns)))


def batches_of(
    table: "DuckDBPyRelation", preparation: "AutoPrepare", budget_mb: float
) -> "Batches":
    """A table that is prepared batch by batch, by what was learnt from another."""
    from ml_platform.preparation.batches import Batches

    return Batches(preparation, table, budget_mb)


def learnt_batches(
    table: "DuckDBPyRelation", options: Mapping[str, Any], budget_mb: float
) -> "Batches":
    """A table that is prepared batch by batch, by what a sample of it taught.

    Raises:
        DataError, DeclarationError: the rows or the options do not allow it.
    """
    from ml_platform.preparation.transformer import AutoPrepare

    batches = batches_of(table, AutoPrepare(**options), budget_mb)
    batches.learn()
    return batches


def with_imputed_share(prepared: "Prepared") -> "pd.DataFrame":
    """The rows with `imputed_share`: which share (0 to 1) of a row's inputs was filled.

    Raises:
        DataError: the table has such a column already.
    """
    _refuse_share_in(prepared.frame.columns)
    return prepared.frame.assign(**{IMPUTED_SHARE: _imputed_share(prepared.cells.to_numpy())})


def _refuse_share_in(columns: "Iterable[str]") -> None:
    if IMPUTED_SHARE in columns:
        raise DataError(
            f"column '{IMPUTED_SHARE}'",
            "the table has one already",
            fix="rename it, or leave `add_imputed_share` out",
        )


def _imputed_share(cells: "NDArray[np.uint8]") -> "NDArray[np.float64]":
    from ml_platform.preparation.fitted import FILLED

    share: NDArray[np.float64] = ((cells & FILLED) > 0).mean(axis=1)
    return share


@dataclass(frozen=True)
class WrittenBatches:
    """What `write_in_batches` left: the table, and the table of its cells."""

    table: Written
    cells: Written


def write_in_batches(
    place: Place, batches: "Batches", how: Write, *, share: bool
) -> WrittenBatches:
    """Write a table that is prepared batch by batch, and its cells, without holding either.

    Args:
        place: whose table it is.
        batches: learnt.
        how: how both are written.
        share: whether `imputed_share` is added.

    Raises:
        DataError: the table has such a column already.
        StorageFullError: the disk is full; what was there before stays.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = batches.schema
    if share:
        _refuse_share_in(schema.names)
        schema = schema.append(pa.field(IMPUTED_SHARE, pa.float64()))

    # The rows wait in a file until their cells are in place: who finds them finds all.
    with (
        full_disk_is_told(f"table {place.project}:{place.key}"),
        tempfile.TemporaryDirectory(prefix="ml-platform-prepared-") as folder,
    ):
        waiting = Path(folder) / "rows.parquet"
        with pq.ParquetWriter(waiting, schema, compression="zstd") as writer:

            def cells() -> "Iterator[pa.RecordBatch]":
                for batch in batches.prepared():
                    writer.write_batch(_with_share(batch, schema) if share else batch.rows)
                    yield batch.cells

            reader = pa.RecordBatchReader.from_batches(batches.cells_schema, cells())
            beside = place.write(cells_key(place.key), reader, how)
        with pq.ParquetFile(waiting) as rows:
            again = pa.RecordBatchReader.from_batches(schema, rows.iter_batches())
            return WrittenBatches(place.write(place.key, again, how), beside)


def _with_share(batch: "Batch", schema: "pa.Schema") -> "pa.RecordBatch":
    import numpy as np
    import pyarrow as pa

    marks = np.column_stack([column.to_numpy() for column in batch.cells.columns])
    share = pa.array(_imputed_share(marks))
    return pa.RecordBatch.from_arrays([*batch.rows.columns, share], schema=schema)


def keep(place: Place, preparation: "AutoPrepare") -> Kept:
    """Write a fitted preparation beside its table; what it replaces stays as a version."""
    content = pickle.dumps(preparation)
    fingerprint = sha256(content).hexdigest()[:12]
    head = {"version": fingerprint, "libraries": {name: version(name) for name in _LIBRARIES}}
    place.publish(KEPT, json.dumps(head).encode() + b"\n" + content)
    return Kept(preparation, fingerprint)


def find(store: TableStore, project: str, key: TableKey) -> Kept:
    """The fitted preparation of a prepared table.

    Raises:
        NotFoundError: the table was not prepared yet.
        DataError: it was kept by libraries with which these cannot read it.
    """
    head, _, content = store.document(project, key, KEPT).partition(b"\n")
    said = json.loads(head)
    try:
        # Like a model, it runs code when it is loaded; who may write there may do so anyhow.
        preparation = pickle.loads(content)  # noqa: S301
    except (AttributeError, ImportError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(
            f"the preparation of {project}:{key}",
            f"it cannot be read: {error}",
            allowed=", ".join(f"{name} {number}" for name, number in said["libraries"].items()),
            fix=f"materialise {key} again",
        ) from error
    return Kept(preparation, said["version"])


def publish_receipt(place: Place, receipt: "Receipt", preparation_version: str) -> str:
    """Write the receipt as JSON and as a page beside the table; the page's URL."""
    made_at = datetime.now(tz=UTC)
    origin = {
        "project": place.project,
        "table": str(place.key),
        "partition": place.partition,
        "preparation_version": preparation_version,
        "run_id": place.run_id,
        "made_at": made_at.isoformat(timespec="seconds"),
    }
    data = {**origin, "receipt": asdict(receipt)}
    name = "receipt" if place.partition is None else f"receipt-{file_stem(place.partition)}"
    place.publish(f"{name}.json", json.dumps(data, ensure_ascii=False, default=str).encode())
    said = (
        f"{place.project}, {made_at:%Y-%m-%d %H:%M UTC}, run {place.run_id[:8]}, "
        f"preparation {preparation_version}"
    )
    title = str(place.key) if place.partition is None else f"{place.key}, {place.partition}"
    return place.publish(f"{name}.html", receipt.to_html(title, said).encode())
