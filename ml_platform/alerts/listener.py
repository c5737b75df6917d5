"""Reads what has happened out of Dagster: its event log from a cursor on, its ticks and backfills.

This is the one place of the room that reaches below Dagster's public interface;
ml_platform_tests/alerts/test_dagster_internals.py names what each promise stands on. Dagster's own
readers do not do: on SQLite they refuse a cursor for check results, they take one kind of event at
a time, and one row that cannot be read ends them all.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg

# Not public in Dagster 1.13; see above.
from dagster._core.events import DagsterEventType
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._serdes import deserialize_value

from ml_platform.alerts.event import KINDS, OURS, Event
from ml_platform.execution.recording import TAKEN_OVER
from ml_platform.kernel.errors import SettingsError

HOLD_BACK_S = 15.0
"""Ids are handed out before a transaction ends, so a lower one may appear after a higher: what is
younger than this is read again."""

RETRY_MARK_S = 5.0
"""Dagster says whether a failed run is repeated just after it records the failure."""

PAGE = 500

_BEGIN = dg.DagsterEventType.RUN_FAILURE
_TYPES = (
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.FRESHNESS_STATE_CHANGE,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_CANCELED,
)
_LONGEST_VALUE = 500
_LONGEST_ERROR = 2000
_MOST_PARTITIONS = 20
_EVENT_KEY = "ml_platform/event"


@dataclass(frozen=True)
class Row:
    """One row of the event log: its entry, or why it cannot be read."""

    id: int
    entry: dg.EventLogEntry | None
    error: str = ""


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
        """Whose event it is: the run's code location, else whoever has the asset."""
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
        {
            names[one.key]: str(one.description or "")
            for one in nodes
            if "ml_platform/broken" in one.tags
        },
    )


# --- The event log --------------------------------------------------------------------------------


def newest_id(instance: dg.DagsterInstance) -> int:
    """The place at which the event log ends now; 0 when it is empty."""
    import sqlalchemy as sa

    with _log_of(instance).index_connection() as connection:
        found = connection.execute(sa.select(sa.func.max(SqlEventLogStorageTable.c.id))).scalar()
    return int(found or 0)


def rows_after(instance: dg.DagsterInstance, cursor: int, limit: int = PAGE) -> list[Row]:
    """The next rows of the kinds that are listened to, in their order.

    What it takes does not grow with the log: an index finds each kind's rows behind the cursor.
    """
    import sqlalchemy as sa

    table = SqlEventLogStorageTable.c
    query = (
        sa.select(table.id, table.event)
        .where(table.dagster_event_type.in_([one.value for one in _TYPES]), table.id > cursor)
        .order_by(table.id)
        .limit(limit)
    )
    with _log_of(instance).index_connection() as connection:
        found = connection.execute(query).fetchall()
    return [_row(number, text) for number, text in found]


def _log_of(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise SettingsError(
            "alerts",
            f"the event log is a {type(storage).__name__}",
            allowed="Dagster's storage in SQLite or PostgreSQL",
        )
    return storage


def _row(number: int, text: str) -> Row:
    try:
        entry = deserialize_value(text, dg.EventLogEntry)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told as that row's
        return Row(number, None, f"{type(error).__name__}: {error}"[:_LONGEST_VALUE])
    return Row(number, entry)


def held_back(rows: Iterable[Row], cursor: int, now: datetime) -> int:
    """Up to where nothing can appear any more: the last row before the first that is young."""
    for row in rows:
        if row.entry and row.entry.timestamp > now.timestamp() - HOLD_BACK_S:
            break
        cursor = row.id
    return cursor


def events_of(row: Row, known: Known) -> Iterator[Event]:
    """What a row of the log says, as events in the platform's words; good signs among them."""
    entry = row.entry
    if entry is None:
        yield _unreadable(row, row.error, known)
        return
    try:
        reader = _READERS[str(entry.dagster_event_type.value if entry.dagster_event_type else "")]
        made = list(reader(_Entry(row.id, entry, known)))
    except Exception as error:  # noqa: BLE001 - one event that is not as expected stops no other
        yield _unreadable(row, f"{type(error).__name__}: {error}", known)
        return
    yield from made


def _unreadable(row: Row, error: str, known: Known) -> Event:
    return Event(
        id=f"log-{row.id}-unreadable",
        type="event.unreadable",
        at=known.now,
        project=known.project,
        subject=f"event {row.id}",
        what=f"number {row.id} of the event log",
        failure_message=error,
        summary=f"Event {row.id} was skipped: {error}",
    )


@dataclass(frozen=True)
class _Entry:
    """A readable row, and what is known around it."""

    id: int
    entry: dg.EventLogEntry
    known: Known

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.entry.timestamp, tz=UTC)

    @property
    def data(self) -> Any:
        """What only this kind of event says."""
        return self.entry.dagster_event.event_specific_data if self.entry.dagster_event else None

    @property
    def run(self) -> dg.DagsterRun | None:
        return self.known.run(self.entry.run_id)

    def event(self, kind: str, subject: str, what: str, *, asset: str = "", **more: Any) -> Event:
        """An event of this row; the same row always gives the same id."""
        run = self.run
        run_id = self.entry.run_id if run else ""
        tags = dict(self.known.tags.get(asset, {})) or _plain_tags(run)
        own = {
            "trigger_name": _trigger(run),
            "job": _job(run),
            "tags": tags,
            "owners": tuple(self.known.owners.get(asset, ())),
            **more,
        }
        return Event(
            # With its time: after the log was wiped, ids begin again.
            id=f"log-{self.id}-{self.entry.timestamp:.6f}-{kind}{own.pop('suffix', '')}",
            type=kind,
            at=self.at,
            project=self.known.project_of(run, asset),
            subject=subject,
            what=what,
            order=self.id,
            asset_key=asset,
            run_id=run_id,
            **own,
        )


