"""The outbox: what is read and written of it, each in one transaction.

What belongs here: rows in, rows out. What they mean is decided in `routing` and `delivery`. A row
of `alert_deliveries` exists before anything is sent, and there is one a rule, event and channel; so
what is read twice is told once, and what is killed is found again.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ml_platform.alerts.codec import (
    event_from_text,
    event_to_text,
    message_from_text,
    message_to_text,
)
from ml_platform.alerts.compose import short_id
from ml_platform.alerts.event import Event
from ml_platform.alerts.incidents import Incident, Standing, State
from ml_platform.alerts.message import Message
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.tables import opened
from ml_platform.alerts.worker import is_gone, own_name
from ml_platform.kernel.clock import Clock, system_clock

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, RowMapping

LEASE_S = 180.0
"""How long a process may take for one delivery; longer than any channel waits for its receiver."""


@dataclass(frozen=True)
class Delivery:
    """One message on its way to one channel."""

    id: int
    rule: str
    channel: str
    key: str
    status: str
    attempts: int
    dedup_key: str
    message: Message
    created_at: datetime
    due_at: datetime
    thread: str = ""
    error: str = ""


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
        """The outbox for one transaction: all of it holds, or nothing."""
        with opened(self.url).begin() as connection:
            yield Book(connection, self.clock(), self.lease_s)


class Book:
    """The outbox within one transaction; `now` is when it began."""

    def __init__(self, connection: "Connection", now: datetime, lease_s: float) -> None:
        self._connection, self.now, self._lease_s = connection, now, lease_s
        self._is_postgres = connection.dialect.name == "postgresql"

    def _run(self, sql: str, **values: Any) -> "CursorResult[Any]":
        from sqlalchemy import text

        return self._connection.execute(text(sql), {k: _kept(v) for k, v in values.items()})

    def _rows(self, sql: str, **values: Any) -> "list[RowMapping]":
        return list(self._run(sql, **values).mappings())

    # --- Events -----------------------------------------------------------------------------------

    def record(self, event: Event) -> bool:
        """Write an event; False if it is there already."""
        done = self._run(
            "INSERT INTO alert_events (id, type, project, at, body) "
            "VALUES (:id, :type, :project, :at, :body) ON CONFLICT DO NOTHING",
            id=event.id,
            type=event.type,
            project=event.project,
            at=event.at.timestamp(),
            body=event_to_text(event),
        )
        return done.rowcount == 1

    def event(self, event_id: str) -> Event | None:
        """A recorded event."""
        found = self._rows("SELECT body FROM alert_events WHERE id = :id", id=event_id)
        return event_from_text(found[0]["body"]) if found else None

    def latest_event(self, types: Iterable[str]) -> Event | None:
        """The newest recorded event of one of these types."""
        rows = self._rows("SELECT type, body FROM alert_events ORDER BY at DESC LIMIT 500")
        wanted = set(types)
        return next((event_from_text(r["body"]) for r in rows if r["type"] in wanted), None)

    def tell(self, key: str, event: Event) -> bool:
        """Put what a step told itself before its project's reader; False if it is there."""
        done = self._run(
            "INSERT INTO alert_told (key, project, body, at) VALUES (:key, :project, :body, :at) "
            "ON CONFLICT DO NOTHING",
            key=key,
            project=event.project,
            body=event_to_text(event),
            at=self.now.timestamp(),
        )
        return done.rowcount == 1

    def take_told(self, project: str, limit: int) -> list[Event]:
        """What steps of a project told, and take it away."""
        rows = self._rows(
            "SELECT key, body FROM alert_told WHERE project = :project AND is_taken = 0 "
            "ORDER BY at LIMIT :limit",
            project=project,
            limit=limit,
        )
        for row in rows:
            self._run("UPDATE alert_told SET is_taken = 1 WHERE key = :key", key=row["key"])
        return [event_from_text(row["body"]) for row in rows]

    # --- What lasts -------------------------------------------------------------------------------

    def standing(self, project: str, subject: str) -> Standing:
        """What the reader of a project knows of a subject."""
        rows = self._rows(
            "SELECT * FROM alert_standings WHERE project = :project AND subject = :subject",
            project=project,
            subject=subject,
        )
        if not rows:
            return Standing()
        row = rows[0]
        return Standing(
            order=row["position"],
            bad_since=_moment(row["bad_since"]),
            failures=row["failures"],
            last_ok_at=_moment(row["last_ok_at"]),
            value=row["value"],
        )

    def keep_standing(self, project: str, subject: str, standing: Standing) -> None:
        """Write what is known of a subject."""
        self._run(
            "INSERT INTO alert_standings VALUES (:project, :subject, :position, :bad_since, "
            ":failures, :last_ok_at, :value) ON CONFLICT (project, subject) DO UPDATE SET "
            "position = excluded.position, bad_since = excluded.bad_since, failures = "
            "excluded.failures, last_ok_at = excluded.last_ok_at, value = excluded.value",
            project=project,
            subject=subject,
            position=standing.order,
            bad_since=_seconds(standing.bad_since),
            failures=standing.failures,
            last_ok_at=_seconds(standing.last_ok_at),
            value=standing.value,
        )

    def bad_subjects(self, project: str, prefix: str) -> list[str]:
        """The subjects of a project that begin with a word and are bad now."""
        rows = self._rows(
            "SELECT subject FROM alert_standings WHERE project = :project AND bad_since IS NOT "
            "NULL AND substr(subject, 1, :length) = :prefix ORDER BY subject",
            project=project,
            prefix=prefix,
            length=len(prefix),
        )
        return [row["subject"] for row in rows]

    def forget_positions(self, project: str) -> None:
        """Forget the places in an event log that is no more."""
        self._run("UPDATE alert_standings SET position = 0 WHERE project = :p", p=project)

    def incident(self, rule: str, subject: str) -> Incident | None:
        """The last incident of a subject by a rule."""
        rows = self._rows(
            "SELECT * FROM alert_incidents WHERE rule = :rule AND subject = :subject",
            rule=rule,
            subject=subject,
        )
        return _incident(rows[0]) if rows else None

    def incident_of(self, dedup_key: str) -> Incident | None:
        """The incident of a name."""
        rows = self._rows("SELECT * FROM alert_incidents WHERE dedup_key = :key", key=dedup_key)
        return _incident(rows[0]) if rows else None

    def incidents_to_look_at(self, project: str, limit: int = 100) -> list[Incident]:
        """Those of a project's rules of which something may be due."""
        rows = self._rows(
            "SELECT * FROM alert_incidents WHERE look_at <= :now AND substr(rule, 1, :length) = "
            ":prefix ORDER BY look_at LIMIT :limit",
            now=self.now.timestamp(),
            prefix=f"{project}/",
            length=len(project) + 1,
            limit=limit,
        )
        return [_incident(row) for row in rows]

    def keep_incident(self, one: Incident, look_at: datetime | None) -> None:
        """Write an incident; `look_at` is when something may be due for it."""
        self._run(
            "INSERT INTO alert_incidents (rule, subject, dedup_key, state, opened_at, told_at, "
            "event_id, unheard, repeated, escalated, acknowledged_at, acknowledged_by, "
            "resolved_at, look_at, is_shown) VALUES (:rule, :subject, :dedup_key, :state, "
            ":opened_at, :told_at, :event_id, :unheard, :repeated, :escalated, :acknowledged_at, "
            ":acknowledged_by, :resolved_at, :look_at, 1) "
            "ON CONFLICT (rule, subject) DO UPDATE SET dedup_key = excluded.dedup_key, "
            "state = excluded.state, opened_at = excluded.opened_at, told_at = excluded.told_at, "
            "event_id = excluded.event_id, unheard = excluded.unheard, "
            "repeated = excluded.repeated, escalated = excluded.escalated, "
            "acknowledged_at = excluded.acknowledged_at, "
            "acknowledged_by = excluded.acknowledged_by, resolved_at = excluded.resolved_at, "
            "look_at = excluded.look_at",
            rule=one.rule,
            subject=one.subject,
            dedup_key=one.dedup_key,
            state=one.state.value,
            opened_at=one.opened_at.timestamp(),
            told_at=one.told_at.timestamp(),
            event_id=one.event_id,
            unheard=one.unheard,
            repeated=one.repeated,
            escalated=one.escalated,
            acknowledged_at=_seconds(one.acknowledged_at),
            acknowledged_by=one.acknowledged_by,
            resolved_at=_seconds(one.resolved_at),
            look_at=_seconds(look_at),
        )

    def to_be_shown(self, dedup_key: str) -> None:
        """An acknowledgement is to be shown in the UI by the next tick of the project's sensor."""
        self._run("UPDATE alert_incidents SET is_shown = 0 WHERE dedup_key = :key", key=dedup_key)

    def take_unshown(self, project: str) -> list[tuple[Incident, Message]]:
        """The acknowledgements that the UI does not show yet, each with its last message."""
        rows = self._rows("SELECT * FROM alert_incidents WHERE is_shown = 0")
        own = [_incident(row) for row in rows if row["rule"].startswith(f"{project}/")]
        for one in own:
            self._run(
                "UPDATE alert_incidents SET is_shown = 1 WHERE rule = :rule AND subject = :subject",
                rule=one.rule,
                subject=one.subject,
            )
        told = [(one, self.last_of(one.dedup_key)) for one in own]
        return [(one, last.message) for one, last in told if last]

    # --- Deliveries -------------------------------------------------------------------------------

    def deliver(
        self,
        message: Message,
        rule: str,
        channel: str,
        *,
        status: str = "pending",
        due_at: datetime | None = None,
    ) -> bool:
        """Put a message before a channel; False if it is there already.

        Args:
            message: what to tell; `event_id` is part of the delivery's key.
            rule: by which it is told, `<project>/<name>`.
            channel: to which.
            status: `pending` to be sent when due; `held` to be gathered then; `muted` never.
            due_at: when; at once by default.
        """
        done = self._run(
            "INSERT INTO alert_deliveries (rule, event_id, channel, dedup_key, key, status, "
            "created_at, due_at, message) VALUES (:rule, :event_id, :channel, :dedup_key, :key, "
            ":status, :now, :due_at, :message) ON CONFLICT (rule, event_id, channel) DO NOTHING",
            rule=rule,
            event_id=message.event_id,
            channel=channel,
            dedup_key=message.dedup_key or message.event_id,
            key=f"msg_{short_id(rule, message.event_id, channel)}",
            status=status,
            now=self.now.timestamp(),
            due_at=(due_at or self.now).timestamp(),
            message=message_to_text(message),
        )
        return done.rowcount == 1

    def told_since(self, rule: str, moment: datetime) -> int:
        """To how many events a rule gave messages of their own since then."""
        rows = self._rows(
            "SELECT count(DISTINCT event_id) AS n FROM alert_deliveries WHERE rule = :rule AND "
            "created_at > :since AND status IN ('pending', 'sent')",
            rule=rule,
            since=moment.timestamp(),
        )
        return int(rows[0]["n"])

    def open_slot(self, rule: str, until: datetime) -> datetime | None:
        """When messages of a rule that are held already will be gathered, if that is until then."""
        rows = self._rows(
            "SELECT min(due_at) AS due FROM alert_deliveries WHERE rule = :rule AND "
            "status = 'held' AND due_at > :now AND due_at <= :until",
            rule=rule,
            now=self.now.timestamp(),
            until=until.timestamp(),
        )
        return _moment(rows[0]["due"])

    def due_groups(self) -> list[tuple[str, str]]:
        """Rule and channel of what was held until now."""
        rows = self._rows(
            "SELECT DISTINCT rule, channel FROM alert_deliveries WHERE status = 'held' AND "
            "due_at <= :now",
            now=self.now.timestamp(),
        )
        return [(row["rule"], row["channel"]) for row in rows]

    def held(self, rule: str, channel: str, limit: int) -> tuple[int, list[Delivery]]:
        """How many messages of a rule were held for a channel until now, and the newest of them."""
        where = (
            "FROM alert_deliveries WHERE status = 'held' AND due_at <= :now AND rule = :rule "
            "AND channel = :channel"
        )
        values = {"now": self.now.timestamp(), "rule": rule, "channel": channel}
        count = int(self._rows(f"SELECT count(*) AS n {where}", **values)[0]["n"])
        rows = self._rows(f"SELECT * {where} ORDER BY id DESC LIMIT :limit", **values, limit=limit)
        return count, [_delivery(row) for row in reversed(rows)]

    def gathered(self, rule: str, channel: str, key: str) -> None:
        """Mark what was held until now as told by the digest of this event id."""
        self._run(
            "UPDATE alert_deliveries SET status = 'gathered', gathered_into = (SELECT id FROM "
            "alert_deliveries WHERE rule = :rule AND event_id = :key AND channel = :channel) "
            "WHERE status = 'held' AND due_at <= :now AND rule = :rule AND channel = :channel",
            rule=rule,
            channel=channel,
            key=key,
            now=self.now.timestamp(),
        )

    def release(self, delivery_id: int, due_at: datetime | None = None) -> bool:
        """Let what was held, or given up, be sent; with all its attempts before it."""
        done = self._run(
            "UPDATE alert_deliveries SET status = 'pending', attempts = 0, due_at = :due, "
            "lease_until = 0 WHERE id = :id AND status IN ('held', 'dead', 'pending')",
            id=delivery_id,
            due=(due_at or self.now).timestamp(),
        )
        return done.rowcount == 1

    def due_channels(self) -> list[str]:
        """The channels for which something is due."""
        rows = self._rows(
            "SELECT DISTINCT channel FROM alert_deliveries WHERE status = 'pending' AND "
            "due_at <= :now ORDER BY channel",
            now=self.now.timestamp(),
        )
        return [row["channel"] for row in rows]

    def free_what_the_dead_held(self) -> int:
        """Give back the leases of processes of this host that have ended; how many."""
        rows = self._rows(
            "SELECT DISTINCT lease_owner FROM alert_deliveries WHERE status = 'pending' AND "
            "lease_until > :now",
            now=self.now.timestamp(),
        )
        gone = [row["lease_owner"] for row in rows if is_gone(row["lease_owner"])]
        return sum(
            self._run(
                "UPDATE alert_deliveries SET lease_until = 0 WHERE status = 'pending' AND "
                "lease_owner = :owner",
                owner=one,
            ).rowcount
            for one in gone
        )

    def claim(self, channel: str) -> Delivery | None:
        """Take the next delivery of a channel; nobody else gets it until the lease is over.

        What an earlier message of the same incident waits for, it waits for too.
        """
        lock = "FOR UPDATE SKIP LOCKED" if self._is_postgres else ""
        rows = self._rows(
            "SELECT * FROM alert_deliveries AS one WHERE status = 'pending' AND channel = :channel "
            "AND due_at <= :now AND lease_until <= :now AND NOT EXISTS (SELECT 1 FROM "
            "alert_deliveries AS earlier WHERE earlier.dedup_key = one.dedup_key AND "
            "earlier.channel = :channel AND earlier.status = 'pending' AND earlier.id < one.id) "
            f"ORDER BY due_at, id LIMIT 1 {lock}",
            channel=channel,
            now=self.now.timestamp(),
        )
        if not rows:
            return None
        self._run(
            "UPDATE alert_deliveries SET lease_owner = :owner, lease_until = :until WHERE id = :id",
            owner=own_name(),
            until=self.now.timestamp() + self._lease_s,
            id=rows[0]["id"],
        )
        return _delivery(rows[0], self._thread(rows[0]["dedup_key"], channel))

    def _thread(self, dedup_key: str, channel: str) -> str:
        rows = self._rows(
            "SELECT thread FROM alert_deliveries WHERE dedup_key = :key AND channel = :channel "
            "AND status = 'sent' AND thread <> '' ORDER BY id LIMIT 1",
            key=dedup_key,
            channel=channel,
        )
        return str(rows[0]["thread"]) if rows else ""

    def sent(self, one: Delivery, receipt: str, thread: str, remark: str) -> None:
        """Write that a receiver took it."""
        self._run(
            "UPDATE alert_deliveries SET status = 'sent', sent_at = :now, attempts = attempts + 1, "
            "receipt = :receipt, thread = :thread, remark = :remark, error = '' WHERE id = :id",
            id=one.id,
            now=self.now.timestamp(),
            receipt=receipt,
            thread=thread,
            remark=remark,
        )
        self._attempt(one, "sent", remark or receipt)

    def put_off(self, one: Delivery, error: str, due_at: datetime) -> None:
        """Write that it did not get through and is tried again later."""
        self._run(
            "UPDATE alert_deliveries SET attempts = attempts + 1, due_at = :due, error = :error, "
            "lease_until = 0 WHERE id = :id AND status = 'pending'",
            id=one.id,
            due=due_at.timestamp(),
            error=error,
        )
        self._attempt(one, "put off", error)

    def given_up(self, one: Delivery, error: str) -> None:
        """Write that it will not be tried again."""
        self._run(
            "UPDATE alert_deliveries SET status = 'dead', attempts = attempts + 1, "
            "error = :error, lease_until = 0 WHERE id = :id AND status = 'pending'",
            id=one.id,
            error=error,
        )
        self._attempt(one, "given up", error)

    def _attempt(self, one: Delivery, outcome: str, said: str) -> None:
        self._run(
            "INSERT INTO alert_attempts (delivery_id, at, outcome, said) "
            "VALUES (:id, :now, :outcome, :said)",
            id=one.id,
            now=self.now.timestamp(),
            outcome=outcome,
            said=said[:2000],
        )

    def last_of(self, dedup_key: str) -> Delivery | None:
        """The newest delivery of an incident."""
        rows = self._rows(
            "SELECT * FROM alert_deliveries WHERE dedup_key = :key ORDER BY id DESC LIMIT 1",
            key=dedup_key,
        )
        return _delivery(rows[0]) if rows else None

    def channels_of(self, dedup_key: str) -> list[tuple[str, str]]:
        """Rule and channel of every message of an incident."""
        rows = self._rows(
            "SELECT DISTINCT rule, channel FROM alert_deliveries WHERE dedup_key = :key "
            "ORDER BY rule, channel",
            key=dedup_key,
        )
        return [(row["rule"], row["channel"]) for row in rows]

    def with_status(self, status: str, limit: int = 50) -> list[Delivery]:
        """The newest deliveries of a status."""
        rows = self._rows(
            "SELECT * FROM alert_deliveries WHERE status = :status ORDER BY id DESC LIMIT :limit",
            status=status,
            limit=limit,
        )
        return [_delivery(row) for row in rows]

    def delivery(self, delivery_id: int) -> Delivery | None:
        """A delivery by its number."""
        rows = self._rows("SELECT * FROM alert_deliveries WHERE id = :id", id=delivery_id)
        return _delivery(rows[0]) if rows else None

    def counted(self) -> dict[str, int]:
        """How many deliveries there are of each status."""
        rows = self._rows("SELECT status, count(*) AS n FROM alert_deliveries GROUP BY status")
        return {row["status"]: int(row["n"]) for row in rows}

    # --- Channels ---------------------------------------------------------------------------------

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

    # --- The room's own state ---------------------------------------------------------------------

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
        return {row["project"]: (_certain(row["since"]), _certain(row["at"])) for row in rows}

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

    def figures(self, since: datetime) -> list[dict[str, Any]]:
        """For each rule and channel since then, how much was told, acknowledged and ignored."""
        unheard = "i.acknowledged_at IS NULL AND i.state"
        rows = self._rows(
            "SELECT d.rule, d.channel, "
            "sum(CASE WHEN d.status <> 'gathered' THEN 1 ELSE 0 END) AS told, "
            "sum(CASE WHEN d.status = 'dead' THEN 1 ELSE 0 END) AS dead, "
            "count(DISTINCT i.dedup_key) AS incidents, "
            "count(DISTINCT CASE WHEN i.acknowledged_at IS NOT NULL THEN i.dedup_key END) "
            "AS acknowledged, "
            f"count(DISTINCT CASE WHEN {unheard} = 'firing' THEN i.dedup_key END) AS ignored, "
            f"count(DISTINCT CASE WHEN {unheard} = 'resolved' THEN i.dedup_key END) "
            "AS by_themselves "
            "FROM alert_deliveries AS d LEFT JOIN alert_incidents AS i "
            "ON i.dedup_key = d.dedup_key WHERE d.created_at > :since "
            "AND d.status IN ('sent', 'pending', 'dead', 'gathered') "
            "GROUP BY d.rule, d.channel ORDER BY told DESC, d.rule, d.channel",
            since=since.timestamp(),
        )
        return [{str(name): value for name, value in row.items()} for row in rows]


def _incident(row: "RowMapping") -> Incident:
    return Incident(
        rule=row["rule"],
        subject=row["subject"],
        dedup_key=row["dedup_key"],
        state=State(row["state"]),
        opened_at=_certain(row["opened_at"]),
        told_at=_certain(row["told_at"]),
        event_id=row["event_id"],
        unheard=row["unheard"],
        repeated=row["repeated"],
        escalated=row["escalated"],
        acknowledged_at=_moment(row["acknowledged_at"]),
        acknowledged_by=row["acknowledged_by"],
        resolved_at=_moment(row["resolved_at"]),
    )


def _delivery(row: "RowMapping", thread: str = "") -> Delivery:
    return Delivery(
        id=row["id"],
        rule=row["rule"],
        channel=row["channel"],
        key=row["key"],
        status=row["status"],
        attempts=row["attempts"],
        dedup_key=row["dedup_key"],
        message=message_from_text(row["message"]),
        created_at=_certain(row["created_at"]),
        due_at=_certain(row["due_at"]),
        thread=thread or row["thread"],
        error=row["error"],
    )


def _kept(value: Any) -> Any:
    """A value as every database keeps it: half letters and the letter NUL are refused by some."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else _certain(seconds)


def _certain(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
