"""`run_python`: call a function; what it returns is the step's output.

A function that has a parameter `scenario` gets the run itself by it, and can do what YAML cannot
say: loops, decisions by what came out, steps that are not known beforehand.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ml_platform.kernel.errors import DataError
from ml_platform.scenarios.course import Course, Outcome, Result
from ml_platform.scenarios.functions import found
from ml_platform.scenarios.step_words import Build, RunPython, RunSql, Severity
from ml_platform.scenarios.steps.build import build_assets, run_checks
from ml_platform.scenarios.steps.control import run_scenario
from ml_platform.scenarios.steps.message import told
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.steps.sql import run_sql
from ml_platform.scenarios.templates import filled
from ml_platform.scenarios.variables import revealed

HANDLE = "scenario"
"""The parameter by which a function asks for the run."""


class StepFailedError(DataError):
    """Something that a function of a scenario has asked for did not go well."""


class ScenarioRun:
    """The run of a scenario in the hands of a function of yours.

    What fails raises `StepFailedError`, which fails the step; with `may_fail=True` the result tells
    it instead. The worst outcome of all that was done becomes the step's.

    Attributes:
        outcome: how all before this step has ended: SUCCESS, WARNING or FAILED.
        steps: what they left, by name: outcome, output and reason.
        params: of this run.
        trigger: what started the run.
    """

    def __init__(self, course: Course, place: Place) -> None:
        self._course, self._place = course, place
        self._worst = Outcome.success
        self._reasons: list[str] = []
        self._set: dict[str, Any] = {}
        self._told = 0
        self.outcome = str(course.outcome)
        self.steps: Mapping[str, Mapping[str, Any]] = course.steps
        self.params: Mapping[str, Any] = course.params
        self.trigger = course.trigger

    @property
    def variables(self) -> dict[str, Any]:
        """The variables, secret ones with their values."""
        known: dict[str, Any] = revealed(self._course.known_variables())
        return known

    def build(
        self,
        selection: str,
        *,
        only: Literal["all", "missing", "stale"] = "all",
        upstream: bool = False,
        partitions: str | Sequence[str] | None = None,
        may_fail: bool = False,
    ) -> Result:
        """Make assets, as the step `build` does."""
        said = partitions if partitions is None or isinstance(partitions, str) else [*partitions]
        words = Build(selection=selection, only=only, upstream=upstream, partitions=said)
        return self._taken(build_assets(words, self._course, self._place), may_fail=may_fail)

    def run_checks(self, selection: str, *, may_fail: bool = False) -> Result:
        """Run the checks of assets, as the step `run_checks` does."""
        return self._taken(run_checks(selection, self._course, self._place), may_fail=may_fail)

    def run_scenario(self, name: str, *, may_fail: bool = False) -> Result:
        """Run another scenario of the project with this one's parameters."""
        return self._taken(run_scenario(name, self._course, self._place), may_fail=may_fail)

    def sql(
        self, statements: str | Sequence[str], *, url: str | None = None, limit: int = 10_000
    ) -> list[dict[str, Any]]:
        """The rows of a query, as the step `run_sql` gives them: plain values, days as texts."""
        given = statements if isinstance(statements, str) else [*statements]
        words = RunSql(statements=given, url=url, limit=limit)
        rows: list[dict[str, Any]] = run_sql(words, self._course, self._place).output["rows"]
        return rows

    def set_variables(self, **values: Any) -> None:
        """Set variables for what comes later."""
        self._set |= values
        self._course = self._course.having(values)

    def tell(self, title: str, text: str = "", severity: Severity = "info") -> None:
        """Tell people something as it is, once a call however often the step is tried."""
        self._told += 1
        told(self._place, title, text, severity, f"/{self._told}")

    def say(self, text: str) -> None:
        """Write a line to the run's log."""
        self._place.say(text)

    def warn(self, reason: str) -> None:
        """Make this step's outcome a warning."""
        self._taken(Result(Outcome.warning, reason=reason), may_fail=True)

    def result(self, output: Any) -> Result:
        """The step's result, once the function has returned."""
        return Result(self._worst, output, "; ".join(self._reasons), variables=self._set)

    def _taken(self, result: Result, *, may_fail: bool) -> Result:
        if result.outcome is Outcome.failed and not may_fail:
            raise StepFailedError(f"step {self._place.step}", result.reason)
        counted = Outcome.warning if result.outcome is Outcome.failed else result.outcome
        self._worst = max(self._worst, counted, key=lambda one: one.rank)
        self._reasons += [result.reason] if result.reason else []
        return result


def call(python: RunPython, course: Course, place: Place) -> Result:
    """Call a function; its result, which has to be plain values, is the step's output.

    Raises:
        NotFoundError: there is no such function.
        DataError: it returned something that is no plain value.
    """
    arguments = revealed(filled(python.arguments, course.known()))
    function = found(python.function)
    handle = ScenarioRun(course, place)
    if HANDLE not in arguments and HANDLE in _parameters(function):
        arguments[HANDLE] = handle
    output = function(**arguments)
    try:
        return handle.result(json.loads(json.dumps(output)))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"function {python.function}", f"what it returned cannot be kept: {error}",
            allowed="None, numbers, texts, lists and dicts of these",
        ) from error  # fmt: skip


def _parameters(function: Callable[..., Any]) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some of Python's own do not tell
        return set()
