"""What each kind of step does, and with which result.

A child run is executed by the step's own process on the same instance: a scenario that waits needs
no second place in the queue, so scenarios can never take all places from what they wait for.
"""

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from ml_platform.execution.component import beta_used_on_purpose
from ml_platform.kernel.errors import DataError, DeclarationError, NotFoundError, closest
from ml_platform.scenarios.course import Course, Outcome, Result, variables_set
from ml_platform.scenarios.words import Build, RunPython, Step

SCENARIO_TAG = "ml_platform/scenario"
PARENT_TAG = "ml_platform/parent_run"
CHAIN_TAG = "ml_platform/scenarios_above"


@dataclass(frozen=True)
class Place:
    """Where a step runs: its instance, its project's definitions, its run."""

    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    run_id: str
    scenario: str
    above: tuple[str, ...] = ()
    children: list[str] = field(default_factory=list)

    def tags(self) -> dict[str, str]:
        """The tags of its child runs."""
        return {PARENT_TAG: self.run_id, CHAIN_TAG: ",".join((*self.above, self.scenario))}


_repository: ContextVar[dg.RepositoryDefinition | None] = ContextVar("_repository", default=None)


@contextmanager
def within(repository: dg.RepositoryDefinition) -> Iterator[None]:
    """Let the jobs that run in this block know the project that they belong to."""
    token = _repository.set(repository)
    try:
        yield
    finally:
        _repository.reset(token)


def repository_of(context: dg.OpExecutionContext) -> dg.RepositoryDefinition:
    """The project of a step; a run that was started within another one has it from there."""
    return _repository.get() or context.repository_def


def work_of(step: Step) -> Callable[[Course, Place], Result]:
    """What a step does."""
    if step.build:
        build = step.build
        return lambda _course, place: build_assets(build, place)
    if step.run_checks:
        selection = step.run_checks
        return lambda _course, place: run_checks(selection, place)
    if step.run_python:
        python = step.run_python
        return lambda course, _place: call(python, course)
    if step.run_scenario:
        name = step.run_scenario
        return lambda course, place: run_scenario(name, course, place)
    wanted = step.set_variables or {}
    return lambda course, _place: _set(wanted, course)


def _set(wanted: Mapping[str, Any], course: Course) -> Result:
    values = variables_set(wanted, course)
    return Result(Outcome.success, values, variables=values)


def build_assets(build: Build, place: Place) -> Result:
    """Make the assets that are selected, in a run of their own.

    Raises:
        DeclarationError: the selection cannot be read.
        NotFoundError: it selects nothing.
    """
    job = place.repository.get_implicit_global_asset_job_def()
    graph = place.repository.asset_graph
    chosen = _selected(build.selection, graph) & graph.executable_asset_keys
    if not chosen:
        raise NotFoundError(
            f"selection '{build.selection}'", "no asset of the project is in it",
            allowed=", ".join(sorted(one.to_user_string() for one in graph.executable_asset_keys)),
        )  # fmt: skip
    if build.only == "missing":
        chosen = {key for key in chosen if _is_missing(place.instance, key, build.partition)}
    if not chosen:
        return Result(Outcome.success, {"made": []}, "all of it is there")
    subset = job.get_subset(asset_selection=chosen)
    return _ended(_child(subset, place, partition_key=build.partition), place)


def _is_missing(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> bool:
    if partition is not None:
        return partition not in instance.get_materialized_partitions(key)
    return instance.get_latest_materialization_event(key) is None


def run_checks(selection: str, place: Place) -> Result:
    """Run all checks of the assets that are selected, and make none of these.

    Raises:
        DeclarationError: the selection cannot be read.
        NotFoundError: none of them has a check.
    """
    graph = place.repository.asset_graph
    assets = _selected(selection, graph)
    checks = {one for one in graph.asset_check_keys if one.asset_key in assets}
    if not checks:
        raise NotFoundError(f"checks of '{selection}'", "none of these assets has any")
    job = place.repository.get_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection=set(), asset_check_selection=checks)
    return _ended(_child(subset, place), place, must_pass=True)


