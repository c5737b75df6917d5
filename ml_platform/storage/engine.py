"""DuckDB over the tables: one connection in memory a query, and views named as the tables are.

Within a project the table raw/sales is `raw.sales`; from anywhere it is `demand.raw.sales`. The
engine reads Parquet files and writes none of its own, so no process ever waits for another's lock.
"""

import atexit
import contextlib
import functools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ml_platform.kernel.errors import DataError, DeclarationError, NotFoundError, Where, closest
from ml_platform.kernel.names import LAYERS, TableKey

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from ml_platform.storage.tables import TableStore


@dataclass(frozen=True, order=True)
class TableName:
    """A table as SQL names it; `project` is None for one of the same project."""

    project: str | None
    key: TableKey

    def __str__(self) -> str:
        return f"{self.project}.{self.key.layer}.{self.key.name}" if self.project else str(self.key)


def quote(identifier: str) -> str:
    """An identifier as SQL takes it, whatever is in it."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as SQL takes it, whatever is in it."""
    return "'" + text.replace("'", "''") + "'"


def tables_named_in(sql: str, where: Where | None = None) -> list[TableName]:
    """The tables that a query reads, found by DuckDB's own parser, in order of their names.

    Raises:
        DeclarationError: the text is not one SELECT, or names a table without a layer.
    """
    text = _tree_of_one(sql, where)
    found = set()
    for match in _TABLE.finditer(text):
        node, _ = _node_at(text, match.start())
        schema, table = node.get("schema_name"), node["table_name"]
        if schema is None and _is_common(table, text):
            continue
        found.add(_table_name(node.get("catalog_name"), schema, table, where))
    return sorted(found, key=lambda name: (name.project or "", name.key))


# Found in the text of a tree: to make the tree and walk through it takes four times as long. Within
# a string of the query the quotation marks are escaped, so neither is ever found there.
_TABLE = re.compile(r'\{"type":"BASE_TABLE"')
_node_at = json.JSONDecoder().raw_decode


def _is_common(name: str, text: str) -> bool:
    """Whether a WITH clause of this tree has that name."""
    return f'{{"key":{json.dumps(name, ensure_ascii=False)},"value":{{' in text


def _table_name(
    project: str | None, layer: str | None, table: str, where: Where | None
) -> TableName:
    if layer not in LAYERS:
        raise DeclarationError(
            f"table '{'.'.join(part for part in (project, layer, table) if part)}' in SQL",
            f"'{layer}' is no layer" if layer else "its layer is missing",
            allowed=", ".join(f"{layer}.<table>" for layer in LAYERS),
            fix=f"write the layer before the name, like raw.{table}",
            where=where,
        )
    return TableName(project, TableKey(layer, table))


@contextlib.contextmanager
def parsed_together(queries: Iterable[str]) -> Iterator[None]:
    """Parse many queries in one call; `tables_named_in` knows them within the block.

    One at a time they take three times as long: most of that is the call and not the parsing. If
    one of them breaks the call, each is parsed when it is asked for, and that one breaks itself.
    """
    import duckdb

    texts = list(dict.fromkeys(queries))
    with contextlib.suppress(duckdb.Error):
        _parsed.update(zip(texts, _serialised(texts), strict=True))
    try:
        yield
    finally:
        for text in texts:
            _parsed.pop(text, None)


_Parsed: TypeAlias = tuple[str, bool, int]
"""A syntax tree as JSON, or what is wrong; whether something is; how many statements it has."""

_parsed: dict[str, _Parsed] = {}


def _serialised(queries: list[str]) -> list[_Parsed]:
    """What DuckDB makes of these texts."""
    # A cursor of one connection: making a connection costs fifty times a parse.
    with _parser().cursor() as cursor:
        return cursor.execute(
            "SELECT tree, tree ->> '$.error' = 'true', json_array_length(tree, '$.statements')"
            " FROM (SELECT json_serialize_sql(one, skip_null := true, skip_empty := true) AS tree"
            " FROM (SELECT unnest(?::VARCHAR[]) AS one))",
            [queries],
        ).fetchall()


def syntax_tree(sql: str, where: Where | None = None) -> dict[str, Any]:
    """DuckDB's own syntax tree of a query.

    Raises:
        DeclarationError: the text is not one SELECT.
    """
    tree: dict[str, Any] = json.loads(_tree_of_one(sql, where))
    return tree


def _tree_of_one(sql: str, where: Where | None) -> str:
    """The syntax tree as DuckDB writes it, of one SELECT and nothing else."""
    text, is_wrong, statements = _parsed.get(sql) or _serialised([sql])[0]
    if is_wrong:
        raise _syntax_error(sql, json.loads(text), where)
    if statements != 1:
        raise DeclarationError("SQL", f"{statements} statements", allowed="one SELECT", where=where)
    return text