def _check(one: _Entry) -> Iterator[Event]:
    found = one.data
    asset = found.asset_key.to_user_string()
    subject = _check_subject(asset, found.check_name, found.partition)
    if found.passed:
        kind = "check.recovered"
    else:
        is_warning = found.severity == dg.AssetCheckSeverity.WARN
        kind = "check.warned" if is_warning else "check.failed"
    numbers = {
        name: value.value
        for name, value in found.metadata.items()
        if isinstance(value.value, (int, float, str, bool)) and len(str(value.value)) < 200  # noqa: PLR2004 - a fact, no page
    }
    yield one.event(
        kind,
        subject,
        f"{asset} {found.check_name}",
        asset=asset,
        check_name=found.check_name,
        partition=found.partition or "",
        observed=_said(found.metadata, "observed"),
        expected=_said(found.metadata, "expected"),
        failure_message="" if found.passed else found.description or "",
        summary=found.description or "",
        facts=numbers,
    )


def _check_subject(asset: str, name: str, partition: str | None) -> str:
    return f"check {asset} {name} {partition or ''}".rstrip()


def _said(metadata: Mapping[str, dg.MetadataValue[Any]], name: str) -> str:
    value = metadata[name].value if name in metadata else None
    if value is None:
        return ""
    if isinstance(value, Mapping):
        text = "; ".join(f"{key}: {one}" for key, one in value.items())
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _freshness(one: _Entry) -> Iterator[Event]:
    found = one.data
    asset = found.key.to_user_string()
    kinds = {"PASS": "recovered", "WARN": "warned", "FAIL": "failed"}
    state = str(found.new_state.value)
    if state in kinds:
        yield one.event(
            f"freshness.{kinds[state]}",
            f"freshness {asset}",
            asset,
            asset=asset,
            observed=state.lower(),
            expected="pass",
            summary=f"{asset} was {found.previous_state.value.lower()} and is {state.lower()}.",
        )


def _materialised(one: _Entry) -> Iterator[Event]:
    found = one.data.materialization
    if TAKEN_OVER in found.metadata:
        return  # nothing was made: a run that failed told of what an earlier one had made
    asset = found.asset_key.to_user_string()
    partition = found.partition or ""
    yield one.event(
        "asset.recovered",
        f"asset {asset} {partition}".rstrip(),
        asset,
        asset=asset,
        partition=partition,
    )
    columns = _columns(found.metadata)
    if columns:
        yield one.event(
            "schema.changed",
            f"schema {asset}",
            asset,
            asset=asset,
            partition=partition,
            observed=json.dumps(columns),
        )
    if "is_champion" in found.metadata:
        yield _judged(one, asset, found.metadata)


def _judged(one: _Entry, asset: str, metadata: Mapping[str, Any]) -> Event:
    """A training says by the metadata of its asset whether its model became champion."""
    won = bool(metadata["is_champion"].value)
    sentence = _said(metadata, "verdict")
    return one.event(
        "model.champion" if won else "model.rejected",
        f"model {asset}",
        asset,
        asset=asset,
        summary=sentence,
        observed=sentence,
        facts={"model_version": str(_said(metadata, "model_version"))},
    )


