"""The words of a step: what it does, whether it runs, and what its failure means.

What belongs here: what can be written, and what is refused when it is read. No Dagster.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from ml_platform.execution.profile import MOST_HURRIED_S
from ml_platform.kernel.expression import compiled
from ml_platform.kernel.names import TableKey
from ml_platform.scenarios.parts import Duration, Function, Name, Part, given_of, one_of
from ml_platform.scenarios.templates import NAMES, checked, checked_below

CONDITIONS = ("always", "on_success", "on_warning", "on_failure")

Text = Annotated[str, AfterValidator(checked)]
"""A text in which `{{ variables.region }}` stands for a value."""


class Build(Part):
    """Make assets in runs of their own, in this step's process."""

    selection: Text = Field(description="Which, in Dagster's words, like group:demand or +key:x.")
    upstream: bool = Field(default=False, description="Whether also all that they are made from.")
    only: Literal["all", "missing", "stale"] = Field(
        default="all",
        description="All of them, those never made, or those whose code or upstream has changed.",
    )
    partitions: Text | list[Text] | None = Field(
        default=None,
        description="Of partitioned tables: one, a list, first..last, or current_month, "
        "previous_day and the like; without it all.",
    )


class Clear(Part):
    """Empty tables, or partitions of them; `ml-platform restore` brings them back."""

    tables: list[str] = Field(min_length=1, description="Their keys, like raw/sales.")
    partitions: Text | list[Text] | None = Field(
        default=None, description="As for `build`; without it the whole table."
    )

    @field_validator("tables")
    @classmethod
    def _are_keys(cls, value: list[str]) -> list[str]:
        return [str(TableKey.parse(key)) for key in value]


class RunPython(Part):
    """Call a function; what it returns is the step's output."""

    function: Function = Field(description="Where it is, like my_package.module:function.")
    arguments: dict[str, Any] = Field(
        default={},
        description="What it is called with, by name; `= ...` is an expression, {{ }} a template.",
    )

    @field_validator("arguments")
    @classmethod
    def _hold_templates(cls, value: dict[str, Any]) -> dict[str, Any]:
        return checked_below(value)


class RunSql(Part):
    """Run statements; the rows of the last one are the step's output."""

    statements: str | list[str] = Field(
        description="One or several, in one transaction; :name is a variable, bound."
    )
    url: str | None = Field(
        default=None,
        description="SQLAlchemy's URL, or ${A_VARIABLE} that holds it; without it one SELECT over "
        "the platform's tables.",
    )
    limit: int = Field(default=100, ge=0, le=10_000, description="How many rows are kept.")

    @field_validator("statements")
    @classmethod
    def _holds_no_template(cls, value: str | list[str]) -> str | list[str]:
        for one in [value] if isinstance(value, str) else value:
            if not one.strip():
                raise ValueError("a statement is empty")
            if "{{" in one or "{%" in one:
                raise ValueError("SQL takes no {{ }}; write :name, and the variable is bound")
        return value


Severity = Literal["info", "warning", "error", "critical"]


class SendMessage(Part):
    """Tell people something; the project's reporters decide who hears it."""

    title: Text = Field(description="What happened, in a few words.")
    text: Text = Field(default="", description="A sentence or two.")
    severity: Severity = Field(default="info", description="How bad it is.")


class CleanUp(Part):
    """Remove what has become old: runs with their logs, versions of tables, what lies about."""

    keep: Duration = Field(default=30 * 86400.0, description="What is younger stays, like 30d.")
    what: list[Literal["runs", "versions", "leftovers"]] = Field(
        default=["runs", "versions", "leftovers"], min_length=1, description="What is looked at."
    )
    dry_run: bool = Field(default=False, description="Whether only to tell what would go.")


class ComputeMetrics(Part):
    """Compute figures of tables, which are kept with them and usable by later steps."""

    tables: list[str] = Field(min_length=1, description="Their keys, like raw/sales.")
    partitions: Text | list[Text] | None = Field(
        default=None, description="As for `build`, each for itself; without it the whole table."
    )
    columns: list[str] = Field(default=[], description="Only these; else all.")

    @field_validator("tables")
    @classmethod
    def _are_keys(cls, value: list[str]) -> list[str]:
        return [str(TableKey.parse(key)) for key in value]


class StartCluster(Part):
    """Start a Ray cluster of this machine, or hold the one that is there."""

    name: Name = Field(description="Of the cluster; tables use it by this name.")
    nodes: int = Field(default=2, ge=1, description="How many that work.")
    cpus: float = Field(default=1, gt=0, description="Cores of each node.")
    hold: Duration = Field(
        default=3600.0,
        ge=MOST_HURRIED_S,
        description="How long until it ends by itself, unless a step holds it longer.",
    )


