"""From a step's words to what it does."""

from collections.abc import Callable, Mapping
from typing import Any

from ml_platform.kernel.clock import system_clock
from ml_platform.scenarios.course import Course, Outcome, Result, seen, variables_set
from ml_platform.scenarios.remembered import PLATFORM, remember
from ml_platform.scenarios.step_words import Step
from ml_platform.scenarios.steps.build import build_assets, run_checks
from ml_platform.scenarios.steps.clear import clear
from ml_platform.scenarios.steps.clusters import start_cluster, stop_cluster
from ml_platform.scenarios.steps.control import kill_scenario, run_scenario
from ml_platform.scenarios.steps.deploy import deploy
from ml_platform.scenarios.steps.message import send_message
from ml_platform.scenarios.steps.metrics import compute_metrics
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.steps.python import call
from ml_platform.scenarios.steps.sql import run_sql
from ml_platform.scenarios.steps.tidy import clean_up

Work = Callable[[Course, Place], Result]


def work_of(step: Step) -> Work:
    """What a step does."""
    if step.kind == "set_variables":
        return lambda course, place: _set(step, course, place)
    kind, words = _KINDS[step.kind], getattr(step, step.kind)
    return lambda course, place: kind(words, course, place)


def _set(step: Step, course: Course, place: Place) -> Result:
    values = variables_set(step.set_variables or {}, course)
    if step.scope != "run":
        owner = place.project if step.scope == "project" else PLATFORM
        remember(owner, values, place.run_id, system_clock())
    return Result(Outcome.success, seen(values), variables=values)


_KINDS: Mapping[str, Callable[[Any, Course, Place], Result]] = {
    "build": build_assets,
    "clear": clear,
    "run_checks": run_checks,
    "compute_metrics": compute_metrics,
    "run_python": call,
    "run_sql": run_sql,
    "run_scenario": run_scenario,
    "kill_scenario": lambda words, _course, place: kill_scenario(words, place),
    "send_message": send_message,
    "start_cluster": lambda words, _course, place: start_cluster(words, place),
    "stop_cluster": lambda words, _course, _place: stop_cluster(words),
    "clean_up": lambda words, _course, place: clean_up(words, place),
    "deploy": lambda words, _course, place: deploy(words, place),
}
