"""The course of one run: which step comes, what a step's end means, what later steps know.

What belongs here: from outcomes to the next decision. No Dagster; the steps' work is in `steps`.
"""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import FrameType
from typing import Any

from ml_platform.kernel.errors import DataError, SettingsError
from ml_platform.kernel.expression import compiled
from ml_platform.scenarios.step_words import Step
from ml_platform.scenarios.templates import NAMES, filled
from ml_platform.scenarios.variables import HIDDEN, Secret


class Outcome(StrEnum):
    """How a step, or all so far, has ended; a later word is worse."""

    skipped = "SKIPPED"
    success = "SUCCESS"
    warning = "WARNING"
    failed = "FAILED"

    @property
    def rank(self) -> int:
        """How bad it is."""
        return list(Outcome).index(self)


@dataclass(frozen=True)
class Result:
    """What a step left: how it ended, what later steps may use, and why it failed."""

    outcome: Outcome
    output: Any = None
    reason: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """What is known between two steps; plain values, kept by Dagster as a step's output.

    Of a secret variable only the name of its environment variable is kept, in `secrets`.
    """

    trigger: str = "manual"
    params: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    outcome: Outcome = Outcome.success
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def known(self) -> dict[str, Any]:
        """What an expression may ask about."""
        return {
            "outcome": str(self.outcome),
            "steps": self.steps,
            "params": self.params,
            "variables": self.known_variables(),
            "trigger": self.trigger,
        }

    def known_variables(self) -> dict[str, Any]:
        """The variables; a secret one as what a step can take its value from."""
        return {**self.variables, **{name: Secret(env) for name, env in self.secrets.items()}}

    def having(self, values: Mapping[str, Any]) -> "Course":
        """The course with these variables besides, or instead of what they were."""
        secrets = {n: v.environment_variable for n, v in values.items() if isinstance(v, Secret)}
        plain = {name: value for name, value in values.items() if name not in secrets}
        return replace(
            self,
            variables={n: v for n, v in {**self.variables, **plain}.items() if n not in secrets},
            secrets={**{n: v for n, v in self.secrets.items() if n not in plain}, **secrets},
        )

    def after(self, step: Step, result: Result) -> "Course":
        """The course once a step has ended."""
        counted = counted_as(step, result.outcome)
        forgets = step.reset_outcome and result.outcome is not Outcome.skipped
        before = Outcome.success if forgets else self.outcome
        said = {"outcome": str(result.outcome), "output": result.output, "reason": result.reason}
        return replace(
            self.having(result.variables),
            outcome=max(before, counted, key=lambda one: one.rank),
            steps={**self.steps, step.name: said},
        )


def is_to_run(step: Step, course: Course) -> bool:
    """Whether a step's condition holds.

    Raises:
        DataError: an expression asks for something that is not there.
    """
    if not step.enabled:
        return False
    match step.if_:
        case "always":
            return True
        case "on_success":
            return course.outcome is not Outcome.failed
        case "on_warning":
            return course.outcome is Outcome.warning
        case "on_failure":
            return course.outcome is Outcome.failed
        case text:
            return compiled(text, NAMES).holds(course.known())


def counted_as(step: Step, outcome: Outcome) -> Outcome:
    """What a step's outcome means for the run."""
    if outcome is Outcome.warning:
        words = {"success": Outcome.success, "failure": Outcome.failed}
        outcome = words.get(step.warnings_as, outcome)
    if outcome is Outcome.failed and step.continue_on_failure:
        return Outcome.warning
    return outcome


def variables_set(wanted: Mapping[str, Any], course: Course) -> dict[str, Any]:
    """The values of `set_variables`; a text that begins with `=` is an expression.

    Raises:
        DataError: an expression asks for something that is not there, or hides a secret in a list.
    """
    found = {name: filled(one, course.known()) for name, one in wanted.items()}
    for name, value in found.items():
        if not isinstance(value, Secret) and _holds_secret(value):
            raise DataError(
                f"variable {name}", "a secret within a list or mapping cannot be kept",
                fix="give it a variable of its own",
            )  # fmt: skip
    return found


def seen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Variables as they may be looked at."""
    return {n: HIDDEN if isinstance(v, Secret) else v for n, v in values.items()}


def _holds_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_secret(one) for one in value.values())
    if isinstance(value, list):
        return any(_holds_secret(one) for one in value)
    return isinstance(value, Secret)


class StepTimeoutError(Exception):
    """A step's time is over."""


@contextmanager
def limited_to(seconds: float | None) -> Iterator[list[bool]]:
    """Break off what is within after so many seconds, with a signal of the operating system.

    Yields:
        A list that is no longer empty once the time was over, for what catches the exception.

    Raises:
        StepTimeoutError: raised within, wherever it is.
        SettingsError: this is not the main thread, which alone gets signals.
    """
    rang: list[bool] = []
    if seconds is None:
        yield rang
        return
    if threading.current_thread() is not threading.main_thread():
        raise SettingsError(
            "timeout of a step", "the step does not run in its process's main thread"
        )

    def ring(_number: int, _frame: FrameType | None) -> None:
        rang.append(True)
        raise StepTimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield rang
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
