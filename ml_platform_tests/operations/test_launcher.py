"""Runs end: what the launcher answers, and real runs whose processes are killed.

The end-to-end tests start a real code server, daemon and `dagster dev` on a small project in a
folder of their own, and kill what the sentence says.
"""

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from ml_platform.kernel.errors import SettingsError
from ml_platform.kernel.marks import RUN_VARIABLE
from ml_platform.operations.instance import RUN_PROCESS_TAG, process_of
from ml_platform.operations.processes import (
    Life,
    Place,
    ProcessName,
    started_by,
)
from ml_platform_tests.daemon import HASTY_DAEMON
from ml_platform_tests.jobs import job
from ml_platform_tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
DAGSTER = (sys.executable, "-m", "dagster")
OWN = ProcessName.own()
GONE = ProcessName(OWN.pid, 0, OWN.place)
HIDDEN = ProcessName(OWN.pid, 0, Place("elsewhere", "m", "b", "n"))

PROJECT = """
import os, pathlib, time
import dagster as dg
from ml_platform.operations.processes import ProcessName

GATE = pathlib.Path(__file__).parent / "gate"

def sleep_until_the_gate_opens(context):
    name = f"{context.run_id}.{context.asset_key.path[-1]}"
    (GATE / "new").write_text(str(ProcessName.own()))
    (GATE / "new").rename(GATE / name)
    while not (GATE / "open").exists():
        time.sleep(0.1)

@dg.asset
def table(context):
    sleep_until_the_gate_opens(context)

@dg.asset(pool="door")
def guarded(context):
    sleep_until_the_gate_opens(context)

def job(name, asset, executor):
    return dg.define_asset_job(name, [asset], executor_def=executor)

defs = dg.Definitions(
    assets=[table, guarded],
    jobs=[
        job("alone", table, dg.in_process_executor),
        job("spread", table, dg.multiprocess_executor),
        job("pooled", guarded, dg.multiprocess_executor),
    ],
)
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the repository's dagster.yaml and a small project."""
    for variable in ("ML_PLATFORM_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    # Set and so restored afterwards: executing a run in this process sets it too.
    monkeypatch.setenv(RUN_VARIABLE, "")
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    (tmp_path / "defs.py").write_text(PROJECT)
    (tmp_path / "gate").mkdir()
    return tmp_path


@pytest.fixture
def instance(clone: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(clone)) as opened:
        yield opened


def test_an_instance_that_marks_no_processes_is_refused(tmp_path: Path) -> None:
    launcher = {"module": "ml_platform.operations.launcher", "class": "LocalRunLauncher"}
    overrides = {"run_launcher": launcher, "telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides) as plain:  # noqa: SIM117
        with pytest.raises(SettingsError, match="add instance_class"):
            _ = plain.run_launcher


@pytest.mark.parametrize(
    ("process", "status", "says", "afterwards"),
    [
        pytest.param(OWN, WorkerStatus.RUNNING, "alive", "STARTED", id="it is there"),
        pytest.param(HIDDEN, WorkerStatus.RUNNING, "out of sight", "STARTED", id="elsewhere"),
        pytest.param(None, WorkerStatus.RUNNING, "no mark", "STARTED", id="nobody marked it"),
        pytest.param(GONE, WorkerStatus.FAILED, f"process {OWN.pid}", "FAILURE", id="it is gone"),
    ],
)
def test_only_a_run_whose_process_is_surely_gone_is_failed(
    process: ProcessName | None,
    status: WorkerStatus,
    says: str,
    afterwards: str,
    instance: dg.DagsterInstance,
) -> None:
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    if process:
        instance.add_run_tags(run.run_id, {RUN_PROCESS_TAG: f"{run.run_id} {process}"})
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    answer = instance.run_launcher.check_run_worker_health(record.dagster_run)
    assert answer.status == status
    assert says in str(answer.msg)
    # What Dagster's monitoring makes of the answer; it fails a run for UNKNOWN too.
    monitor_started_run(instance, None, record, logging.getLogger("test"))  # type: ignore[arg-type]
    checked = instance.get_run_by_id(run.run_id)
    assert checked is not None
    assert checked.status.value == afterwards


@dg.op
def wrong() -> None:
    """Fail every time."""
    raise ValueError


@dg.job
def failing() -> None:
    wrong()


def test_a_step_that_fails_is_left_to_its_own_retry_policy(instance: dg.DagsterInstance) -> None:
    result = failing.execute_in_process(instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["dagster/will_retry"] == "false"


class Host:
    """A host with the small project on it: starts services, launches runs, kills, and waits."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.services: list[psutil.Process] = []
        self.socket = folder / "code.sock"
        (folder / "workspace.yaml").write_text(
            f"load_from: [{{grpc_server: {{socket: {self.socket}, location_name: small}}}}]\n"
        )

    def start(self, *command: str, home: bool = True) -> psutil.Process:
        """A service in a group of its own that takes SIGINT, whatever this process inherited."""
        env = {k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"}
        with (self.folder / "services.log").open("a") as log:
            process = psutil.Popen(
                command,
                cwd=self.folder,
                env={**env, **({"DAGSTER_HOME": str(self.folder)} if home else {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        self.services.append(process)
        return process

    def start_code_server(self) -> psutil.Process:
        self.socket.unlink(missing_ok=True)
        code = (*DAGSTER, "api", "grpc", "-f", "defs.py", "--socket", str(self.socket))
        server = self.start(*code)
        wait_until(self.socket.exists)
        return server

    def start_daemon(self) -> psutil.Process:
        return self.start(*HASTY_DAEMON, "run", "-w", "workspace.yaml")

    def launch(self, name: str, **tags: str) -> str:
        """Queue a run as a person does; returns its id."""
        before = {run.run_id for run in self.instance.get_runs()}
        subprocess.run(
            [
                *(*DAGSTER, "job", "launch", "-w", "workspace.yaml"),
                *("-j", name, "--tags", json.dumps(tags)),
            ],
            cwd=self.folder,
            env={**os.environ, "DAGSTER_HOME": str(self.folder)},
            check=True,
            capture_output=True,
        )
        (run_id,) = {run.run_id for run in self.instance.get_runs()} - before
        return run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def wait_for(self, run_id: str, status: str) -> None:
        wait_until(lambda: self.run(run_id).status.value == status)

    def process(self, run_id: str) -> ProcessName:
        name = process_of(self.run(run_id))
        assert name is not None
        return name

    def step(self, run_id: str) -> ProcessName:
        """The process in which the run's step sleeps, once it does."""
        wait_until(lambda: list((self.folder / "gate").glob(f"{run_id}.*")))
        (note,) = (self.folder / "gate").glob(f"{run_id}.*")
        name = ProcessName.parse(note.read_text())
        assert name is not None
        return name

    def retry_of(self, run_id: str) -> str:
        """The run that was started in its place, once it is there."""
        is_retry = dg.RunsFilter(tags={"dagster/parent_run_id": run_id})
        wait_until(lambda: self.instance.get_runs(is_retry))
        return self.instance.get_runs(is_retry)[0].run_id

    def said(self, run_id: str) -> str:
        entries = self.instance.all_logs(run_id)
        return "\n".join(e.dagster_event.message or "" for e in entries if e.dagster_event)

    def will_be_retried(self, run_id: str) -> bool:
        """What Dagster decided on the run; it writes so just after the failure itself."""
        wait_until(lambda: "dagster/will_retry" in self.run(run_id).tags)
        return self.run(run_id).tags["dagster/will_retry"] == "true"

    def open_the_gate(self) -> None:
        (self.folder / "gate" / "open").touch()

    def kill_all_but(self, spared: int) -> None:
        """SIGKILL for every process of every service, as when a machine's memory is gone."""
        victims = [c for s in self.services for c in [s, *s.children(recursive=True)]]
        for victim in [one for one in victims if one.pid != spared]:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        for service in self.services:
            service.wait()
        self.services.clear()

    def stop(self) -> None:
        for service in self.services:
            # Code servers and run workers share the session's group, orphans included.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGKILL)
            service.wait()
        for run in self.instance.get_runs():
            for orphan in started_by(run.run_id, not_before=0):
                orphan.kill()


def wait_until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.05)


@pytest.fixture
def host(clone: Path, instance: dg.DagsterInstance) -> Iterator[Host]:
    one = Host(clone, instance)
    yield one
    one.stop()


@pytest.mark.fault
def test_a_run_whose_process_is_killed_fails_ends_its_steps_and_is_tried_again(host: Host) -> None:
    host.start_code_server()
    host.start_daemon()
    first = host.launch("pooled", **{"dagster/max_retries": "1"})
    host.wait_for(first, "STARTED")
    # As soon as there is a step's process, before that could tell anybody that it is there.
    wait_until(lambda: psutil.Process(host.process(first).pid).children())
    os.kill(host.process(first).pid, signal.SIGKILL)
    host.wait_for(first, "FAILURE")
    # Said by its code server, or by the daemon, whichever looks first.
    told = ("terminated by signal 9 (SIGKILL)", "it was killed, ran out of memory or went down")
    assert any(one in host.said(first) for one in told)
    assert started_by(first, not_before=0) == []
    again = host.retry_of(first)
    # Its step starts: the place in the pool that the killed one held was given back.
    host.step(again)
    os.kill(host.process(again).pid, signal.SIGKILL)
    host.wait_for(again, "FAILURE")
    assert started_by(again, not_before=0) == []
    # One retry is what the run asked for, and it has had it.
    assert not host.will_be_retried(again)


@pytest.mark.fault
def test_when_everything_is_killed_runs_fail_and_are_tried_again_after_the_restart(
    host: Host,
) -> None:
    host.start_code_server()
    host.start_daemon()
    alone, spread = host.launch("alone", **{"dagster/max_retries": "0"}), host.launch("spread")
    orphan = host.step(spread)
    host.step(alone)
    host.kill_all_but(orphan.pid)
    assert orphan.life() is Life.ALIVE
    assert {host.run(one).status.value for one in (alone, spread)} == {"STARTED"}

    host.start_code_server()
    host.start_daemon()
    for one in (alone, spread):
        host.wait_for(one, "FAILURE")
        gone = f"process {host.process(one).pid} on host {Place.here().host} is gone"
        assert gone in host.said(one)
    assert orphan.life() is Life.GONE
    assert f"ended what it had started: process {orphan.pid}" in host.said(spread)
    again = host.retry_of(spread)
    host.open_the_gate()
    host.wait_for(again, "SUCCESS")
    assert not host.will_be_retried(alone)


@pytest.mark.fault
def test_a_healthy_run_outlives_the_daemon_and_is_left_alone(host: Host) -> None:
    host.start_code_server()
    daemon = host.start_daemon()
    healthy = host.launch("spread")
    host.step(healthy)
    daemon.kill()
    daemon.wait()
    log = host.folder / "services.log"
    seen = log.read_text().count(f"Checking run {healthy}")
    host.start_daemon()
    wait_until(lambda: log.read_text().count(f"Checking run {healthy}") >= seen + 2)
    assert host.run(healthy).status.value == "STARTED"
    host.open_the_gate()
    host.wait_for(healthy, "SUCCESS")


def ask(port: int, query: str, **variables: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["data"]


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        locations = ask(port, "{workspaceOrError {... on Workspace {locationEntries {name}}}}")
        return bool(locations["workspaceOrError"]["locationEntries"])
    return False


LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {... on LaunchRunSuccess {run {runId}} __typename}
}
"""


@pytest.mark.fault
def test_plain_dagster_dev_in_a_fresh_clone_keeps_its_history_and_ends_its_runs(
    host: Host,
) -> None:
    port = free_port()
    dev = [*DAGSTER, "dev", "-f", "defs.py", "-h", "127.0.0.1", "-p", str(port)]
    host.start(*dev, home=False)
    wait_until(lambda: answers(port))
    job_of = {"repositoryLocationName": "defs.py", "repositoryName": "__repository__"}
    parameters = {"selector": {**job_of, "pipelineName": "spread"}, "runConfigData": {}}
    run_id = ask(port, LAUNCH, parameters=parameters)["launchRun"]["run"]["runId"]
    orphan = host.step(run_id)
    host.kill_all_but(orphan.pid)

    host.start(*dev, home=False)
    host.wait_for(run_id, "FAILURE")
    assert orphan.life() is Life.GONE
