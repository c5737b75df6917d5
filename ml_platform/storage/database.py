"""A database of the platform's own: SQLite beside Dagster's by default, PostgreSQL by URL.

What belongs here: how it is opened, so that several processes may write at once, and how its
faults are told. What is in it is its room's matter.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import SettingsError, StorageFullError, UnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData

_BUSY_S = 30
_FULL = ("disk is full", "No space left")  # as SQLite and PostgreSQL say it


def opened_with(tables: "MetaData", url: str, variable: str) -> "Engine":
    """The engine of an address, these tables made where they are not.

    Args:
        tables: what has to be there.
        url: SQLAlchemy's address.
        variable: the environment variable that names it, for messages.

    Raises:
        SettingsError: the address is none, or its driver is not installed.
        UnavailableError: the database does not answer.
    """
    import sqlalchemy as sa
    from sqlalchemy import exc

    try:
        engine = _engine(sa.make_url(with_driver(url)))
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # processes that start at once wait here
                lock = sa.text("SELECT pg_advisory_xact_lock(hashtext(:key))")
                connection.execute(lock, {"key": variable})
            tables.create_all(connection)
    except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(
            variable, str(error), allowed="sqlite:///file or postgresql://..."
        ) from error
    except exc.OperationalError as error:
        shown = sa.make_url(url).render_as_string(hide_password=True)
        raise UnavailableError(f"database {shown}", str(error.orig)) from error
    return engine


@contextlib.contextmanager
def transaction(engine: "Engine", subject: str, fix: str = "") -> Iterator["Connection"]:
    """A connection for one transaction: all of it holds, or nothing.

    Args:
        engine: of `opened_with`.
        subject: what lies in the database, for messages.
        fix: what becomes of that which was not written.

    Raises:
        UnavailableError: the database does not answer, or is locked for too long.
        StorageFullError: there is no room left to write.
    """
    from sqlalchemy.exc import OperationalError

    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        said = str(error.orig)
        kind = StorageFullError if any(words in said for words in _FULL) else UnavailableError
        raise kind(subject, said, fix=fix) from error


def with_driver(url: str) -> str:
    """`postgresql://` names no driver, and SQLAlchemy's own choice may not be installed."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"}:
        import importlib.util

        driver = "psycopg" if importlib.util.find_spec("psycopg") else "psycopg2"
        return f"postgresql+{driver}{separator}{rest}"
    return url


def _engine(url: Any) -> "Engine":
    import sqlalchemy as sa

    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"database {url.database}", str(error)) from error
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_S})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    # A transaction that first reads and then writes could not wait for another's lock.
    sa.event.listen(engine, "begin", lambda one: one.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # Python's own BEGIN comes too late
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
    connection.execute("PRAGMA synchronous = NORMAL")  # with WAL, a power cut loses the last rows
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        with contextlib.suppress(sqlite3.OperationalError):  # another one makes the change now
            connection.execute("PRAGMA journal_mode = WAL")
