"""A project opened for work in a terminal: its definitions, and the instance of its runs."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from ml_platform.common import common_definitions
from ml_platform.execution.launch import Happening, Outcome, materialise, partitions_between
from ml_platform.kernel.errors import NotFoundError, closest
from ml_platform.kernel.settings import default_home
from ml_platform.loading.project import Project, load_project, project_names
from ml_platform.operations.instance import prepare

Tell = Callable[[Happening], None]


@dataclass(frozen=True)
class Session:
    """A loaded project and the instance in which its runs are recorded."""

    project: Project
    instance: dg.DagsterInstance

    def make(
        self, keys: Sequence[dg.AssetKey], tell: Tell, partitions: Sequence[str] = ()
    ) -> Outcome:
        """Make assets in one run, here and now."""
        return materialise(self.project.definitions, self.instance, keys, partitions, tell)

    def backfill(self, key: str, first: str | None, last: str | None, tell: Tell) -> list[Outcome]:
        """Make the partitions from `first` to `last`, in one run or in one each, as declared."""
        asset = self.asset(key)
        chosen = partitions_between(self.project.definitions, asset, first, last)
        node = self.project.definitions.resolve_asset_graph().get(asset)
        policy = node.backfill_policy
        single = policy is None or policy.max_partitions_per_run is None
        groups = [chosen] if single else [[one] for one in chosen]
        return [self.make([asset], tell, group) for group in groups]

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
    os.environ.setdefault("DAGSTER_HOME", str(default_home().parent))
    prepare(Path(os.environ["DAGSTER_HOME"]))
    loaded = load_project(project, common_definitions())
    with dg.DagsterInstance.get() as instance:
        yield Session(loaded, instance)


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
