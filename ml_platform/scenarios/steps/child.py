"""A child run: executed by the step's own process on the same instance.

So a scenario that waits needs no second place in the queue, and scenarios can never take all places
from what they wait for.
"""

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dagster as dg

from ml_platform.scenarios.course import Outcome, Result
from ml_platform.scenarios.steps.place import Place, run_config


def run_child(
    job: dg.JobDefinition,
    place: Place,
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> dg.ExecuteInProcessResult:
    """Run a job to its end; its run carries the parent's tags.

    Raises:
        dg.DagsterExecutionInterruptedError: the parent was asked to end meanwhile.
    """
    run_id = str(uuid.uuid4())
    place.children.append(run_id)
    result = job.execute_in_process(
        instance=place.instance,
        raise_on_error=False,
        run_id=run_id,
        run_config=run_config(config),
        tags={**place.tags(), **tags},
    )
    _end_with_parent(place, run_id)
    return result


def _end_with_parent(place: Place, run_id: str) -> None:
    """Dagster takes the interrupt for the child's, and would let the parent go on."""
    parent = place.instance.get_run_by_id(place.run_id)
    if parent is None or parent.status != dg.DagsterRunStatus.CANCELING:
        return
    child = place.instance.get_run_by_id(run_id)
    if child is not None and child.status == dg.DagsterRunStatus.FAILURE:
        place.instance.report_run_canceled(child, message="The scenario's run was ended.")
    raise dg.DagsterExecutionInterruptedError


def ended(result: dg.ExecuteInProcessResult, place: Place, *, must_pass: bool = False) -> Result:
    """What a child run came to; with `must_pass` a failed check of severity ERROR fails it."""
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
