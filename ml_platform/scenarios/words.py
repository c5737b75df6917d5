"""The words of a scenario's declaration as a whole.

What belongs here: what can be written, and what is refused when it is read; the words of triggers
are in trigger_words, those of steps in step_words. No Dagster.
"""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from ml_platform.kernel.errors import DeclarationError, closest
from ml_platform.scenarios.parts import Name, Part
from ml_platform.scenarios.step_words import Step
from ml_platform.scenarios.trigger_words import Trigger


class ScenarioWords(Part):
    """A scenario as its declaration says it."""

    name: Name = Field(description="Its name, and that of its job.")
    description: str | None = Field(default=None, description="What it does, in a sentence or two.")
    active: bool = Field(default=True, description="Whether its triggers are looked at.")
    triggers: Sequence[Trigger] = Field(
        default=[], description="What starts it; each does so by itself."
    )
    variables: dict[str, Any] = Field(
        default={},
        description="Variables of every run; {secret: NAME} is one of the environment.",
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
