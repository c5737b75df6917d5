"""Where a step runs: its instance, its project, its run, and the tags by which runs are found."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import dagster as dg

from ml_platform.storage.tables import TableStore

SCENARIO_TAG = "ml_platform/scenario"
PROJECT_TAG = "ml_platform/project"
TRIGGER_TAG = "ml_platform/trigger"
OUTCOME_TAG = "ml_platform/outcome"
"""How a scenario's run has ended: `success`, `warning` or `failed`."""
PARENT_TAG = "ml_platform/parent_run"
CHAIN_TAG = "ml_platform/scenarios_above"

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


class Teller(Protocol):
    """Who tells people something; the resource `alerts` is one."""

    def tell(self, title: str, **more: Any) -> bool:
        """Tell it once a key."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a step runs: its instance, its project's definitions, its run.

    Attributes:
        resource: a resource of the project by its name; the step has to require it.
        say: writes a line to the run's log.
        above: the scenarios that wait for this one, the outermost first.
        children: the runs that it has started, for its metadata.
    """

    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    run_id: str
    project: str
    scenario: str
    step: str
    resource: Callable[[str], Any]
    say: Callable[[str], None]
    above: tuple[str, ...] = ()
    children: list[str] = field(default_factory=list)

    def tags(self) -> dict[str, str]:
        """The tags of its child runs."""
        return {PARENT_TAG: self.run_id, CHAIN_TAG: ",".join((*self.above, self.scenario))}

    def store(self) -> TableStore:
        """The project's tables."""
        found: TableStore = self.resource("tables").store()
        return found


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


def start_config(trigger: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a scenario's run, as the launchpad shows it."""
    return {"ops": {"start": {"config": {"trigger": trigger, "params": dict(params)}}}}


def unfinished_runs(
    instance: dg.DagsterInstance, project: str, scenario: str
) -> list[dg.DagsterRun]:
    """The runs of a scenario that have not ended, those that wait for others included."""
    tags = {PROJECT_TAG: project, SCENARIO_TAG: scenario}
    return list(instance.get_runs(dg.RunsFilter(tags=tags, statuses=[*UNFINISHED])))
