"""A stage for scenarios: a project of theirs, whose sensor ticks at any hour.

Every test of this room keeps its record in a folder of its own.
"""

from datetime import datetime, timedelta

import dagster as dg
import pytest

from ml_platform.alerts.outbox import Outbox
from ml_platform.kernel.clock import system_clock
from ml_platform.kernel.marks import OUTCOME_TAG, PARENT_TAG
from ml_platform.scenarios import sensor as sensors
from ml_platform.scenarios.steps.place import within


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("ML_PLATFORM_HOME", str(folder))
    monkeypatch.setenv("ML_PLATFORM_STORAGE_ROOT", str(tmp_path / "tables"))
    monkeypatch.delenv("ML_PLATFORM_SCENARIOS_URL", raising=False)
    return folder


class Clock:
    def __init__(self):
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self.ahead


class Stage:
    """A project with a scenario, whose sensor ticks at any hour and whose requests are run."""

    def __init__(self, workshop, clock, folder):
        self.workshop, self.clock, self.folder = workshop, clock, folder
        self.instance, self.cursor, self.project = workshop.instance, None, None
        folder.mkdir()

    def declare(self, *steps, **words):
        self.workshop.declare("Scenario", "scenarios", name="refresh", steps=list(steps), **words)
        self.project = self.workshop.load()
        assert self.project.broken == [], self.project.broken[0]
        self.repository = self.project.definitions.get_repository_def()

    def tick(self, minutes=0):
        self.clock.ahead += timedelta(minutes=minutes)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=self.repository
        )
        found = self.repository.get_sensor_def("refresh_triggers").evaluate_tick(context)
        self.cursor = found.cursor
        return found

    def run(self, config=None, job="refresh", **tags):
        with within(self.repository):
            return self.repository.get_job(job).execute_in_process(
                instance=self.instance, run_config=config, tags=tags, raise_on_error=False
            )

    def child_runs(self, run_id):
        return self.instance.get_runs(dg.RunsFilter(tags={PARENT_TAG: run_id}))

    def metadata(self, result, step):
        [event] = [e for e in result.get_step_success_events() if e.step_key == step]
        outputs = [
            e for e in result.all_events
            if e.event_type == dg.DagsterEventType.STEP_OUTPUT and e.step_key == event.step_key
        ]  # fmt: skip
        return {k: v.value for k, v in outputs[-1].step_output_data.metadata.items()}

    def told(self):
        """What its steps have told, until a listener takes it."""
        with Outbox(f"sqlite:///{self.workshop.root / 'alerts.db'}").book() as book:
            return book.take_told("shop", 10)

    def outcome_tag(self, result):
        """How the run says that it ended, to who looks for it later."""
        return self.instance.get_run_by_id(result.run_id).tags.get(OUTCOME_TAG)

    def outcomes(self, result):
        course = result.output_for_node("outcome", "course")
        return {name: one["outcome"] for name, one in course["steps"].items()}


@pytest.fixture
def stage(workshop, tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sensors.scenario_sensor, "__defaults__", (clock,))
    workshop.table("one", "SELECT 1 AS n")
    workshop.table("two", "SELECT n + 1 AS n FROM features.one")
    return Stage(workshop, clock, tmp_path / "in")


@pytest.fixture
def said(capsys):
    """What `ml-platform scenario` prints when it is typed with these words."""
    from ml_platform.scenarios import commands

    def run(*words):
        commands.app(list(words), standalone_mode=False)
        return capsys.readouterr().out

    return run
