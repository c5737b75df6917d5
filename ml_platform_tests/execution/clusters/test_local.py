"""Clusters of this machine, with Ray's real processes: they start, serve, lose nodes, and end.

All of it listens on 127.0.0.1; what a test starts it ends by its lease.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import psutil
import pyarrow.parquet as pq
import pytest

from ml_platform.execution.clusters import local
from ml_platform.execution.clusters.keeper import MARK
from ml_platform.execution.launch import materialise
from ml_platform.execution.recording import materialisations
from ml_platform.kernel.errors import ConflictError, UnavailableError

if importlib.util.find_spec("ray") is None:  # not imported: Ray reads its settings when it is
    pytest.skip("Ray is not installed", allow_module_level=True)

# Ray's own processes and files, which it closes when the process ends and not before.
pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(600),  # a Ray takes half a minute to start on a busy machine
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
    wait_until(lambda: not processes(tmp_path / "home"))


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
        told = f"{len(recorded)} of {len(DAYS)} partitions recorded once, a node lost and replaced"
        print(f"\n{told}")  # noqa: T201 - what the run of this test is to show


def test_a_cluster_that_nobody_holds_ends_by_itself_and_leaves_nothing(home):
    lease = local.started("short", nodes=1, cpus=1, for_s=5)
    assert processes(home)
    assert local.started("short", nodes=1, cpus=1, for_s=1).expires_at == lease.expires_at
    assert local.swept() == []
    wait_until(lambda: not processes(home))
    assert time.time() >= lease.expires_at
    assert local.place_of("short").lease() is None
    wait_until(lambda: not Path(lease.scratch).exists())  # the keeper's last act
    local.swept()
    assert local.places() == []


def test_a_cluster_whose_keeper_was_killed_is_swept_and_can_be_started_again(home):
    first = local.started("kept", nodes=1, cpus=1, for_s=600)
    place, lease = local.known("kept")
    # Its children end with it; one that does not is what the sweep is for.
    environ = {**os.environ, MARK: str(place.folder)}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environ):
        os.kill(lease.keeper, signal.SIGKILL)
        wait_until(lambda: not place.is_kept() and len(processes(home)) == 1)
        with pytest.raises(UnavailableError, match="it did not start, or ended"):
            local.held("kept", print).__enter__()
        (found,) = local.swept()
    assert (found.name, found.why, found.ended) == ("kept", "its keeper was gone", 1)
    assert not Path(first.scratch).exists()
    again = local.started("kept", nodes=1, cpus=1, for_s=600)
    assert again.keeper != first.keeper
    with pytest.raises(ConflictError, match="with 1 cores a node, and 3"):
        local.started("kept", nodes=1, cpus=3, for_s=600)
    local.scaled("kept", 2)
    wait_until(lambda: len(raylets(home)) == 2)
    local.scaled("kept", 1)
    wait_until(lambda: len(raylets(home)) == 1)
    listening = {one.laddr.ip for p in processes(home) for one in p.net_connections("tcp")}
    assert {one.removeprefix("::ffff:") for one in listening} == {"127.0.0.1"}
    assert local.stopped("kept").ended == 0


def test_a_process_that_was_on_a_ray_elsewhere_finds_those_of_this_machine_too(home, tmp_path):
    script = """
import os

import ray

os.environ.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")  # as it is after a step on a Ray elsewhere

from ml_platform.execution.engines.ray import connected
from ml_platform.execution.profile import Cluster, Plan

for cluster in (None, Cluster(name="after", nodes=1, cpus=1, idle_s=30)):
    with connected(Plan(engine="ray", cluster=cluster)) as head:
        print(head.address)
"""
    (tmp_path / "both.py").write_text(script)
    elsewhere = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    done = subprocess.run(
        [sys.executable, tmp_path / "both.py"],
        env={**os.environ, **elsewhere},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    heads = [line for line in done.stdout.splitlines() if line.startswith("127.0.0.1:")]
    assert len(heads) == 2, done.stdout


def test_a_cluster_that_cannot_start_says_why(home, tmp_path, monkeypatch):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ray.py").write_text("raise ImportError('this Ray is broken')")
    monkeypatch.syspath_prepend(tmp_path / "broken")
    with pytest.raises(UnavailableError, match="this Ray is broken"):
        local.started("broken", nodes=1, cpus=1, for_s=60)
