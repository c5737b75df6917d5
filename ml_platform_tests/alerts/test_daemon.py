"""The whole way, in a real `dagster dev`: a check fails, the daemon ticks, a person can read it.

Everything is killed in between and started again; what fails meanwhile is told once as well.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from ml_platform_tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 240

PROJECT = """
import dagster as dg
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.sensor import alerts_sensor

@dg.asset(key=["raw", "sales"])
def sales():
    return 1

@dg.asset_check(asset=sales)
def rows():
    return dg.AssetCheckResult(passed=False, description="812 rows")

@dg.sensor(job_name="nothing", minimum_interval_seconds=5,
           default_status=dg.DefaultSensorStatus.RUNNING)
def wrong():
    raise ValueError("this sensor is wrong")

@dg.job
def nothing():
    pass

defs = dg.Definitions(
    assets=[sales], asset_checks=[rows], jobs=[nothing],
    sensors=[wrong, alerts_sensor("shop", [Rule(name="all", channels=["inbox"])])],
)
"""

WORKSPACE = """
load_from:
  - python_file: {relative_path: defs.py, location_name: shop, working_directory: .}
"""

RUN = """
import dagster as dg
from defs import rows, sales
with dg.DagsterInstance.get() as instance:
    dg.materialize([sales, rows], instance=instance)
"""


class Host:
    """A folder with a small project, and `dagster dev` on it."""

    def __init__(self, folder):
        self.folder, self.dev = folder, None
        shutil.copy(REPOSITORY / "dagster.yaml", folder)
        (folder / "defs.py").write_text(PROJECT)
        (folder / "workspace.yaml").write_text(WORKSPACE)
        self.env = {
            **os.environ,
            "DAGSTER_HOME": str(folder),
            "ML_PLATFORM_HOME": str(folder / "var"),
            "ML_PLATFORM_CHANNELS": str(folder / "none.yaml"),
        }

    def python(self, *words):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder, env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self):
        port = free_port()
        with (self.folder / "log").open("a") as log:
            self.dev = subprocess.Popen(
                [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)],
                cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True,
                # One inherited from a script's background would be ignored for ever.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - one call
            )  # fmt: skip

    def kill(self):
        """All of it at once, as when the machine goes down."""
        if self.dev:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.dev.pid, signal.SIGKILL)
            self.dev.wait()
            for one in _started_below(self.folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)

    def told(self, kind):
        """The messages of a kind with the time at which each was there."""
        found = []
        for file in sorted((self.folder / "var" / "alerts" / "inbox").glob("*.json")):
            message = json.loads(file.read_text())
            if message["event_type"] == kind:
                found.append((message, file.stat().st_mtime))
        return found

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(
                    f"{what}: not within {PATIENCE_S} s\n{(self.folder / 'log').read_text()}"
                )
            time.sleep(0.2)

    def listens(self):
        import sqlite3

        file = self.folder / "var" / "dagster" / "alerts.db"
        if not file.exists():
            return False
        with contextlib.closing(sqlite3.connect(file, timeout=30)) as found:
            try:
                query = "SELECT 1 FROM alert_cursors WHERE name = 'events'"
                return found.execute(query).fetchone() is not None
            except sqlite3.OperationalError:
                return False


def _started_below(folder):
    """What `dagster dev` started in groups of its own, known by the folder in its environment."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("DAGSTER_HOME") == str(folder):
                yield process.pid


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    yield made
    made.kill()


@pytest.mark.fault
@pytest.mark.timeout(1200)
def test_a_failed_check_is_told_within_seconds_and_once_also_after_everything_was_killed(
    host, capsys
):
    host.python("-m", "ml_platform.operations.instance", str(host.folder))
    host.start()
    host.wait(host.listens, "the sensor's first tick")
    host.python("-c", RUN)
    host.wait(lambda: host.told("check.failed"), "the failed check")
    [(message, at)] = host.told("check.failed")
    delay = at - datetime.fromisoformat(message["occurred_at"]).timestamp()
    with capsys.disabled():
        print(f"\nfrom the failed check to the receiver: {delay:.1f} s")  # noqa: T201 - a figure
    assert (message["project"], message["asset_key"]) == ("shop", "raw/sales")
    host.wait(lambda: host.told("tick.failed"), "the failed tick")
    assert "this sensor is wrong" in host.told("tick.failed")[0][0]["failure_message"]

    host.kill()
    host.python("-c", RUN)
    host.start()
    host.wait(lambda: len(host.told("check.failed")) > 1, "what failed meanwhile")
    host.python("-c", RUN)
    host.wait(lambda: len(host.told("check.failed")) > 2, "what failed afterwards")
    told = [message["event_id"] for message, _ in host.told("check.failed")]
    assert len(told) == len(set(told)) == 3
