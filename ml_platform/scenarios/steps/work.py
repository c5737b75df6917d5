"""From a step's words to what it does."""

from collections.abc import Callable, Mapping
from typing import Any

from ml_platform.scenarios.course import Course, Outcome, Result, variables_set
from ml_platform.scenarios.steps.build import build_assets, run_checks
from ml_platform.scenarios.steps.control import run_scenario
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.steps.python import call
from ml_platform.scenarios.words import Step

Work = Callable[[Course, Place], Result]


def work_of(step: Step) -> Work:
    """What a step does."""
    words = getattr(step, step.kind)
    return _KINDS[step.kind](words)


def _set(wanted: Mapping[str, Any], course: Course) -> Result:
    values = variables_set(wanted, course)
    return Result(Outcome.success, values, variables=values)


_KINDS: Mapping[str, Callable[[Any], Work]] = {
    "build": lambda words: lambda _course, place: build_assets(words, place),
    "run_checks": lambda words: lambda _course, place: run_checks(words, place),
    "run_python": lambda words: lambda course, _place: call(words, course),
    "run_scenario": lambda words: lambda course, place: run_scenario(words, course, place),
    "set_variables": lambda words: lambda course, _place: _set(words, course),
}
