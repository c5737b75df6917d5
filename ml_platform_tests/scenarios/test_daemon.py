"""The whole way with the real daemon: files arrive, a scenario starts, its child runs get through.

The queue lets one run in. Two scenarios that wait for other runs are started at once; had their
children needed a place in the queue, nothing would ever end. A third one waits within a child run
for what ends it: the machine, or a person.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.kernel.marks import PARENT_TAG
from ml_platform.loading.project import Project
from ml_platform.operations.instance import process_of
from ml_platform.scenarios.recorder import Recorder
from ml_platform.scenarios.steps.control import end_runs
from ml_platform.scenarios.whole import scenario_metadata
from ml_platform.scenarios.words import ScenarioWords
from ml_platform.session import Session
from ml_platform_tests.daemon import HASTY_DAEMON

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 240

PROJECT = """
import os
import time
import uuid
from pathlib import Path

import dagster as dg
from ml_platform.scenarios.job import KEEPER, scenario_job
from ml_platform.scenarios.sensor import scenario_sensor
from ml_platform.scenarios.words import ScenarioWords

WATCHED = [{"name": "arrival", "every": "1s", "grace": "0s",
            "files": {"paths": [os.environ["ARRIVALS"]]}}]

@dg.asset(key=["raw", "sales"])
def sales():
    return 1

@dg.asset(key=["raw", "slow"])
def slow():
    here = Path(os.environ["ARRIVALS"]).parent
    (here / f"begun-{uuid.uuid4()}").touch()
    while not (here / "go").exists():
        time.sleep(0.1)
    return 1

