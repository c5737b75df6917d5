"""`run_scenario` and `kill_scenario`: what a scenario does to another one."""

from collections.abc import Callable

import dagster as dg

from ml_platform.kernel.errors import DeclarationError, NotFoundError, UnavailableError, closest
from ml_platform.kernel.marks import SCENARIO_TAG
from ml_platform.scenarios.course import Course, Outcome, Result
from ml_platform.scenarios.steps.child import ended, run_child
from ml_platform.scenarios.steps.place import (
    Place,
    start_config,
    unfinished_runs,
    within,
)


def run_scenario(name: str, course: Course, place: Place) -> Result:
    """Run another scenario of the project with the same parameters, and take its outcome.

    Raises:
        NotFoundError: the project has no such scenario.
        DeclarationError: it is one of those that wait for this one.
    """
    job = _known(name, place)
    above = (*place.above, place.scenario)
    if name in above:
        raise DeclarationError(
            f"scenario {name}", f"it would wait for itself: {' -> '.join((*above, name))}",
            fix="take one of these steps out",
        )  # fmt: skip
    config = start_config(place.scenario, course.params)
    with within(place.repository):
        return ended(run_child(job, place, config), place)


def kill_scenario(name: str, place: Place) -> Result:
    """End the runs of another scenario of the project that have not ended.

    Raises:
        NotFoundError: the project has no such scenario.
        UnavailableError: a run could not be told to end.
    """
    _known(name, place)
    # Of those that this very run waits for, ending one would end this one.
    killed = end_runs(
        place.instance, place.project, name, but=lambda run: run.job_name in place.above
    )
    return Result(Outcome.success, {"ended": killed}, "" if killed else "no run of it was going on")


def end_runs(
    instance: dg.DagsterInstance,
    project: str,
    scenario: str,
    but: Callable[[dg.DagsterRun], bool] = lambda _run: False,
) -> list[str]:
    """End the runs of a scenario that have not ended; their ids.

    Raises:
        UnavailableError: a run could not be told to end.
    """
    runs = [run.run_id for run in unfinished_runs(instance, project, scenario) if not but(run)]
    kept = [one for one in runs if not instance.run_coordinator.cancel_run(one)]
    if still := [one for one in kept if not _is_over(instance, one)]:
        raise UnavailableError(
            f"scenario {scenario}", f"run {', '.join(one[:8] for one in still)} could not be ended",
            fix="look whether its code location answers; the UI can end a run by force",
        )  # fmt: skip
    return runs


def _known(name: str, place: Place) -> dg.JobDefinition:
    known = {one.name: one for one in place.repository.get_all_jobs() if SCENARIO_TAG in one.tags}
    if name not in known:
        raise NotFoundError(
            f"scenario {name}", "the project has none of this name",
            allowed=closest(name, sorted(known)),
        )  # fmt: skip
    return known[name]


def _is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished
