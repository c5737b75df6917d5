"""The outbox: what is read and written of it, each in one transaction.

What belongs here: rows in, rows out. What they mean is decided in `routing` and `delivery`. A row
of `alert_deliveries` exists before anything is sent, and there is one a rule, event and channel; so
what is read twice is told once, and what is killed is found again.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from ml_platform.alerts.delivery_rows import Delivery, DeliveryRows
from ml_platform.alerts.event_rows import EventRows
from ml_platform.alerts.incidents import Incident
from ml_platform.alerts.lasting_rows import LastingRows
from ml_platform.alerts.message import Message
from ml_platform.alerts.rows import certain
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.tables import opened
from ml_platform.kernel.clock import Clock, system_clock
from ml_platform.storage.database import transaction

__all__ = ["LEASE_S", "Book", "Delivery", "Outbox"]

LEASE_S = 180.0
"""How long a process may take for one delivery; longer than any channel waits for its receiver."""


class Outbox:
    """The outbox of an installation.

    Args:
        url: SQLAlchemy's address of its database; its tables are made when it is first used.
        clock: says the present moment.
        lease_s: for how long a delivery is a process's own.
    """

    def __init__(self, url: str, clock: Clock = system_clock, lease_s: float = LEASE_S) -> None:
        self.url, self.clock, self.lease_s = url, clock, lease_s

    @contextlib.contextmanager
    def book(self) -> Iterator["Book"]:
        """The outbox for one transaction: all of it holds, or nothing.

        Raises:
            UnavailableError: the database does not answer, or is locked for too long.
            StorageFullError: there is no room left to write.
        """
        fix = "what is not written is read again"
        with transaction(opened(self.url), "outbox", fix) as connection:
            yield Book(connection, self.clock(), self.lease_s)


class Book(EventRows, LastingRows, DeliveryRows):
    """The outbox within one transaction, and the room's own state in it."""

    def take_unshown(self, project: str) -> list[tuple[Incident, Message]]:
        """The acknowledgements that the UI does not show yet, each with its last message."""
        found = self.unshown(project)
        for one in found:
            self.shown(one)
        told = [(one, self.last_of(one.dedup_key)) for one in found]
        return [(one, last.message) for one, last in told if last]

    def may_send(self, channel: str, per_s: float, burst: float) -> bool:
        """Whether a channel is open and its bucket holds a token; the token is taken."""
        self._run(
            "INSERT INTO alert_channels (name, tokens, tokens_at) VALUES (:name, :burst, :now) "
            "ON CONFLICT DO NOTHING",
            name=channel,
            burst=burst,
            now=self.now.timestamp(),
        )
        lock = "FOR UPDATE" if self._is_postgres else ""
        row = self._rows(f"SELECT * FROM alert_channels WHERE name = :name {lock}", name=channel)[0]
        now = self.now.timestamp()
        if row["closed_at"] is not None or row["paused_until"] > now:
            return False
        tokens = min(burst, row["tokens"] + max(0.0, now - row["tokens_at"]) * per_s)
        if tokens < 1:
            return False
        self._run(
            "UPDATE alert_channels SET tokens = :tokens, tokens_at = :now WHERE name = :name",
            tokens=tokens - 1,
            now=now,
            name=channel,
        )
        return True

    def pause(self, channel: str, until: datetime) -> None:
        """Leave a channel alone for a while."""
        self._run(
            "UPDATE alert_channels SET paused_until = :until WHERE name = :name",
            until=until.timestamp(),
            name=channel,
        )

    def close(self, channel: str, reason: str) -> bool:
        """Send nothing more to a channel until it is opened; False if it is closed already."""
        done = self._run(
            "UPDATE alert_channels SET closed_at = :now, reason = :reason WHERE name = :name AND "
            "closed_at IS NULL",
            now=self.now.timestamp(),
            reason=reason,
            name=channel,
        )
        return done.rowcount == 1

    def open(self, channel: str) -> bool:
        """Let a channel be used again; False if it was open."""
        done = self._run(
            "UPDATE alert_channels SET closed_at = NULL, reason = '', paused_until = 0 WHERE "
            "name = :name AND (closed_at IS NOT NULL OR paused_until > :now)",
            name=channel,
            now=self.now.timestamp(),
        )
        return done.rowcount == 1

    def closed(self) -> dict[str, str]:
        """The channels that are closed, and why."""
        rows = self._rows("SELECT name, reason FROM alert_channels WHERE closed_at IS NOT NULL")
        return {row["name"]: row["reason"] for row in rows}

    def cursor(self, project: str, name: str) -> str | None:
        """How far a reader has come."""
        rows = self._rows(
            "SELECT value FROM alert_cursors WHERE project = :project AND name = :name",
            project=project,
            name=name,
        )
        return str(rows[0]["value"]) if rows else None

    def keep_cursor(self, project: str, name: str, value: str) -> None:
        """Write how far a reader has come."""
        self._run(
            "INSERT INTO alert_cursors VALUES (:project, :name, :value) "
            "ON CONFLICT (project, name) DO UPDATE SET value = excluded.value",
            project=project,
            name=name,
            value=value,
        )

    def beat(self, project: str, patience_s: float) -> Mapping[str, tuple[datetime, datetime]]:
        """Leave a sign of life; since when and until when each project's reader has been ticking.

        Between two signs of one that ticks are no more than `patience_s`.
        """
        now = self.now.timestamp()
        self._run(
            "INSERT INTO alert_heartbeats VALUES (:project, :now, :now) ON CONFLICT (project) DO "
            "UPDATE SET since = CASE WHEN alert_heartbeats.at < :late THEN :now ELSE "
            "alert_heartbeats.since END, at = :now",
            project=project,
            now=now,
            late=now - patience_s,
        )
        rows = self._rows("SELECT * FROM alert_heartbeats")
        return {row["project"]: (certain(row["since"]), certain(row["at"])) for row in rows}

    def keep_rules(self, project: str, rules: Iterable[Rule]) -> None:
        """Write a project's rules in place of those before, for the commands."""
        self._run("DELETE FROM alert_rules WHERE project = :project", project=project)
        for rule in rules:
            self._run(
                "INSERT INTO alert_rules VALUES (:id, :project, :body, :now) "
                "ON CONFLICT DO NOTHING",
                id=f"{project}/{rule.name}",
                project=project,
                body=rule.model_dump_json(),
                now=self.now.timestamp(),
            )

    def rules(self) -> dict[str, Rule]:
        """The rules that any reader has used, by `<project>/<name>`."""
        rows = self._rows("SELECT id, body FROM alert_rules ORDER BY id")
        return {row["id"]: Rule.model_validate_json(row["body"]) for row in rows}

    def prune(self, before: datetime) -> int:
        """Forget what is told and over since before then; how many rows."""
        early = before.timestamp()
        done = self._run(
            "DELETE FROM alert_attempts WHERE at < :early AND delivery_id NOT IN "
            "(SELECT id FROM alert_deliveries WHERE status IN ('pending', 'held'))",
            early=early,
        ).rowcount
        done += self._run(
            "DELETE FROM alert_deliveries WHERE created_at < :early AND status NOT IN "
            "('pending', 'held')",
            early=early,
        ).rowcount
        done += self._run("DELETE FROM alert_events WHERE at < :early", early=early).rowcount
        done += self._run(
            "DELETE FROM alert_told WHERE at < :early AND is_taken = 1", early=early
        ).rowcount
        done += self._run(
            "DELETE FROM alert_incidents WHERE told_at < :early AND look_at IS NULL", early=early
        ).rowcount
        done += self._run(
            "DELETE FROM alert_standings WHERE subject LIKE 'run %' AND "
            "(bad_since IS NULL OR bad_since < :early)",
            early=early,
        ).rowcount
        return done
