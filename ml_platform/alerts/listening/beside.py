"""What is in no event log: ticks, backfills, runs that take long, broken declarations."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

# Not public in Dagster 1.13; see `log`.
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.scheduler.instigation import TickStatus

from ml_platform.alerts.event import Event
from ml_platform.alerts.listening.known import (
    LONGEST_ERROR,
    Known,
    cause_of,
    facts_of,
    job_of,
    plain_tags,
    scenario_of,
    trigger_of,
)


def long_runs(known: Known, longer_than_min: float) -> Iterator[Event]:
    """The runs of the project that have been going on for longer."""
    for record in known.instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]), limit=100
    ):
        run = record.dagster_run
        elapsed = known.now.timestamp() - (record.start_time or known.now.timestamp())
        if elapsed >= longer_than_min * 60 and known.project_of(run, "") == known.project:
            yield Event(
                id=f"run-{run.run_id}-longer-than-{longer_than_min:g}",
                type="run.too_long",
                at=known.now,
                project=known.project,
                subject=f"run {run.root_run_id or run.run_id}",
                what=job_of(run) or run.run_id[:8],
                run_id=run.run_id,
                job=job_of(run),
                scenario=scenario_of(run),
                trigger_name=trigger_of(run),
                tags=plain_tags(run),
                started_at=datetime.fromtimestamp(record.start_time or 0, tz=UTC),
                elapsed_s=round(elapsed, 1),
                observed=f"{elapsed / 60:.0f} minutes",
                expected=f"up to {longer_than_min:g} minutes",
                facts=facts_of(run),
            )


def ticks(known: Known, since: datetime, own_sensor: str) -> Iterator[Event]:
    """How the ticks of the project's sensors and schedules have ended since then."""
    ended = [TickStatus.FAILURE, TickStatus.SUCCESS, TickStatus.SKIPPED]
    for state in known.instance.all_instigator_state():
        origin = state.origin.repository_origin.code_location_origin
        if origin.location_name != known.project or state.instigator_name == own_sensor:
            continue
        found = known.instance.get_ticks(
            state.instigator_origin_id,
            state.selector_id,
            after=since.timestamp(),
            statuses=ended,
            limit=20,
        )
        for tick in reversed(found):
            yield _tick(known, state.instigator_name, tick)


def _tick(known: Known, name: str, tick: Any) -> Event:
    failed = tick.status == TickStatus.FAILURE
    error = cause_of(tick.error) if failed else ""
    return Event(
        id=f"tick-{tick.tick_id}-{tick.timestamp:.6f}",
        type="tick.failed" if failed else "tick.recovered",
        at=datetime.fromtimestamp(tick.timestamp, tz=UTC),
        project=known.project,
        subject=f"tick {name}",
        what=name,
        trigger_name=name,
        order=int(tick.tick_id),
        failure_message=error,
        summary=error,
    )


_BACKFILLS = {
    BulkActionStatus.COMPLETED_SUCCESS: "backfill.finished",
    BulkActionStatus.COMPLETED: "backfill.finished",
    BulkActionStatus.COMPLETED_FAILED: "backfill.failed",
    BulkActionStatus.FAILED: "backfill.failed",
}


def backfills(known: Known, since: datetime) -> Iterator[Event]:
    """The project's backfills that have ended since then."""
    filters = BulkActionsFilter(statuses=list(_BACKFILLS))
    for one in known.instance.get_backfills(filters=filters, limit=50):
        ended = one.backfill_end_timestamp
        if ended is None or ended < since.timestamp():
            continue
        assets = sorted(key.to_user_string() for key in one.asset_selection or ())
        if assets and not any(asset in known.tags for asset in assets):
            continue
        error = cause_of(one.error)
        yield Event(
            id=f"backfill-{one.backfill_id}-{one.status.value}",
            type=_BACKFILLS[one.status],
            at=datetime.fromtimestamp(ended, tz=UTC),
            project=known.project,
            subject=f"backfill {one.backfill_id}",
            what=", ".join(assets[:3]) or one.backfill_id,
            asset_key=assets[0] if len(assets) == 1 else "",
            trigger_name=one.backfill_id,
            failure_message=error,
            elapsed_s=round(ended - one.backfill_timestamp, 1),
        )


def declarations(known: Known, broken_before: Iterable[str]) -> Iterator[Event]:
    """The declarations of the project that are broken, and those that were and are whole again."""
    for asset in sorted(known.broken):
        if f"declaration {asset}" not in set(broken_before):
            text = known.broken[asset].strip("*`\n ")
            yield _declaration(known, "declaration.broken", asset, text)
    for subject in broken_before:
        asset = subject.removeprefix("declaration ")
        if asset not in known.broken:
            yield _declaration(known, "declaration.mended", asset, "")


def _declaration(known: Known, kind: str, asset: str, message: str) -> Event:
    return Event(
        id=f"{kind}-{known.project}-{asset}-{known.now.timestamp():.3f}",
        type=kind,
        at=known.now,
        project=known.project,
        subject=f"declaration {asset}",
        what=asset,
        asset_key=asset,
        owners=tuple(known.owners.get(asset, ())),
        tags=dict(known.tags.get(asset, {})),
        failure_message=message[:LONGEST_ERROR],
    )


def show_acknowledged(instance: dg.DagsterInstance, asset: str, by: str, what: str) -> None:
    """Show on an asset's page in the UI who has acknowledged what."""
    observation = dg.AssetObservation(
        dg.AssetKey.from_user_string(asset),
        description=f"{by} acknowledged: {what}",
        metadata={"acknowledged by": by, "alert": what},
    )
    instance.report_runless_asset_event(observation)