def _selected(text: str, graph: Any) -> set[dg.AssetKey]:
    try:
        with beta_used_on_purpose("Parameter `include_sources`"):
            return set(dg.AssetSelection.from_string(text).resolve(graph))
    except (dg.DagsterError, ValueError) as error:
        raise DeclarationError(
            f"selection '{text}'", str(error).splitlines()[0],
            allowed="Dagster's words, like group:demand, key:raw/sales, tag:domain=retail, +key:x",
        ) from error  # fmt: skip


def run_scenario(name: str, course: Course, place: Place) -> Result:
    """Run another scenario of the project with the same parameters, and take its outcome.

    Raises:
        NotFoundError: the project has no such scenario.
        DeclarationError: it is one of those that wait for this one.
    """
    known = [one.name for one in place.repository.get_all_jobs() if SCENARIO_TAG in one.tags]
    if name not in known:
        raise NotFoundError(
            f"scenario {name}", "the project has none of this name",
            allowed=closest(name, sorted(known)),
        )  # fmt: skip
    above = (*place.above, place.scenario)
    if name in above:
        raise DeclarationError(
            f"scenario {name}", f"it would wait for itself: {' -> '.join((*above, name))}",
            fix="take one of these steps out",
        )  # fmt: skip
    config = start_config(place.scenario, course.params)
    with within(place.repository):
        return _ended(_child(place.repository.get_job(name), place, run_config=config), place)


def start_config(trigger: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a scenario's run, as the launchpad shows it."""
    return {"ops": {"start": {"config": {"trigger": trigger, "params": dict(params)}}}}


def call(python: RunPython, course: Course) -> Result:
    """Call a function; its result, which has to be plain values, is the step's output.

    Raises:
        NotFoundError: there is no such function.
        DataError: it returned something that is no plain value.
    """
    arguments = {**variables_set(python.arguments, course)}
    output = _function(python.function)(**arguments)
    try:
        return Result(Outcome.success, json.loads(json.dumps(output)))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"function {python.function}", f"what it returned cannot be kept: {error}",
            allowed="None, numbers, texts, lists and dicts of these",
        ) from error  # fmt: skip


def _function(path: str) -> Callable[..., Any]:
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise NotFoundError(f"function {path}", str(error), fix="install or correct it") from error
    found = getattr(module, name, None)
    if not callable(found):
        there = [one for one, value in vars(module).items() if callable(value)]
        raise NotFoundError(
            f"function {path}", f"the module has no function '{name}'", allowed=closest(name, there)
        )
    return found  # type: ignore[no-any-return]


def _child(job: dg.JobDefinition, place: Place, **more: Any) -> dg.ExecuteInProcessResult:
    import uuid

    run_id = str(uuid.uuid4())
    place.children.append(run_id)
    return job.execute_in_process(
        instance=place.instance, raise_on_error=False, run_id=run_id, tags=place.tags(), **more
    )


def _ended(result: dg.ExecuteInProcessResult, place: Place, *, must_pass: bool = False) -> Result:
    """What a child run came to."""
    records = place.instance.all_logs(result.run_id, of_type=_TOLD)
    events = [one.dagster_event for one in records if one.dagster_event]
    made = sorted(
        {e.asset_key.to_user_string() for e in events if e.is_step_materialization and e.asset_key}
    )
    bad = [
        e.asset_check_evaluation_data
        for e in events
        if e.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and not e.asset_check_evaluation_data.passed
    ]
    names = [f"{one.asset_key.to_user_string()}: {one.check_name}" for one in bad]
    output = {"run_id": result.run_id, "made": made, "failed_checks": names}
    failures = [one.step_key for one in events if one.is_step_failure]
    if not result.success:
        reason = f"run {result.run_id[:8]} failed: {', '.join(filter(None, failures))}"
        return Result(Outcome.failed, output, reason)
    if any(one.severity == dg.AssetCheckSeverity.ERROR for one in bad) and must_pass:
        return Result(Outcome.failed, output, f"checks failed: {', '.join(names)}")
    if bad:
        return Result(Outcome.warning, output, f"checks failed: {', '.join(names)}")
    return Result(Outcome.success, output)


_TOLD = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
}
