"""The room's tables, in SQLite beside Dagster's own or in PostgreSQL."""

import functools
from typing import TYPE_CHECKING, Any

from ml_platform.storage.database import opened_with

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData

VARIABLE = "ML_PLATFORM_SCENARIOS_URL"
"""Names the database, when it is not the file beside Dagster's own."""


@functools.cache
def metadata() -> "MetaData":
    """All the tables: evaluations, the triggers that take calls, the calls, and variables."""
    import sqlalchemy as sa

    made = sa.MetaData()

    def required(name: str, kind: Any = sa.Text) -> Any:
        return sa.Column(name, kind, nullable=False)

    whole = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    texts = ("project", "scenario", "trigger", "kind", "account", "fingerprint", "decision")
    sa.Table(
        "scenario_evaluations",
        made,
        sa.Column("id", whole, primary_key=True, autoincrement=True),
        *(required(name) for name in (*texts, "reason", "run_key")),
        required("first_at", sa.Double),
        required("last_at", sa.Double),
        required("count", sa.Integer),
        sa.Index("scenario_evaluations_of", "project", "scenario", "trigger", "id"),
        sa.Index("scenario_evaluations_age", "last_at"),
    )
    whose = ("project", "scenario", "trigger")
    sa.Table(
        "scenario_hooks",
        made,
        *(sa.Column(name, sa.Text, primary_key=True) for name in whose),
        required("secret"),
        required("seen_at", sa.Double),
    )
    sa.Table(
        "scenario_calls",
        made,
        sa.Column("id", whole, primary_key=True, autoincrement=True),
        *(required(name) for name in (*whose, "call_id", "params")),
        required("at", sa.Double),
        sa.UniqueConstraint(*whose, "call_id"),
        sa.Index("scenario_calls_age", "at"),
        sqlite_autoincrement=True,  # a number is never given again
    )
    sa.Table(
        "scenario_variables",
        made,
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("project", "name")),
        *(required(name) for name in ("value", "set_at", "run_id")),
    )
    return made


@functools.cache
def opened(url: str) -> "Engine":
    """The engine of an address, its tables made; one a process and address.

    Raises:
        SettingsError: the address is none.
        UnavailableError: the database does not answer.
    """
    return opened_with(metadata(), url, VARIABLE)
