"""Scenarios from a terminal: run here, told what they take, ended by somebody else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.kernel.errors import NotFoundError
from ml_platform.kernel.marks import OUTCOME_TAG
from ml_platform.session import Session

PROGRAM = Path(sys.executable).parent / "ml-platform"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def session(workshop, tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path / "home"))

    def made(*steps, **words):
        workshop.declare("Scenario", "scenarios", name="refresh", steps=list(steps), **words)
        return Session(workshop.load(), workshop.instance)

    return made


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        ({"if": "params.n == 3 and variables.n == 3", "set_variables": {}}, "success"),
        ({"run_python": {"function": "operator:add"}, "continue_on_failure": True}, "warning"),
        ({"run_python": {"function": "operator:add"}}, "failed"),
    ],
)
def test_a_scenario_runs_here_with_parameters_and_its_outcome_is_told(session, step, outcome):
    one = session({"name": "only", **step}, variables={"n": 1})
    happened = []
    assert one.run_scenario("refresh", {"n": 3}, happened.append) == outcome
    [run] = one.instance.get_runs()
    assert run.tags[OUTCOME_TAG] == outcome
    assert one.last_run("refresh")[1] == outcome
    assert [what.what for what in happened if what.kind == "started"][:2] == ["start", "only"]


def test_a_parameter_or_scenario_that_is_not_there_is_told_and_nothing_runs(session):
    one = session({"name": "only", "set_variables": {}}, variables={"region": "north"})
    with pytest.raises(NotFoundError, match="parameter 'regoin'") as error:
        one.run_scenario("refresh", {"regoin": 1}, print)
    assert "region (did you mean this?)" in str(error.value)
    with pytest.raises(NotFoundError, match="no such scenario"):
        one.submit_scenario("refrehs", {})
    assert one.instance.get_runs() == []
    free = session({"name": "only", "if": "params.anything", "set_variables": {}})
    assert free.run_scenario("refresh", {"anything": True}, print) == "success"


def test_where_a_variable_comes_from_is_told(session, workshop):
    workshop.declare("Variables", "variables", variables={"region": "north", "site": "x"})
    one = session({"name": "only", "set_variables": {}}, variables={"region": "south"})
    assert [(v.name, v.value, v.origin) for v in one.variables("refresh").values()] == [
        ("region", "south", "scenario refresh"), ("site", "x", "project shop"),
    ]  # fmt: skip
    assert one.variables(None)["region"].value == "north"


WAITING = """
import sys
import time
from pathlib import Path

from ml_platform.scenarios.steps.place import within
from ml_platform.scenarios.job import KEEPER, scenario_job
from ml_platform.scenarios.words import ScenarioWords
import dagster as dg

@dg.asset(key=["raw", "slow"])
def slow():
    Path(sys.argv[1]).touch()
    time.sleep(600)

steps = [{"name": "build", "build": {"selection": "*"}},
         {"name": "after", "if": "always", "set_variables": {"n": 1}}]
job = scenario_job("demand", ScenarioWords(name="weekly_refresh", steps=steps))
project = dg.Definitions(assets=[slow], jobs=[job], resources=KEEPER).get_repository_def()
with dg.DagsterInstance.get() as instance, within(project):
    project.get_job("weekly_refresh").execute_in_process(instance=instance, raise_on_error=False)
"""


@pytest.mark.fault
def test_a_run_in_one_terminal_is_ended_from_another_with_its_child(tmp_path):
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(ROOT),
        "ML_PLATFORM_HOME": str(tmp_path),
        "COLUMNS": "200",
    }
    begun = tmp_path / "begun"
    running = subprocess.Popen(
        [sys.executable, "-c", WAITING, begun], env=environment, start_new_session=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not begun.exists():
            assert running.poll() is None
            time.sleep(0.2)
        done = subprocess.run(
            [PROGRAM, "scenario", "kill", "weekly_refresh"],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "was told to end" in done.stdout
        running.wait(120)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    look = (
        "import dagster as dg\nfor r in dg.DagsterInstance.get().get_runs(): print(r.status.value)"
    )
    seen = subprocess.run(
        [sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True
    )
    assert seen.stdout.split() == [dg.DagsterRunStatus.CANCELED.value] * 2
