"""What is known around an event: the reader's own project, its assets, the runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg

from ml_platform.kernel.marks import BROKEN_TAG, PARENT_TAG, PROJECT_TAG, SCENARIO_TAG, TRIGGER_TAG

LONGEST_ERROR = 2000


@dataclass
class Known:
    """What the reader's own project knows of assets; runs are looked up once."""

    instance: dg.DagsterInstance
    project: str
    now: datetime
    owners: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    runs: dict[str, dg.DagsterRun | None] = field(default_factory=dict)

    def run(self, run_id: str) -> dg.DagsterRun | None:
        """A run, if it is still there."""
        if run_id and run_id not in self.runs:
            self.runs[run_id] = self.instance.get_run_by_id(run_id)
        return self.runs.get(run_id)

    def project_of(self, run: dg.DagsterRun | None, asset: str) -> str:
        """Whose event it is: the project of the run, else of whoever has the asset."""
        above = self.run(run.tags.get(PARENT_TAG, "")) if run else None
        for one in (run, above):
            if one and PROJECT_TAG in one.tags:
                return str(one.tags[PROJECT_TAG])
        origin = run.remote_job_origin if run else None
        if origin is not None:
            return str(origin.location_name)
        return self.project if not asset or asset in self.tags else ""


def known_of(instance: dg.DagsterInstance, project: str, repository: Any, now: datetime) -> Known:
    """What a code location knows of its assets."""
    graph = repository.asset_graph if repository else None
    nodes = list(graph.asset_nodes) if graph else []
    names = {node.key: node.key.to_user_string() for node in nodes}
    return Known(
        instance,
        project,
        now,
        {names[one.key]: sorted(one.owners) for one in nodes},
        {names[one.key]: one.tags for one in nodes},
        {names[one.key]: str(one.description or "") for one in nodes if BROKEN_TAG in one.tags},
    )


def cause_of(error: Any) -> str:
    """What was raised at first; what Dagster wraps around it says only where."""
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip()[:LONGEST_ERROR] if error is not None else ""


def job_of(run: dg.DagsterRun | None) -> str:
    """What a run is called: its job, or the assets that it was to make."""
    if run is None:
        return ""
    if not run.job_name.startswith("__"):
        return str(run.job_name)
    chosen = sorted(key.to_user_string() for key in run.asset_selection or ())
    more = f" and {len(chosen) - 1} more" if len(chosen) > 1 else ""
    return f"{chosen[0]}{more}" if chosen else "all assets"


def trigger_of(run: dg.DagsterRun | None) -> str:
    """What started a run, by its name; empty for a person."""
    names = (TRIGGER_TAG, "dagster/schedule_name", "dagster/sensor_name", "dagster/backfill")
    return next((str(run.tags[name]) for name in names if run and name in run.tags), "")


def plain_tags(run: dg.DagsterRun | None) -> dict[str, str]:
    """The tags of a run that people see."""
    return {k: v for k, v in (run.tags if run else {}).items() if not k.startswith(".")}


def facts_of(run: dg.DagsterRun | None) -> dict[str, str]:
    """Which run started this one as a part of itself; nothing for a run of its own."""
    parent = str(run.tags.get(PARENT_TAG, "")) if run else ""
    return {"parent_run": parent} if parent else {}


def scenario_of(run: dg.DagsterRun | None) -> str:
    """The scenario that a run is; empty for any other run."""
    return str(run.tags.get(SCENARIO_TAG, "")) if run else ""
