"""A project opened for work in a terminal: its definitions, and the instance of its runs."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import dagster as dg

from ml_platform.common import common_definitions
from ml_platform.execution.backfill import (
    BackfillPlan,
    planned_backfill,
    resumable_run,
    resuming_tags,
)
from ml_platform.execution.launch import Happening, Outcome, materialise, partitions_between
from ml_platform.kernel.errors import NotFoundError, closest
from ml_platform.kernel.settings import default_home
from ml_platform.loading.project import Project, load_project, project_names
from ml_platform.operations.instance import prepare, process_of
from ml_platform.operations.processes import Life

Tell = Callable[[Happening], None]


@dataclass(frozen=True)
class Session:
    """A loaded project and the instance in which its runs are recorded."""

    project: Project
    instance: dg.DagsterInstance

    def make(
        self,
        keys: Sequence[dg.AssetKey],
        tell: Tell,
        partitions: Sequence[str] = (),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> Outcome:
        """Make assets in one run, here and now."""
        return materialise(self.project.definitions, self.instance, keys, partitions, tell, tags)

    def plan(
        self, key: str, first: str | None, last: str | None, *, only_open: bool = False
    ) -> BackfillPlan:
        """What a backfill of the partitions from `first` to `last` would do; nothing is started."""
        asset = self.asset(key)
        chosen = partitions_between(self.project.definitions, asset, first, last)
        return planned_backfill(
            self.project.definitions, self.instance, asset, chosen, only_open=only_open
        )

    def backfill(self, plan: BackfillPlan, tell: Tell) -> list[Outcome]:
        """Do what the plan says, one run after the other."""
        return [self.make([plan.key], tell, group) for group in plan.groups]

    def resumable(self, key: str) -> dg.DagsterRun:
        """The last run over partitions of a table, which did not come to its end.

        One that was killed, and nobody noticed, is recorded as failed here.

        Raises:
            NotFoundError: there is no such run.
        """
        run = resumable_run(self.instance, self.asset(key), _is_gone)
        if not run.is_finished:
            self.instance.report_run_failed(run, "its process is gone; it was killed")
        return run

    def resume(self, key: str, run: dg.DagsterRun, tell: Tell) -> Outcome:
        """Go on with a run: make what it has not recorded."""
        return self.make([self.asset(key)], tell, tags=resuming_tags(run))

    def asset(self, key: str) -> dg.AssetKey:
        """The asset of a key that a person typed.

        Raises:
            NotFoundError: the project has no such asset.
        """
        known = self.project.definitions.resolve_asset_graph().executable_asset_keys
        asset = dg.AssetKey.from_user_string(key)
        if asset not in known:
            raise NotFoundError(
                f"asset '{key}'",
                f"project {self.project.name} has no such asset",
                allowed=closest(key, sorted(one.to_user_string() for one in known)),
            )
        return asset


@contextlib.contextmanager
def opened(project: str) -> Iterator[Session]:
    """Open a project; without DAGSTER_HOME the instance is that of this clone."""
    with instance_opened() as instance:
        yield Session(load_project(project, common_definitions()), instance)


@contextlib.contextmanager
def instance_opened() -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME; without it that of this clone."""
    os.environ.setdefault("DAGSTER_HOME", str(default_home().parent))
    prepare(Path(os.environ["DAGSTER_HOME"]))
    with dg.DagsterInstance.get() as instance:
        yield instance


def _is_gone(run: dg.DagsterRun) -> bool:
    process = process_of(run)
    return process is not None and process.life() is Life.GONE


def project_of_table(key: str, project: str | None) -> str:
    """The project that declares a table, where the person did not say which.

    Raises:
        NotFoundError: none does, or several do.
    """
    names = [project] if project else project_names()
    asset = dg.AssetKey.from_user_string(key)
    having = [
        name
        for name in names
        if load_project(name, common_definitions()).definitions.resolve_asset_graph().has(asset)
    ]
    if len(having) != 1:
        raise NotFoundError(
            f"asset '{key}'",
            "several projects have it" if having else "no project has it",
            allowed=", ".join(having or names),
            fix="say which with --project" if having else "`ml-platform check` lists the projects",
        )
    return having[0]
