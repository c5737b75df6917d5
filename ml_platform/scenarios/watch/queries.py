"""The result of a query on another system's database, as a fingerprint and as parameters.

The fingerprint is a hash; of the rows, only the run's parameters and a short account of the first
one are kept. The query only reads, and it ends: in the database, where that can be told so, and
here in any case.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.environment import hide
from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.scenarios.trigger_words import Sql
from ml_platform.scenarios.watch.limited import limited
from ml_platform.scenarios.watch.look import Look, Tally
from ml_platform.scenarios.watch.plain import MOST_CHARACTERS, fitting, plain_value
from ml_platform.storage.connection import database_engine, database_url, secrets_of, shown_url
from ml_platform.storage.sql_errors import told

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

OWN_PARAMS = frozenset({"rows", "row_count", "seen"})
"""A column of such a name is found in `rows` only."""

_SHOWN = 200


def look_at_query(words: Sql, key: str, seconds: float) -> Look:
    """Ask the query, and tell its rows apart from others.

    Args:
        words: the query, its database and its limits.
        key: the look as the only one of its kind.
        seconds: how long it may take.

    Raises:
        DeclarationError, NotFoundError, SettingsError, DataError: the query is wrong, something is
            not there or not allowed, or the result has more rows than `limit`.
        UnavailableError: the database does not answer in time.
    """
    url = database_url(words.url)
    subject = f"query on {shown_url(url)}"
    engine = database_engine(url, subject)
    secrets = secrets_of(url)
    stop = _Stop()

    def ask() -> tuple[list[str], list[tuple[Any, ...]]]:
        with told(subject, engine, secrets):
            return _asked(engine, words, seconds, stop, subject)

    try:
        names, rows = limited(ask, seconds + _MORE_S, subject, key, stop)
    finally:
        engine.dispose()
    found = [[plain_value(value) for value in row] for row in rows]
    return Look((_fingerprint(names, found, words.order),), hide(_account(subject, names, found),
                secrets), _params(names, found))  # fmt: skip


_MORE_S = 2.0
"""The database is given the first chance to end a query, since it can say which one it was."""


class _Stop:
    """Ends SQLite's work on a query, once there is a connection."""

    def __init__(self) -> None:
        self.interrupt: Callable[[], None] | None = None

    def __call__(self) -> bool:
        if self.interrupt is None:
            return False
        with suppress(sqlite3.ProgrammingError):  # closed in this moment
            self.interrupt()
        return True


def _asked(
    engine: "Engine", words: Sql, seconds: float, stop: _Stop, subject: str
) -> tuple[list[str], list[tuple[Any, ...]]]:
    from sqlalchemy import text

    read_only = {"postgresql_readonly": True} if engine.dialect.name == "postgresql" else {}
    with engine.connect().execution_options(**read_only) as connection:
        _limit(connection, seconds, stop)
        result = connection.execute(text(words.query))
        if not result.returns_rows:
            raise DeclarationError(
                subject, "the statement returns no rows", allowed="one SELECT", fix="correct it"
            )
        rows = [tuple(row) for row in result.fetchmany(words.limit + 1)]
        names = list(result.keys())
    if len(rows) > words.limit:
        raise DataError(
            subject, f"its result has more than {words.limit:,} rows", allowed="`limit` or fewer",
            fix="let the query count or select, or raise `limit`",
        )  # fmt: skip
    return names, rows


def _limit(connection: "Connection", seconds: float, stop: _Stop) -> None:
    """Let the database itself end what takes too long, and nothing write."""
    driver = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
        stop.interrupt = driver.interrupt if driver else None
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")


def _fingerprint(names: Sequence[str], rows: Sequence[Sequence[Any]], order: str) -> str:
    """The same for the same rows; in whatever order they came, where that does not count."""
    tally = Tally()
    for number, row in enumerate(rows):
        place = str(number) if order == "counts" else ""
        tally.add(place, 0, 0.0, json.dumps([*zip(names, row, strict=True)]))
    return f"{len(rows)}-{tally.fingerprint}"


def _account(subject: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return f"{subject}: no rows"
    first = ", ".join(f"{name} = {value}" for name, value in zip(names, rows[0], strict=True))
    first = first if len(first) <= _SHOWN else f"{first[:_SHOWN]}…"
    count = "1 row" if len(rows) == 1 else f"{len(rows):,} rows, the first"
    return f"{subject}: {count}: {first}"


def _params(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The first row by name, and all rows as far as there is room for them."""
    made = [dict(zip(names, row, strict=True)) for row in rows]
    first = {k: v for k, v in (made[0] if made else {}).items() if k not in OWN_PARAMS}
    rows_kept = fitting(made, MOST_CHARACTERS - len(json.dumps(first)))
    return {**first, "rows": rows_kept, "row_count": len(made)}
