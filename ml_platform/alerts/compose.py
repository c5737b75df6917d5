"""From what happened to what is told: titles, sentences, links, digests."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from ml_platform.alerts.event import KINDS, Event
from ml_platform.alerts.message import Message, Severity, Status
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.templates import rendered
from ml_platform.kernel.errors import DataError

LONGEST_TITLE = 100
MOST_ITEMS = 200
"""A digest names so many; how many there are it says in any case."""


@dataclass(frozen=True)
class Place:
    """What links and titles need to know of the installation."""

    ui_url: str = "http://127.0.0.1:3000"
    environment: str = "local"


def message_of(
    event: Event, rule: Rule, place: Place, *, dedup_key: str = "", ack_url: str = ""
) -> tuple[Message, str]:
    """The message by which a rule tells an event, and what was wrong with its templates."""
    kind = event.kind
    plain = Message(
        event_id=event.id,
        event_type=event.type,
        severity=rule.severity_of(event),
        status=Status.resolved if kind.course == "ends" else Status.firing,
        title=titled(event, place.environment),
        summary=event.summary or _summary(event),
        project=event.project,
        environment=place.environment,
        scenario=event.scenario,
        run_id=event.run_id,
        run_url=f"{place.ui_url}/runs/{event.run_id}" if event.run_id else "",
        trigger_name=event.trigger_name,
        trigger_reason=event.trigger_reason,
        asset_key=event.asset_key,
        asset_url=f"{place.ui_url}/assets/{event.asset_key}" if event.asset_key else "",
        partition=event.partition,
        check_name=event.check_name,
        observed=event.observed,
        expected=event.expected,
        last_ok_at=event.last_ok_at,
        failure_message=event.failure_message,
        owner=rule.owner or ", ".join(event.owners),
        ack_url=ack_url if kind.course == "begins" else "",
        runbook_url=rule.runbook_url,
        occurred_at=event.at,
        started_at=event.started_at or (event.at if kind.course == "begins" else None),
        elapsed_s=event.elapsed_s,
        dedup_key=dedup_key,
        rule_id=rule.name,
    )
    return in_own_words(plain, rule)


def in_own_words(plain: Message, rule: Rule) -> tuple[Message, str]:
    """The message with the rule's templates; a plain one, and the error, where they fail."""
    try:
        title = rendered(rule.title, plain) if rule.title else plain.title
        body = rendered(rule.body, plain) if rule.body else ""
    except DataError as error:
        return plain, str(error)
    return replace(plain, title=cut(" ".join(title.split())) or plain.title, body=body), ""


def titled(event: Event, environment: str) -> str:
    """What, where and since when, with project and environment, in a hundred characters."""
    since = event.started_at or event.at
    start = f"[{event.project}/{environment}] {event.kind.sentence}: "
    end = f" ({event.partition})" if event.partition else ""
    end += f", since {since:%m-%d %H:%M} UTC" if event.kind.course == "begins" else ""
    return cut(cut(start + event.what, LONGEST_TITLE - len(end)) + end)


def _summary(event: Event) -> str:
    sentence = f"{event.kind.sentence}: {event.what}."
    if event.observed or event.expected:
        sentence += f" Observed {event.observed or '-'}, expected {event.expected or '-'}."
    if event.failures > 1:
        sentence += f" It is number {event.failures} in a row."
    return sentence


def cut(text: str, length: int = LONGEST_TITLE) -> str:
    """The text, with its end cut off where it is too long."""
    return text if len(text) <= length else text[: max(0, length - 1)].rstrip() + "…"


def digest_of(
    messages: Sequence[Message], count: int, rule_id: str, key: str, place: Place
) -> Message:
    """One message for many, the newest last; `messages` may be the newest of `count`."""
    worst = max(messages, key=lambda one: one.severity.rank).severity
    kinds = Counter(KINDS[one.event_type].sentence for one in messages)
    resolved = sum(one.status is Status.resolved for one in messages)
    listed = ", ".join(f"{number} x {sentence}" for sentence, number in kinds.most_common(5))
    projects = ", ".join(sorted({one.project for one in messages if one.project}))
    newest = list(messages)[-MOST_ITEMS:]
    more = f" These are the newest {len(newest)}." if count > len(newest) else ""
    return Message(
        event_id=key,
        event_type="digest",
        severity=worst,
        status=Status.resolved if resolved == len(messages) else Status.firing,
        title=cut(f"[{projects}/{place.environment}] {count} messages of rule {rule_id}"),
        summary=f"{listed}.{more}",
        project=projects,
        environment=place.environment,
        occurred_at=newest[-1].occurred_at,
        started_at=_first(messages),
        dedup_key=key,
        rule_id=rule_id,
        owner=newest[-1].owner,
        items=tuple(newest),
    )


def _first(messages: Sequence[Message]) -> datetime | None:
    return min((one.started_at for one in messages if one.started_at), default=None)


def notice(
    event_type: str, key: str, sentence: str, *, about: Message, summary: str, now: datetime
) -> Message:
    """A message of our own about another: it was acknowledged, it could not be delivered."""
    return Message(
        **{name: getattr(about, name) for name in _KEPT},
        event_id=key,
        event_type=event_type,
        severity=KINDS[event_type].severity,
        title=cut(f"[{about.project}/{about.environment}] {sentence}"),
        summary=summary,
        occurred_at=now,
    )


_KEPT = (
    *("project", "environment", "asset_key", "asset_url", "run_id", "run_url"),
    *("owner", "dedup_key", "rule_id"),
)
"""What a message about another has in common with it."""


def short_id(*parts: str) -> str:
    """A short name for what these parts say together; the same parts give the same."""
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def sample_event(now: datetime, project: str = "demand") -> Event:
    """An event that did not happen, to try rules and channels out."""
    return Event(
        id=short_id("sample", now.isoformat()),
        type="check.failed",
        at=now,
        project=project,
        subject="sample",
        what="raw/sales schema",
        asset_key="raw/sales",
        check_name="schema",
        observed="812 rows",
        expected="at least 10,000 rows",
        owners=("team:sample",),
        severity=Severity.error,
        summary="This is a sample: nothing is wrong with raw/sales.",
    )