def _columns(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, str]:
    value = metadata.get("dagster/column_schema")
    schema = value.value if value is not None else None
    return {one.name: one.type for one in schema.columns} if schema else {}


def _observed(one: _Entry) -> Iterator[Event]:
    """Any room may tell by an observation whose metadata names the kind of event."""
    found = one.data.asset_observation
    if _EVENT_KEY not in found.metadata:
        return
    asset = found.asset_key.to_user_string()
    kind = str(found.metadata[_EVENT_KEY].value)
    told = kind if kind in KINDS and kind not in OURS else "message"
    values = {
        name: value.value
        for name, value in found.metadata.items()
        if isinstance(value.value, (str, int, float, bool)) and name != _EVENT_KEY
    }
    summary = str(values.pop("summary", ""))
    yield one.event(
        told,
        f"{told.partition('.')[0]} {asset} {found.partition or ''}".rstrip(),
        str(values.pop("title", asset)),
        asset=asset,
        partition=found.partition or "",
        summary=summary,
        observed=str(values.pop("observed", "")),
        expected=str(values.pop("expected", "")),
        facts=values,
    )


# --- Runs -----------------------------------------------------------------------------------------

_OF_A_RUN = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}


def is_unsettled(row: Row, known: Known) -> bool:
    """Whether Dagster has not said yet what becomes of a failed run; it is read again soon."""
    entry = row.entry
    if entry is None or entry.dagster_event_type != _BEGIN:
        return False
    if entry.timestamp < known.now.timestamp() - RETRY_MARK_S:
        return False
    known.runs.pop(entry.run_id, None)
    run = known.run(entry.run_id)
    return run is not None and WILL_RETRY_TAG not in run.tags


def _run_failed(one: _Entry) -> Iterator[Event]:
    run = one.run
    log = list(one.known.instance.all_logs(one.entry.run_id, of_type=_OF_A_RUN))
    error = _first_error(log) or _message(one.entry)
    common: dict[str, Any] = {"failure_message": error, **_times(one)}
    name = _job(run) or one.entry.run_id[:8]
    if run and run.tags.get(WILL_RETRY_TAG) == "true":
        yield one.event("run.retried", _run_subject(one), name, summary=error, **common)
        return
    yield one.event("run.failed", _run_subject(one), name, summary=error, **common)
    for asset, partition in sorted(_planned_not_made(log)):
        yield one.event(
            "asset.failed",
            f"asset {asset} {partition}".rstrip(),
            asset,
            asset=asset,
            partition=partition,
            suffix=f"-{asset}-{partition}",
            **common,
        )
    for asset, check, partition in sorted(_planned_not_evaluated(log)):
        yield one.event(
            "check.crashed",
            _check_subject(asset, check, partition),
            f"{asset} {check}",
            asset=asset,
            check_name=check,
            partition=partition,
            suffix=f"-{asset}-{check}-{partition}",
            **common,
        )


def _message(entry: dg.EventLogEntry) -> str:
    return (entry.dagster_event.message if entry.dagster_event else None) or ""


def _first_error(log: Sequence[dg.EventLogEntry]) -> str:
    for entry in log:
        event = entry.dagster_event
        if event and event.event_type == dg.DagsterEventType.STEP_FAILURE:
            return _cause(getattr(event.event_specific_data, "error", None))
    return ""


def _cause(error: Any) -> str:
    """What was raised at first; what Dagster wraps around it says only where."""
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip()[:_LONGEST_ERROR] if error is not None else ""


def _planned_not_made(log: Sequence[dg.EventLogEntry]) -> set[tuple[str, str]]:
    planned, made = set(), set()
    for entry in log:
        event = entry.dagster_event
        if event is None or event.asset_key is None:
            continue
        key = (event.asset_key.to_user_string(), event.partition or "")
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            planned.add(key)
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            made.add(key)
    whole = {asset for asset, partition in made if not partition}
    some = {asset for asset, partition in made if partition}
    # A run over many partitions plans the asset as one and tells each partition as it is made.
    return {
        (asset, partition)
        for asset, partition in planned - made
        if asset not in whole and not (not partition and asset in some)
    }


