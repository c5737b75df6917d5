"""Fan-out by partition: what a partition costs beside its own work, and what parallelism leaves.

365 daily partitions of a trivial SQL table are made by one run, as `backfill: single_run` has it,
in the step's own process, by two local processes and by two tasks on a Ray that runs already. The
peer is Dagster's default, a run a partition: launched through the daemon as a backfill is, on fewer
partitions, for each takes seconds; what is compared is the time a partition.

For the parallel efficiency both sides make the same CPU-bound partitions in two processes: the
engine, and the bare function in a `concurrent.futures` pool whose workers have started. Told is the
share of the time in which the workers had work, for that is what an engine decides; how fast they
are then is a matter of the machine. Starting is left out on both sides, and told beside it.

What a partition costs is CPU time of the process that makes the run: beside the partition's own
work where that is done there too, and all of it where others do the work, for then it is what they
wait for. Seconds are on the clock.
"""

import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import bench
from workers import busy, share

PACKAGE = "generated_defs"
PROJECT = "shop"
DAYS = 365
KINDS = ("own", "local", "ray", "dagster")
PARALLEL = 16
WORK = 2_000_000

TABLE = """\
type: ml_platform.components.FeatureTable
attributes:
  key: features/daily
  sql: daily.sql
  partitions: {{every: day, start: 2024-01-01, end: 2024-12-31}}
  backfill: {backfill}
  execution: {execution}
"""

QUERY = "SELECT $start AS day, 1 AS n\n"

LOCATION = """\
import importlib, sys
import dagster as dg
from ml_platform.loading.project import load_tree
from ml_platform.storage.io_manager import TableIOManager
from ml_platform.storage.resource import Tables
sys.path.insert(0, {root!r})
tables = Tables(root={root!r} + "/tables")
resources = {{"tables": tables, "io_manager": TableIOManager(tables=tables)}}
tree = dg.ComponentTree.from_module(
    importlib.import_module({package!r}), project_root=__import__("pathlib").Path({root!r})
)
defs = load_tree(tree, {project!r}, dg.Definitions(resources=resources)).definitions
"""

EXECUTIONS = {
    "own": "{}",
    "local": "{max_parallel: 2}",
    "ray": "{engine: ray, max_parallel: 2}",
    "dagster": "{}",
}


def write_project(root: Path, kind: str) -> None:
    project = root / PACKAGE / PROJECT
    project.mkdir(parents=True)
    (root / PACKAGE / "__init__.py").touch()
    (project / "daily.sql").write_text(QUERY)
    backfill = "run_per_partition" if kind == "dagster" else "single_run"
    (project / "defs.yaml").write_text(TABLE.format(backfill=backfill, execution=EXECUTIONS[kind]))
    (root / "location.py").write_text(
        LOCATION.format(root=str(root), package=PACKAGE, project=PROJECT)
    )
    (root / "dagster.yaml").write_text((bench.ROOT / "dagster.yaml").read_text())


def fan_out(kind: str, root: Path, days: int) -> dict[str, float]:
    """A run over many partitions and one over two: what each one more takes, and its own work."""
    import dagster as dg

    from ml_platform.execution.launch import materialise
    from ml_platform.execution.recording import materialisations

    sys.path.insert(0, str(root))
    definitions = importlib.import_module("location").defs
    key = dg.AssetKey(["features", "daily"])
    keys = definitions.resolve_asset_graph().get(key).partitions_def.get_partition_keys()

    def run(partitions) -> tuple[float, float]:
        begun, cpu = time.perf_counter(), time.process_time()
        outcome = materialise(definitions, instance, [key], partitions)
        taken = time.perf_counter() - begun, time.process_time() - cpu
        recorded = [event.partition for event in materialisations(instance, outcome.run_id)]
        if not outcome.success or sorted(recorded) != sorted(partitions):
            raise SystemExit(f"{outcome}, {len(recorded)} recorded")
        return taken

    with dg.DagsterInstance.from_config(str(root)) as instance, ray_for(kind):
        run(keys[:2])  # imports, and the tables of the instance
        few, many = run(keys[:2]), run(keys[:days])
    own = bare(root, keys[:days]) if kind == "own" else 0.0
    return {
        "run_s": many[0],
        "each_ms": 1000 * (many[0] - few[0]) / (days - 2),
        "cpu_ms": 1000 * (many[1] - few[1]) / (days - 2),
        "bare_ms": 1000 * own / days,
    }


def bare(root: Path, keys: list[str]) -> float:
    """CPU seconds of the partitions' own work: the query, and the write of its rows."""
    from datetime import datetime, timedelta

    from ml_platform.execution.work import Step
    from ml_platform.features.component import run_query
    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore, Write

    store, table = TableStore(str(root / "bare")), TableKey("features", "daily")
    begun = time.process_time()
    for key in keys:
        start = datetime.fromisoformat(key)
        window = (start, start + timedelta(days=1))
        step = Step(PROJECT, table, key, window, store, print, "run", "run")
        run_query(step, QUERY, root / "daily.sql", [], Write())
    return time.process_time() - begun


def ray_for(kind: str):
    """A Ray that runs already, where one is needed."""
    if kind != "ray":
        return contextlib.nullcontext()
    from ml_platform.execution.engines.ray import connected
    from ml_platform.execution.profile import Plan

    return connected(Plan(engine="ray"))


