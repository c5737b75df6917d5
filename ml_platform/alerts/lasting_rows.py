"""The outbox's rows of what lasts: how each subject stands, and the incidents of each rule."""

from datetime import datetime
from typing import TYPE_CHECKING

from ml_platform.alerts.incidents import Incident, Standing, State
from ml_platform.alerts.rows import Rows, certain, moment, seconds

if TYPE_CHECKING:
    from sqlalchemy import RowMapping


class LastingRows(Rows):
    """Standings by project and subject, incidents by rule and subject."""

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
            bad_since=moment(row["bad_since"]),
            failures=row["failures"],
            last_ok_at=moment(row["last_ok_at"]),
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
            bad_since=seconds(standing.bad_since),
            failures=standing.failures,
            last_ok_at=seconds(standing.last_ok_at),
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
            acknowledged_at=seconds(one.acknowledged_at),
            acknowledged_by=one.acknowledged_by,
            resolved_at=seconds(one.resolved_at),
            look_at=seconds(look_at),
        )

    def to_be_shown(self, dedup_key: str) -> None:
        """An acknowledgement is to be shown in the UI by the next tick of the project's sensor."""
        self._run("UPDATE alert_incidents SET is_shown = 0 WHERE dedup_key = :key", key=dedup_key)

    def unshown(self, project: str) -> list[Incident]:
        """The acknowledgements that the UI does not show yet."""
        rows = self._rows("SELECT * FROM alert_incidents WHERE is_shown = 0")
        return [_incident(row) for row in rows if row["rule"].startswith(f"{project}/")]

    def shown(self, one: Incident) -> None:
        """Write that the UI shows who has acknowledged an incident."""
        self._run(
            "UPDATE alert_incidents SET is_shown = 1 WHERE rule = :rule AND subject = :subject",
            rule=one.rule,
            subject=one.subject,
        )


def _incident(row: "RowMapping") -> Incident:
    return Incident(
        rule=row["rule"],
        subject=row["subject"],
        dedup_key=row["dedup_key"],
        state=State(row["state"]),
        opened_at=certain(row["opened_at"]),
        told_at=certain(row["told_at"]),
        event_id=row["event_id"],
        unheard=row["unheard"],
        repeated=row["repeated"],
        escalated=row["escalated"],
        acknowledged_at=moment(row["acknowledged_at"]),
        acknowledged_by=row["acknowledged_by"],
        resolved_at=moment(row["resolved_at"]),
    )
