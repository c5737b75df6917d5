"""Where a step runs: its instance, its project, its run, and the tags by which runs are found."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import dagster as dg

from ml_platform.kernel.marks import CHAIN_TAG, PARENT_TAG, PROJECT_TAG, SCENARIO_TAG
from ml_platform.storage.tables import TableStore

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


class Teller(Protocol):
    """Who tells people something; the resource `alerts` is one."""

    def tell(
        self,
        title: str,
        *,
        project: str,
        key: str,
        summary: str = "",
        severity: str = "info",
        scenario: str = "",
        run_id: str = "",
    ) -> bool:
        """Tell it once a key; whether this was the first time."""


@dataclass(frozen=True)
class Place:
    """Where a step runs: its instance, its project's definitions, its run.

    Attributes:
        run_id: the scenario's run.
        first_run_id: the run that this one repeats, or itself.
        resource: a resource of the project by its name; the step has to require it.
        say: writes a line to the run's log.
        observe: records what was observed of an asset, as an event of the run.
        above: the scenarios that wait for this one, the outermost first.
        children: the runs that it has started, for its metadata.
    """

    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    run_id: str
    first_run_id: str
    project: str
    scenario: str
    step: str
    resource: Callable[[str], Any]
    say: Callable[[str], None]
    observe: Callable[[dg.AssetObservation], None]
    above: tuple[str, ...] = ()
    children: list[str] = field(default_factory=list)

    def tags(self) -> dict[str, str]:
        """The tags of its child runs."""
        return {PARENT_TAG: self.run_id, CHAIN_TAG: ",".join((*self.above, self.scenario))}

    def store(self) -> TableStore:
        """The project's tables."""
        found: TableStore = self.resource("tables").store()
        return found

    def teller(self) -> Teller:
        """Who tells people something."""
        found: Teller = self.resource("alerts")
        return found


_is_quiet: ContextVar[bool] = ContextVar("_is_quiet", default=False)
_repository: ContextVar[dg.RepositoryDefinition | None] = ContextVar("_repository", default=None)


@contextmanager
def within(repository: dg.RepositoryDefinition, *, quiet: bool | None = None) -> Iterator[None]:
    """Let the jobs that run in this block know the project that they belong to.

    With `quiet` their runs print no log lines, for a person who waits at a terminal.
    """
    tokens = _repository.set(repository), _is_quiet.set(_is_quiet.get() if quiet is None else quiet)
    try:
        yield
    finally:
        _repository.reset(tokens[0])
        _is_quiet.reset(tokens[1])


def run_config(config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration of a run in this process."""
    silent = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return {**(config or {}), **(silent if _is_quiet.get() else {})}


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
