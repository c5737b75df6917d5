"""`run_sql`: statements on another system's database, or one SELECT over the platform's tables.

Variables go to the database as bound parameters, never into the text of a statement.
"""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError, DeclarationError, closest
from ml_platform.scenarios.course import Course, Outcome, Result
from ml_platform.scenarios.step_words import RunSql
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.variables import revealed
from ml_platform.storage.connection import (
    database_engine,
    database_url,
    secrets_of,
    shown_url,
)
from ml_platform.storage.sql_errors import told

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, TextClause

_NAMED = re.compile(r"\$([A-Za-z_]\w*)")
"""How a query over the platform's tables asks for a variable, as all of its SQL does."""

MOST_SIGNS = 200_000
"""How large the rows that are kept may be together, as JSON."""


def run_sql(sql: RunSql, course: Course, place: Place) -> Result:
    """Run the statements in one transaction; the rows of the last one are the output.

    Raises:
        DeclarationError: a statement is wrong, or asks for a variable that is not there.
        DataError: a variable is no single value, or the rows are too large to keep.
        UnavailableError: the database does not answer.
    """
    statements = [sql.statements] if isinstance(sql.statements, str) else list(sql.statements)
    if sql.url is None:
        return _kept(*_of_tables(statements, sql.limit, course, place))
    url = database_url(sql.url)
    subject = f"SQL on {shown_url(url)}"
    bound = [_bound(one, course, subject) for one in statements]
    engine = database_engine(url, subject)
    with told(subject, engine, secrets_of(url)), engine.begin() as connection:
        found = [_executed(connection, one, sql.limit) for one in bound]
    return _kept(*found[-1])


Rows = tuple[list[dict[str, Any]], bool, int]
"""The rows, whether there are more, and how many a statement without rows has changed."""


def _executed(connection: "Connection", statement: "TextClause", limit: int) -> Rows:
    result: CursorResult[Any] = connection.execute(statement)
    if not result.returns_rows:
        return [], False, max(result.rowcount, 0)
    with result:
        rows = [dict(row._mapping) for row in result.fetchmany(limit + 1)]  # noqa: SLF001 - its name
    return rows[:limit], len(rows) > limit, 0


def _bound(text: str, course: Course, subject: str) -> "TextClause":
    """The statement with its `:name` bound to the variables of these names."""
    import sqlalchemy as sa

    statement = sa.text(text)
    values = _values(list(statement.compile().params), course, subject)
    return statement.bindparams(**values)


def _values(names: Sequence[str], course: Course, subject: str) -> dict[str, Any]:
    known = course.known_variables()
    for name in names:
        if name not in known:
            raise DeclarationError(
                subject, f"':{name}' is no variable", allowed=closest(name, sorted(known)),
                fix="declare it; a colon that is meant as one is written \\:",
            )  # fmt: skip
        if isinstance(known[name], (list, dict)):
            raise DataError(
                subject, f"variable {name} is no single value, so it cannot be bound",
                allowed="a text, a number, true, false or nothing",
            )  # fmt: skip
    return {name: revealed(known[name]) for name in names}


def _of_tables(statements: list[str], limit: int, course: Course, place: Place) -> Rows:
    """The rows of one SELECT over the platform's tables."""
    from ml_platform.storage.query import queried

    if len(statements) != 1:
        raise DeclarationError(
            f"step {place.step}", f"{len(statements)} statements over the platform's tables",
            allowed="one SELECT", fix="give `url` for another system's database",
        )  # fmt: skip
    known = course.known_variables()
    names = [name for name in _NAMED.findall(statements[0]) if name in known]
    values = _values(names, course, f"step {place.step}")
    with queried(place.store(), statements[0], place.project, values) as relation:
        rows = relation.limit(limit + 1).fetchall()
        named = [dict(zip(relation.columns, row, strict=True)) for row in rows]
    return named[:limit], len(rows) > limit, 0


def _kept(rows: list[dict[str, Any]], is_cut: bool, changed: int) -> Result:  # noqa: FBT001 - of `Rows`
    output = {"rows": rows, "is_cut": is_cut, "changed": changed}
    text = json.dumps(output, default=str)
    if len(text) > MOST_SIGNS:
        raise DataError(
            "rows of run_sql", f"{len(text):,} characters", allowed=f"up to {MOST_SIGNS:,}",
            fix="select less, or lower `limit`",
        )  # fmt: skip
    return Result(Outcome.success, json.loads(text))
