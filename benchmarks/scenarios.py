"""What 200 quiet scenarios cost: the CPU of the daemon and the code server, at default intervals.

A real daemon and a real code server on an instance in files. A quarter of the scenarios goes by
time; the others watch folders of a hundred files, tables, queries on SQLite, functions, calls and
each other. Nothing changes, and after the first looks the CPU of both processes is counted.
"""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import bench
import psutil

FILES = 100
PATIENCE_S = 600
KINDS = ("time", "files", "time", "sql", "after_scenario", "files", "tables", "python", "time",
         "webhook", "files", "sql", "after_scenario", "tables", "time", "python", "time", "files",
         "sql", "after_scenario")  # fmt: skip

PROJECT = """
import os
from pathlib import Path

import dagster as dg
from ml_platform.scenarios.job import KEEPER, scenario_job
from ml_platform.scenarios.sensor import scenario_sensor
from ml_platform.scenarios.words import ScenarioWords

FOLDER = Path(__file__).parent
KINDS = {kinds!r}

def trigger(number):
    kind = KINDS[number % len(KINDS)]
    words = {{
        "time": {{"unit": "days", "at": "00:00"}},
        "files": {{"paths": [str(FOLDER / "in" / str(number % 10))]}},
        "tables": {{"keys": ["raw/sales"]}},
        "sql": {{"url": f"sqlite:///{{FOLDER}}/shop.db", "query": "SELECT count(*) FROM sales"}},
        "after_scenario": {{"scenario": f"scenario_{{(number + 1) % {count}}}"}},
        "python": {{"function": "looked:nothing"}},
        "webhook": {{"secret": "${{HOOK_KEY}}"}},
    }}[kind]
    return {{"name": kind, kind: words}}

scenarios = [
    ScenarioWords(
        name=f"scenario_{{number}}",
        triggers=[trigger(number)],
        steps=[{{"name": "build", "build": {{"selection": "*"}}}}],
    )
    for number in range({count})
]
defs = dg.Definitions(
    resources=KEEPER,
    jobs=[scenario_job("shop", one) for one in scenarios],
    sensors=[scenario_sensor("shop", one) for one in scenarios],
)
"""
WORKSPACE = """
load_from:
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: shop}}
"""


@contextmanager
def running(count: int):
    """The daemon and the code server of a project of so many scenarios, and its folder."""
    with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as name:
        folder = Path(name)
        port = prepare(folder, count)
        environ = {**os.environ, "DAGSTER_HOME": name, "ML_PLATFORM_HOME": str(folder / "var")}
        environ.pop("ML_PLATFORM_SCENARIOS_URL", None)
        server = ["dagster", "api", "grpc", "-f", "defs.py", "-d", ".", "-h", "127.0.0.1"]
        prepared = [sys.executable, "-m", "ml_platform.operations.instance"]
        subprocess.run(prepared, cwd=folder, env=environ, check=True, capture_output=True)
        daemon = ["dagster._daemon", "run", "-w", "workspace.yaml"]
        with (folder / "log").open("w") as log:
            more = {"cwd": folder, "env": environ, "stdout": log, "stderr": log}
            processes = [
                subprocess.Popen([sys.executable, "-m", *words], **more)
                for words in ([*server, "-p", str(port)], daemon)
            ]
        try:
            yield folder, [psutil.Process(one.pid) for one in processes]
        finally:
            for one in processes:
                one.kill()
                one.wait()


def prepare(folder: Path, count: int) -> int:
    """Write the project; the port of its code server."""
    shutil.copy(bench.ROOT / "dagster.yaml", folder)
    for number in range(10):
        place = folder / "in" / str(number)
        place.mkdir(parents=True)
        for file in range(FILES):
            (place / f"{file}.csv").write_text("1")
    with sqlite3.connect(folder / "shop.db") as made:
        made.execute("CREATE TABLE sales (id INTEGER)")
    made.close()
    (folder / "looked.py").write_text("def nothing():\n    return None\n")
    (folder / "defs.py").write_text(PROJECT.format(kinds=KINDS, count=count))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "workspace.yaml").write_text(WORKSPACE.format(port=port))
    return port


def seen(folder: Path) -> int:
    """How many scenarios have been looked at."""
    file = folder / "var" / "dagster" / "scenarios.db"
    if not file.exists():
        return 0
    with sqlite3.connect(file, timeout=60) as record:
        is_made = record.execute("SELECT 1 FROM sqlite_master WHERE name = 'scenario_evaluations'")
        if is_made.fetchone() is None:
            return 0
        found = record.execute("SELECT count(DISTINCT scenario) FROM scenario_evaluations")
        number = found.fetchone()[0]
    record.close()
    return number


def ticks(folder: Path) -> int:
    """How many ticks the daemon has made."""
    with sqlite3.connect(folder / "var/dagster/schedules/schedules.db", timeout=60) as schedules:
        number = schedules.execute("SELECT count(*) FROM job_ticks").fetchone()[0]
    schedules.close()
    return number


def cpu_s(process: psutil.Process) -> float:
    """Of a process so far, with the children that it has waited for."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> int:
    options = bench.arguments(__doc__, scenarios=200, window=120)
    with running(options.scenarios) as (folder, processes):
        deadline = time.monotonic() + PATIENCE_S
        while seen(folder) < options.scenarios:
            if time.monotonic() > deadline:
                raise SystemExit((folder / "log").read_text()[-4000:])
            time.sleep(1)
        before, ticked, began = [cpu_s(one) for one in processes], ticks(folder), time.monotonic()
        time.sleep(options.window)
        window = time.monotonic() - began
        spent = [cpu_s(one) - was for one, was in zip(processes, before, strict=True)]
        ticked = ticks(folder) - ticked
    rows = [
        (name, share, 1000 * share * window / max(1, ticked))
        for name, share in zip(
            ("code server", "daemon"), (one / window for one in spent), strict=True
        )
    ]
    rows.append(("both", *(sum(row[column] for row in rows) for column in (1, 2))))
    kinds = Counter(KINDS[number % len(KINDS)] for number in range(options.scenarios))
    print(", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())))
    print(f"{ticked:,} ticks in {window:.0f} s")
    promise = bench.Promise(f"{options.scenarios} quiet scenarios, of one core", rows[-1][1], 0.2)
    header = ["process", "share of one core", "CPU ms a tick"]
    return bench.finish("scenarios", header, rows, [promise], bench.versions("dagster"))


if __name__ == "__main__":
    sys.exit(main())
