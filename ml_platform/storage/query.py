"""Queries over tables: views named as the tables are, and what is said when a query is wrong.

Within a project the table raw/sales is `raw.sales`; from anywhere it is `demand.raw.sales`.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError, DeclarationError, Where
from ml_platform.kernel.names import TableKey
from ml_platform.storage.engine import connect, quote, scan_of
from ml_platform.storage.syntax import TableName, tables_named_in

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from ml_platform.storage.tables import TableStore

_EXPLAIN = "EXPLAIN "


@contextlib.contextmanager
def queried(
    store: "TableStore",
    sql: str,
    project: str | None = None,
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> "Iterator[DuckDBPyRelation]":
    """The rows of a query, not yet computed.

    A table may be named with its project (`demand.raw.sales`), or without (`raw.sales`) if
    `project` says whose it is or only one project has it. `parameters` are the values of `$name`.

    Raises:
        DeclarationError: the query is wrong, or several projects have a table that it names.
        NotFoundError: a table has no data.
        DataError: the query cannot work with a value that it meets.
    """
    names = tables_named_in(sql)
    owner = project or owner_of(store, [name.key for name in names if name.project is None])
    with connect(store.memory_limit) as connection:
        attach(connection, store, names, owner)
        relation = planned(connection, sql, parameters=parameters)
        with reading_rows("SQL"):
            yield relation


def owner_of(store: "TableStore", keys: Sequence[TableKey]) -> str:
    """The one project that has all of these tables; the first of all if none has.

    Raises:
        DeclarationError: several projects have them.
    """
    if not keys:
        return ""
    owners: dict[str, set[TableKey]] = {}
    for info in store.tables():
        owners.setdefault(info.project, set()).add(info.key)
    having = sorted(project for project, theirs in owners.items() if theirs.issuperset(keys))
    if len(having) > 1:
        raise DeclarationError(
            f"table {keys[0]}",
            "several projects have it",
            allowed=", ".join(having),
            fix="name the project in the query, or give --project",
        )
    return having[0] if having else next(iter(sorted(owners)), "")


def attach(
    connection: "DuckDBPyConnection",
    store: "TableStore",
    names: Iterable[TableName],
    project: str,
) -> None:
    """Give the connection a view for each table; those of `project` go by their short names.

    Raises:
        NotFoundError: a table has no data yet.
    """
    if store.files.filesystem is not None:
        connection.register_filesystem(store.files.filesystem)
    schemas = set()
    for name in names:
        scope, schema, view = _place_of(name)
        if name.project and scope not in schemas:
            connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {scope}")
            schemas.add(scope)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        scan = scan_of(store.urls(name.project or project, name.key))
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM {scan}")


def columns_of(
    connection: "DuckDBPyConnection", names: Iterable[TableName]
) -> dict[TableName, list[str]]:
    """The columns of tables that `attach` gave the connection."""
    return {name: connection.sql(f"FROM {_place_of(name)[2]}").columns for name in names}


def _place_of(name: TableName) -> tuple[str, str, str]:
    """The database, schema and view that stand for a table, as SQL takes them."""
    scope = quote(name.project or "memory")
    schema = f"{scope}.{quote(name.key.layer)}"
    return scope, schema, f"{schema}.{quote(name.key.name)}"


def planned(
    connection: "DuckDBPyConnection",
    sql: str,
    file: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    subject: str = "SQL",
) -> "DuckDBPyRelation":
    """The query as a relation: bound to its tables, columns and parameters, but not run.

    Raises:
        DeclarationError: a column, function or type in it does not exist or fit, with its line.
    """
    import duckdb

    mistakes = (
        duckdb.BinderException,
        duckdb.CatalogException,
        duckdb.ParserException,
        duckdb.InvalidInputException,  # a parameter without a value
    )
    try:
        try:
            return connection.sql(sql, params=parameters or None)
        except mistakes:
            # EXPLAIN tells the line of a mistake, which making a relation does not.
            connection.execute(f"{_EXPLAIN}{sql}", parameters or None)
            raise
    except mistakes as error:
        first, _, rest = str(error).partition("\n")
        fix = rest.partition("\n\n")[0].strip()
        raise DeclarationError(subject, first, fix=fix, where=_where_in(rest, file)) from error


@contextlib.contextmanager
def reading_rows(subject: str, file: Path | None = None) -> Iterator[None]:
    """Tell what a query met in its rows while it ran: text that is no number, a number too large.

    Raises:
        DataError: it is so; to try again does not help.
    """
    import duckdb

    try:
        yield
    except duckdb.DataError as error:
        first, _, rest = str(error).partition("\n")
        place = re.search(r"^LINE \d+: (.*)$", rest, re.MULTILINE)
        raise DataError(
            subject,
            first,
            fix=f"see `{place[1].strip()}`; TRY_CAST gives NULL instead" if place else "",
            where=Where(file) if file else None,
        ) from error


def _where_in(rest: str, file: Path | None) -> Where | None:
    """The place that DuckDB names as `LINE 3: ...`, with a caret under the column."""
    if file is None:
        return None
    line = re.search(r"^LINE (\d+): ", rest, re.MULTILINE)
    caret = re.search(r"^( *)\^", rest, re.MULTILINE)
    if line is None or caret is None:
        return Where(file)
    column = len(caret[1]) - len(line[0]) + 1
    return Where(file, int(line[1]), column - (len(_EXPLAIN) if line[1] == "1" else 0))
