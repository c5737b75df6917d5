"""The instance of one host: where it lies, that many open it at once, which process is whose."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._cli.utils import TMP_DAGSTER_HOME_PREFIX
from dagster._core.instance import InstanceRef

from ml_platform.kernel.errors import NotFoundError, SettingsError
from ml_platform.kernel.marks import RUN_VARIABLE
from ml_platform.operations.history import LocalStorage
from ml_platform.operations.instance import (
    RUN_PROCESS_TAG,
    LocalInstance,
    concurrent_runs,
    data_folder,
    prepare,
    process_of,
)
from ml_platform.operations.launcher import LocalRunLauncher
from ml_platform.operations.processes import ProcessName
from ml_platform_tests.jobs import job

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the repository's dagster.yaml, as after `git clone`, and no environment."""
    for variable in ("ML_PLATFORM_HOME", "ML_PLATFORM_MAX_CONCURRENT_RUNS", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    # Set and so restored afterwards: executing a run in this process sets it too.
    monkeypatch.setenv(RUN_VARIABLE, "")
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    return tmp_path


@pytest.fixture
def instance(clone: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(clone)) as opened:
        yield opened


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen]:
    """A process that run `sleeper.args[-1]` started."""
    name = "8d1f0a6e-0000-4000-8000-5e5f5e5f5e5f"
    process = subprocess.Popen(
        ["sh", "-c", "echo up; exec sleep 600", name],
        env={**os.environ, RUN_VARIABLE: name},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def run_of(
    instance: dg.DagsterInstance, sleeper: subprocess.Popen, process: ProcessName
) -> dg.DagsterRun:
    """A started run with a process of its own that has started the sleeper."""
    run_id = str(sleeper.args[-1])
    run = instance.create_run_for_job(job, run_id=run_id, status=dg.DagsterRunStatus.STARTED)
    instance.add_run_tags(run_id, {RUN_PROCESS_TAG: f"{run_id} {process}"})
    return run


def gone() -> ProcessName:
    """A process that was there before the tests started: of this id, but not of this start."""
    own = ProcessName.own()
    return ProcessName(own.pid, 0, own.place)


def messages(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    entries = instance.all_logs(run.run_id)
    return [entry.dagster_event.message or "" for entry in entries if entry.dagster_event]


@pytest.mark.parametrize(
    ("base", "environment", "folder"),
    [
        pytest.param("/clone", {}, "/clone/var/dagster", id="DAGSTER_HOME is the clone"),
        pytest.param(
            f"/clone/{TMP_DAGSTER_HOME_PREFIX}x1", {}, "/clone/var/dagster", id="no DAGSTER_HOME"
        ),
        pytest.param(
            "/clone", {"ML_PLATFORM_HOME": "/data"}, "/data/dagster", id="the platform's home"
        ),
        pytest.param("/clone", {"ML_PLATFORM_HOME": ""}, "/clone/var/dagster", id="set to nothing"),
    ],
)
def test_history_lies_beside_dagster_yaml_unless_the_platform_has_a_home(
    base: str, environment: dict[str, str], folder: str
) -> None:
    assert data_folder(base, environment) == Path(folder)


@pytest.mark.parametrize(
    ("environment", "runs"),
    [
        ({}, 2),
        ({"ML_PLATFORM_MAX_CONCURRENT_RUNS": ""}, 2),
        ({"ML_PLATFORM_MAX_CONCURRENT_RUNS": "12"}, 12),
    ],
)
def test_two_runs_go_on_at_once_unless_the_environment_says_more(
    environment: dict[str, str], runs: int
) -> None:
    assert concurrent_runs(environment) == runs


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_number_of_runs_that_is_none_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=rf"'{text}'\n  allowed: a whole number from 1"):
        concurrent_runs({"ML_PLATFORM_MAX_CONCURRENT_RUNS": text})


def test_the_repositorys_dagster_yaml_gives_this_instance_and_launcher(
    instance: dg.DagsterInstance, clone: Path
) -> None:
    assert isinstance(instance, LocalInstance)
    assert isinstance(instance.run_launcher, LocalRunLauncher)
    assert isinstance(instance.get_ref().storage, LocalStorage)
    assert instance.root_directory == str(clone / "var" / "dagster")
    queue = instance.run_coordinator.get_run_queue_config()
    assert queue.max_concurrent_runs == 2
    # A code server that is started again within the hour finds its queued runs still there.
    assert queue.max_user_code_failure_retries * queue.user_code_failure_retry_delay == 3600
    assert (clone / "var" / "dagster" / "history" / "runs.db").is_file()


def test_what_the_environment_says_reaches_the_queue_and_the_files(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("ML_PLATFORM_MAX_CONCURRENT_RUNS", "7")
    with dg.DagsterInstance.from_config(str(clone)) as instance:
        assert instance.root_directory == str(tmp_path / "data" / "dagster")
        assert instance.run_coordinator.get_run_queue_config().max_concurrent_runs == 7


def test_the_temporary_home_of_dagster_dev_and_the_clone_share_one_history(
    clone: Path, instance: dg.DagsterInstance
) -> None:
    run = instance.create_run_for_job(job)
    temporary = clone / f"{TMP_DAGSTER_HOME_PREFIX}abc"
    temporary.mkdir()
    ref = InstanceRef.from_dir(str(temporary), config_dir=str(clone))
    with dg.DagsterInstance.from_ref(ref) as other:
        assert other.get_run_by_id(run.run_id) is not None
    assert list(temporary.iterdir()) == []


def test_a_storage_that_dagster_yaml_names_takes_the_place_of_the_default(clone: Path) -> None:
    with (clone / "dagster.yaml").open("a") as yaml:
        yaml.write(f"\nstorage: {{sqlite: {{base_dir: {clone / 'elsewhere'}}}}}\n")
    with dg.DagsterInstance.from_config(str(clone)) as instance:
        assert instance.get_runs_count() == 0
    assert (clone / "elsewhere" / "history" / "runs.db").is_file()
    assert not (clone / "var" / "dagster" / "history").exists()


def test_24_processes_may_open_a_fresh_instance_at_once(clone: Path) -> None:
    # Forked after the import and let go together: this makes the race far closer than 24 starts.
    program = """
import multiprocessing, sys
import dagster as dg
import ml_platform.operations.instance

def open_it(barrier):
    barrier.wait()
    with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
        instance.get_runs_count()

fork = multiprocessing.get_context("fork")
barrier = fork.Barrier(24)
processes = [fork.Process(target=open_it, args=(barrier,)) for _ in range(24)]
for process in processes:
    process.start()
for process in processes:
    process.join()
print([process.exitcode for process in processes])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(clone)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{[0] * 24}\n", done.stderr
    with dg.DagsterInstance.from_config(str(clone)) as instance:
        assert instance.create_run_for_job(job).run_id


def test_preparing_twice_is_preparing_once(clone: Path) -> None:
    place = prepare(clone)
    files = {path: path.stat().st_mtime_ns for path in place.rglob("*.db")}
    assert len(files) == 3
    assert prepare(clone) == place
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*.db")} == files


def test_preparing_a_folder_without_dagster_yaml_says_so_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no dagster\.yaml"):
        prepare(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["DAGSTER_HOME", "working folder"])
def test_the_command_prepares_the_folder_that_it_is_given(
    how: str, clone: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run(
        [sys.executable, "-m", "ml_platform.operations.instance"],
        env={**os.environ, **({"DAGSTER_HOME": str(clone)} if how == "DAGSTER_HOME" else {})},
        cwd=clone if how == "working folder" else elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(clone / "var" / "dagster") in done.stdout
    assert (clone / "var" / "dagster" / "history" / "runs.db").is_file()


def test_the_command_fails_with_the_message_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ml_platform.operations.instance", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"instance {tmp_path}: there is no dagster.yaml")


def test_a_run_is_marked_with_the_process_that_executes_it(instance: dg.DagsterInstance) -> None:
    result = job.execute_in_process(instance=instance)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert process_of(run) == ProcessName.own()
    assert os.environ[RUN_VARIABLE] == result.run_id


def test_a_retry_that_inherits_the_tags_does_not_inherit_the_process(
    instance: dg.DagsterInstance,
) -> None:
    first = instance.get_run_by_id(job.execute_in_process(instance=instance).run_id)
    assert first is not None
    assert process_of(instance.create_run_for_job(job, tags=first.tags)) is None


@pytest.mark.fault
@pytest.mark.parametrize("how", ["report_run_failed", "report_run_canceled"])
def test_what_a_gone_run_left_is_ended_when_another_process_declares_its_end(
    how: str, instance: dg.DagsterInstance, sleeper: subprocess.Popen
) -> None:
    run = run_of(instance, sleeper, gone())
    getattr(instance, how)(run)
    # Killed, where a busy machine did not let it stop within the time it is given.
    assert sleeper.poll() in {-signal.SIGTERM, -signal.SIGKILL}
    said = f"The run's process is gone; ended what it had started: process {sleeper.pid}."
    assert said in messages(instance, run)


def test_a_run_that_is_there_or_out_of_sight_keeps_what_it_started(
    instance: dg.DagsterInstance, sleeper: subprocess.Popen
) -> None:
    own = ProcessName.own()
    run = run_of(instance, sleeper, own)
    instance.report_run_failed(run)
    hidden = ProcessName(own.pid, 0, type(own.place)("elsewhere", "m", "b", "n"))
    instance.add_run_tags(run.run_id, {RUN_PROCESS_TAG: f"{run.run_id} {hidden}"})
    instance.report_run_canceled(run)
    assert sleeper.poll() is None


def test_a_run_that_another_process_declares_failed_before_its_start_just_fails(
    instance: dg.DagsterInstance,
) -> None:
    run = instance.create_run_for_job(job)
    instance.report_run_failed(run, "no room")
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert failed.status == dg.DagsterRunStatus.FAILURE
    assert messages(instance, run) == ["no room"]
