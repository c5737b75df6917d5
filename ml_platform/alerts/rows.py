"""What every part of the outbox stands on: a transaction, statements, times as they are kept."""

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, RowMapping, TextClause


class Rows:
    """The outbox within one transaction.

    Args:
        connection: the transaction's.
        now: when it began.
        lease_s: for how long a delivery is a process's own, in seconds.
    """

    def __init__(self, connection: "Connection", now: datetime, lease_s: float) -> None:
        self._connection, self.now, self._lease_s = connection, now, lease_s
        self._is_postgres = connection.dialect.name == "postgresql"

    def _run(self, sql: str, **values: Any) -> "CursorResult[Any]":
        statement = _statement(sql)
        return self._connection.execute(statement, {k: _kept(v) for k, v in values.items()})

    def _rows(self, sql: str, **values: Any) -> "list[RowMapping]":
        return list(self._run(sql, **values).mappings())


@functools.cache
def _statement(sql: str) -> "TextClause":
    """The statement, parsed once; there are some sixty."""
    from sqlalchemy import text

    return text(sql)


def _kept(value: Any) -> Any:
    """A value as every database keeps it: half letters and the letter NUL are refused by some."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def moment(kept: float | None) -> datetime | None:
    """The moment that was kept as seconds since 1970, if there is one."""
    return None if kept is None else certain(kept)


def certain(kept: float) -> datetime:
    """The moment that was kept as seconds since 1970."""
    return datetime.fromtimestamp(kept, tz=UTC)


def seconds(given: datetime | None) -> float | None:
    """A moment as it is kept, if there is one."""
    return None if given is None else given.timestamp()
