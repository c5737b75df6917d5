"""What lasts: from the first failure to its end, told and acknowledged on the way.

Pure. A `Standing` is what is known of a subject (is it bad, since when), whoever is told; an
`Incident` is what one rule has told of it.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from ml_platform.alerts.event import Event
from ml_platform.alerts.rules import Rule


@dataclass(frozen=True)
class Standing:
    """What is known of a subject.

    Attributes:
        order: the place in the event log of what was last seen of it.
        bad_since: when it went bad; None while it is good.
        failures: how many times in a row it has failed.
        last_ok_at: when it was last seen good.
        value: what is remembered for comparison, such as its columns.
    """

    order: int = 0
    bad_since: datetime | None = None
    failures: int = 0
    last_ok_at: datetime | None = None
    value: str = ""


def settled(event: Event, standing: Standing) -> tuple[Event | None, Standing]:
    """The event as the subject's history makes it, and the standing after it.

    A good sign is an event only after a bad one. What is read twice, or is older than what was
    seen of the subject already, changes nothing; an older failure is told all the same.
    """
    if event.type == "schema.changed":
        return _compared(event, standing)
    course = event.kind.course
    if course == "once":
        return event, standing
    return (_ended if course == "ends" else _begun)(event, standing)


def _ended(event: Event, standing: Standing) -> tuple[Event | None, Standing]:
    if _is_old(event, standing):
        return None, standing
    after = replace(
        standing, order=_later(event, standing), bad_since=None, failures=0, last_ok_at=event.at
    )
    if standing.bad_since is None:
        # A run is good once and never again, so there is nothing to remember it for.
        return None, (standing if event.family == "run" else after)
    return replace(event, started_at=standing.bad_since), after


def _begun(event: Event, standing: Standing) -> tuple[Event | None, Standing]:
    if _is_old(event, standing):
        return replace(event, last_ok_at=standing.last_ok_at), standing
    since = standing.bad_since or event.started_at or event.at
    failures = standing.failures + 1
    after = replace(standing, order=_later(event, standing), bad_since=since, failures=failures)
    last_ok_at = event.last_ok_at or standing.last_ok_at
    return replace(event, failures=failures, started_at=since, last_ok_at=last_ok_at), after


def _is_old(event: Event, standing: Standing) -> bool:
    return 0 < event.order <= standing.order


def _later(event: Event, standing: Standing) -> int:
    return max(event.order, standing.order)


def _compared(event: Event, standing: Standing) -> tuple[Event | None, Standing]:
    """Columns that are as before are no event; the first ones seen are only remembered."""
    if _is_old(event, standing) or event.observed == standing.value:
        return None, standing
    after = replace(standing, order=_later(event, standing), value=event.observed)
    if not standing.value:
        return None, after
    before, now = json.loads(standing.value), json.loads(event.observed)
    changes = [
        *(f"{name} is new ({now[name]})" for name in now if name not in before),
        *(f"{name} is gone (was {before[name]})" for name in before if name not in now),
        *(
            f"{name} is {now[name]} (was {before[name]})"
            for name in now
            if name in before and before[name] != now[name]
        ),
    ]
    said = "; ".join(changes) or "their order is another"
    return replace(event, observed=said, expected="as before", summary=f"Columns: {said}."), after


class State(StrEnum):
    """How an incident stands."""

    firing = "firing"
    acknowledged = "acknowledged"
    resolved = "resolved"


@dataclass(frozen=True)
class Incident:
    """What one rule has told of one subject.

    Attributes:
        rule: the rule, `<project>/<name>`.
        subject: what it is about.
        dedup_key: its name; another one after it was resolved and begins anew.
        opened_at: when it was first told.
        told_at: when it was last told.
        unheard: how many events were not told, by throttle or `repeats: first`.
        repeated: how many times it was told again without a new event.
        escalated: how many steps of the rule's escalation were taken.
    """

    rule: str
    subject: str
    dedup_key: str
    state: State
    opened_at: datetime
    told_at: datetime
    event_id: str = ""
    unheard: int = 0
    repeated: int = 0
    escalated: int = 0
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    resolved_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.state is not State.resolved


Verdict = Literal["tell", "quiet"]


def taken(
    event: Event, rule: Rule, rule_id: str, incident: Incident | None, now: datetime, new_key: str
) -> tuple[Verdict, Incident | None]:
    """Whether the rule tells an event that it wants, and the incident after it.

    Args:
        event: something that begins or ends; what is over with itself has no incident.
        rule: by which it is told.
        rule_id: the rule's name with its project.
        incident: the subject's last one by this rule.
        now: the present moment.
        new_key: the name of a new incident, should one begin.
    """
    is_open = incident is not None and incident.is_open
    if event.kind.course == "ends":
        if incident is None or not is_open:
            # A rule that tells only ends has no incidents, and tells them all.
            tells_beginnings = any(k.startswith(f"{event.family}.") for k in _begin(rule))
            return ("quiet" if tells_beginnings else "tell"), incident
        return "tell", replace(
            incident, state=State.resolved, resolved_at=now, told_at=now, event_id=event.id
        )
    throttled = (
        incident is not None
        and rule.throttle_min > 0
        and now < incident.told_at + timedelta(minutes=rule.throttle_min)
    )
    if incident is not None and (throttled or (is_open and rule.repeats == "first")):
        return "quiet", replace(incident, unheard=incident.unheard + 1)
    if incident is not None and is_open:
        return "tell", replace(incident, told_at=now, event_id=event.id)
    return "tell", Incident(rule_id, event.subject, new_key, State.firing, now, now, event.id)


def _begin(rule: Rule) -> set[str]:
    from ml_platform.alerts.event import KINDS

    return {kind for kind in rule.kinds if KINDS[kind].course == "begins"}


def acknowledged(incident: Incident, by: str, now: datetime) -> Incident:
    """The incident after somebody has taken it on; nothing changes if it is over or was taken."""
    if incident.state is not State.firing:
        return incident
    return replace(incident, state=State.acknowledged, acknowledged_at=now, acknowledged_by=by)


@dataclass(frozen=True)
class Reminder:
    """Something to tell again: to the rule's channels, or to those of an escalation."""

    kind: Literal["again", "escalation"]
    number: int
    channels: tuple[str, ...]


def reminders(incident: Incident, rule: Rule, now: datetime) -> tuple[list[Reminder], Incident]:
    """What is due while an incident lasts and nobody has acknowledged it, and it after that."""
    if incident.state is not State.firing or not rule.active:
        return [], incident
    due: list[Reminder] = []
    for number, step in enumerate(rule.escalate, start=1):
        after = incident.opened_at + timedelta(minutes=step.after_min)
        if number > incident.escalated and now >= after:
            due.append(Reminder("escalation", number, tuple(step.channels)))
            incident = replace(incident, escalated=number)
    again = rule.renotify_after_min
    if again and now >= incident.told_at + timedelta(minutes=again):
        number = incident.repeated + 1
        due.append(Reminder("again", number, tuple(rule.channels)))
        incident = replace(incident, repeated=number, told_at=now)
    return due, incident


def next_look(incident: Incident, rule: Rule) -> datetime | None:
    """When something may be due for an incident; None when nothing will be."""
    if incident.state is not State.firing:
        return None
    times = [
        incident.opened_at + timedelta(minutes=step.after_min)
        for step in rule.escalate[incident.escalated :]
    ]
    if rule.renotify_after_min:
        times.append(incident.told_at + timedelta(minutes=rule.renotify_after_min))
    return min(times, default=None)
