"""From a row of the log to events: each kind of row has its reader, and none stops another."""

from collections.abc import Callable, Iterator, Mapping

import dagster as dg

# Not public in Dagster 1.13; see `log`.
from dagster._core.events import DagsterEventType

from ml_platform.alerts.event import Event
from ml_platform.alerts.listening import assets, runs, scenarios
from ml_platform.alerts.listening.entry import Entry
from ml_platform.alerts.listening.known import LONGEST_ERROR, Known
from ml_platform.alerts.listening.log import Row


def events_of(row: Row, known: Known) -> Iterator[Event]:
    """What a row of the log says, as events in the platform's words; good signs among them."""
    entry = row.entry
    if entry is None:
        yield _unreadable(row, row.error, known)
        return
    try:
        reader = READERS[str(entry.dagster_event_type.value if entry.dagster_event_type else "")]
        made = list(reader(Entry(row.id, entry, known)))
    except Exception as error:  # noqa: BLE001 - one event that is not as expected stops no other
        yield _unreadable(row, f"{type(error).__name__}: {error}"[:LONGEST_ERROR], known)
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


READERS: Mapping[str, Callable[[Entry], Iterator[Event]]] = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION.value: assets.check,
    dg.DagsterEventType.ASSET_MATERIALIZATION.value: assets.materialised,
    dg.DagsterEventType.ASSET_OBSERVATION.value: assets.observed,
    DagsterEventType.FRESHNESS_STATE_CHANGE.value: assets.freshness,
    dg.DagsterEventType.RUN_START.value: scenarios.started,
    dg.DagsterEventType.RUN_FAILURE.value: runs.failed,
    dg.DagsterEventType.RUN_SUCCESS.value: runs.succeeded,
    dg.DagsterEventType.RUN_CANCELED.value: runs.canceled,
}
