"""Calls of scenarios over HTTP: which triggers take them, and the calls that came, in the record.

What belongs here: rows in, rows out. The numbers of calls grow in the order in which they can be
seen, so that a trigger which has seen one number has seen all before it.
"""

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import ConflictError
from ml_platform.scenarios.tables import VARIABLE, metadata
from ml_platform.storage.database import opened_with, transaction

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import ColumnElement, Connection, Engine, Table

_TOLD_AGAIN_S = 3600.0
"""A trigger says so often that it is there."""

FORGOTTEN_S = 7 * 86_400.0
"""A trigger that has not said so for this long takes no calls any more."""

KEEP_S = 90 * 86_400.0
"""So long calls stay, and so long the same one is known again."""


@dataclass(frozen=True)
class Hook:
    """A trigger that takes calls: project, scenario and its own name."""

    project: str
    scenario: str
    trigger: str

    def __str__(self) -> str:
        return f"webhook {self.project}/{self.scenario}/{self.trigger}"


@dataclass(frozen=True)
class Call:
    """A call: its number, the caller's id of it, when it came, and its parameters."""

    number: int
    call_id: str
    at: float
    params: dict[str, Any]


class Calls:
    """The calls in the record of an installation.

    Args:
        url: SQLAlchemy's address of the record.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def announce(self, hook: Hook, secret: str, now: float) -> None:
        """Say that a trigger takes calls, signed with what the variable in `secret` holds.

        Raises:
            UnavailableError: the database does not answer.
        """
        table = _hooks()
        with self._open() as connection:
            row = connection.execute(table.select().where(_of(table, hook))).mappings().first()
            if row and row["secret"] == secret and abs(now - row["seen_at"]) < _TOLD_AGAIN_S:
                return
            said = {"secret": secret, "seen_at": now}
            if row:
                connection.execute(table.update().where(_of(table, hook)).values(**said))
            else:
                connection.execute(table.insert().values(**_names(hook), **said))

    def secret_of(self, hook: Hook, now: float) -> str | None:
        """The words that name a trigger's key; None where no such trigger takes calls.

        Raises:
            UnavailableError: the database does not answer.
        """
        table = _hooks()
        with self._open() as connection:
            row = connection.execute(table.select().where(_of(table, hook))).mappings().first()
        is_there = row is not None and now - row["seen_at"] < FORGOTTEN_S
        return str(row["secret"]) if row is not None and is_there else None

    def add(self, hook: Hook, call_id: str, params: dict[str, Any], now: float) -> bool:
        """Keep a call; when this returns, it is on the disk. False: this one is known already.

        Raises:
            ConflictError: a call of the same id has other parameters.
            UnavailableError: the database does not answer.
            StorageFullError: there is no room left to write.
        """
        table, text = _calls(), json.dumps(params, sort_keys=True)
        with self._open() as connection:
            _one_at_a_time(connection)
            known = connection.execute(
                table.select().where(_of(table, hook), table.c.call_id == call_id)
            ).mappings().first()  # fmt: skip
            if known is None:
                row = {"call_id": call_id, "at": now, "params": text}
                connection.execute(table.insert().values(**_names(hook), **row))
                connection.execute(table.delete().where(table.c.at < now - KEEP_S))
        if known is not None and known["params"] != text:
            raise ConflictError(f"{hook}: call {call_id}", "an earlier one of this id was another")
        return known is None

    def since(self, hook: Hook, number: int, most: int) -> list[Call]:
        """The calls after a number, the first of them.

        Raises:
            UnavailableError: the database does not answer.
        """
        table = _calls()
        wanted = table.select().where(_of(table, hook), table.c.id > number)
        with self._open() as connection:
            found = connection.execute(wanted.order_by(table.c.id).limit(most)).mappings()
            return [
                Call(row["id"], row["call_id"], row["at"], json.loads(row["params"]))
                for row in found
            ]

    def last(self, hook: Hook) -> int:
        """The number of the last call; 0 where none came.

        Raises:
            UnavailableError: the database does not answer.
        """
        import sqlalchemy as sa

        table = _calls()
        with self._open() as connection:
            found = connection.execute(sa.select(sa.func.max(table.c.id)).where(_of(table, hook)))
            return int(found.scalar() or 0)

    def _open(self) -> "AbstractContextManager[Connection]":
        return transaction(_durable(self.url), "record of calls")


@functools.cache
def _durable(url: str) -> "Engine":
    """The record, opened so that what was written outlives a power cut."""
    import sqlalchemy as sa

    engine = opened_with(metadata(), url, VARIABLE)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _write_through)
        engine.dispose()  # the connection that made the tables was opened without it
    return engine


def _write_through(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")


def _one_at_a_time(connection: "Connection") -> None:
    """PostgreSQL hands numbers out before they can be seen; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE scenario_calls IN SHARE ROW EXCLUSIVE MODE")


def _calls() -> "Table":
    return metadata().tables["scenario_calls"]


def _hooks() -> "Table":
    return metadata().tables["scenario_hooks"]


def _names(hook: Hook) -> dict[str, str]:
    return {"project": hook.project, "scenario": hook.scenario, "trigger": hook.trigger}


def _of(table: "Table", hook: Hook) -> "ColumnElement[bool]":
    import sqlalchemy as sa

    return sa.and_(*(table.c[name] == value for name, value in _names(hook).items()))
