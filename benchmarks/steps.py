"""What a step costs beside its own work: events, metadata, the write of a tiny table, one check.

A project has tiny tables, made by a SQL file or by a Python function, each with a blocking check.
A run of one of them and a run of all of them, in process on an instance in files as `make demo` has
it, are measured after a first run has imported everything; the difference is what the others cost.
The same work called bare (the query in DuckDB, the function on its frame) is taken off. The peer
is an asset of Dagster's own that does nothing and writes nothing, with a check that says yes, on
the same instance: what is above it is the platform's own.
"""

import importlib
import json
import sys
import tempfile
from pathlib import Path

import bench

PACKAGE = "generated_defs"
PROJECT = "shop"
STEPS = 30
KINDS = ("sql", "python", "dagster")

QUERY = "SELECT store_id, week, sales, sales / 7 AS sales_a_day FROM raw.sales\n"

FUNCTION = """\
def daily(sales):
    return sales.assign(sales_a_day=sales["sales"] / 7)
"""

SQL_TABLE = """\
type: ml_platform.components.FeatureTable
attributes:
  key: features/t{number}
  sql: daily.sql
"""

PYTHON_TABLE = f"""\
type: ml_platform.components.FeatureTable
attributes:
  key: features/t{{number}}
  python: {PACKAGE}.functions:daily
  inputs: {{{{sales: raw/sales}}}}
"""

CHECK = """\
type: ml_platform.components.Checks
attributes:
  table: features/t{number}
  pandera:
    min_rows: 1
    columns:
      store_id: {{type: integer}}
      sales_a_day: {{type: number}}
"""


def write_project(root: Path, kind: str) -> None:
    """The declarations, and the raw table that all of them read."""
    import pyarrow as pa

    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore

    project = root / PACKAGE / PROJECT
    project.mkdir(parents=True)
    (root / PACKAGE / "__init__.py").touch()
    (root / PACKAGE / "functions.py").write_text(FUNCTION)
    (project / "daily.sql").write_text(QUERY)
    table = {"sql": SQL_TABLE, "python": PYTHON_TABLE}[kind]
    documents = [
        text.format(number=number) for number in range(STEPS + 1) for text in (table, CHECK)
    ]
    (project / "defs.yaml").write_text("---\n".join(documents))
    rows = {"store_id": [1, 2, 3] * 10, "week": list(range(30)), "sales": [700.0] * 30}
    TableStore(str(root / "tables")).write(PROJECT, TableKey("raw", "sales"), pa.table(rows))


def bare(kind: str, root: Path) -> None:
    """The step's own work, without anything around it."""
    import duckdb

    source = next((root / "tables" / PROJECT / "raw" / "sales").glob("*.parquet"))
    scan = f"read_parquet('{source}')"
    if kind == "sql":
        query = QUERY.replace("raw.sales", scan)
        duckdb.sql(query).to_arrow_table()
    elif kind == "python":
        functions = importlib.import_module(f"{PACKAGE}.functions")
        functions.daily(duckdb.sql(f"FROM {scan}").to_arrow_table().to_pandas())


def declared(root: Path, kind: str):
    """The project of YAML, loaded."""
    import dagster as dg

    from ml_platform.loading.project import load_tree
    from ml_platform.storage.io_manager import TableIOManager
    from ml_platform.storage.resource import Tables

    write_project(root, kind)
    tables = Tables(root=str(root / "tables"))
    resources = {"tables": tables, "io_manager": TableIOManager(tables=tables)}
    tree = dg.ComponentTree.from_module(importlib.import_module(PACKAGE), project_root=root)
    project = load_tree(tree, PROJECT, dg.Definitions(resources=resources))
    if project.broken:
        raise SystemExit(str(project.broken[0]))
    return project.definitions


def by_dagster():
    """As many assets and checks of Dagster's own, which do nothing."""
    import dagster as dg

    def made(number: int):
        @dg.asset(key=["features", f"t{number}"], deps=[["raw", "sales"]])
        def step() -> dg.MaterializeResult:
            return dg.MaterializeResult(metadata={"dagster/row_count": 30})

        @dg.asset_check(asset=["features", f"t{number}"], name="schema", blocking=True)
        def check() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=True)

        return step, check

    pairs = [made(number) for number in range(STEPS + 1)]
    return dg.Definitions(
        assets=[step for step, _ in pairs], asset_checks=[check for _, check in pairs]
    )


def measure(kind: str, root: Path, runs: int) -> dict[str, float]:
    """CPU milliseconds a step in this process, each the median of some runs."""
    import statistics

    import dagster as dg

    from ml_platform.execution.launch import materialise

    sys.path.insert(0, str(root))
    definitions = by_dagster() if kind == "dagster" else declared(root, kind)
    keys = [dg.AssetKey(["features", f"t{number}"]) for number in range(STEPS + 1)]

    def run(chosen: list[dg.AssetKey]) -> float:
        with bench.spent() as cost:
            outcome = materialise(definitions, instance, chosen)
        made = [one for one in outcome.happenings if one.kind in {"made", "checked"}]
        if not outcome.success or len(made) != 2 * len(chosen):
            raise SystemExit(f"{outcome}")
        return cost.cpu_s

    def work() -> float:
        with bench.spent() as cost:
            for _ in range(STEPS):
                bare(kind, root)
        return cost.cpu_s

    home = root / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((bench.ROOT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run(keys[:1])  # imports, and the tables of the instance
        one = statistics.median(run(keys[:1]) for _ in range(runs))
        many = statistics.median(run(keys) for _ in range(runs))
        own = 0.0 if kind == "dagster" else statistics.median(work() for _ in range(runs))
    return {
        "run_ms": 1000 * one,
        "step_ms": 1000 * (many - one) / STEPS,
        "bare_ms": 1000 * own / STEPS,
    }


def main() -> int:
    options = bench.arguments(__doc__, runs=3, processes=3)

    def variant(kind: str):
        def run() -> dict[str, float]:
            with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as folder:
                return bench.in_fresh_process(
                    __file__, kind, folder, options.runs, ML_PLATFORM_HOME=f"{folder}/var"
                )

        return run

    return report(bench.medians({kind: variant(kind) for kind in KINDS}, options.processes))


def report(found: dict[str, dict[str, float]]) -> int:
    """The table, and the promise for each kind of table."""
    header = ["a step and its check", "CPU ms", "bare, CPU ms", "overhead", "a run of one"]
    names = {"sql": "SQL file", "python": "Python function", "dagster": "dagster, doing nothing"}
    overhead = {kind: one["step_ms"] - one["bare_ms"] for kind, one in found.items()}
    rows = [
        (names[kind], one["step_ms"], one["bare_ms"], overhead[kind], one["run_ms"])
        for kind, one in found.items()
    ]
    promises = [
        bench.Promise(
            f"the platform's own of it ({names[kind]}), CPU ms", overhead[kind] - floor, 50
        )
        for floor in [overhead["dagster"]]
        for kind in ("sql", "python")
    ]
    stack = bench.versions("dagster", "duckdb", "pandera", "pyarrow")
    return bench.finish("steps", header, rows, promises, stack)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in KINDS:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        sys.exit(main())
