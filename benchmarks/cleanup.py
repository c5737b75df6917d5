"""A large partitioned table cleaned under a memory limit, against the same work typed into DuckDB.

A raw table of events in monthly files is made once: of each event some are repeated, texts have
spaces and capitals, numbers come as text, some are missing. The clean-up keeps the last of each
event, trims and reads the texts, and sorts by customer and time: it has to see a whole month, and
with the sort takes more memory than the limit allows, so it spills to disk.

One side is a FeatureTable with `backfill: single_run` and `execution: {memory: ...}`, made by the
platform in one run on an instance in files. The other is a script of a dozen lines: for each month
a COPY of the same query, with the same threads, and DuckDB's limit and optimizer set as the
platform sets them. Each is a fresh process; CPU seconds include those of the processes that it
starts, the peak is that of the largest of them. The asked size is 20 GB of Parquet under 4 GiB;
`--mb` and `--limit` set others in the same proportion.
"""

import importlib
import json
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bench

PACKAGE = "generated_defs"
PROJECT = "shop"
MONTHS = 12
MB, LIMIT_MB = 2048, 410
ROW_BYTES = 30
"""Of the raw table in Parquet, measured."""

QUERY = """\
SELECT
    event_id,
    customer_id,
    happened_at,
    lower(trim(kind)) AS kind,
    try_cast(replace(amount_eur, ',', '.') AS DECIMAL(12, 2)) AS amount_eur,
    coalesce(nullif(trim(note), ''), 'none') AS note
FROM {source}
WHERE happened_at >= $start AND happened_at < $end
QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY changed_at DESC) = 1
ORDER BY customer_id, happened_at, event_id
"""

MADE = """\
SELECT
    i - i % 20 // 19 AS event_id,
    (hash(i) % 1000000)::INTEGER AS customer_id,
    TIMESTAMP '{month}' + INTERVAL 1 SECOND * (hash(i + 1) % 2400000)::INTEGER AS happened_at,
    TIMESTAMP '2025-01-01' + INTERVAL 1 SECOND * i AS changed_at,
    [' Order', 'order ', 'RETURN', 'return', ' Visit '][1 + (hash(i + 2) % 5)::INTEGER] AS kind,
    CASE WHEN hash(i + 3) % 50 = 0 THEN 'n/a'
        ELSE (hash(i + 4) % 100000)::VARCHAR || ',' || (10 + hash(i + 5) % 90)::VARCHAR
    END AS amount_eur,
    CASE WHEN hash(i + 6) % 3 = 0 THEN ' ' ELSE md5(i::VARCHAR) END AS note
FROM range({first}, {last}) AS numbers(i)
"""

DECLARATION = """\
type: ml_platform.components.FeatureTable
attributes:
  key: features/events
  sql: events.sql
  partitions: {{every: month, start: 2024-01-01, end: 2025-01-01}}
  execution: {{memory: {limit}MiB, cpus: {cores}}}
"""


def months() -> list[str]:
    return [f"2024-{number:02}-01" for number in range(1, MONTHS + 1)]


def ends(month: str) -> str:
    year, number = int(month[:4]), int(month[5:7])
    return f"{year + number // 12}-{number % 12 + 1:02}-01"


def prepare(root: Path, mb: int, limit_mb: int) -> int:
    """The project's files and the raw table; its bytes."""
    import duckdb

    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore

    project = root / PACKAGE / PROJECT
    project.mkdir(parents=True)
    (root / PACKAGE / "__init__.py").touch()
    declared = DECLARATION.format(limit=limit_mb, cores=os.cpu_count())
    (project / "defs.yaml").write_text(declared)
    (project / "events.sql").write_text(QUERY.format(source="raw.events"))
    (root / "dagster.yaml").write_text((bench.ROOT / "dagster.yaml").read_text())
    store, rows = TableStore(str(root / "tables")), mb * 1_000_000 // ROW_BYTES // MONTHS

    def make(number: int, month: str) -> None:
        with duckdb.connect() as connection:
            first = number * rows
            made = connection.sql(MADE.format(month=month, first=first, last=first + rows))
            store.write(PROJECT, TableKey("raw", "events"), made, partition=month)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make, range(MONTHS), months()))
    return sum(one.stat().st_size for one in (root / "tables").rglob("raw/events/*.parquet"))


