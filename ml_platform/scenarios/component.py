"""`Scenario`: triggers that wait for quiet, and the steps that they start."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from ml_platform.execution.component import loaded_plainly, project_of
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.scenarios import times, trigger_words, words
from ml_platform.scenarios.job import scenario_job
from ml_platform.scenarios.sensor import scenario_sensor


class TimeField(times.Time, dg.Resolvable):
    """When: a cron expression, or `every` so many units `at` a time of day."""


class FilesField(trigger_words.Files, dg.Resolvable):
    """Files that are watched."""


class TablesField(trigger_words.Tables, dg.Resolvable):
    """Tables of this project that are watched."""


class ModelsField(trigger_words.Models, dg.Resolvable):
    """Models of this project whose champion is watched."""


class SqlField(trigger_words.Sql, dg.Resolvable):
    """A query whose result is watched."""


class AfterScenarioField(trigger_words.AfterScenario, dg.Resolvable):
    """Another scenario whose ends are watched."""


class PythonField(trigger_words.PythonLook, dg.Resolvable):
    """A function that says whether to start, and with which parameters."""


class WebhookField(trigger_words.Webhook, dg.Resolvable):
    """Signed calls over HTTP."""


class TriggerField(trigger_words.Trigger, dg.Resolvable):
    """What starts the scenario."""

    time: TimeField | None = Field(default=None, description="At certain times.")
    files: FilesField | None = Field(default=None, description="When files change.")
    tables: TablesField | None = Field(
        default=None, description="When tables of the project change."
    )
    models: ModelsField | None = Field(default=None, description="When models have a new champion.")
    sql: SqlField | None = Field(default=None, description="When the result of a query changes.")
    after_scenario: AfterScenarioField | None = Field(
        default=None, description="When another scenario has ended."
    )
    python: PythonField | None = Field(default=None, description="When a function says so.")
    webhook: WebhookField | None = Field(default=None, description="When it is called over HTTP.")


class BuildField(words.Build, dg.Resolvable):
    """Make assets in a run of their own, in this step's process."""


class RunPythonField(words.RunPython, dg.Resolvable):
    """Call a function; what it returns is the step's output."""


class StepField(words.Step, dg.Resolvable):
    """One step: what it does, whether it runs, and what its failure means."""

    build: BuildField | None = Field(default=None, description="Make assets.")
    run_python: RunPythonField | None = Field(default=None, description="Call a function.")


@dg.scaffold_with(ExampleScaffolder)
class Scenario(dg.Component, dg.Model, words.ScenarioWords, dg.Resolvable):
    """Steps in order, started by triggers that wait until what they watch is quiet."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    scaffold_example: ClassVar[dict[str, Any]] = {
        "name": "NAME",
        "active": False,
        "triggers": [{"name": "daily", "time": {"unit": "days", "at": "06:00"}}],
        "steps": [{"name": "build", "build": {"selection": "*"}}],
    }
    scaffold_files: ClassVar[dict[str, str]] = {}

    triggers: Sequence[TriggerField] = Field(
        default=[], description="What starts it; each does so by itself."
    )
    steps: Sequence[StepField] = Field(min_length=1, description="What it does, in this order.")

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of its attributes."""
        return loaded_plainly(cls, attributes, super().load, context)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The scenario's job, and the sensor that starts it where it has triggers."""
        project = project_of(context)
        job = scenario_job(project, self)
        sensors = [scenario_sensor(project, self)] if self.triggers else []
        return dg.Definitions(jobs=[job], sensors=sensors)
