"""Another system's database: its URL with what the environment fills in, and an engine for it.

What belongs here: how it is named, opened and shown without a secret. What is asked of it is the
caller's matter; what its refusals mean is said in sql_errors.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ml_platform.kernel.environment import resolve
from ml_platform.kernel.errors import NotFoundError, SettingsError, closest

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

_CONNECT_TIMEOUT_S = 10
_SECRET_WORDS = ("pass", "secret", "token", "key")


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


def secrets_of(url: "URL") -> list[str]:
    """What of a URL must be in no message: the password, also as the URL writes it, and keys."""
    options = [
        value
        for name, values in url.query.items()
        if any(word in name.lower() for word in _SECRET_WORDS)
        for value in ([values] if isinstance(values, str) else values)
    ]
    password = str(url.password) if url.password else ""
    return [password, quote(password, safe=""), *options]


def database_engine(url: "URL", subject: str) -> "Engine":
    """An engine that keeps no connection; nothing is contacted yet.

    Args:
        url: as `database_url` gives it.
        subject: what messages call what is asked of the database.

    Raises:
        NotFoundError: SQLite's file is not there.
        SettingsError: the driver is not installed.
    """
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
