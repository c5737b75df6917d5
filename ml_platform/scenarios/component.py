"""`Scenario`: triggers that wait for quiet, and the steps that they start."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from ml_platform.execution.component import project_of
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.scenarios import step_words, times, trigger_words, words
from ml_platform.scenarios.job import KEEPER, scenario_job
from ml_platform.scenarios.parts import Name
from ml_platform.scenarios.sensor import scenario_sensor
from ml_platform.scenarios.whole import scenario_metadata, variable_metadata

_NAMED = TypeAdapter(dict[Name, Any])
_Component = TypeVar("_Component", bound=dg.Model)


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


class BuildField(step_words.Build, dg.Resolvable):
    """Make assets in runs of their own, in this step's process."""


class ClearField(step_words.Clear, dg.Resolvable):
    """Empty tables, or partitions of them; `ml-platform restore` brings them back."""


class ComputeMetricsField(step_words.ComputeMetrics, dg.Resolvable):
    """Compute figures of tables, which are kept with them and usable by later steps."""


class StartClusterField(step_words.StartCluster, dg.Resolvable):
    """Start a Ray cluster of this machine, or hold the one that is there."""


class RunPythonField(step_words.RunPython, dg.Resolvable):
    """Call a function; what it returns is the step's output."""


class RunSqlField(step_words.RunSql, dg.Resolvable):
    """Run statements; the rows of the last one are the step's output."""


class SendMessageField(step_words.SendMessage, dg.Resolvable):
    """Tell people something; the project's reporters decide who hears it."""


class CleanUpField(step_words.CleanUp, dg.Resolvable):
    """Remove what has become old: runs with their logs, versions of tables, what lies about."""


class DeployField(step_words.Deploy, dg.Resolvable):
    """Let the code of a project, as it is on the disk now, become what Dagster knows."""


class StepField(step_words.Step, dg.Resolvable):
    """One step: what it does, whether it runs, and what its failure means."""

    build: BuildField | None = Field(default=None, description="Make assets.")
    clear: ClearField | None = Field(default=None, description="Empty tables or partitions.")
    compute_metrics: ComputeMetricsField | None = Field(
        default=None, description="Compute figures of tables."
    )
    run_python: RunPythonField | None = Field(default=None, description="Call a function.")
    run_sql: RunSqlField | None = Field(default=None, description="Run statements on a database.")
    send_message: SendMessageField | None = Field(default=None, description="Tell people.")
    start_cluster: StartClusterField | None = Field(
        default=None, description="Start a Ray cluster of this machine."
    )
    clean_up: CleanUpField | None = Field(default=None, description="Remove what has become old.")
    deploy: DeployField | None = Field(
        default=None, description="Let a project's code be loaded anew."
    )


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
        """Make the component of its attributes; its templates are for its runs, not for Dagster."""
        _ = context
        return _plainly(cls, attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The scenario's job, and the sensor that starts it where it has triggers."""
        project = project_of(context)
        job = scenario_job(project, self)
        sensors = [scenario_sensor(project, self)] if self.triggers else []
        return dg.Definitions(
            jobs=[job], sensors=sensors, resources=KEEPER, metadata=scenario_metadata(self)
        )


@dg.scaffold_with(ExampleScaffolder)
class Variables(dg.Component, dg.Model, dg.Resolvable):
    """Variables of all scenarios of the project; a scenario's own, and a run's, win over them."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    scaffold_example: ClassVar[dict[str, Any]] = {"variables": {"region": "north"}}
    scaffold_files: ClassVar[dict[str, str]] = {}

    variables: dict[str, Any] = Field(
        description="Values by name; {secret: NAME} is one of the environment."
    )

    @field_validator("variables")
    @classmethod
    def _have_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _NAMED.validate_python(value)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of its attributes."""
        _ = context
        return _plainly(cls, attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """What carries the variables to the project's scenarios."""
        _ = context
        return dg.Definitions(metadata=variable_metadata(self.variables))


def _plainly(cls: type[_Component], attributes: BaseModel | None) -> _Component:
    plain = attributes.model_dump(exclude_unset=True, by_alias=True) if attributes else {}
    return cls.model_validate(plain)
