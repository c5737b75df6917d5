"""What triggers ask Dagster about: which runs go on, which have ended, which model is champion."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ml_platform.kernel.marks import OUTCOME_TAG, PROJECT_TAG, SCENARIO_TAG
from ml_platform.scenarios.steps.place import UNFINISHED
from ml_platform.scenarios.watch.endings import Ended, Ending

_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_WILL_RETRY = "dagster/will_retry"
_DECIDED_S = 10.0
"""So long after a failure Dagster has surely said whether it repeats the run by itself."""


def is_running(instance: dg.DagsterInstance, project: str, scenario: str) -> bool:
    """Whether a run of the scenario has not ended."""
    filters = dg.RunsFilter(tags=_tags(project, scenario), statuses=[*UNFINISHED])
    return bool(instance.get_runs_count(filters))


def ended_runs(instance: dg.DagsterInstance, project: str, scenario: str, now: float) -> Ended:
    """How runs of a scenario have ended; a failed one that Dagster repeats by itself has not."""

    def ended(since: float) -> list[Ending]:
        filters = dg.RunsFilter(
            tags=_tags(project, scenario),
            statuses=_ENDED,
            updated_after=datetime.fromtimestamp(since, tz=UTC),
        )
        found = instance.get_run_records(filters)
        return [_ending(one) for one in found if not _may_go_on(instance, one, now)]

    return ended


def _tags(project: str, scenario: str) -> dict[str, str]:
    return {PROJECT_TAG: project, SCENARIO_TAG: scenario}


def _ended_at(record: dg.RunRecord) -> float:
    return record.end_time or record.update_timestamp.timestamp()


def _may_go_on(instance: dg.DagsterInstance, record: dg.RunRecord, now: float) -> bool:
    run = record.dagster_run
    if run.status != dg.DagsterRunStatus.FAILURE or not instance.run_retries_enabled:
        return False
    said = run.tags.get(_WILL_RETRY)
    return said == "true" or (said is None and 0 <= now - _ended_at(record) < _DECIDED_S)


def _ending(record: dg.RunRecord) -> Ending:
    run = record.dagster_run
    by_status = "success" if run.is_success else "failed"
    outcome = run.tags.get(OUTCOME_TAG, by_status) if run.is_success else by_status
    return Ending(run.run_id, _ended_at(record), outcome, _params(run))


def _params(run: dg.DagsterRun) -> dict[str, Any]:
    found: Any = run.run_config
    for name in ("ops", "start", "config", "params"):
        found = found.get(name) if isinstance(found, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def champion(instance: dg.DagsterInstance, key: str) -> tuple[str, float] | None:
    """The version of the last model that became champion, and when, as its training has told."""
    cursor = None
    while True:
        found = instance.fetch_materializations(
            dg.AssetKey.from_user_string(key), limit=_PORTION, cursor=cursor
        )
        for record in found.records:
            made = record.asset_materialization
            said = made.metadata if made else {}
            if "is_champion" in said and said["is_champion"].value:
                return str(said["model_version"].value), record.timestamp
        if not found.has_more:
            return None
        cursor = found.cursor


_PORTION = 50