@functools.cache
def _parser() -> "DuckDBPyConnection":
    import duckdb

    # Closed before the interpreter goes, or DuckDB prints pages about what it finds left.
    atexit.register(_parser.cache_clear)
    return duckdb.connect(config={"threads": 1})


def _syntax_error(sql: str, tree: dict[str, Any], where: Where | None) -> DeclarationError:
    given = str(tree.get("error_message", "it cannot be read"))
    if tree.get("error_type") == "not implemented":
        given = "it is not a query"
    if where and tree.get("position"):
        before = sql[: int(tree["position"])]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        where = Where(where.file, line, column)
    return DeclarationError("SQL", given, allowed="one SELECT in DuckDB's SQL", where=where)


_EXPLAIN = "EXPLAIN "


@contextlib.contextmanager
def connect(memory_limit: str = "") -> "Iterator[DuckDBPyConnection]":
    """A connection in memory that spills to a temporary folder when `memory_limit` is reached.

    It has a database to itself. One that is given back empty and whole is used again, for to make
    one takes fifty times as long as a small query.
    """
    database = _taken(memory_limit)
    try:
        with database.root.cursor() as connection:
            yield connection
        reusable = database.emptied()
    except BaseException:
        database.close()
        raise
    if reusable and len(_idle) < _MOST_IDLE:
        _idle.append(database)
    else:
        database.close()


_LEFT = """
    SELECT 'database', database_name FROM duckdb_databases()
    WHERE NOT internal AND database_name <> 'memory'
    UNION ALL
    SELECT 'schema', schema_name FROM duckdb_schemas()
    WHERE NOT internal AND database_name = 'memory' AND schema_name <> 'main'
    UNION ALL
    SELECT 'table', table_name FROM duckdb_tables()
    WHERE NOT internal AND database_name = 'memory' AND schema_name = 'main'
    UNION ALL
    SELECT 'view', view_name FROM duckdb_views()
    WHERE NOT internal AND database_name = 'memory' AND schema_name = 'main'
"""


class _Database:
    """A DuckDB in memory, and the folder to which it spills."""

    def __init__(self, memory_limit: str) -> None:
        import duckdb

        self.memory_limit = memory_limit
        self._spill = tempfile.mkdtemp(prefix="ml-platform-spill-")
        # The cache tells a file that was replaced from the one before by its time alone.
        config: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": self._spill,
            "enable_external_file_cache": False,
        }
        if memory_limit:
            config["memory_limit"] = memory_limit
        try:
            self.root = duckdb.connect(config=config)
        except duckdb.Error:
            shutil.rmtree(self._spill)
            raise

    def emptied(self) -> bool:
        """Remove the views of the last use; False if something else is left."""
        left = self.root.execute(_LEFT).fetchall()
        for kind, name in left:
            if kind == "database":
                self.root.execute(f"DETACH {quote(name)}")
            elif kind == "schema":
                self.root.execute(f"DROP SCHEMA {quote(name)} CASCADE")
        known = all(kind in {"database", "schema"} for kind, _ in left)
        return known and not self.root.list_filesystems()

    def close(self) -> None:
        """Let go of memory, threads and the folder."""
        self.root.close()
        shutil.rmtree(self._spill, ignore_errors=True)


_MOST_IDLE = 2
_idle: list[_Database] = []
_inherited: list[_Database] = []


def _taken(memory_limit: str) -> _Database:
    """A database that nobody uses, or a new one."""
    for database in _idle:
        if database.memory_limit == memory_limit:
            with contextlib.suppress(ValueError):  # another thread was quicker
                _idle.remove(database)
                return database
    if not _idle:
        # Closed before the interpreter goes, or DuckDB prints pages about what it finds left.
        atexit.unregister(_close_idle)
        atexit.register(_close_idle)
    return _Database(memory_limit)


def _close_idle() -> None:
    while _idle:
        _idle.pop().close()


def _leave_to_parent() -> None:
    """In a forked process the databases are its parent's: their threads are not here."""
    _inherited.extend(_idle)
    _idle.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


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


def scan_of(urls: list[str]) -> str:
    """The SQL that reads these Parquet files as one table, by the columns' names."""
    return f"read_parquet([{', '.join(literal(url) for url in urls)}], union_by_name = true)"


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


def missing_table(owner: str, key: TableKey, known: list[str]) -> NotFoundError:
    """The error for a table that has no data yet."""
    return NotFoundError(
        f"table {owner}:{key}",
        "it has no data yet",
        allowed=closest(str(key), known) if known else "",
        fix=f"materialise {key} first",
    )
