"""From events to deliveries: what the rules of one project make of what its reader has found.

What is pure is in `rules`, `incidents` and `compose`; here it meets the outbox, in one transaction
with the reader's cursor.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ml_platform.alerts.compose import Place, message_of, notice, short_id
from ml_platform.alerts.event import Event
from ml_platform.alerts.incidents import (
    Incident,
    acknowledged,
    next_look,
    reminders,
    settled,
    taken,
)
from ml_platform.alerts.message import Message
from ml_platform.alerts.outbox import Book
from ml_platform.alerts.rules import Rule
from ml_platform.kernel.errors import DataError, NotFoundError

FLOOD_WINDOW = timedelta(minutes=1)
FLOOD_WAIT = timedelta(seconds=30)
"""What comes after the first of a flood is gathered for so long."""


@dataclass(frozen=True)
class Desk:
    """Who tells: a project, its rules, and what messages need to know of the installation.

    Attributes:
        project: whose rules these are.
        rules: the rules.
        place: addresses and the environment's name.
        ack_url: makes the link by which an incident is acknowledged.
        channels: the names of all channels there are, for what a rule's own do not take.
    """

    project: str
    rules: Sequence[Rule]
    place: Place
    ack_url: Callable[[str], str]
    channels: Sequence[str] = ()

    def rule_id(self, rule: Rule) -> str:
        """The rule's name with its project."""
        return f"{self.project}/{rule.name}"


@dataclass
class Tally:
    """What a transaction has made of its events."""

    events: int = 0
    told: int = 0
    held: int = 0
    muted: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Telling:
    """A message that a rule has for its channels, before it is known whether there is a flood."""

    rule: Rule
    message: Message
    status: str
    due_at: datetime


def ingest(book: Book, desk: Desk, events: Iterable[Event]) -> Tally:
    """Write the events that are new, and what is to be told of them.

    Events have to come in the order in which they happened.
    """
    tally = Tally()
    tellings: list[_Telling] = []
    for event in events:
        if event.project != desk.project:  # its own project's reader records it too
            event = replace(event, id=f"{desk.project}:{event.id}")  # noqa: PLW2901 - the same
        told, standing = _settled(book, desk.project, event)
        if told is None or not book.record(told):
            continue
        if standing:
            standing()
        tally.events += 1
        for rule in desk.rules:
            if rule.concerns(told, desk.project):
                tellings += _tellings(book, desk, rule, told, tally)
    for rule in desk.rules:
        own = [one for one in tellings if one.rule is rule]
        _write(book, desk, rule, own, tally)
    return tally


def _settled(
    book: Book, project: str, event: Event
) -> tuple[Event | None, Callable[[], None] | None]:
    """The event as its subject's history makes it; a good sign's standing is written at once."""
    if event.kind.course == "once" and event.type != "schema.changed":
        return event, None
    before = book.standing(project, event.subject)
    told, after = settled(event, before)
    if after == before:
        return told, None

    def keep() -> None:
        book.keep_standing(project, event.subject, after)

    if told is None:
        keep()
        return None, None
    return told, keep


def _tellings(book: Book, desk: Desk, rule: Rule, event: Event, tally: Tally) -> list[_Telling]:
    rule_id = desk.rule_id(rule)
    try:
        wants = rule.wants(event)
    except DataError as error:
        tally.wrong.append(f"rule {rule_id}: {error}")
        return []
    incident = None
    if event.kind.course != "once":
        before = book.incident(rule_id, event.subject)
        if not wants and not (event.kind.course == "ends" and before):
            return []
        key = f"{desk.project}-{short_id(rule_id, event.subject, event.id)}"
        verdict, incident = taken(event, rule, rule_id, before, book.now, key)
        if incident:
            book.keep_incident(incident, next_look(incident, rule))
        if verdict == "quiet" or not wants:
            return []
    elif not wants:
        return []
    return _composed(desk, rule, event, incident, book.now, tally)


def _composed(
    desk: Desk, rule: Rule, event: Event, incident: Incident | None, now: datetime, tally: Tally
) -> list[_Telling]:
    key = incident.dedup_key if incident else f"{desk.project}-{short_id(event.id)}"
    ack_url = desk.ack_url(key) if incident else ""
    message, wrong = message_of(event, rule, desk.place, dedup_key=key, ack_url=ack_url)
    how, due_at = rule.when(event, now)
    status = {"now": "pending", "held": "held", "muted": "muted"}[how]
    made = [_Telling(rule, message, status, due_at)]
    if wrong:
        tally.wrong.append(f"rule {desk.rule_id(rule)}: {wrong}")
        made.append(_Telling(rule, _template_notice(rule, message, wrong, now), "pending", now))
    return made


