"""The outbox's tables, in SQLite beside Dagster's own or in PostgreSQL.

Several processes work on them at once: a sensor a project, and the `alerts` commands. Times are
seconds since 1970, UTC, because SQLite keeps no time zones.
"""

import functools
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import SettingsError
from ml_platform.storage.database import opened_with

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData

VERSION = "1"
"""Of these tables; another one's are not touched."""


@functools.cache
def metadata() -> "MetaData":
    """All the tables."""
    import sqlalchemy as sa

    made = sa.MetaData()
    for part in (_what_happened, _what_is_told, _what_lasts, _own_state):
        part(made)
    return made


def _what_happened(made: "MetaData") -> None:
    """Events, and what steps told themselves until the reader of their project takes it."""
    import sqlalchemy as sa

    text, number = sa.Text, sa.Double
    sa.Table(
        "alert_events",
        made,
        sa.Column("id", text, primary_key=True),
        _required("type"),
        _required("project"),
        _required("at", number),
        _required("body"),
        sa.Index("alert_events_at", "at"),
    )
    sa.Table(
        "alert_told",
        made,
        sa.Column("key", text, primary_key=True),
        _required("project"),
        _required("body"),
        _required("is_taken", sa.Integer, "0"),
        _required("at", number),
        sa.Index("alert_told_waiting", "project", "is_taken"),
    )


def _what_is_told(made: "MetaData") -> None:
    """One delivery a rule, event and channel; the receipts of its attempts."""
    import sqlalchemy as sa

    number, whole = sa.Double, _whole()
    sa.Table(
        "alert_deliveries",
        made,
        sa.Column("id", whole, primary_key=True, autoincrement=True),
        _required("rule"),
        _required("event_id"),
        _required("channel"),
        _required("dedup_key"),
        _required("key"),
        _required("status"),
        _required("created_at", number),
        _required("due_at", number),
        _required("message"),
        _required("attempts", sa.Integer, "0"),
        _required("lease_owner", default=""),
        _required("lease_until", number, "0"),
        _required("error", default=""),
        _required("receipt", default=""),
        _required("thread", default=""),
        _required("remark", default=""),
        sa.Column("sent_at", number),
        sa.Column("gathered_into", whole),
        sa.UniqueConstraint("rule", "event_id", "channel"),
        sa.Index("alert_deliveries_due", "status", "channel", "due_at"),
        sa.Index("alert_deliveries_order", "dedup_key", "channel", "status", "id"),
        sa.Index("alert_deliveries_recent", "rule", "created_at"),
        sa.Index("alert_deliveries_created", "created_at"),
    )
    sa.Table(
        "alert_attempts",
        made,
        sa.Column("id", whole, primary_key=True, autoincrement=True),
        _required("delivery_id", whole),
        _required("at", number),
        _required("outcome"),
        _required("said", default=""),
        sa.Index("alert_attempts_delivery", "delivery_id"),
    )


def _what_lasts(made: "MetaData") -> None:
    """How each subject stands, and the last incident of each by each rule."""
    import sqlalchemy as sa

    text, number, whole = sa.Text, sa.Double, _whole()
    sa.Table(
        "alert_standings",
        made,
        sa.Column("project", text, primary_key=True),
        sa.Column("subject", text, primary_key=True),
        _required("position", whole, "0"),
        sa.Column("bad_since", number),
        _required("failures", sa.Integer, "0"),
        sa.Column("last_ok_at", number),
        _required("value", default=""),
    )
    sa.Table(
        "alert_incidents",
        made,
        sa.Column("rule", text, primary_key=True),
        sa.Column("subject", text, primary_key=True),
        _required("dedup_key"),
        _required("state"),
        _required("opened_at", number),
        _required("told_at", number),
        _required("event_id", default=""),
        _required("unheard", sa.Integer, "0"),
        _required("repeated", sa.Integer, "0"),
        _required("escalated", sa.Integer, "0"),
        sa.Column("acknowledged_at", number),
        _required("acknowledged_by", default=""),
        sa.Column("resolved_at", number),
        sa.Column("look_at", number),
        _required("is_shown", sa.Integer, "1"),
        sa.Index("alert_incidents_look", "look_at"),
        sa.Index("alert_incidents_key", "dedup_key"),
        sa.Index("alert_incidents_shown", "is_shown"),
    )


def _own_state(made: "MetaData") -> None:
    """How far readers have come, that they live, which channels may be used, the rules."""
    import sqlalchemy as sa

    text, number = sa.Text, sa.Double
    sa.Table(
        "alert_cursors",
        made,
        sa.Column("project", text, primary_key=True),
        sa.Column("name", text, primary_key=True),
        _required("value"),
    )
    sa.Table(
        "alert_heartbeats",
        made,
        sa.Column("project", text, primary_key=True),
        _required("since", number),
        _required("at", number),
    )
    sa.Table(
        "alert_channels",
        made,
        sa.Column("name", text, primary_key=True),
        sa.Column("closed_at", number),
        _required("reason", default=""),
        _required("paused_until", number, "0"),
        _required("tokens", number, "0"),
        _required("tokens_at", number, "0"),
    )
    sa.Table(
        "alert_rules",
        made,
        sa.Column("id", text, primary_key=True),
        _required("project"),
        _required("body"),
        _required("at", number),
    )


def _whole() -> Any:
    """Whole numbers; SQLite counts a key up by itself only where it is its plain INTEGER."""
    import sqlalchemy as sa

    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _required(name: str, kind: Any = None, default: str | None = None) -> Any:
    """A column that always holds something; text unless it says otherwise."""
    import sqlalchemy as sa

    return sa.Column(name, kind or sa.Text, nullable=False, server_default=default)


@functools.cache
def opened(url: str) -> "Engine":
    """The engine of an address, its tables made; one a process and address.

    Raises:
        SettingsError: the address is none, or its tables are of another version.
        UnavailableError: the database does not answer.
    """
    engine = opened_with(metadata(), url, "ML_PLATFORM_ALERTS_URL")
    with engine.begin() as connection:
        _check_version(connection)
    return engine


def _check_version(connection: "Connection") -> None:
    from sqlalchemy import text

    own = "INSERT INTO alert_cursors VALUES ('', 'version', :version) ON CONFLICT DO NOTHING"
    connection.execute(text(own), {"version": VERSION})
    asked = "SELECT value FROM alert_cursors WHERE project = '' AND name = 'version'"
    found = connection.execute(text(asked)).scalar()
    if found != VERSION:
        raise SettingsError(
            "outbox", f"its tables are of version {found}", allowed=VERSION, fix="name another one"
        )
