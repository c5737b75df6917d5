"""A query on another system's database, as one stream of Arrow batches.

Any database that SQLAlchemy has a dialect for. The query only reads: where the database can be told
so, it is. A window arrives as the bound parameters `:start` and `:end`, never as pasted text, and
no message holds a password. How values become Arrow's is said in rows.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    closest,
)
from ml_platform.sources import rows
from ml_platform.sources.shape import Shape, cast_batches
from ml_platform.sources.window import Moment, Window, unused
from ml_platform.storage.connection import database_engine, database_url, secrets_of, shown_url
from ml_platform.storage.sql_errors import told

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import URL, CursorResult, Engine, TextClause

PARAMETERS = ("start", "end")


@dataclass(frozen=True)
class SqlSource:
    """A query and the database to ask.

    Attributes:
        url: SQLAlchemy's URL of the database; it may hold `${NAME}` of the environment, which is
            the place for a password. Plain `postgresql://` takes psycopg 3 where it is installed.
        query: one SELECT; `:start` and `:end` are a partition's window.
        shape: the columns to take, their new names and their types.
        batch_rows: how many rows are in memory at once; from the first so many, the types of
            columns are learnt whose type the database does not tell.

    Raises:
        DeclarationError: `batch_rows` is not positive, or the query is empty.
    """

    url: str
    query: str
    shape: Shape = field(default_factory=Shape)
    batch_rows: int = 100_000

    def __post_init__(self) -> None:
        if self.batch_rows < 1:
            raise DeclarationError(
                "batch_rows", f"{self.batch_rows}", allowed="a number of at least 1"
            )
        if not self.query.strip():
            raise DeclarationError("query", "it is empty", allowed="one SELECT")


def read_query(
    source: SqlSource, window: Window | None = None, environ: Mapping[str, str] = os.environ
) -> "pa.RecordBatchReader":
    """The rows of the query; a result of more than `batch_rows` stays on the server until read.

    The connection is closed when the last row was read.

    Raises:
        DeclarationError: the query is wrong, or it and the window do not fit.
        NotFoundError: a table, a column or the database does not exist; in the database's words.
        SettingsError: a variable, a driver or a permission is missing.
        DataError: a column holds several kinds of values, or two have one name.
        UnavailableError: the database does not answer.
    """
    import pyarrow as pa

    url = database_url(source.url, environ)
    subject = f"query on {shown_url(url)}"
    statement = _bound(source.query, window, url, subject)
    engine = database_engine(url, subject)
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.enter_context(told(subject, engine, secrets_of(url)))
        result = stack.enter_context(_executed(engine, statement, source.batch_rows, subject))
        names = _names(result, subject)
        first = result.fetchmany(source.batch_rows)
        found = _schema(result, names, first, source.shape, subject)
        schema = source.shape.schema(found, subject)
        chunks = [first] if len(first) < source.batch_rows else _chunks(first, result, source)
        batches = cast_batches(
            rows.batches(iter(chunks), found, subject),
            source.shape.selected(names, subject),
            schema,
            subject,
            lambda row: f"row {row + 1}",
        )
        if isinstance(chunks, list):
            return pa.RecordBatchReader.from_batches(schema, list(batches))
        return pa.RecordBatchReader.from_batches(schema, _kept_open(batches, stack.pop_all()))


def _kept_open(batches: "Iterator[pa.RecordBatch]", stack: ExitStack) -> "Iterator[pa.RecordBatch]":
    with stack:
        yield from batches


def _chunks(
    first: Sequence[rows.Row], result: "CursorResult[Any]", source: SqlSource
) -> Iterator[Sequence[rows.Row]]:
    chunk = first
    while chunk:
        yield chunk
        chunk = result.fetchmany(source.batch_rows)


def _schema(
    result: "CursorResult[Any]",
    names: list[str],
    first: Sequence[rows.Row],
    shape: Shape,
    subject: str,
) -> "pa.Schema":
    cursor = result.cursor
    described = result.context.dialect.name == "postgresql" and cursor is not None
    types = rows.postgres_types(cursor.description) if described and cursor else {}
    return rows.learnt_types(names, first, types, shape.dtypes, subject)


def _bound(query: str, window: Window | None, url: "URL", subject: str) -> "TextClause":
    """The query with the window's start and end as typed parameters."""
    from sqlalchemy import bindparam, text

    statement = text(query)
    wanted = list(statement.compile().params)
    if unknown := [name for name in wanted if name not in PARAMETERS]:
        raise DeclarationError(
            subject,
            f"':{unknown[0]}' is no parameter",
            allowed=closest(unknown[0], list(PARAMETERS)),
            fix="correct it; a colon that is meant as one is written \\:",
        )
    if window and not wanted:
        raise unused(subject)
    if wanted and not window:
        raise DeclarationError(
            subject,
            f"':{wanted[0]}' has no value: this load has no window",
            fix="give the table partitions, or take the parameter out",
        )
    return statement.bindparams(
        *(bindparam(name, _as_stored(getattr(window, name), url)) for name in wanted)
    )


def _as_stored(moment: Moment, url: "URL") -> Moment | str:
    """SQLite has no dates, only texts in ISO order, which a suffix of zeros would sort wrongly."""
    if url.get_backend_name() != "sqlite":
        return moment
    return moment.isoformat(" ") if isinstance(moment, datetime) else moment.isoformat()


@contextmanager
def _executed(
    engine: "Engine", statement: "TextClause", batch_rows: int, subject: str
) -> "Iterator[CursorResult[Any]]":
    """The running query, in a transaction that can only read and is rolled back."""
    options = {"stream_results": True, "max_row_buffer": batch_rows}
    if engine.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    with engine.connect().execution_options(**options) as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        result = connection.execute(statement)
        if not result.returns_rows:
            raise DeclarationError(
                subject, "the statement returns no rows", allowed="one SELECT", fix="correct it"
            )
        with result:
            yield result


def _names(result: "CursorResult[Any]", subject: str) -> list[str]:
    names = list(result.keys())
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            subject,
            f"several columns of the result are called {', '.join(map(repr, twins))}",
            fix="give each a name of its own with AS",
        )
    return names