inner = ScenarioWords(
    name="inner", steps=[{"name": "build", "build": {"selection": 'key:"raw/sales"'}}]
)
patient = ScenarioWords(
    name="patient",
    triggers=[{"name": "asked", "every": "1s", "grace": "0s",
               "files": {"paths": [os.environ["ARRIVALS"] + "_patient"]}}],
    steps=[
        {"name": "first", "set_variables": {"n": 1}},
        {"name": "build", "build": {"selection": 'key:"raw/slow"'}},
        {"name": "after", "if": "always", "set_variables": {"n": 2}},
    ],
)
outer = [
    ScenarioWords(name=name, triggers=WATCHED, steps=[{"name": "call", "run_scenario": "inner"}])
    for name in ("outer_one", "outer_two")
]
defs = dg.Definitions(
    assets=[sales, slow],
    resources=KEEPER,
    jobs=[scenario_job("shop", one) for one in (inner, patient, *outer)],
    sensors=[scenario_sensor("shop", one) for one in (patient, *outer)],
)
"""
WORKSPACE = """
load_from:
  - python_file: {relative_path: defs.py, location_name: shop, working_directory: .}
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A folder with that project, and the daemon on it; the queue lets one run in."""
    folder = tmp_path / "host"
    (folder / "in").mkdir(parents=True)
    (folder / "in_patient").mkdir()
    shutil.copy(REPOSITORY / "dagster.yaml", folder)
    (folder / "defs.py").write_text(PROJECT)
    (folder / "workspace.yaml").write_text(WORKSPACE)
    for name, value in {
        "DAGSTER_HOME": folder,
        "ML_PLATFORM_HOME": folder / "var",
        "ML_PLATFORM_MAX_CONCURRENT_RUNS": 1,
        "ARRIVALS": folder / "in",
    }.items():
        monkeypatch.setenv(name, str(value))
    words = [sys.executable, "-m", "dagster"]
    subprocess.run([*words, "instance", "info"], cwd=folder, check=True, capture_output=True)
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(
            [*HASTY_DAEMON, "run", "-w", "workspace.yaml"],
            cwd=folder, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    yield folder
    with contextlib.suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGTERM)
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


def wait(folder, condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(
                f"{what}: not within {PATIENCE_S} s\n{(folder / 'log').read_text()[-8000:]}"
            )
        time.sleep(0.1)


@pytest.mark.fault
def test_scenarios_that_wait_for_other_runs_never_take_their_places(host):
    record = Recorder(f"sqlite:///{host / 'var' / 'dagster' / 'scenarios.db'}")
    names = ("outer_one", "outer_two")
    wait(host, lambda: all(record.rows("shop", name) for name in names), "the first looks")
    (host / "in" / "a.csv").write_text("1")
    with dg.DagsterInstance.get() as instance:

        def ended():
            runs = [
                run for name in names for run in instance.get_runs(dg.RunsFilter(job_name=name))
            ]
            assert not [run for run in runs if run.status == dg.DagsterRunStatus.FAILURE]
            return len([run for run in runs if run.is_success]) == len(names)

        wait(host, ended, "both scenarios")
        runs = instance.get_runs()
    # Each: its own run, the inner scenario's, and that one's build; each change started one.
    assert len(runs) == 2 * 3
    assert all(run.is_success for run in runs)
    for name in names:
        decisions = [row.decision for row in record.rows("shop", name)]
        assert decisions[0] == "first"
        assert decisions.count("fired") == 1


def steps_of(instance, run):
    return {one.step_key: one.status.value for one in instance.get_run_step_stats(run.run_id)}


@pytest.mark.fault
def test_a_run_whose_process_dies_goes_on_where_it_was_and_one_that_is_killed_goes_no_further(host):
    record = Recorder(f"sqlite:///{host / 'var' / 'dagster' / 'scenarios.db'}")

    def begun():
        return len(list(host.glob("begun-*")))

    def ended(wanted, status):
        found = [run for run in runs(wanted) if run.status.value == status]
        return found and all(run.is_finished for run in instance.get_runs())

    def runs(name):
        return instance.get_runs(dg.RunsFilter(job_name=name))

    wait(host, lambda: record.rows("shop", "patient"), "the first look")
    (host / "in_patient" / "a.csv").write_text("1")
    with dg.DagsterInstance.get() as instance:
        wait(host, lambda: begun() == 1, "the first run's child")
        [first] = runs("patient")
        os.kill(process_of(first).pid, signal.SIGKILL)
        wait(host, lambda: begun() == 2, "the run that takes its place")
        (host / "go").touch()
        wait(host, lambda: ended("patient", "SUCCESS"), "that run")
        again, first = runs("patient")
        assert first.status == dg.DagsterRunStatus.FAILURE
        assert steps_of(instance, again) == {
            "build": "SUCCESS", "after": "SUCCESS", "outcome": "SUCCESS",
        }  # fmt: skip
        children = [instance.get_runs(dg.RunsFilter(tags={PARENT_TAG: one.run_id}))
                    for one in (first, again)]  # fmt: skip
        assert [[one.status.value for one in some] for some in children] == [
            ["FAILURE"], ["SUCCESS"],
        ]  # fmt: skip

        (host / "go").unlink()
        (host / "in_patient" / "b.csv").write_text("1")
        wait(host, lambda: begun() == 3, "the next run's child")
        [killed] = end_runs(instance, "shop", "patient")
        wait(host, lambda: ended("patient", "CANCELED"), "the end of it")
        [child] = instance.get_runs(dg.RunsFilter(tags={PARENT_TAG: killed}))
        assert child.status == dg.DagsterRunStatus.CANCELED
        steps = steps_of(instance, instance.get_run_by_id(killed))
        assert "after" not in steps
        assert steps["first"] == "SUCCESS"
    assert begun() == 3


@pytest.mark.fault
def test_a_second_daemon_does_nothing_and_a_run_that_is_handed_over_is_started_by_the_first(
    host, monkeypatch
):
    monkeypatch.chdir(host)
    record = Recorder(f"sqlite:///{host / 'var' / 'dagster' / 'scenarios.db'}")
    names = ("outer_one", "outer_two")
    wait(host, lambda: all(record.rows("shop", name) for name in names), "the first looks")
    second = subprocess.Popen(
        [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
        cwd=host, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    (host / "in" / "a.csv").write_text("1")
    said, _ = second.communicate(timeout=PATIENCE_S)
    assert second.returncode != 0
    assert "another one is at work: process" in said
    assert "Launched run" not in said
    inner = ScenarioWords(name="inner", steps=[{"name": "n", "set_variables": {"n": 1}}])
    project = Project("shop", dg.Definitions(metadata=scenario_metadata(inner)), [])
    with dg.DagsterInstance.get() as instance:
        handed = Session(project, instance).submit_scenario("inner", {})

        def ended():
            runs = [run for run in instance.get_runs() if run.job_name in names]
            last = instance.get_run_by_id(handed)
            return len(runs) == len(names) and all(run.is_success for run in (*runs, last))

        wait(host, ended, "one run of each scenario, and the one that was handed over")
        assert all(run.is_success for run in instance.get_runs())
    for name in names:
        assert [row.decision for row in record.rows("shop", name)].count("fired") == 1
