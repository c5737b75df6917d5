"""A person's query over the tables of all projects."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DeclarationError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.engine import attach, connect, planned, reading_rows, tables_named_in

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

    from ml_platform.storage.tables import TableStore


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
