"""A fan-out through the worst: a killed driver, a full disk, partitions that fail each their way.

The first starts a real code server and daemon on a small project in a folder of its own.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import psutil
import pytest

from ml_platform.execution.backfill import resuming_tags
from ml_platform.execution.launch import materialise
from ml_platform.execution.recording import TAKEN_OVER, materialisations
from ml_platform.kernel.marks import RUN_VARIABLE
from ml_platform.operations.instance import process_of
from ml_platform.operations.processes import started_by
from ml_platform.storage.tables import TableStore
from ml_platform_tests.daemon import HASTY_DAEMON

REPOSITORY = Path(__file__).parents[2]
TABLE = dg.AssetKey(["features", "slow"])
PARTS = [f"p{number:02}" for number in range(12)]

COMPONENT = """
    import time
    from pathlib import Path
    import dagster as dg
    import pyarrow as pa
    from ml_platform.execution.component import AssetComponent, Made

    HERE = Path(__file__).parent

    class Slow(AssetComponent):
        '''Writes down which partition it makes; the seventh waits for a file.'''

        def build_defs(self, context):
            def make(step):
                (HERE / "calls" / f"{step.partition}.{time.monotonic_ns()}").touch()
                while step.partition == "p06" and not (HERE / "open").exists():
                    time.sleep(0.05)
                rows = pa.table({"part": [step.partition]})
                how = self.write_mode(step)
                written = step.store.write(
                    step.project, step.key, rows, partition=step.partition, how=how
                )
                return Made(written, {})

            return dg.Definitions(assets=[self.asset(context, make)])
"""

LOCATION = """
    import importlib
    import sys
    from pathlib import Path
    import dagster as dg
    from ml_platform.loading.project import load_tree
    from ml_platform.storage.io_manager import TableIOManager
    from ml_platform.storage.resource import Tables

    ROOT = Path(__file__).parent
    sys.path.insert(0, str(ROOT))
    tables = Tables(root=str(ROOT / "tables"))
    resources = {"tables": tables, "io_manager": TableIOManager(tables=tables)}
    tree = dg.ComponentTree.from_module(importlib.import_module("slow_defs"), project_root=ROOT)
    defs = load_tree(tree, "shop", dg.Definitions(resources=resources)).definitions
"""


def wait_until(condition):
    while not condition():
        time.sleep(0.1)


class Host:
    """A folder with the project, its services, and what its partitions have written down."""

    def __init__(self, folder, instance):
        self.folder, self.instance = folder, instance
        self.shop = folder / "slow_defs" / "shop"
        self.services = []

    def start(self, *command):
        with (self.folder / "services.log").open("a") as log:
            process = psutil.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "DAGSTER_HOME": str(self.folder)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.services.append(process)

    def start_all(self):
        server = self.folder / "code.sock"
        server.unlink(missing_ok=True)
        code = ("api", "grpc", "-f", "location.py", "--socket", str(server))
        self.start(sys.executable, "-m", "dagster", *code)
        wait_until(server.exists)
        self.start(*HASTY_DAEMON, "run", "-w", "workspace.yaml")

    def kill_all(self, *others):
        for service in self.services:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGKILL)
            service.wait()
        self.services.clear()
        for pid in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def launch(self):
        tags = {
            "dagster/asset_partition_range_start": PARTS[0],
            "dagster/asset_partition_range_end": PARTS[-1],
        }
        job = ["job", "launch", "-w", "workspace.yaml", "-j", "__ASSET_JOB"]
        subprocess.run(
            [sys.executable, "-m", "dagster", *job, "--tags", json.dumps(tags)],
            cwd=self.folder,
            env={**os.environ, "DAGSTER_HOME": str(self.folder)},
            check=True,
            capture_output=True,
        )
        (run,) = self.instance.get_runs()
        return run.run_id

    def status(self, run_id):
        return self.instance.get_run_by_id(run_id).status.value

    def recorded(self, run_id):
        return {event.partition for event in materialisations(self.instance, run_id)}

    def taken_over(self, run_id):
        records = self.instance.fetch_observations(TABLE, limit=100).records
        return {
            record.partition_key
            for record in records
            if record.run_id == run_id and TAKEN_OVER in record.asset_observation.metadata
        }

    def calls(self):
        return Counter(one.name.partition(".")[0] for one in (self.shop / "calls").iterdir())


@pytest.fixture(params=["local", "ray"])
def host(tmp_path, monkeypatch, request):
    if request.param == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    for variable in ("ML_PLATFORM_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(RUN_VARIABLE, "")
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    shop = tmp_path / "slow_defs" / "shop"
    (shop / "calls").mkdir(parents=True)
    for folder in (shop.parent, shop):
        (folder / "__init__.py").touch()
    (shop / "slow.py").write_text(textwrap.dedent(COMPONENT))
    (shop / "defs.yaml").write_text(
        "type: slow_defs.shop.slow.Slow\n"
        "attributes:\n"
        "  key: features/slow\n"
        f"  partitions: {{keys: [{', '.join(PARTS)}]}}\n"
        "  write: append\n"
        "  retry: {attempts: 0}\n"
        f"  execution: {{engine: {request.param}, max_parallel: 2}}\n"
    )
    (tmp_path / "location.py").write_text(textwrap.dedent(LOCATION))
    (tmp_path / "workspace.yaml").write_text(
        f"load_from: [{{grpc_server: {{socket: {tmp_path}/code.sock, location_name: slow}}}}]\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        one = Host(tmp_path, instance)
        yield one
        one.kill_all()
        for run in instance.get_runs():
            for orphan in started_by(run.run_id, not_before=0):
                orphan.kill()


@pytest.mark.fault
@pytest.mark.timeout(600)  # Ray's agents outlive a killed driver by a minute
def test_a_run_whose_driver_is_killed_goes_on_where_it_was_after_the_daemons_restart(host):
    host.start_all()
    first = host.launch()
    wait_until(lambda: set(host.recorded(first)) >= set(PARTS) - {"p06"})
    driver = process_of(host.instance.get_run_by_id(first))
    assert len(started_by(first, not_before=0)) >= 3
    host.kill_all(driver.pid)
    # Nobody of the pool, or of Ray, outlives its driver, though no daemon looks.
    wait_until(lambda: started_by(first, not_before=0) == [])
    assert host.status(first) == "STARTED"

    host.start_all()
    wait_until(lambda: len(host.instance.get_runs()) == 2)
    (second,) = {run.run_id for run in host.instance.get_runs()} - {first}
    (host.shop / "open").touch()
    wait_until(lambda: host.status(second) == "SUCCESS")
    assert host.status(first) == "FAILURE"
    done = host.recorded(first)
    assert host.taken_over(second) == done
    assert host.recorded(second) == set(PARTS) - done
    assert host.calls() == {part: 1 if part in done else 2 for part in PARTS}
    files = list((host.folder / "tables").rglob("slow/p*.parquet"))
    assert len(files) == len(PARTS)
    wait_until(lambda: started_by(second, not_before=0) == [])


TROUBLED = """
    import os
    import dagster as dg
    import pyarrow as pa
    from pathlib import Path
    from ml_platform.execution.component import AssetComponent, Made
    from ml_platform.kernel.errors import DataError, UnavailableError

    class Troubled(AssetComponent):
        '''Does to each partition what its name says, unless all is well.'''

        def build_defs(self, context):
            def make(step):
                well = (Path(__file__).parent / "well").exists()
                if step.partition == "killed" and not well:
                    os.kill(os.getpid(), 9)
                if step.partition == "wrong" and not well:
                    raise DataError("table raw/orders", "it is empty", fix="fill it")
                if step.partition == "closed" and not well:
                    raise UnavailableError("the shop", "it is closed")
                size = 200_000 if step.partition == "large" and not well else 10
                rows = pa.table({"n": [os.urandom(16).hex() for _ in range(size)]})
                written = step.store.write(
                    step.project, step.key, rows,
                    partition=step.partition, how=self.write_mode(step),
                )
                if step.partition == "late" and not well:
                    raise DataError("table raw/late", "it was seen too late")
                return Made(written, {})

            return dg.Definitions(assets=[self.asset(context, make)])
