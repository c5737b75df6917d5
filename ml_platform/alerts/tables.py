"""The outbox's tables, in SQLite beside Dagster's own or in PostgreSQL, and how they are opened.

Several processes work on them at once: a sensor a project, and the `alerts` commands. Times are
seconds since 1970, UTC, because SQLite keeps no time zones.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData

VERSION = "1"
"""Of these tables; another one's are not touched."""

_BUSY_S = 30
_LOCK = 0x616C65727473  # "alerts": the advisory lock under which PostgreSQL's tables are made


@functools.cache
def metadata() -> "MetaData":
    """The tables.

    `events` is what happened; `deliveries` is what is told of it, one row a rule, event and
    channel; `attempts` are the receipts. `standings` and `incidents` are what lasts. `told` is what
    steps said themselves. `cursors`, `heartbeats`, `channels` and `rules` are the room's own state.
    """
    import sqlalchemy as sa

    made = sa.MetaData()
    text, number = sa.Text, sa.Double
    whole = sa.BigInteger().with_variant(sa.Integer, "sqlite")

    def table(name: str, *parts: Any) -> None:
        sa.Table(name, made, *parts)

    def required(name: str, kind: Any = text, default: str | None = None, **more: Any) -> Any:
        return sa.Column(name, kind, nullable=False, server_default=default, **more)

    table(
        "alert_events",
        sa.Column("id", text, primary_key=True),
        required("type"),
        required("project"),
        required("at", number),
        required("body"),
        sa.Index("alert_events_at", "at"),
    )
    table(
        "alert_deliveries",
        sa.Column("id", whole, primary_key=True, autoincrement=True),
        required("rule"),
        required("event_id"),
        required("channel"),
        required("dedup_key"),
        required("key"),
        required("status"),
        required("created_at", number),
        required("due_at", number),
        required("message"),
        required("attempts", sa.Integer, "0"),
        required("lease_owner", text, ""),
        required("lease_until", number, "0"),
        required("error", text, ""),
        required("receipt", text, ""),
        required("thread", text, ""),
        required("remark", text, ""),
        sa.Column("sent_at", number),
        sa.Column("gathered_into", whole),
        sa.UniqueConstraint("rule", "event_id", "channel"),
        sa.Index("alert_deliveries_due", "status", "channel", "due_at"),
        sa.Index("alert_deliveries_order", "dedup_key", "channel", "status", "id"),
        sa.Index("alert_deliveries_recent", "rule", "created_at"),
        sa.Index("alert_deliveries_created", "created_at"),
    )
    table(
        "alert_attempts",
        sa.Column("id", whole, primary_key=True, autoincrement=True),
        required("delivery_id", whole),
        required("at", number),
        required("outcome"),
        required("said", text, ""),
        sa.Index("alert_attempts_delivery", "delivery_id"),
    )
    table(
        "alert_standings",
        sa.Column("project", text, primary_key=True),
        sa.Column("subject", text, primary_key=True),
        required("position", whole, "0"),
        sa.Column("bad_since", number),
        required("failures", sa.Integer, "0"),
        sa.Column("last_ok_at", number),
        required("value", text, ""),
    )
    table(
        "alert_incidents",
        sa.Column("rule", text, primary_key=True),
        sa.Column("subject", text, primary_key=True),
        required("dedup_key"),
        required("state"),
        required("opened_at", number),
        required("told_at", number),
        required("event_id", text, ""),
        required("unheard", sa.Integer, "0"),
        required("repeated", sa.Integer, "0"),
        required("escalated", sa.Integer, "0"),
        sa.Column("acknowledged_at", number),
        required("acknowledged_by", text, ""),
        sa.Column("resolved_at", number),
        sa.Column("look_at", number),
        required("is_shown", sa.Integer, "1"),
        sa.Index("alert_incidents_look", "look_at"),
        sa.Index("alert_incidents_key", "dedup_key"),
        sa.Index("alert_incidents_shown", "is_shown"),
    )
    table(
        "alert_told",
        sa.Column("key", text, primary_key=True),
        required("project"),
        required("body"),
        required("is_taken", sa.Integer, "0"),
        required("at", number),
        sa.Index("alert_told_waiting", "project", "is_taken"),
    )
    table(
        "alert_cursors",
        sa.Column("project", text, primary_key=True),
        sa.Column("name", text, primary_key=True),
        required("value"),
    )
    table(
        "alert_heartbeats",
        sa.Column("project", text, primary_key=True),
        required("since", number),
        required("at", number),
    )
    table(
        "alert_channels",
        sa.Column("name", text, primary_key=True),
        sa.Column("closed_at", number),
        required("reason", text, ""),
        required("paused_until", number, "0"),
        required("tokens", number, "0"),
        required("tokens_at", number, "0"),
    )
    table(
        "alert_rules",
        sa.Column("id", text, primary_key=True),
        required("project"),
        required("body"),
        required("at", number),
    )
    return made


@functools.cache
def opened(url: str) -> "Engine":
    """The engine of an address, its tables made; one a process and address.

    Raises:
        SettingsError: the address is none, or its tables are of another version.
        UnavailableError: the database does not answer.
    """
    import sqlalchemy as sa
    from sqlalchemy import exc

    try:
        engine = _engine(sa.make_url(url))
        with engine.begin() as connection:
            _make(connection)
    except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(
            "ML_PLATFORM_ALERTS_URL", str(error), allowed="sqlite:///file or postgresql://..."
        ) from error
    except exc.OperationalError as error:
        shown = sa.make_url(url).render_as_string(hide_password=True)
        raise UnavailableError(f"outbox {shown}", str(error.orig)) from error
    return engine


def _engine(url: Any) -> "Engine":
    import sqlalchemy as sa

    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_S})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    # A transaction that first reads and then writes could not wait for another's lock.
    sa.event.listen(engine, "begin", lambda one: one.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # Python's own BEGIN comes too late
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # The change of mode waits for nobody, so it is made under the lock of a transaction's
        # neighbour: whoever holds the file now makes it or leaves it to the next connection.
        _try_wal(connection)


def _try_wal(connection: Any) -> None:
    import contextlib
    import sqlite3

    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")


def _make(connection: "Connection") -> None:
    """Make the tables where they are not; processes that start at once come one after the other."""
    from sqlalchemy import text

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    metadata().create_all(connection)
    where = "WHERE project = '' AND name = 'version'"
    found = connection.execute(text(f"SELECT value FROM alert_cursors {where}")).scalar()
    if found is None:
        connection.execute(
            text("INSERT INTO alert_cursors VALUES ('', 'version', :version)"), {"version": VERSION}
        )
    elif found != VERSION:
        raise SettingsError(
            "outbox", f"its tables are of version {found}", allowed=VERSION, fix="name another one"
        )
