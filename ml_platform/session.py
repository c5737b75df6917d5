"""A project opened for work in a terminal: its definitions, and the instance of its runs."""

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg

from ml_platform.common import common_definitions
from ml_platform.execution.backfill import (
    BackfillPlan,
    planned_backfill,
    resumable_run,
    resuming_tags,
)
from ml_platform.execution.launch import (
    Happening,
    Outcome,
    followed,
    materialise,
    partitions_between,
)
from ml_platform.kernel.errors import NotFoundError, UnavailableError, closest
from ml_platform.kernel.marks import OUTCOME_TAG, PROJECT_TAG, SCENARIO_TAG, TRIGGER_TAG
from ml_platform.kernel.settings import default_home
from ml_platform.loading.project import Project, load_project, project_names
from ml_platform.operations.instance import prepare, process_of
from ml_platform.operations.processes import Life
from ml_platform.scenarios.steps.control import end_runs
from ml_platform.scenarios.steps.place import run_config, start_config, within
from ml_platform.scenarios.variables import Variable
from ml_platform.scenarios.whole import scenarios_in, variables_of
from ml_platform.scenarios.words import ScenarioWords

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

    def scenarios(self) -> list[ScenarioWords]:
        """The project's scenarios by name."""
        return list(scenarios_in(self.project.definitions).values())

    def last_run(self, scenario: str) -> tuple[str, str]:
        """When the last run of a scenario was asked for (UTC), and how it is or has ended."""
        wanted = dg.RunsFilter(tags={PROJECT_TAG: self.project.name, SCENARIO_TAG: scenario})
        for record in self.instance.get_run_records(wanted, limit=1):
            run = record.dagster_run
            ended = run.tags.get(OUTCOME_TAG) if run.is_finished else None
            return f"{record.create_timestamp:%Y-%m-%d %H:%M}", ended or run.status.value.lower()
        return "", ""

    def scenario(self, name: str) -> ScenarioWords:
        """A scenario of the project.

        Raises:
            NotFoundError: it has none of this name.
        """
        known = scenarios_in(self.project.definitions)
        if name not in known:
            raise NotFoundError(
                f"scenario '{name}'",
                f"project {self.project.name} has no such scenario",
                allowed=closest(name, sorted(known)),
            )
        return known[name]

    def run_scenario(self, name: str, params: Mapping[str, Any], tell: Tell) -> str:
        """Run a scenario here and now.

        Returns:
            How it has ended: success, warning or failed.

        Raises:
            NotFoundError: the project has none of this name, or it no such parameter.
        """
        check_params(self.scenario(name), params)
        repository = self.project.definitions.get_repository_def()
        run_id = str(uuid.uuid4())
        with within(repository, quiet=True), followed(self.instance, run_id, tell):
            result = repository.get_job(name).execute_in_process(
                instance=self.instance,
                run_config=run_config(start_config(MANUAL, params)),
                tags={TRIGGER_TAG: MANUAL},
                run_id=run_id,
                raise_on_error=False,
            )
        run = self.instance.get_run_by_id(run_id)
        ended = "success" if result.success else "failed"
        return run.tags.get(OUTCOME_TAG, ended) if run else ended

    def submit_scenario(self, name: str, params: Mapping[str, Any]) -> str:
        """Hand a run of a scenario to the queue, from which the daemon starts it.

        Returns:
            The run's id.

        Raises:
            NotFoundError: the project has none of this name, or it no such parameter.
            UnavailableError: the run could not be handed over.
        """
        check_params(self.scenario(name), params)
        run_id = str(uuid.uuid4())
        words = [
            *(sys.executable, "-m", "dagster", "job", "launch"),
            *("--workspace", str(default_home().parent / "workspace.yaml")),
            *("--location", self.project.name, "--job", name, "--run-id", run_id),
            *("--config-json", json.dumps(start_config(MANUAL, params))),
            *("--tags", json.dumps({TRIGGER_TAG: MANUAL})),
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        if done.returncode != 0:
            raise UnavailableError(
                f"scenario {name}",
                f"its run could not be handed over: {done.stderr.strip()[-2000:]}",
                fix="`ml-platform check` tells whether the project loads",
            )
        return run_id

    def kill_scenario(self, name: str) -> list[str]:
        """End the runs of a scenario that have not ended.

        Raises:
            NotFoundError: the project has none of this name.
            UnavailableError: a run could not be told to end.
        """
        self.scenario(name)
        return end_runs(self.instance, self.project.name, name)

    def variables(self, scenario: str | None) -> dict[str, Variable]:
        """The variables of a scenario, or of the project alone, and where each comes from."""
        words = self.scenario(scenario) if scenario else None
        return variables_of(self.project.name, self.project.definitions, words)


MANUAL = "manual"
"""What has started a run that a person has started."""


def check_params(scenario: ScenarioWords, params: Mapping[str, Any]) -> None:
    """Refuse parameters that a scenario which declares variables does not know.

    Raises:
        NotFoundError: it names the first, and what there is.
    """
    for name in params if scenario.variables else ():
        if name not in scenario.variables:
            raise NotFoundError(
                f"parameter '{name}'",
                f"scenario {scenario.name} declares no such variable",
                allowed=closest(name, sorted(scenario.variables)),
                fix="correct it, or declare it under `variables`",
            )


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


def project_of_scenario(name: str, project: str | None) -> str:
    """The project that declares a scenario, where the person did not say which.

    Raises:
        NotFoundError: none does, or several do.
    """
    names = [project] if project else project_names()
    known = {
        one: scenarios_in(load_project(one, common_definitions()).definitions) for one in names
    }
    having = [one for one in names if name in known[one]]
    if len(having) != 1:
        everything = sorted({other for found in known.values() for other in found})
        raise NotFoundError(
            f"scenario '{name}'",
            "several projects have it" if having else "no project has it",
            allowed=", ".join(having) or closest(name, everything),
            fix="say which with --project" if having else "",
        )
    return having[0]


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
