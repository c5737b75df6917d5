"""What a database's refusal means: whether to wait, to correct the query or to ask for a right.

PostgreSQL and its like say it in five characters (SQLSTATE, ISO/IEC 9075), SQLite only in words.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ml_platform.kernel.environment import hide
from ml_platform.kernel.errors import (
    ConflictError,
    DataError,
    DeclarationError,
    NotFoundError,
    PlatformError,
    SettingsError,
    UnavailableError,
    closest,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.exc import DBAPIError

_BY_STATE: tuple[tuple[str, type[PlatformError]], ...] = (
    ("42P01|42703|42883|3D000|3F000|42S02|42S22", NotFoundError),
    ("42501|28...", SettingsError),
    ("42...|25006|0A...", DeclarationError),
    ("40...|55P03", ConflictError),
    ("08...|53...|57...|58...", UnavailableError),
    ("22...|21...", DataError),
)
_BY_WORDS: tuple[tuple[str, type[PlatformError]], ...] = (
    ("no such (table|column|function|module)", NotFoundError),
    (r'(database|role) "[^"]*" does not exist', NotFoundError),
    (
        "authentication failed|no password supplied|(permission|access) denied|no pg_hba.conf",
        SettingsError,
    ),
    (
        "syntax error|incomplete input|unrecognized token|readonly database|only execute one",
        DeclarationError,
    ),
    ("file is not a database|malformed|is encrypted", DataError),
    ("database is locked|table is locked", UnavailableError),
    ("unable to open database", SettingsError),
)
_FIXES: dict[type[PlatformError], str] = {
    NotFoundError: "correct the name in the query or the URL, or ask for the data",
    SettingsError: "ask for the right, or correct the login in the environment",
    DeclarationError: "correct the query",
    ConflictError: "try again",
    UnavailableError: "look whether the database runs and can be reached from here; then try again",
    DataError: "correct the data or the query",
}
_UNKNOWN_TABLE = re.compile(r'no such table: (?:\w+\.)?(\w+)|relation "(?:\w+\.)?(\w+)" does not')


@contextmanager
def told(subject: str, engine: "Engine", secrets: Sequence[str]) -> Iterator[None]:
    """Turn what the driver raises inside into the house's errors, without any of the secrets."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        words = hide(_words(error), secrets)
        kind = _kind(error, words)
        # The driver's own error stays out of the chain, for it may show the login.
        raise kind(subject, words, allowed=_tables_like(words, engine), fix=_FIXES[kind]) from None


def _words(error: "DBAPIError") -> str:
    return str(error.orig).strip() or type(error.orig).__name__


def _kind(error: "DBAPIError", words: str) -> type[PlatformError]:
    from sqlalchemy.exc import InterfaceError, OperationalError

    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or ""
    for pattern, kind in _BY_STATE:
        if re.fullmatch(pattern, state):
            return kind
    for pattern, kind in _BY_WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            return kind
    is_connection = isinstance(error, OperationalError | InterfaceError)
    return UnavailableError if is_connection or error.connection_invalidated else DataError


def _tables_like(words: str, engine: "Engine") -> str:
    """The tables that there are, for a query that names another one."""
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    match = _UNKNOWN_TABLE.search(words)
    if not match:
        return ""
    try:
        there = inspect(engine).get_table_names()
    except SQLAlchemyError:
        # The list is a help for the reader; that it cannot be had must not hide the first error.
        return ""
    return closest(match[1] or match[2], there) or "it has no tables"