def by_platform(root: Path) -> tuple[float, float, float]:
    """Seconds of one run over all months; CPU seconds and the peak in MB of its workers."""
    import dagster as dg

    from ml_platform.execution.launch import materialise
    from ml_platform.execution.usage import usage
    from ml_platform.loading.project import load_tree
    from ml_platform.storage.io_manager import TableIOManager
    from ml_platform.storage.resource import Tables

    sys.path.insert(0, str(root))
    tables = Tables(root=str(root / "tables"))
    resources = {"tables": tables, "io_manager": TableIOManager(tables=tables)}
    tree = dg.ComponentTree.from_module(importlib.import_module(PACKAGE), project_root=root)
    project = load_tree(tree, PROJECT, dg.Definitions(resources=resources))
    begun = time.perf_counter()
    with dg.DagsterInstance.from_config(str(root)) as instance:
        key = dg.AssetKey(["features", "events"])
        outcome = materialise(project.definitions, instance, [key], months())
        taken = time.perf_counter() - begun
        if not outcome.success:
            raise SystemExit(str(outcome.failures))
        (cost,) = usage(instance, datetime.now(UTC) - timedelta(days=1))
    return taken, cost.cpu_seconds, cost.peak_memory_bytes / 2**20


def by_hand(root: Path, limit_mb: int) -> tuple[float, float, float]:
    """Seconds of the script, which has no workers."""
    import duckdb

    begun = time.perf_counter()
    raw, typed = root / "tables" / PROJECT / "raw" / "events", root / "typed"
    typed.mkdir(exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{limit_mb * 7 // 10}MiB'")
        connection.execute(f"SET temp_directory = '{root}/spilled'")
        connection.execute("SET preserve_insertion_order = false")
        # Without this the script runs out of memory where a month is larger than the limit.
        connection.execute("SET disabled_optimizers = 'top_n_window_elimination'")
        for month in months():
            query = QUERY.format(source=f"read_parquet('{raw}/{month}.parquet')")
            query = query.replace("$start", f"TIMESTAMP '{month}'")
            query = query.replace("$end", f"TIMESTAMP '{ends(month)}'")
            connection.execute(
                f"COPY ({query}) TO '{typed}/{month}.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )
    return time.perf_counter() - begun, 0.0, 0.0


def measure(kind: str, root: Path, limit_mb: int) -> dict[str, float]:
    """What one side takes, with the processes that it starts.

    The system tells nothing of workers, which are killed in the end and not waited for: what they
    took is what the run has recorded of them.
    """
    done = by_platform(root) if kind == "platform" else by_hand(root, limit_mb)
    taken, workers_cpu_s, workers_peak_mb = done
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": taken,
        "cpu_s": sum(one.ru_utime + one.ru_stime for one in both) + workers_cpu_s,
        "peak_mb": max(workers_peak_mb, *(one.ru_maxrss / 1024 for one in both)),
    }


def same_rows(root: Path) -> bool:
    """Whether both wrote the same rows."""
    import duckdb

    tables = (root / "tables" / PROJECT / "features" / "events", root / "typed")
    sums = [
        duckdb.sql(
            f"SELECT count(*), sum(hash(t)) FROM read_parquet('{one}/*.parquet') AS t"
        ).fetchall()
        for one in tables
    ]
    return sums[0] == sums[1] and sums[0][0][0] > 0


def main() -> int:
    options = bench.arguments(__doc__, mb=MB, limit=LIMIT_MB, runs=1)
    with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as folder:
        root = Path(folder)
        size = prepare(root, options.mb, options.limit)
        variants = {
            kind: lambda kind=kind: bench.in_fresh_process(
                __file__, kind, root, options.limit, ML_PLATFORM_HOME=f"{root}/var"
            )
            for kind in ("script", "platform")
        }
        found = bench.medians(variants, options.runs)
        if not same_rows(root):
            raise SystemExit("the two results differ")
    print(f"{size / 1e6:,.0f} MB of Parquet in {MONTHS} files, a limit of {options.limit} MiB\n")
    return report(found, options.limit)


def report(found: dict[str, dict[str, float]], limit_mb: int) -> int:
    """The table, and the promises: time and memory."""
    header = ["by", "seconds", "CPU s", "peak of one process, MB"]
    names = {"platform": "FeatureTable", "script": "DuckDB, typed"}
    rows = [
        (names[kind], one["seconds"], one["cpu_s"], one["peak_mb"]) for kind, one in found.items()
    ]
    ours, peer = found["platform"], found["script"]
    promises = [
        bench.Promise("CPU time, FeatureTable / DuckDB", ours["cpu_s"] / peer["cpu_s"], 1.5),
        bench.Promise("seconds, FeatureTable / DuckDB", ours["seconds"] / peer["seconds"], 1.5),
        bench.Promise("peak of memory by the limit", ours["peak_mb"] / limit_mb, 1),
    ]
    return bench.finish("cleanup", header, rows, promises, bench.versions("duckdb", "dagster"))


if __name__ == "__main__":
    if len(sys.argv) == 4 and not sys.argv[1].startswith("-"):
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        sys.exit(main())
