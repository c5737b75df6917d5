"""DuckDB: a database in memory for each query, made ready before it and emptied after it.

The engine reads Parquet files and writes none of its own, so no process ever waits for another's
lock.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection


def quote(identifier: str) -> str:
    """An identifier as SQL takes it, whatever is in it."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as SQL takes it, whatever is in it."""
    return "'" + text.replace("'", "''") + "'"


def scan_of(urls: list[str]) -> str:
    """The SQL that reads these Parquet files as one table, by the columns' names."""
    return f"read_parquet([{', '.join(literal(url) for url in urls)}], union_by_name = true)"


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


# To parse and plan it takes three times as long as to ask.
_ASK_WHAT_IS_LEFT = """
    PREPARE what_is_left AS
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
            # "The last row of each key" becomes an aggregate by this rule of DuckDB's, one that
            # cannot spill: with more keys than fit, the query would fail. A window can.
            config |= {
                "memory_limit": memory_limit,
                "disabled_optimizers": "top_n_window_elimination",
            }
        try:
            self.root = duckdb.connect(config=config)
            self.root.execute(_ASK_WHAT_IS_LEFT)
        except duckdb.Error:
            shutil.rmtree(self._spill)
            raise

    def emptied(self) -> bool:
        """Remove the views of the last use; False if something else is left."""
        left = self.root.execute("EXECUTE what_is_left").fetchall()
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
