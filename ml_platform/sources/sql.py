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
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ml_platform.kernel.environment import resolve
from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    SettingsError,
    closest,
)
from ml_platform.sources import rows
from ml_platform.sources.shape import Shape, cast_batches
from ml_platform.sources.sql_errors import told
from ml_platform.sources.window import Moment, Window, unused

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import URL, CursorResult, Engine, TextClause

PARAMETERS = ("start", "end")

_CONNECT_TIMEOUT_S = 10
_SECRET_WORDS = ("pass", "secret", "token", "key")


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
    engine = _engine(url, subject)
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.enter_context(told(subject, engine, _secrets_of(url)))
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


def database_url(template: str, environ: Mapping[str, str] = os.environ) -> "URL":
    """The URL with its `${NAME}` filled; in user and password any character may be in a value.

    Raises:
        SettingsError: a variable is missing, or this is no URL; the URL itself is not shown.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    login, at, place = template.rpartition("@")
    filled = (
        resolve(login, "database URL", environ, lambda value: quote(value, safe=""))
        + at
        + resolve(place, "database URL", environ)
    )
    try:
        url = make_url(filled)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "database URL",
            "it is not written as one (it is not shown, for it may hold a password)",
            allowed="dialect://user:password@host:port/database, or sqlite:////folder/file.db",
        ) from None
    if url.drivername == "postgresql" and find_spec("psycopg"):
        return url.set(drivername="postgresql+psycopg")
    return url


def shown_url(url: "URL") -> str:
    """The database's place for messages: neither user nor password nor options."""
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{url.host or ''}{port}/{url.database or ''}"


def _secrets_of(url: "URL") -> list[str]:
    options = [
        value
        for name, values in url.query.items()
        if any(word in name.lower() for word in _SECRET_WORDS)
        for value in ([values] if isinstance(values, str) else values)
    ]
    password = str(url.password) if url.password else ""
    return [password, quote(password, safe=""), *options]


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


def _engine(url: "URL", subject: str) -> "Engine":
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import NoSuchModuleError

    if url.get_backend_name() == "sqlite":
        _refuse_missing_file(url, subject)
    arguments = (
        {"connect_timeout": _CONNECT_TIMEOUT_S} if url.get_backend_name() == "postgresql" else {}
    )
    try:
        return create_engine(url, poolclass=NullPool, connect_args=arguments)
    except (ImportError, NoSuchModuleError) as error:
        raise SettingsError(
            subject,
            f"the driver for {url.drivername} is missing: {error}",
            allowed="postgresql with pip install 'ml-platform[postgres]'; sqlite is always there",
            fix="install the driver, or correct the beginning of the URL",
        ) from error


def _refuse_missing_file(url: "URL", subject: str) -> None:
    """SQLite would make an empty database of a misspelt name."""
    name = url.database or ":memory:"
    file = Path(name)
    if name == ":memory:" or name.startswith("file:") or file.exists():
        return
    there = sorted(one.name for one in file.parent.iterdir()) if file.parent.is_dir() else []
    raise NotFoundError(
        subject,
        "there is no such database file",
        allowed=closest(file.name, there) if there else f"no file lies in {file.parent}",
        fix="correct the URL; four slashes begin an absolute path",
    )


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
