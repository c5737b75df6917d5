"""Clusters of this machine, with Ray's real processes: they start, serve, lose nodes, and end.

All of it listens on 127.0.0.1; what a test starts it ends by its lease.
"""

import importlib.util
import os
import signal
import time
from collections import Counter

import dagster as dg
import psutil
import pyarrow.parquet as pq
import pytest

from ml_platform.execution.clusters import local
from ml_platform.execution.clusters.keeper import MARK
from ml_platform.execution.launch import materialise
from ml_platform.execution.recording import materialisations

if importlib.util.find_spec("ray") is None:  # not imported: Ray reads its settings when it is
    pytest.skip("Ray is not installed", allow_module_level=True)

# Ray's own processes and files, which it closes when the process ends and not before.
pytestmark = [
    pytest.mark.fault,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DAYS = [f"p{number:03}" for number in range(200)]
TABLE = dg.AssetKey(["features", "counted"])


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for place in local.places():
        if place.lease():
            local.stopped(place.name)
    assert not processes(tmp_path / "home")


def processes(home, kind=""):
    """The living processes of the clusters of a home whose command says `kind`."""
    found = []
    for one in psutil.process_iter():
        try:
            mine = one.environ().get(MARK, "").startswith(str(home))
            if mine and one.status() != psutil.STATUS_ZOMBIE and kind in " ".join(one.cmdline()):
                found.append(one)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait_until(condition):
    while not condition():
        time.sleep(0.2)


def raylets(home):
    """Those of the nodes that work; the head's is the oldest."""
    found = [one for one in processes(home) if one.name() == "raylet"]
    return sorted(found, key=psutil.Process.create_time)[1:]


def test_two_hundred_partitions_are_made_once_though_a_node_is_killed_and_another_joins(
    workshop, home, capsys
):
    workshop.table(
        "counted",
        "SELECT $partition AS part, count(*) AS n FROM range(10_000_000) r(i) WHERE i % 7 = 3",
        partitions={"keys": DAYS},
        retry={"attempts": 0},
        execution={
            "engine": "ray",
            "cluster": {"name": "nightly", "nodes": 2, "cpus": 1, "idle_s": 60},
            "max_parallel": 4,
        },
    )
    seen, killed = Counter(), []

    def tell(happening):
        seen[happening.kind] += happening.kind == "made"
        if seen["made"] == 60 and not killed:
            wait_until(lambda: len(raylets(home)) == 2)
            killed.append(raylets(home)[-1])
            for one in [killed[0], *killed[0].children(recursive=True)]:
                one.kill()

    project = workshop.load()
    outcome = materialise(project.definitions, workshop.instance, [TABLE], DAYS, tell=tell)
    assert outcome.success, outcome.failures
    recorded = Counter(e.partition for e in materialisations(workshop.instance, outcome.run_id))
    assert killed
    assert recorded == dict.fromkeys(DAYS, 1)
    wait_until(lambda: len(raylets(home)) == 2)  # the keeper has let another one join
    assert killed[0] not in raylets(home)
    files = {file.name: file for file in (workshop.root / "tables").rglob("counted/p*.parquet")}
    assert len(files) == len(DAYS)
    assert {pq.read_table(file)["n"][0].as_py() for file in files.values()} == {1428571}
    with capsys.disabled():
        print(f"\n{len(recorded)} of {len(DAYS)} partitions recorded once, node lost and replaced")
