"""The outbox's rows of what happened: events, and what steps told themselves."""

from collections.abc import Iterable

from ml_platform.alerts.codec import event_from_text, event_to_text
from ml_platform.alerts.event import Event
from ml_platform.alerts.rows import Rows


class EventRows(Rows):
    """Events, each once."""

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