"""


def troubled(workshop, *parts, write="replace"):
    workshop.write("__init__.py", "")
    workshop.write("troubled.py", TROUBLED)
    workshop.write(
        "defs.yaml",
        f"""
        type: {workshop.package}.shop.troubled.Troubled
        attributes:
          key: features/slow
          partitions: {{keys: [{", ".join(parts)}]}}
          write: {write}
          retry: {{attempts: 0}}
          execution: {{max_parallel: 2}}
        """,
    )
    return workshop.run(partitions=parts)


def recorded(workshop, run_id):
    return {event.partition for event in materialisations(workshop.instance, run_id)}


@pytest.mark.fault
def test_partitions_that_fail_each_for_its_own_reason_are_told_each_with_its_own(workshop):
    outcome = troubled(workshop, "a", "wrong", "b", "killed", "closed", "c")
    assert recorded(workshop, outcome.run_id) == {"a", "b", "c"}
    (failed,) = outcome.failures
    for said in (
        "3 of 6 partitions failed",
        "wrong: table raw/orders: it is empty\n  to do: fill it",
        "closed: the shop: it is closed",
        "killed: partition killed: its process was ended by SIGKILL",
    ):
        assert said in failed.message


@pytest.mark.fault
def test_a_disk_that_is_too_small_for_one_partition_fails_that_one_alone(workshop, small_disk):
    workshop.store = TableStore(str(small_disk))
    outcome = troubled(workshop, "a", "large", "b")
    assert recorded(workshop, outcome.run_id) == {"a", "b"}
    (failed,) = outcome.failures
    assert "1 of 3 partitions failed: large" in failed.message
    assert "no space is left" in failed.message
    assert not list(small_disk.rglob(".scratch*"))


@pytest.mark.fault
def test_rows_of_a_partition_that_failed_after_its_write_are_there_once_when_made_again(workshop):
    first = troubled(workshop, "a", "late", write="append")
    assert recorded(workshop, first.run_id) == {"a"}
    workshop.write("well", "")
    project = workshop.load()
    tags = resuming_tags(workshop.instance.get_run_by_id(first.run_id))
    again = materialise(project.definitions, workshop.instance, [TABLE], tags=tags)
    assert again.success, again.failures
    assert len(workshop.rows("features/slow")) == 20


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
