"""Variables that a step has set for longer than its run: for the project, or the platform.

They are in the recorder's database, and win over what is declared until they are forgotten.
"""

import functools
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml_platform.scenarios.recorder import VARIABLE, recorder_here
from ml_platform.scenarios.variables import declared, written
from ml_platform.storage.database import opened_with

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData, Table

PLATFORM = ""
"""Whose the platform's variables are: no project's."""


@functools.cache
def metadata() -> "MetaData":
    """The one table."""
    import sqlalchemy as sa

    made = sa.MetaData()
    sa.Table(
        "scenario_variables",
        made,
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("set_at", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
    )
    return made


@functools.cache
def _opened(url: str) -> "Engine":
    return opened_with(metadata(), url, VARIABLE)


def _table() -> "Table":
    return metadata().tables["scenario_variables"]


def remember(project: str, values: Mapping[str, Any], run_id: str, at: datetime) -> None:
    """Keep these values for a project, or the platform.

    Raises:
        UnavailableError: the database does not answer.
    """
    import sqlalchemy as sa

    table = _table()
    with _opened(recorder_here().url).begin() as connection:
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
    with _opened(recorder_here().url).connect() as connection:
        rows = connection.execute(table.select().where(table.c.project == project)).mappings()
        return declared({row["name"]: json.loads(row["value"]) for row in rows})


def forget(project: str, name: str) -> bool:
    """Let what is declared hold again; whether anything was set."""
    with _opened(recorder_here().url).begin() as connection:
        done = connection.execute(_of(_table().delete(), project, [name]))
        return bool(done.rowcount)


def _of(statement: Any, project: str, names: list[str]) -> Any:
    table = _table()
    return statement.where(table.c.project == project, table.c.name.in_(names))
