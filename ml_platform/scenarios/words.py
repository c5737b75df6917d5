"""The words of a scenario's declaration: its triggers, its steps, and their fields.

What belongs here: what can be written, and what is refused when it is read. No Dagster.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ml_platform.kernel.errors import DeclarationError, closest
from ml_platform.kernel.expression import compiled
from ml_platform.kernel.names import TableKey
from ml_platform.scenarios.settle import Rules
from ml_platform.scenarios.times import Time

NAMES = ("outcome", "steps", "params", "variables", "trigger")
"""What an expression may ask about; docs/scenarios.md says what each holds."""

CONDITIONS = ("always", "on_success", "on_warning", "on_failure")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?([smhd])")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def seconds(value: Any) -> float:
    """A length of time as people write it: 30s, 2m, 1.5h, 7d.

    >>> seconds("2m"), seconds("1.5h")
    (120.0, 5400.0)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"'{value}' is no length of time; write it like 30s, 2m, 1.5h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def _checked_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"'{value}' is no name; write it in lower case, of letters, digits and _")
    return value


Duration = Annotated[float | str, BeforeValidator(seconds)]
Name = Annotated[str, BeforeValidator(_checked_name)]


class Part(BaseModel):
    """A part of a declaration: a word that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


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


class Trigger(Part):
    """What starts the scenario: exactly one of `time`, `files` and `tables`."""

    name: Name = Field(description="Its name, for the record of evaluations.")
    active: bool = Field(default=True, description="Whether it is looked at.")
    time: Time | None = Field(default=None, description="At certain times.")
    files: Files | None = Field(default=None, description="When files change.")
    tables: Tables | None = Field(default=None, description="When tables of the project change.")
    every: Duration = Field(default=900.0, description="How often to look, like 15m.")
    grace: Duration = Field(
        default=120.0, description="How long nothing may change before the run starts, like 2m."
    )
    recheck: bool = Field(
        default=True, description="Whether a change within `grace` begins the wait again."
    )
    minimum_interval: Duration = Field(
        default=0.0, description="The least time between two runs that it starts."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        _one_of(self, f"trigger {self.name}", ("time", "files", "tables"))
        given = self.model_fields_set & {"every", "grace", "recheck", "minimum_interval"}
        if self.time and given:
            raise ValueError(f"`{min(given)}` is for what is watched, not for `time`")
        return self

    @property
    def kind(self) -> str:
        """Which of its kinds it is."""
        return _given(self, ("time", "files", "tables"))[0]

    @property
    def rules(self) -> Rules:
        """How it waits."""
        return Rules(float(self.grace), self.recheck, float(self.minimum_interval))


class Build(Part):
    """Make assets in a run of their own, in this step's process."""

    selection: str = Field(description="Which, in Dagster's words, like group:demand or +key:x.")
    only: Literal["all", "missing"] = Field(
        default="all", description="All that are selected, or those that were never made."
    )
    partition: str | None = Field(default=None, description="Of partitioned tables, this one.")


class RunPython(Part):
    """Call a function; what it returns is the step's output."""

    function: str = Field(description="Where it is, like my_package.module:function.")
    arguments: dict[str, Any] = Field(default={}, description="What it is called with, by name.")

    @field_validator("function")
    @classmethod
    def _has_two_parts(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.]+:\w+", value):
            raise ValueError(f"'{value}' names no function; write it like package.module:function")
        return value


STEP_KINDS = ("build", "run_checks", "run_python", "set_variables", "run_scenario")


class Step(Part):
    """One step: what it does, whether it runs, and what its failure means."""

    name: Name = Field(description="Its name, for conditions and in Dagster.")
    description: str | None = Field(default=None, description="What it is for.")
    if_: str = Field(
        default="on_success",
        alias="if",
        description="always, on_success, on_warning, on_failure, or an expression.",
    )
    build: Build | None = Field(default=None, description="Make assets.")
    run_checks: str | None = Field(
        default=None, description="Run the checks of these assets, in Dagster's words."
    )
    run_python: RunPython | None = Field(default=None, description="Call a function.")
    set_variables: dict[str, Any] | None = Field(
        default=None,
        description="Set variables for the later steps; `= ...` is an expression.",
    )
    run_scenario: Name | None = Field(
        default=None, description="Run another scenario of the project, and take its outcome."
    )
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

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value in {"start", "outcome"}:
            raise ValueError(f"'{value}' is the name of a step that each scenario has")
        return value

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        _one_of(self, f"step {self.name}", STEP_KINDS)
        if self.if_ not in CONDITIONS:
            compiled(self.if_, NAMES)
        for value in (self.set_variables or {}).values():
            if isinstance(value, str) and value.startswith("="):
                compiled(value[1:].strip(), NAMES)
        return self

    @property
    def kind(self) -> str:
        """Which of its kinds it is."""
        return _given(self, STEP_KINDS)[0]

    @property
    def may_follow_failure(self) -> bool:
        """Whether it may run after an earlier step has failed."""
        return self.if_ not in {"on_success", "on_warning"}


class ScenarioWords(Part):
    """A scenario as its declaration says it."""

    name: Name = Field(description="Its name, and that of its job.")
    description: str | None = Field(default=None, description="What it does, in a sentence or two.")
    active: bool = Field(default=True, description="Whether its triggers are looked at.")
    triggers: Sequence[Trigger] = Field(
        default=[], description="What starts it; each does so by itself."
    )
    variables: dict[str, Any] = Field(
        default={}, description="Variables of every run; its parameters win over them."
    )
    steps: Sequence[Step] = Field(min_length=1, description="What it does, in this order.")

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        for what, parts in (("trigger", self.triggers), ("step", self.steps)):
            names = [part.name for part in parts]
            if twins := sorted({name for name in names if names.count(name) > 1}):
                raise DeclarationError(
                    f"scenario {self.name}", f"two {what}s are called {twins[0]}",
                    fix="give each a name of its own",
                )  # fmt: skip
        if any(step.run_scenario == self.name for step in self.steps):
            raise DeclarationError(f"scenario {self.name}", "a step runs this scenario itself")
        return self

    def trigger(self, name: str) -> Trigger:
        """The trigger of a name.

        Raises:
            DeclarationError: it has none of this name.
        """
        for one in self.triggers:
            if one.name == name:
                return one
        raise DeclarationError(
            f"scenario {self.name}", f"it has no trigger '{name}'",
            allowed=closest(name, [one.name for one in self.triggers]),
        )  # fmt: skip


def _given(part: BaseModel, kinds: tuple[str, ...]) -> list[str]:
    return [kind for kind in kinds if getattr(part, kind) is not None]


def _one_of(part: BaseModel, subject: str, kinds: tuple[str, ...]) -> None:
    given = _given(part, kinds)
    if len(given) != 1:
        raise DeclarationError(
            subject, f"it has {' and '.join(given) or 'no kind'}",
            allowed=f"one of {', '.join(kinds)}",
        )  # fmt: skip
