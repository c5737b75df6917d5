"""`clean_up`: remove what has become old, or tell what would be removed.

A run that holds the newest record of a table, a partition or a check stays, however old: without
it Dagster would not know that they were made.
"""

import functools
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from ml_platform.kernel.clock import Clock, system_clock
from ml_platform.scenarios.course import Outcome, Result
from ml_platform.scenarios.step_words import CleanUp
from ml_platform.scenarios.steps.place import UNFINISHED, Place

_ENDED = [
    one for one in dg.DagsterRunStatus if one not in {*UNFINISHED, dg.DagsterRunStatus.MANAGED}
]
_PAGE = 200
_NAMED = 50
"""How many of what was removed the output names; it counts all."""


def clean_up(words: CleanUp, place: Place, clock: Clock = system_clock) -> Result:
    """Remove it; the output says of each kind how much, and names the first."""
    before = clock() - timedelta(seconds=float(words.keep))
    report: dict[str, Any] = {"older_than": before.isoformat(timespec="seconds")}
    for kind in words.what:
        names = list(_KINDS[kind](place, before, words.dry_run))
        report[kind] = {"count": len(names), "first": names[:_NAMED]}
        verb = "would be removed" if words.dry_run else "removed"
        place.say(f"{kind}: {len(names)} {verb}")
    return Result(Outcome.success, report)


def _runs(place: Place, before: datetime, dry_run: bool) -> Iterator[str]:  # noqa: FBT001 - as all here
    """Runs with their events, logs and what was put aside for them."""
    is_newest = _newest(place.instance)
    for run in _old_runs(place.instance, before):
        if run.run_id == place.run_id or _holds_newest(place.instance, run.run_id, is_newest):
            continue
        if not dry_run:
            place.instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            place.instance.delete_run(run.run_id)
            shutil.rmtree(Path(place.instance.storage_directory()) / run.run_id, ignore_errors=True)
        yield f"{run.job_name} {run.run_id}"


def _old_runs(instance: dg.DagsterInstance, before: datetime) -> list[dg.DagsterRun]:
    """All runs that ended and were asked for before; read whole, for they are removed meanwhile."""
    wanted = dg.RunsFilter(statuses=_ENDED, created_before=before)
    found: list[dg.DagsterRun] = []
    cursor = None
    while page := list(instance.get_runs(wanted, cursor=cursor, limit=_PAGE)):
        found += page
        cursor = page[-1].run_id
    return found


_TOLD = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}


def _holds_newest(
    instance: dg.DagsterInstance, run_id: str, is_newest: Callable[[dg.DagsterEvent, str], bool]
) -> bool:
    events = (one.dagster_event for one in instance.all_logs(run_id, of_type=_TOLD))
    return any(is_newest(event, run_id) for event in events if event)


def _newest(instance: dg.DagsterInstance) -> Callable[[dg.DagsterEvent, str], bool]:
    """Tells whether an event is the newest of its table, partition or check."""

    @functools.cache
    def maker(key: dg.AssetKey, partition: str | None) -> str | None:
        wanted = dg.AssetRecordsFilter(
            asset_key=key, asset_partitions=None if partition is None else [partition]
        )
        records = instance.fetch_materializations(wanted, limit=1).records
        return records[0].run_id if records else None

    @functools.cache
    def checker(key: dg.AssetCheckKey) -> str | None:
        record = instance.get_latest_asset_check_evaluation_record(key)
        return record.run_id if record else None

    def is_newest(event: dg.DagsterEvent, run_id: str) -> bool:
        if event.is_step_materialization and event.asset_key:
            return maker(event.asset_key, event.partition) == run_id
        return checker(event.asset_check_evaluation_data.asset_check_key) == run_id

    return is_newest


def _versions(place: Place, before: datetime, dry_run: bool) -> Iterator[str]:  # noqa: FBT001
    """Replaced versions of the project's tables, by when they were written."""
    store = place.store()
    for info in store.tables(place.project):
        for partition in store.partitions(place.project, info.key):
            for version in store.versions_before(place.project, info.key, before, partition):
                if not dry_run:
                    store.forget(place.project, info.key, version, partition)
                yield f"{info.key} {partition or ''} {version}"


def _leftovers(place: Place, before: datetime, dry_run: bool) -> Iterator[str]:  # noqa: FBT001
    """What was put aside for runs that are gone."""
    folder = Path(place.instance.storage_directory())
    if not folder.is_dir():
        return
    for one in sorted(folder.iterdir()):
        if not one.is_dir() or one.stat().st_mtime >= before.timestamp():
            continue
        if place.instance.get_run_by_id(one.name) is None and _is_run_id(one.name):
            if not dry_run:
                shutil.rmtree(one)
            yield one.name


def _is_run_id(name: str) -> bool:
    import uuid

    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


_KINDS = {
    "runs": _runs,
    "versions": _versions,
    "leftovers": _leftovers,
}