class Deploy(Part):
    """Let the code of a project, as it is on the disk now, become what Dagster knows."""

    project: Name = Field(description="The project; its code location has the same name.")
    server: Text = Field(
        default="${ML_PLATFORM_UI_URL:-http://127.0.0.1:3000}",
        description="The address of Dagster's webserver.",
    )


KINDS = (
    "build", "clear", "run_checks", "compute_metrics", "run_python", "run_sql", "set_variables",
    "run_scenario", "kill_scenario", "send_message", "start_cluster", "stop_cluster", "clean_up",
    "deploy",
)  # fmt: skip


class Step(Part):
    """One step: what it does, whether it runs, and what its failure means."""

    name: Name = Field(description="Its name, for conditions and in Dagster.")
    description: str | None = Field(default=None, description="What it is for.")
    enabled: bool = Field(default=True, description="Whether it is looked at, at all.")
    if_: str = Field(
        default="on_success",
        alias="if",
        description="always, on_success, on_warning, on_failure, or an expression.",
    )
    build: Build | None = Field(default=None, description="Make assets.")
    clear: Clear | None = Field(default=None, description="Empty tables or partitions.")
    run_checks: Text | None = Field(
        default=None, description="Run the checks of these assets, in Dagster's words."
    )
    compute_metrics: ComputeMetrics | None = Field(
        default=None, description="Compute figures of tables."
    )
    run_python: RunPython | None = Field(default=None, description="Call a function.")
    run_sql: RunSql | None = Field(default=None, description="Run statements on a database.")
    set_variables: dict[str, Any] | None = Field(
        default=None,
        description="Set variables for the later steps; `= ...` is an expression.",
    )
    scope: Literal["run", "project", "platform"] = Field(
        default="run", description="How long and for whom `set_variables` holds."
    )
    run_scenario: Name | None = Field(
        default=None, description="Run another scenario of the project, and take its outcome."
    )
    kill_scenario: Name | None = Field(
        default=None, description="End the runs of another scenario of the project."
    )
    send_message: SendMessage | None = Field(default=None, description="Tell people something.")
    start_cluster: StartCluster | None = Field(
        default=None, description="Start a Ray cluster of this machine."
    )
    stop_cluster: Name | None = Field(
        default=None, description="End a Ray cluster of this machine."
    )
    clean_up: CleanUp | None = Field(default=None, description="Remove what has become old.")
    deploy: Deploy | None = Field(default=None, description="Let a project's code be loaded anew.")
    retries: int = Field(default=0, ge=0, description="How often to try again when it fails.")
    retry_delay: Duration = Field(default=10.0, description="How long to wait before that.")
    timeout: Duration | None = Field(
        default=None, description="After how long it is broken off and has failed."
    )
    continue_on_failure: bool = Field(
        default=False, description="Whether its failure counts as a warning."
    )
    warnings_as: Literal["success", "warning", "failure"] = Field(
        default="warning", description="What failed checks of severity WARN count as."
    )
    reset_outcome: bool = Field(
        default=False, description="Whether what came before it counts no more, once it runs."
    )

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value in {"start", "outcome"}:
            raise ValueError(f"'{value}' is the name of a step that each scenario has")
        return value

    @field_validator("set_variables")
    @classmethod
    def _hold_templates(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return checked_below(value) if value else value

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        one_of(self, f"step {self.name}", KINDS)
        if self.if_ not in CONDITIONS:
            compiled(self.if_, NAMES)
        if self.scope != "run" and self.set_variables is None:
            raise ValueError("`scope` is for `set_variables`")
        return self

    @property
    def kind(self) -> str:
        """Which of its kinds it is."""
        return given_of(self, KINDS)[0]

    @property
    def may_follow_failure(self) -> bool:
        """Whether it may run after an earlier step has failed."""
        return self.enabled and self.if_ not in {"on_success", "on_warning"}

    @property
    def needs(self) -> set[str]:
        """The resources of the project that it uses."""
        if self.run_python:  # it may ask for the scenario, and do all that a scenario can
            return {"tables", "alerts"}
        if self.send_message:
            return {"alerts"}
        if self.build:
            return {"tables"} if self.build.only != "all" else set()
        if self.run_sql:
            return {"tables"} if self.run_sql.url is None else set()
        return {"tables"} if self.clear or self.compute_metrics or self.clean_up else set()
