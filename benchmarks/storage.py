"""A large Parquet table through a SQL FeatureTable, against the same query typed into DuckDB.

The table of ten million rows is written once. Each measured run is a fresh process: the component
in a project, run in process as the command line does, or DuckDB alone with a COPY of the query.

What is compared is the query part: the CPU seconds that the step tells in its metadata (reading,
writing and the preview, without Dagster's own start of a run, which stands beside it), and the
memory on top of what the process holds after the same on a small table (a Python with Dagster is
larger than one without).
"""

import importlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import bench

PACKAGE = "generated_defs"
PROJECT = "shop"
ROWS = 10_000_000
TABLES = ("small", "sales")

QUERY = """\
SELECT
    store_id,
    week,
    sales,
    lag(sales) OVER (PARTITION BY store_id ORDER BY week) AS sales_a_week_ago,
    round(temperature_f * 5 / 9 - 160 / 9, 1) AS temperature_c,
    is_holiday
FROM raw.{table}
WHERE sales > 0
"""

DECLARATION = """\
type: ml_platform.components.FeatureTable
attributes:
  key: features/{table}
  sql: {table}.sql
"""

MADE = """\
SELECT
    (i * 7919) % 1000 AS store_id,
    DATE '2000-01-07' + INTERVAL 7 DAY * (i // 1000) AS week,
    (hash(i) % 2000000)::INTEGER / 100 - 200 AS sales,
    (hash(i + 1) % 1000)::INTEGER / 10 AS temperature_f,
    hash(i + 2) % 13 = 0 AS is_holiday
FROM range({rows}) AS numbers(i)
"""


def prepare(root: Path, rows: int) -> None:
    """The project's files, and its raw tables: the large one, and a small one to begin with."""
    import duckdb

    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore

    project = root / PACKAGE / PROJECT
    project.mkdir(parents=True)
    (root / PACKAGE / "__init__.py").touch()
    (project / "defs.yaml").write_text("---\n".join(DECLARATION.format(table=t) for t in TABLES))
    store = TableStore(str(root / "tables"))
    for table, count in zip(TABLES, (1000, rows), strict=True):
        (project / f"{table}.sql").write_text(QUERY.format(table=table))
        with duckdb.connect() as connection:
            made = connection.sql(MADE.format(rows=count))
            store.write(PROJECT, TableKey("raw", table), made)


class Peak:
    """The most resident memory while a block runs, and what the block spent.

    The system keeps the peak; it is made to forget the one before the block.
    """

    def __init__(self) -> None:
        self.cpu_s = self.base_mb = self.peak_mb = 0.0

    def __enter__(self) -> Self:
        Path("/proc/self/clear_refs").write_text("5")
        self.base_mb = _status("VmRSS")
        self._start = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s = time.process_time() - self._start
        self.peak_mb = _status("VmHWM")


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status has no {field}: this benchmark needs Linux")


def run_component(root: Path) -> tuple[Peak, float]:
    """One run of the asset, and the CPU seconds of its step as its own metadata has them."""
    import dagster as dg

    from ml_platform.execution.launch import materialise
    from ml_platform.loading.project import load_tree
    from ml_platform.storage.io_manager import TableIOManager
    from ml_platform.storage.resource import Tables

    sys.path.insert(0, str(root))
    tables = Tables(root=str(root / "tables"))
    resources = {"tables": tables, "io_manager": TableIOManager(tables=tables)}
    tree = dg.ComponentTree.from_module(importlib.import_module(PACKAGE), project_root=root)
    project = load_tree(tree, PROJECT, dg.Definitions(resources=resources))
    small, sales = (dg.AssetKey(["features", table]) for table in TABLES)
    with tempfile.TemporaryDirectory() as home, dg.instance_for_test(temp_dir=home) as instance:
        materialise(project.definitions, instance, [small])
        with Peak() as cost:
            outcome = materialise(project.definitions, instance, [sales])
        if not outcome.success:
            raise SystemExit(str(outcome.failures))
        event = instance.get_latest_materialization_event(sales)
        made = event.asset_materialization.metadata
    return cost, float(made["cpu_seconds"].value)


def run_duckdb(root: Path) -> tuple[Peak, float]:
    """The query as a person types it."""
    import duckdb

    def copy(table: str) -> None:
        source = next((root / "tables" / PROJECT / "raw" / table).glob("*.parquet"))
        query = QUERY.format(table=table).replace(f"raw.{table}", f"read_parquet('{source}')")
        with duckdb.connect() as connection:
            connection.execute(f"SET temp_directory = '{root}'")
            connection.execute(
                f"COPY ({query}) TO '{root}/typed.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )

    small, sales = TABLES
    copy(small)
    with Peak() as cost:
        copy(sales)
    return cost, cost.cpu_s


def measure(kind: str, root: Path) -> dict[str, float]:
    """Run in this process, and say whether pandas was imported on the way."""
    cost, query_s = {"ours": run_component, "duckdb": run_duckdb}[kind](root)
    return {
        "query_s": query_s,
        "cpu_s": cost.cpu_s,
        "base_mb": cost.base_mb,
        "peak_mb": cost.peak_mb,
        "more_mb": cost.peak_mb - cost.base_mb,
        "pandas": float("pandas" in sys.modules),
    }


def same_rows(root: Path) -> bool:
    """Whether both wrote the same rows."""
    import duckdb

    ours = next((root / "tables" / PROJECT / "features" / "sales").glob("*.parquet"))
    sums = [
        duckdb.sql(f"SELECT count(*), sum(hash(t)) FROM read_parquet('{one}') AS t").fetchall()
        for one in (ours, root / "typed.parquet")
    ]
    return sums[0] == sums[1]


def main() -> int:
    options = bench.arguments(__doc__, runs=3, rows=ROWS)
    with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as folder:
        root = Path(folder)
        prepare(root, options.rows)
        variants = {
            kind: lambda kind=kind: bench.in_fresh_process(__file__, kind, root)
            for kind in ("duckdb", "ours")
        }
        found = bench.medians(variants, options.runs)
        if not same_rows(root):
            raise SystemExit("the two results differ")
    return report(found["ours"], found["duckdb"])


def report(ours: dict[str, float], peer: dict[str, float]) -> int:
    """The table, and the promises: time, memory, and no pandas."""
    header = [
        "by",
        "query, CPU s",
        "whole run, CPU s",
        "memory before, MB",
        "peak, MB",
        "more, MB",
        "pandas imported",
    ]
    rows = [
        (
            name,
            one["query_s"],
            one["cpu_s"],
            one["base_mb"],
            one["peak_mb"],
            one["more_mb"],
            "yes" if one["pandas"] else "no",
        )
        for name, one in {"FeatureTable": ours, "duckdb COPY": peer}.items()
    ]
    promises = [
        bench.Promise("CPU time, FeatureTable / DuckDB", ours["query_s"] / peer["query_s"], 1.15),
        bench.Promise("memory, FeatureTable / DuckDB", ours["more_mb"] / peer["more_mb"], 1.15),
        bench.Promise("processes of ours that import pandas", ours["pandas"], 0),
    ]
    return bench.finish("storage", header, rows, promises, bench.versions("duckdb", "dagster"))


if __name__ == "__main__":
    if len(sys.argv) == 3 and not sys.argv[1].startswith("-"):
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
    else:
        sys.exit(main())