def _template_notice(rule: Rule, message: Message, wrong: str, now: datetime) -> Message:
    """The rule's owner learns that a template is wrong, once for each template and error."""
    words = short_id(rule.name, rule.title, rule.body, wrong)
    return replace(
        notice(
            "template.failed",
            f"template-{words}",
            f"The template of rule {rule.name} is wrong",
            about=message,
            summary=f"A plain message was sent instead. {wrong}",
            now=now,
        ),
        dedup_key=f"template-{words}",
        owner=rule.owner or message.owner,
    )


def _write(book: Book, desk: Desk, rule: Rule, tellings: list[_Telling], tally: Tally) -> None:
    """Put them before the rule's channels; too many at once are held, to become one message."""
    rule_id = desk.rule_id(rule)
    now_due = [one for one in tellings if one.status == "pending"]
    if not tellings:
        return
    recent = book.told_since(rule_id, book.now - FLOOD_WINDOW) if now_due else 0
    if recent + len(now_due) > rule.flood_over:
        latest = book.now + FLOOD_WAIT
        slot = book.open_slot(rule_id, latest) or latest
        tellings = [
            replace(one, status="held", due_at=slot) if one.status == "pending" else one
            for one in tellings
        ]
    for one in tellings:
        for channel in rule.channels:
            book.deliver(one.message, rule_id, channel, status=one.status, due_at=one.due_at)
        tally.told += one.status == "pending"
        tally.held += one.status == "held"
        tally.muted += one.status == "muted"


def remind(book: Book, desk: Desk) -> int:
    """Tell again, or tell the next, what lasts and nobody has acknowledged; how many messages."""
    by_id = {desk.rule_id(rule): rule for rule in desk.rules}
    count = 0
    for incident in book.incidents_to_look_at(desk.project):
        rule = by_id.get(incident.rule)
        if rule is None:  # the rule is no more, and with it its reminders
            book.keep_incident(incident, None)
            continue
        due, after = reminders(incident, rule, book.now)
        book.keep_incident(after, next_look(after, rule))
        event = book.event(incident.event_id)
        if event is None:
            continue
        plain, _ = message_of(
            event,
            rule,
            desk.place,
            dedup_key=incident.dedup_key,
            ack_url=desk.ack_url(incident.dedup_key),
        )
        for one in due:
            words = "still so" if one.kind == "again" else "nobody has acknowledged"
            message = replace(
                plain,
                event_id=f"{event.id}~{one.kind}{one.number}",
                summary=f"{words.capitalize()}, {_lasting(incident, book.now)}. {plain.summary}",
            )
            count += sum(book.deliver(message, incident.rule, name) for name in one.channels)
    return count


def _lasting(incident: Incident, now: datetime) -> str:
    minutes = int((now - incident.opened_at).total_seconds() // 60)
    return f"{minutes} minutes after it began"


def acknowledge(book: Book, dedup_key: str, by: str) -> tuple[Incident, bool]:
    """Take an incident on: nothing more is repeated, and its channels hear who has it.

    Returns:
        The incident, and whether this call has acknowledged it; somebody may have before, or it
        may be over.

    Raises:
        NotFoundError: there is no incident of this name.
    """
    before = book.incident_of(dedup_key)
    last = book.last_of(dedup_key)
    if before is None or last is None:
        raise NotFoundError(
            f"incident {dedup_key}", "there is none of this name; it may be forgotten by now"
        )
    after = acknowledged(before, by, book.now)
    if after is before:
        return before, False
    book.keep_incident(after, None)
    if last.message.asset_key:
        book.to_be_shown(dedup_key)
    message = replace(
        notice(
            "incident.acknowledged",
            f"{dedup_key}~acknowledged",
            f"Acknowledged by {by}: {last.message.title}",
            about=last.message,
            summary=f"{by} has acknowledged this and looks into it.",
            now=book.now,
        ),
        dedup_key=dedup_key,
    )
    for rule, channel in book.channels_of(dedup_key):
        book.deliver(message, rule, channel)
    return after, True


def elsewhere(
    rule: Rule | None, failed: str, all_channels: Sequence[str], closed: Mapping[str, str]
) -> list[str]:
    """Where to tell that a channel did not take a message."""
    wanted = (rule.fallback if rule else []) or all_channels
    return [name for name in wanted if name != failed and name not in closed]
