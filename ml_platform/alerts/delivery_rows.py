"""The outbox's rows of what is told: one a rule, event and channel, until it is sent or dead."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml_platform.alerts.codec import message_from_text, message_to_text
from ml_platform.alerts.compose import short_id
from ml_platform.alerts.message import Message
from ml_platform.alerts.rows import Rows, certain, moment
from ml_platform.alerts.worker import is_gone, own_name

if TYPE_CHECKING:
    from sqlalchemy import RowMapping


_JUST_NOW_S = 60.0
"""What waits for less than this is on its way."""


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


class DeliveryRows(Rows):
    """Deliveries, and the receipts of their attempts."""

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
        return moment(rows[0]["due"])

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

    def undelivered(self, project: str) -> int:
        """How many messages of a project's rules are due and not sent, or are dead."""
        rows = self._rows(
            "SELECT count(*) AS n FROM alert_deliveries WHERE (status = 'dead' OR (status = "
            "'pending' AND created_at < :before)) AND substr(rule, 1, :length) = :project",
            before=self.now.timestamp() - _JUST_NOW_S,
            length=len(project) + 1,
            project=f"{project}/",
        )
        return int(rows[0]["n"])

    def counted(self) -> dict[str, int]:
        """How many deliveries there are of each status."""
        rows = self._rows("SELECT status, count(*) AS n FROM alert_deliveries GROUP BY status")
        return {row["status"]: int(row["n"]) for row in rows}

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
        created_at=certain(row["created_at"]),
        due_at=certain(row["due_at"]),
        thread=thread or row["thread"],
        error=row["error"],
    )