def _planned_not_evaluated(log: Sequence[dg.EventLogEntry]) -> set[tuple[str, str, str]]:
    planned, seen = set(), set()
    for entry in log:
        event = entry.dagster_event
        data: Any = event.event_specific_data if event else None
        if event is None:
            continue
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            asset = data.asset_key.to_user_string()
            planned |= {(asset, data.check_name, one) for one in _partitions_of(data)}
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            seen.add((data.asset_key.to_user_string(), data.check_name, data.partition or ""))
    crashed = _failed_steps(log)
    return {
        (asset, check, partition)
        for asset, check, partition in planned - seen
        if (asset, check, "") not in seen and _ran(asset, check, crashed)
    }


def _partitions_of(planned: Any) -> list[str]:
    """The partitions that a check was planned for; one empty name for none, or for very many."""
    subset = planned.partitions_subset
    found = sorted(subset.get_partition_keys()) if subset is not None else []
    return found if 0 < len(found) <= _MOST_PARTITIONS else [""]


def _failed_steps(log: Sequence[dg.EventLogEntry]) -> set[str]:
    return {
        str(entry.step_key)
        for entry in log
        if entry.dagster_event_type == dg.DagsterEventType.STEP_FAILURE and entry.step_key
    }


def _ran(asset: str, check: str, failed: set[str]) -> bool:
    """Whether the check's own step failed; one behind it was only never reached."""
    own = {check, f"{asset.replace('/', '__')}_{check}"}
    # Without a failed step the process was killed: nobody knows how far it came.
    return not failed or any(step in own or step.endswith(f"_{check}") for step in failed)


def _run_ended(kind: str) -> Callable[[_Entry], Iterator[Event]]:
    def made(one: _Entry) -> Iterator[Event]:
        name = _job(one.run) or one.entry.run_id[:8]
        yield one.event(kind, _run_subject(one), name, **_times(one))

    return made


def _run_subject(one: _Entry) -> str:
    run = one.run
    return f"run {run.root_run_id if run and run.root_run_id else one.entry.run_id}"


def _times(one: _Entry) -> dict[str, Any]:
    record = one.known.instance.get_run_record_by_id(one.entry.run_id)
    if record is None or not record.start_time:
        return {}
    return {"elapsed_s": round(one.entry.timestamp - record.start_time, 3)}


def _job(run: dg.DagsterRun | None) -> str:
    if run is None:
        return ""
    if not run.job_name.startswith("__"):
        return str(run.job_name)
    chosen = sorted(key.to_user_string() for key in run.asset_selection or ())
    more = f" and {len(chosen) - 1} more" if len(chosen) > 1 else ""
    return f"{chosen[0]}{more}" if chosen else "all assets"


def _trigger(run: dg.DagsterRun | None) -> str:
    names = ("dagster/schedule_name", "dagster/sensor_name", "dagster/backfill")
    return next((str(run.tags[name]) for name in names if run and name in run.tags), "")


def _plain_tags(run: dg.DagsterRun | None) -> dict[str, str]:
    return {k: v for k, v in (run.tags if run else {}).items() if not k.startswith(".")}


_READERS: Mapping[str, Callable[[_Entry], Iterator[Event]]] = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION.value: _check,
    dg.DagsterEventType.ASSET_MATERIALIZATION.value: _materialised,
    dg.DagsterEventType.ASSET_OBSERVATION.value: _observed,
    DagsterEventType.FRESHNESS_STATE_CHANGE.value: _freshness,
    dg.DagsterEventType.RUN_FAILURE.value: _run_failed,
    dg.DagsterEventType.RUN_SUCCESS.value: _run_ended("run.recovered"),
    dg.DagsterEventType.RUN_CANCELED.value: _run_ended("run.canceled"),
}


# --- What is not in the event log -----------------------------------------------------------------


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
                what=_job(run) or run.run_id[:8],
                run_id=run.run_id,
                job=_job(run),
                trigger_name=_trigger(run),
                tags=_plain_tags(run),
                started_at=datetime.fromtimestamp(record.start_time or 0, tz=UTC),
                elapsed_s=round(elapsed, 1),
                observed=f"{elapsed / 60:.0f} minutes",
                expected=f"up to {longer_than_min:g} minutes",
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
    error = _cause(tick.error) if failed else ""
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
        error = _cause(one.error)
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
        failure_message=message[:_LONGEST_ERROR],
    )


def show_acknowledged(instance: dg.DagsterInstance, asset: str, by: str, what: str) -> None:
    """Show on an asset's page in the UI who has acknowledged what."""
    observation = dg.AssetObservation(
        dg.AssetKey.from_user_string(asset),
        description=f"{by} acknowledged: {what}",
        metadata={"acknowledged by": by, "alert": what},
    )
    instance.report_runless_asset_event(observation)
