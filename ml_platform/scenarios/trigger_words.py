"""The words of a trigger: what it watches, how often it looks, how long it waits.

What belongs here: what can be written, and what is refused when it is read. No Dagster.
"""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ml_platform.kernel.names import TableKey
from ml_platform.scenarios.parts import Duration, Function, Name, Part, given_of, one_of
from ml_platform.scenarios.settle import Rules
from ml_platform.scenarios.times import Time

Outcomes = Literal["success", "warning", "failed"]

KINDS = ("time", "files", "tables", "models", "sql", "after_scenario", "python", "webhook")

EVERY_S = {"after_scenario": 60.0, "webhook": 30.0}
"""How often these are looked at where `every` is not given; the others every `LOOK_S`."""

LOOK_S, GRACE_S = 900.0, 120.0

AT_ONCE = ("after_scenario", "webhook")
"""What these tell of is over when it is seen, so there is nothing to wait for."""


class Files(Part):
    """Files that are watched."""

    paths: list[str] = Field(
        min_length=1, description="Files or folders, here or s3://...; they may hold ${NAME}."
    )
    pattern: str = Field(default="*", description="Which names count, like *.csv.")
    by: Literal["times", "contents"] = Field(
        default="times", description="Whether sizes and times tell a change, or contents."
    )
    marker: str | None = Field(
        default=None, description="A file's name in each folder; its change alone counts."
    )
    need: Literal["any", "all"] = Field(
        default="any", description="Whether one path has to change, or all of them."
    )


class Tables(Part):
    """Tables of this project that are watched."""

    keys: list[str] = Field(min_length=1, description="Tables, like raw/sales.")
    partitions: list[str] = Field(default=[], description="Only these partitions; else all.")
    need: Literal["any", "all"] = Field(
        default="any", description="Whether one table has to change, or all of them."
    )

    @field_validator("keys")
    @classmethod
    def _are_keys(cls, value: list[str]) -> list[str]:
        return [str(TableKey.parse(key)) for key in value]


class Models(Part):
    """Models of this project whose champion is watched."""

    keys: list[str] = Field(min_length=1, description="Models, like models/demand.")
    need: Literal["any", "all"] = Field(
        default="any", description="Whether one model needs a new champion, or all of them."
    )

    @field_validator("keys")
    @classmethod
    def _are_models(cls, value: list[str]) -> list[str]:
        keys = [TableKey.parse(key) for key in value]
        if others := [str(key) for key in keys if key.layer != "models"]:
            raise ValueError(f"'{others[0]}' is no model; write it like models/demand")
        return [str(key) for key in keys]


class Sql(Part):
    """A query whose result is watched."""

    url: str = Field(description="SQLAlchemy's URL; take it, or its password, from ${A_VARIABLE}.")
    query: str = Field(min_length=1, description="One SELECT.")
    limit: int = Field(
        default=100, ge=1, le=10_000, description="The most rows; a longer result is an error."
    )
    order: Literal["ignored", "counts"] = Field(
        default="ignored", description="Whether the same rows in another order are a change."
    )
    timeout: Duration = Field(default=10.0, description="How long it may take, like 10s.")


class AfterScenario(Part):
    """Another scenario whose ends are watched."""

    scenario: Name = Field(description="Its name.")
    project: str | None = Field(default=None, description="Its project; else this one.")
    outcomes: list[Outcomes] = Field(
        default=["success", "warning", "failed"],
        min_length=1,
        description="How it has to end: success, warning, failed.",
    )


class PythonLook(Part):
    """A function that says whether to start, and with which parameters."""

    function: Function = Field(description="Where it is, like my_package.module:function.")
    arguments: dict[str, Any] = Field(default={}, description="What it is called with, by name.")
    timeout: Duration = Field(default=10.0, description="How long it may take, like 10s.")


class Webhook(Part):
    """Signed calls over HTTP."""

    secret: str = Field(
        pattern=r"^\$\{\w+\}$",
        description="The variable that holds the key calls are signed with, like ${HOOK_KEY}.",
    )


class Trigger(Part):
    """What starts the scenario: exactly one of its kinds."""

    name: Name = Field(description="Its name, for the record of evaluations.")
    active: bool = Field(default=True, description="Whether it is looked at.")
    time: Time | None = Field(default=None, description="At certain times.")
    files: Files | None = Field(default=None, description="When files change.")
    tables: Tables | None = Field(default=None, description="When tables of the project change.")
    models: Models | None = Field(default=None, description="When models have a new champion.")
    sql: Sql | None = Field(default=None, description="When the result of a query changes.")
    after_scenario: AfterScenario | None = Field(
        default=None, description="When another scenario has ended."
    )
    python: PythonLook | None = Field(default=None, description="When a function says so.")
    webhook: Webhook | None = Field(default=None, description="When it is called over HTTP.")
    every: Duration | None = Field(
        default=None,
        description="How often to look, like 15m; 1m after a scenario, 30s for calls, else 15m.",
    )
    grace: Duration | None = Field(
        default=None,
        description="How long nothing may change before the run starts; 2m, or 0s after a "
        "scenario and for calls.",
    )
    recheck: bool = Field(
        default=True, description="Whether a change within `grace` begins the wait again."
    )
    minimum_interval: Duration = Field(
        default=0.0, description="The least time between two runs that it starts."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        one_of(self, f"trigger {self.name}", KINDS)
        given = self.model_fields_set & {"every", "grace", "recheck", "minimum_interval"}
        if self.time and given:
            raise ValueError(f"`{min(given)}` is for what is watched, not for `time`")
        return self

    @property
    def kind(self) -> str:
        """Which of its kinds it is."""
        return given_of(self, KINDS)[0]

    @property
    def interval(self) -> float:
        """How often it is looked at, in seconds."""
        return EVERY_S.get(self.kind, LOOK_S) if self.every is None else float(self.every)

    @property
    def rules(self) -> Rules:
        """How it waits."""
        grace = 0.0 if self.kind in AT_ONCE else GRACE_S
        grace = grace if self.grace is None else float(self.grace)
        return Rules(grace, self.recheck, float(self.minimum_interval))
