"""Dagster's event log as rows from a cursor on, of the kinds that are listened to.

With `beside` this is the one place of the room that reaches below Dagster's public interface;
ml_platform_tests/alerts/test_dagster_internals.py names what each promise stands on. Dagster's own
readers do not do: on SQLite they refuse a cursor for check results, they take one kind of event at
a time, and one row that cannot be read ends them all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

# Not public in Dagster 1.13; see above.
from dagster._core.events import DagsterEventType
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_value

from ml_platform.kernel.errors import SettingsError

HOLD_BACK_S = 15.0
"""Ids are handed out before a transaction ends, so a lower one may appear after a higher: what is
younger than this is read again."""

PAGE = 500

TYPES = (
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.FRESHNESS_STATE_CHANGE,
    dg.DagsterEventType.RUN_START,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_CANCELED,
)
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class Row:
    """One row of the event log: its entry, or why it cannot be read."""

    id: int
    entry: dg.EventLogEntry | None
    error: str = ""


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
        .where(table.dagster_event_type.in_([one.value for one in TYPES]), table.id > cursor)
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
        return Row(number, None, f"{type(error).__name__}: {error}"[:_LONGEST_ERROR])
    return Row(number, entry)


def held_back(rows: Iterable[Row], cursor: int, now: datetime) -> int:
    """Up to where nothing can appear any more: the last row before the first that is young."""
    for row in rows:
        if row.entry and row.entry.timestamp > now.timestamp() - HOLD_BACK_S:
            break
        cursor = row.id
    return cursor
