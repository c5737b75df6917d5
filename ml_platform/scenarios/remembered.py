"""Variables that a step has set for longer than its run: for the project, or the platform.

They are in the recorder's database, and win over what is declared until they are forgotten.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml_platform.scenarios.recorder import recorder_here
from ml_platform.scenarios.tables import metadata, opened
from ml_platform.scenarios.variables import declared, written
from ml_platform.storage.database import transaction

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Table

PLATFORM = ""
"""Whose the platform's variables are: no project's."""


_SUBJECT = "variables that were set"


def remember(project: str, values: Mapping[str, Any], run_id: str, at: datetime) -> None:
    """Keep these values for a project, or the platform.

    Raises:
        UnavailableError: the database does not answer.
        StorageFullError: there is no room left to write.
    """
    import sqlalchemy as sa

    table = _table()
    with _transaction() as connection:
        connection.execute(_of(table.delete(), project, list(values)))
        rows = [
            {"project": project, "name": name, "value": json.dumps(written(value)),
             "set_at": at.isoformat(), "run_id": run_id}
            for name, value in values.items()
        ]  # fmt: skip
        if rows:
            connection.execute(sa.insert(table), rows)


def remembered(project: str) -> dict[str, Any]:
    """What was set for a project, or the platform.

    Raises:
        UnavailableError: the database does not answer.
    """
    table = _table()
    with _transaction() as connection:
        rows = connection.execute(table.select().where(table.c.project == project)).mappings()
        return declared({row["name"]: json.loads(row["value"]) for row in rows})


def forget(project: str, name: str) -> bool:
    """Let what is declared hold again; whether anything was set.

    Raises:
        UnavailableError: the database does not answer.
    """
    with _transaction() as connection:
        done = connection.execute(_of(_table().delete(), project, [name]))
        return bool(done.rowcount)


def _transaction() -> "AbstractContextManager[Connection]":
    return transaction(opened(recorder_here().url), _SUBJECT)


def _table() -> "Table":
    return metadata().tables["scenario_variables"]


def _of(statement: Any, project: str, names: list[str]) -> Any:
    table = _table()
    return statement.where(table.c.project == project, table.c.name.in_(names))
