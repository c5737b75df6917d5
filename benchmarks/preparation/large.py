"""A table larger than its budget: how much memory preparing takes, and what a row costs.

The table is the timed one over and over, each time later than the one before; its rows go through
the batches of `PreparedTable` into Parquet files, in a fresh process whose memory is watched.
"""

import json
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import bench
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from preparation.run import Run
from preparation.tables import Table, parts_of
from preparation.timing import again_later

LOOK_S = 0.01


@dataclass(frozen=True)
class Large:
    """What one run found: MiB and CPU seconds."""

    rows: int
    budget_mb: float
    learnt_from: int
    before_mb: float
    peak_mb: float
    cpu_s: float
    file_mb: float

    @property
    def taken_mb(self) -> float:
        """What preparing took, beside what the process had before."""
        return self.peak_mb - self.before_mb


def take(on: Run, table: Table, rows: int, budget_mb: float) -> Large:
    """Prepare so many rows within so much memory."""
    source = on.folder / "large.parquet"
    write_repeated(table.frame, source, rows)
    found = bench.in_fresh_process(__file__, source, budget_mb, **on.environ)
    return Large(**found)


def write_repeated(frame: pd.DataFrame, path: Path, rows: int) -> None:
    """The table again and again, each time later, until there are that many rows."""
    parts, schema = parts_of(frame), pa.Schema.from_pandas(frame, preserve_index=False)
    with pq.ParquetWriter(path, schema) as writer:
        for number, first in enumerate(range(0, rows, len(frame))):
            later = again_later(frame, parts, number).head(rows - first)
            writer.write_table(pa.Table.from_pandas(later, schema=schema, preserve_index=False))


def report(found: Large, stack: dict[str, str]) -> int:
    """The table and the promise; 1 if it is not kept."""
    header = ["rows", "file, MB", "budget, MB", "learnt from", "taken, MB", "CPU s", "us a row"]
    row = (
        found.rows, found.file_mb, found.budget_mb, found.learnt_from, found.taken_mb,
        found.cpu_s, 1e6 * found.cpu_s / found.rows,
    )  # fmt: skip
    print(f"\nA table larger than its budget: {found.rows:,} rows")
    promise = bench.Promise("memory taken / budget_mb", found.taken_mb / found.budget_mb, 1.0)
    return bench.finish("preparation-large", header, [row], [promise], stack)


class Watched:
    """The most resident memory of this process within a block, in MiB."""

    def __enter__(self) -> Self:
        self._process, self._over = psutil.Process(), threading.Event()
        self.before_mb = self.peak_mb = self._now()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _now(self) -> float:
        return self._process.memory_info().rss / 2**20

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self.peak_mb = max(self.peak_mb, self._now())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def measure(source: Path, budget_mb: float) -> Large:
    """Learn and prepare, after a first time on a few rows that loads the libraries."""
    import duckdb

    from ml_platform.preparation.batches import Batches
    from ml_platform.preparation.transformer import AutoPrepare

    few = pq.ParquetFile(source)
    first = next(few.iter_batches(3_000)).to_pandas()
    AutoPrepare().prepare(first)
    limit = f"{budget_mb / 4:.0f}MiB"
    with tempfile.TemporaryDirectory() as folder, Watched() as memory:
        start = time.process_time()
        connection = duckdb.connect(config={"memory_limit": limit, "temp_directory": folder})
        batches = Batches(AutoPrepare(), connection.read_parquet(str(source)), budget_mb)
        batches.learn()
        with (
            pq.ParquetWriter(f"{folder}/rows.parquet", batches.schema) as rows,
            pq.ParquetWriter(f"{folder}/cells.parquet", batches.cells_schema) as cells,
        ):
            for batch in batches.prepared():
                rows.write_batch(batch.rows)
                cells.write_batch(batch.cells)
        cpu_s = time.process_time() - start
    return Large(
        batches.receipt.rows, budget_mb, batches.learnt_from or 0, memory.before_mb,
        memory.peak_mb, cpu_s, source.stat().st_size / 2**20,
    )  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Path(sys.argv[1]), float(sys.argv[2])))))
