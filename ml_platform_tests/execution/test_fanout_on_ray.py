"""A driver on a Ray that others share is killed: no process of it stays, and the cluster goes on.

One with a Ray of its own is in test_fanout_faults.py.
"""

import importlib.util
import json
import sys
import textwrap
import time

import psutil
import pytest

from ml_platform.execution.backfill import resuming_tags
from ml_platform.execution.clusters import local
from ml_platform.execution.recording import materialisations

if importlib.util.find_spec("ray") is None:  # not imported: Ray reads its settings when it is
    pytest.skip("Ray is not installed", allow_module_level=True)

# Ray's own processes and files, which it closes when the process ends and not before.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DRIVER = """
    import importlib, json, sys
    from pathlib import Path
    import dagster as dg
    from ml_platform.execution.launch import materialise
    from ml_platform.loading.project import load_tree
    from ml_platform.storage.io_manager import TableIOManager
    from ml_platform.storage.resource import Tables

    root, package, tags, *parts = sys.argv[1:]
    sys.path.insert(0, root)
    tables = Tables(root=root + "/tables")
    resources = {"tables": tables, "io_manager": TableIOManager(tables=tables)}
    tree = dg.ComponentTree.from_module(importlib.import_module(package), project_root=Path(root))
    project = load_tree(tree, "shop", dg.Definitions(resources=resources))
    key = dg.AssetKey(["features", "slow"])
    with dg.DagsterInstance.get() as instance:
        done = materialise(
            project.definitions, instance, [key], parts, tags=json.loads(tags)
        )
    sys.exit(0 if done.success else str(done.failures))
"""

CLUSTER = {"name": "shared", "nodes": 1, "cpus": 2, "idle_s": 30}


@pytest.mark.fault
@pytest.mark.timeout(600)  # Ray's agents outlive a killed driver by a minute on a busy machine
def test_a_driver_that_is_killed_leaves_the_cluster_to_the_next_run_which_makes_what_is_missing(
    workshop, monkeypatch, tmp_path
):
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path / "home"))
    parts = [f"p{number:02}" for number in range(16)]
    workshop.table(
        "slow",
        "SELECT $partition AS part, count(*) AS n FROM range(60_000_000) r(i) WHERE i % 7 = 3",
        partitions={"keys": parts},
        retry={"attempts": 0},
        execution={"engine": "ray", "max_parallel": 2, "cluster": CLUSTER},
    )
    instance = workshop.instance
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(tmp_path), workshop.package]
    driver = psutil.Popen([*command, "{}", *parts])
    while not (runs := instance.get_runs()) or len(recorded(instance, runs[0].run_id)) < 3:
        assert driver.poll() is None
        time.sleep(0.1)
    family = driver.children(recursive=True)
    driver.kill()
    driver.wait()
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family):
        time.sleep(0.1)

    done = recorded(instance, runs[0].run_id)
    assert 3 <= len(done) < len(parts)
    folder = next((tmp_path / "tables").rglob("slow"))
    written = {part: (folder / f"{part}.parquet").stat().st_mtime_ns for part in done}
    tags = resuming_tags(instance.get_run_by_id(runs[0].run_id))
    again = psutil.Popen([*command, json.dumps(tags), *parts])
    assert again.wait() == 0
    made = {part: (folder / f"{part}.parquet").stat().st_mtime_ns for part in parts}
    assert {part: made[part] for part in done} == written
    assert len(made) == len(parts)
    of_ray = [one.name() for one in psutil.Process().children(recursive=True)]
    assert not [name for name in of_ray if "raylet" in name or "gcs" in name]
    while local.places() and local.places()[0].is_kept():  # until the lease has run out
        time.sleep(0.2)
    assert all(place.lease() is None for place in local.places())


def recorded(instance, run_id):
    return {event.partition for event in materialisations(instance, run_id)}
