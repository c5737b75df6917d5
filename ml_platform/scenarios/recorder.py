"""The flight recorder: why each scenario ran, or did not, at any time.

What belongs here: rows in, rows out. Looks at a trigger that came to the same, one after the other,
are one row with their number and the time of the last; so a quiet month is one row.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ml_platform.kernel.settings import Settings
from ml_platform.scenarios.tables import VARIABLE, metadata, opened
from ml_platform.scenarios.triggers import Evaluation
from ml_platform.storage.database import transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Table

KEEP = timedelta(days=90)
"""How long rows stay when nothing else is said."""

_SUBJECT = "record of evaluations"


@dataclass(frozen=True)
class Row:
    """Looks that came to the same: `count` of them between `first_at` and `last_at`."""

    project: str
    scenario: str
    trigger: str
    kind: str
    first_at: float
    last_at: float
    count: int
    account: str
    fingerprint: str
    decision: str
    reason: str
    run_key: str


class Recorder:
    """The record of an installation; its table is made when it is first used.

    Args:
        url: SQLAlchemy's address of its database.
        keep: how long rows stay.
    """

    def __init__(self, url: str, keep: timedelta = KEEP) -> None:
        self.url, self.keep = url, keep

    def record(self, project: str, scenario: str, found: Sequence[Evaluation]) -> None:
        """Write down what looks came to, and forget what is older than is kept.

        Raises:
            UnavailableError: the database does not answer.
            StorageFullError: there is no room left to write.
        """
        if not found:
            return
        with transaction(opened(self.url), _SUBJECT) as connection:
            for one in found:
                _write(connection, project, scenario, one)
            oldest = found[0].at - self.keep.total_seconds()
            table = _table()
            connection.execute(table.delete().where(table.c.last_at < oldest))

    def rows(
        self, project: str | None, scenario: str, since: float = 0.0, until: float = 1e18
    ) -> list[Row]:
        """The rows of a scenario that touch this time, the oldest first.

        Raises:
            UnavailableError: the database does not answer.
        """
        import sqlalchemy as sa

        table = _table()
        wanted = sa.select(table).where(
            table.c.scenario == scenario, table.c.last_at >= since, table.c.first_at <= until
        )
        if project is not None:
            wanted = wanted.where(table.c.project == project)
        with transaction(opened(self.url), _SUBJECT) as connection:
            found = connection.execute(wanted.order_by(table.c.id)).mappings()
            return [Row(**{k: v for k, v in row.items() if k != "id"}) for row in found]


def recorder_here(environ: Mapping[str, str] = os.environ) -> Recorder:
    """The record that the environment names: a file beside Dagster's own, or a URL's database."""
    file = Settings.from_environment(environ).home / "dagster" / "scenarios.db"
    return Recorder(environ.get(VARIABLE) or f"sqlite:///{file}")


def _table() -> "Table":
    return metadata().tables["scenario_evaluations"]


def _write(connection: "Connection", project: str, scenario: str, one: Evaluation) -> None:
    """Write a row, or count it to the last one of its trigger where it came to the same."""
    table = _table()
    last = _last(connection, project, scenario, one.trigger)
    if last is not None and _is_same(last, one):
        connection.execute(
            table.update()
            .where(table.c.id == last["id"])
            .values(count=last["count"] + 1, last_at=one.at, account=one.account, reason=one.reason)
        )
        return
    connection.execute(
        table.insert().values(
            project=project,
            scenario=scenario,
            trigger=one.trigger,
            kind=one.kind,
            first_at=one.at,
            last_at=one.at,
            count=1,
            account=one.account,
            fingerprint=one.fingerprint,
            decision=str(one.decision),
            reason=one.reason,
            run_key=one.run_key,
        )
    )


def _last(
    connection: "Connection", project: str, scenario: str, trigger: str
) -> "RowMapping | None":
    table = _table()
    mine = (table.c.project, table.c.scenario, table.c.trigger)
    wanted = table.select().where(
        *(c == v for c, v in zip(mine, (project, scenario, trigger), strict=True))
    )
    return connection.execute(wanted.order_by(table.c.id.desc()).limit(1)).mappings().first()


def _is_same(last: "RowMapping", one: Evaluation) -> bool:
    """Whether it adds nothing but a time; a tick that was done again asks for the same run."""
    if last["kind"] != one.kind or last["decision"] != one.decision:
        return False
    return bool(last["fingerprint"] == one.fingerprint and last["run_key"] == one.run_key)
