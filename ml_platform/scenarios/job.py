"""A scenario's job: one run, in which each step is a step that Dagster shows.

Between two steps goes what is known so far (`Course`). A step that fails ends the run as usual,
unless a later one may still run: then it only keeps its outcome, and the last step, `outcome`,
fails the run for it.
"""

import traceback
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import dagster as dg

from ml_platform.execution.component import errors_are_told
from ml_platform.kernel.errors import PlatformError
from ml_platform.kernel.marks import CHAIN_TAG, OUTCOME_TAG, PROJECT_TAG, SCENARIO_TAG
from ml_platform.scenarios.course import (
    Course,
    Outcome,
    Result,
    StepTimeoutError,
    is_to_run,
    limited_to,
)
from ml_platform.scenarios.pages import page_url
from ml_platform.scenarios.step_words import Step
from ml_platform.scenarios.steps.place import Place, repository_of
from ml_platform.scenarios.steps.work import work_of
from ml_platform.scenarios.variables import hidden
from ml_platform.scenarios.whole import variables_of
from ml_platform.scenarios.words import ScenarioWords

_KEEPER = "course"
KEEPER = {_KEEPER: dg.FilesystemIOManager().get_resource_definition()}
"""The resource that keeps what goes between steps; a project's definitions have to have it.

Its own I/O manager keeps tables. A job that brought a resource along would get no other one.
"""


def scenario_job(project: str, scenario: ScenarioWords) -> dg.JobDefinition:
    """The job of a scenario; its tags say which, and of which project."""
    steps = list(scenario.steps)
    ops = [_start(project, scenario), *(_op(scenario, steps, n) for n in range(len(steps)))]
    ops.append(_outcome(scenario))
    # Dagster wants the definitions' names to differ in the whole project; people see the aliases.
    shown = {op.name: op.name.removeprefix(f"{scenario.name}__") for op in ops}
    chain: dict[dg.NodeInvocation, dict[str, Any]] = {
        dg.NodeInvocation(ops[0].name, alias="start"): {}
    }
    for earlier, later in pairwise(shown):
        before = dg.DependencyDefinition(shown[earlier], "course")
        chain[dg.NodeInvocation(later, alias=shown[later])] = {"before": before}
    url = page_url(project, scenario.name) if scenario.triggers else ""
    graph = dg.GraphDefinition(scenario.name, node_defs=ops, dependencies=chain)
    return graph.to_job(
        description=scenario.description,
        executor_def=dg.in_process_executor,
        tags={SCENARIO_TAG: scenario.name, PROJECT_TAG: project},
        metadata={"why": dg.MetadataValue.url(url)} if url else None,
    )


_OUT = {"course": dg.Out(io_manager_key=_KEEPER)}
_IN = {"before": dg.In()}
_CONFIG = {
    "trigger": dg.Field(str, default_value="manual", description="What started the run."),
    "params": dg.Field(dict, default_value={}, description="Parameters of this run, by name."),
}


def _start(project: str, scenario: ScenarioWords) -> dg.OpDefinition:
    def start(context: dg.OpExecutionContext, _inputs: Mapping[str, Any]) -> Any:
        given = context.op_config
        with errors_are_told():
            found = variables_of(project, repository_of(context), scenario, given["params"])
        values = {name: one.value for name, one in found.items()}
        course = Course(given["trigger"], dict(given["params"])).having(values)
        shown = {name: one.shown for name, one in found.items()}
        origins = {name: one.origin for name, one in found.items()}
        context.add_output_metadata(
            {
                "variables": dg.MetadataValue.json(shown),
                "variables_from": dg.MetadataValue.json(origins),
            }
        )
        yield dg.Output(_kept(course), "course")

    return dg.OpDefinition(
        start, f"{scenario.name}__start", ins={}, outs=_OUT, config_schema=_CONFIG,
        description="What started the run, and its variables.",
    )  # fmt: skip


def _op(scenario: ScenarioWords, steps: list[Step], number: int) -> dg.OpDefinition:
    step = steps[number]
    goes_on = step.continue_on_failure or any(one.may_follow_failure for one in steps[number + 1 :])

    def compute(context: dg.OpExecutionContext, inputs: Mapping[str, Any]) -> Any:
        course = _course(inputs["before"])
        with errors_are_told():
            if not is_to_run(step, course):
                why = f"`if: {step.if_}` does not hold" if step.enabled else "it is not enabled"
                context.log.info("skipped: %s", why)
                yield dg.Output(_kept(course.after(step, Result(Outcome.skipped))), "course")
                return
            place = _place(context, scenario, step)
        result = _without_secrets(_tried(context, step, course, place), course)
        metadata = _metadata(result, place)
        if result.outcome is Outcome.failed:
            _retry(context, step)
            context.log.error("step %s failed: %s", step.name, result.reason)
            if not goes_on:
                _tag(context, Outcome.failed)
                raise dg.Failure(result.reason, metadata=metadata, allow_retries=False)
        context.add_output_metadata(metadata, "course")
        yield dg.Output(_kept(course.after(step, result)), "course")

    return dg.OpDefinition(
        compute,
        f"{scenario.name}__{step.name}",
        ins=_IN,
        outs=_OUT,
        description=step.description or step.kind,
        required_resource_keys=step.needs,
    )