def by_dagster(root: Path, count: int) -> dict[str, float]:
    """Seconds from the launch of a backfill through the daemon to its end, a run a partition."""
    import dagster as dg

    environ = {**os.environ, "DAGSTER_HOME": str(root)}
    (root / "workspace.yaml").write_text("load_from: [{python_file: {relative_path: location.py}}]")
    with dg.DagsterInstance.from_config(str(root)) as instance:
        last = f"2024-01-{count:02}"
        program = Path(sys.executable).parent / "dagster"
        command = [program, "job", "backfill", "-w", "workspace.yaml", "-j", "__ASSET_JOB"]
        options = ["--from", "2024-01-01", "--to", last, "--noprompt"]
        with (root / "daemon.log").open("w") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
                cwd=root, env=environ, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                subprocess.run(
                    [*command, *options], cwd=root, env=environ, check=True, capture_output=True
                )
                return _waited_for(instance, count, daemon)
            finally:
                daemon.terminate()
                daemon.wait()


def _waited_for(instance, count: int, daemon: subprocess.Popen) -> dict[str, float]:
    records = []
    while len(records) < count:
        if daemon.poll() is not None:
            raise SystemExit("the daemon ended")
        time.sleep(0.5)
        records = [one for one in instance.get_run_records() if one.dagster_run.is_finished]
    if not all(one.dagster_run.is_success for one in records):
        raise SystemExit("a run of the default backfill failed")
    begun = min(one.create_timestamp.timestamp() for one in records)
    taken = max(one.end_time for one in records) - begun
    return {"run_s": taken, "each_ms": 1000 * taken / count}


def efficiency() -> dict[str, float]:
    """Which share of the time two workers had work: those of the engine, and of a bare pool."""
    from ml_platform.execution.engines.pool import LocalPool, Workers, pickled
    from ml_platform.execution.profile import Plan
    from ml_platform.execution.work import Made, Order, Work
    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore

    def make(_step):
        return Made(None, {"seconds": busy(WORK)})

    def by_engine() -> list[float]:
        return [one.made.metadata["seconds"] for one in pool.drive(workers, orders)]

    plan, key = Plan(max_parallel=2), TableKey("raw", "a")
    work = Work("shop", key, TableStore("nowhere"), "run", "run", make)
    orders = [Order(f"{number}") for number in range(PARALLEL)]
    pool = LocalPool(plan, print)
    engine, bare = [], []
    begun = time.perf_counter()
    with Workers(plan, pickled(work)) as workers, ProcessPoolExecutor(2) as executor:
        list(pool.drive(workers, orders[:2]))
        start = time.perf_counter() - begun
        list(executor.map(busy, [WORK] * 2))
        for _ in range(3):
            engine.append(share(by_engine))
            bare.append(share(lambda: list(executor.map(busy, [WORK] * len(orders)))))
    return {
        "engine": statistics.median(engine),
        "bare": statistics.median(bare),
        "start_s": start,
    }


def measured(kind: str, *arguments: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as folder:
        if kind != "efficiency":
            write_project(Path(folder), kind)
        return bench.in_fresh_process(
            __file__, kind, folder, *arguments, ML_PLATFORM_HOME=f"{folder}/var"
        )


def main() -> int:
    options = bench.arguments(__doc__, days=DAYS, runs=10)
    found = {}
    for kind in (*KINDS, "efficiency"):
        print(f"measuring: {kind}", file=sys.stderr, flush=True)
        found[kind] = measured(kind, options.runs if kind == "dagster" else options.days)
        print(found[kind], file=sys.stderr, flush=True)
    return report(found, options.days, options.runs)


def report(found: dict[str, dict[str, float]], days: int, runs: int) -> int:
    """The table, and the promises."""
    names = {
        "own": (f"{days} partitions, the step's own process", days),
        "local": (f"{days} partitions, two local processes", days),
        "ray": (f"{days} partitions, two tasks on a running Ray", days),
        "dagster": (f"{runs} partitions, a run each by the daemon", runs),
    }
    rows = [
        (
            name,
            found[kind]["run_s"],
            1000 * found[kind]["run_s"] / count,
            found[kind].get("cpu_ms", "") and found[kind]["cpu_ms"] - found[kind]["bare_ms"],
        )
        for kind, (name, count) in names.items()
    ]
    overhead = {kind: found[kind]["cpu_ms"] - found[kind]["bare_ms"] for kind in KINDS[:3]}
    ours, share = found["own"]["run_s"] / days, found["efficiency"]
    print(
        f"{PARALLEL} CPU-bound partitions: the engine's two workers had work {share['engine']:.1%} "
        f"of the time, a bare pool's {share['bare']:.1%}; the start took {share['start_s']:.1f} s\n"
    )
    promises = [
        bench.Promise("a partition beside its work, own process, CPU ms", overhead["own"], 30),
        bench.Promise("a partition, for whom local processes work, CPU ms", overhead["local"], 30),
        bench.Promise("a partition, for whom Ray works, CPU ms", overhead["ray"], 60),
        bench.Promise(
            "the time of a partition, by Dagster's default's",
            ours / (found["dagster"]["run_s"] / runs),
            1 / 100,
        ),
        bench.Promise(
            "a bare pool's share of time with work by the engine's",
            share["bare"] / share["engine"],
            1 / 0.95,
        ),
    ]
    header = ["backfill", "seconds", "ms a partition", "CPU ms beside its work"]
    return bench.finish("execution", header, rows, promises, bench.versions("dagster", "ray"))


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "efficiency":
        print(json.dumps(efficiency()))
    elif len(sys.argv) > 2 and sys.argv[1] == "dagster":
        print(json.dumps(by_dagster(Path(sys.argv[2]), int(sys.argv[3]))))
    elif len(sys.argv) > 2 and sys.argv[1] in KINDS:
        print(json.dumps(fan_out(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        sys.exit(main())
