"""The words of a scenario's declaration: its steps, and the scenario as a whole.

What belongs here: what can be written, and what is refused when it is read; the words of triggers
are in trigger_words. No Dagster.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ml_platform.kernel.errors import DeclarationError, closest
from ml_platform.kernel.expression import compiled
from ml_platform.scenarios.parts import Duration, Name, Part, given_of, one_of
from ml_platform.scenarios.trigger_words import Trigger

NAMES = ("outcome", "steps", "params", "variables", "trigger")
"""What an expression may ask about; docs/scenarios.md says what each holds."""

CONDITIONS = ("always", "on_success", "on_warning", "on_failure")


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
        one_of(self, f"step {self.name}", STEP_KINDS)
        if self.if_ not in CONDITIONS:
            compiled(self.if_, NAMES)
        for value in (self.set_variables or {}).values():
            if isinstance(value, str) and value.startswith("="):
                compiled(value[1:].strip(), NAMES)
        return self

    @property
    def kind(self) -> str:
        """Which of its kinds it is."""
        return given_of(self, STEP_KINDS)[0]

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
        for one in self.triggers:
            after = one.after_scenario
            if after and after.scenario == self.name and after.project is None:
                raise DeclarationError(
                    f"scenario {self.name}", f"trigger {one.name} starts it after itself"
                )
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