def _retry(context: dg.OpExecutionContext, step: Step) -> None:
    if context.retry_number < step.retries:
        raise dg.RetryRequested(step.retries, float(step.retry_delay))


def _tried(context: dg.OpExecutionContext, step: Step, course: Course, place: Place) -> Result:
    """The step's result; what the platform knows as an error, and the step's own, is a failure."""
    limit = None if step.timeout is None else float(step.timeout)
    rang: list[bool] = []
    try:
        with limited_to(limit) as rang:
            result = work_of(step)(course, place)
    except StepTimeoutError:
        result = Result(Outcome.failed)
    except PlatformError as error:
        result = Result(Outcome.failed, reason=str(error))
    except Exception as error:
        if step.run_python is None or isinstance(error, dg.DagsterError):  # a mistake of ours
            raise
        told = hidden(traceback.format_exc(), course.secrets.values())
        context.log.error(told)  # noqa: TRY400 - the traceback as it is may show a secret
        result = Result(Outcome.failed, reason=f"{type(error).__name__}: {error}")
    if rang and result.outcome is Outcome.failed:
        return Result(Outcome.failed, result.output, f"broken off after {limit:,.0f} s")
    return result


def _without_secrets(result: Result, course: Course) -> Result:
    """The result as it may be kept and shown, whatever a function or database has put into it."""
    names = course.secrets.values()
    return replace(
        result,
        output=hidden(result.output, names),
        reason=hidden(result.reason, names),
        variables=hidden(result.variables, names),
    )


def _place(context: dg.OpExecutionContext, scenario: ScenarioWords, step: Step) -> Place:
    above = context.run.tags.get(CHAIN_TAG, "")
    return Place(
        instance=context.instance,
        repository=repository_of(context),
        run_id=context.run_id,
        first_run_id=context.run.root_run_id or context.run_id,
        project=context.run.tags.get(PROJECT_TAG, ""),
        scenario=scenario.name,
        step=step.name,
        above=tuple(filter(None, above.split(","))),
        resource=lambda name: getattr(context.resources, name),
        say=context.log.info,
        observe=context.log_event,
    )


def _metadata(result: Result, place: Place) -> dict[str, Any]:
    runs = {
        f"child_run_{n}" if n > 1 else "child_run": dg.MetadataValue.dagster_run(run_id)
        for n, run_id in enumerate(place.children, 1)
    }
    said = {"output": dg.MetadataValue.json(result.output)} if result.output is not None else {}
    reason = {"reason": result.reason} if result.reason else {}
    return {"outcome": str(result.outcome), **reason, **runs, **said}


def _outcome(scenario: ScenarioWords) -> dg.OpDefinition:
    def outcome(context: dg.OpExecutionContext, inputs: Mapping[str, Any]) -> Any:
        course = _course(inputs["before"])
        context.log.info("the scenario's outcome: %s", course.outcome)
        _tag(context, course.outcome)
        if course.outcome is Outcome.failed:
            failed = [n for n, one in course.steps.items() if one["outcome"] == Outcome.failed]
            reasons = "; ".join(f"{n}: {course.steps[n]['reason']}" for n in failed)
            raise dg.Failure(f"failed: {reasons}", allow_retries=False)
        context.add_output_metadata({"outcome": str(course.outcome)}, "course")
        yield dg.Output(inputs["before"], "course")

    return dg.OpDefinition(
        outcome,
        f"{scenario.name}__outcome",
        ins=_IN,
        outs=_OUT,
        description="How the run has ended as a whole.",
    )


def _tag(context: dg.OpExecutionContext, outcome: Outcome) -> None:
    """Say on the run how the scenario has ended; a killed run says nothing."""
    context.instance.add_run_tags(context.run_id, {OUTCOME_TAG: str(outcome).lower()})


def _course(kept: Mapping[str, Any]) -> Course:
    return Course(**{**kept, "outcome": Outcome(kept["outcome"])})


def _kept(course: Course) -> dict[str, Any]:
    return {**asdict(course), "outcome": str(course.outcome)}
