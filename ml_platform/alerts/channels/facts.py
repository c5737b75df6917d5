"""What a message tells, in the words and the order that every channel shares.

Labels, links, times and the layout of a digest are decided here; no channel's markup is.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ml_platform.alerts.channels.text import line, lines, shown_url
from ml_platform.alerts.message import Attachment, Message, Severity, Status

NEWEST = 20
"""How many messages of a digest are named."""

_SEVERAL_LINES = {"summary", "body", "failure_message"}
IDENTITIES = frozenset({"dedup_key", "event_id"})
"""The fields that say which event and which incident: equal or not, letter by letter."""

_LONGEST_IDENTITY = 200
_SHORT_RUN = 8
_LONGEST_S = 1e9
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

COLOURS: Mapping[str, str] = {
    "info": "#2563EB",
    "warning": "#B54708",
    "error": "#D92D20",
    "critical": "#912018",
    "resolved": "#067647",
}
"""The colour of each severity and of what is resolved; each is readable under white letters."""


@dataclass(frozen=True)
class Fact:
    """A label and a value; `url` where the value leads somewhere."""

    label: str
    value: str
    url: str = ""


@dataclass(frozen=True)
class Link:
    """Something to press."""

    label: str
    url: str


@dataclass(frozen=True)
class Title:
    """One message of a digest."""

    severity: str
    text: str
    url: str


@dataclass(frozen=True)
class Digest:
    """What several messages come to: how many of which severity and rule, the newest, the rest."""

    counts: tuple[tuple[str, str, int], ...]
    newest: tuple[Title, ...]
    more: int


def cleaned(message: Message) -> Message:
    """The message as any receiver can take it: see `text.lines`; what is one line has one line."""
    clean: dict[str, Any] = {
        one.name: _cleaned_field(one.name, getattr(message, one.name)) for one in fields(message)
    }
    return replace(message, **clean)


def _cleaned_field(name: str, value: object) -> object:
    if name == "items" and isinstance(value, tuple):
        return tuple(cleaned(item) for item in value)
    if name == "attachments" and isinstance(value, tuple):
        return tuple(_cleaned_attachment(one) for one in value)
    # An enum is a str too.
    if type(value) is not str:
        return value
    if name in IDENTITIES:
        return identity(value)
    if name.endswith("_url"):
        return shown_url(value)
    return lines(value) if name in _SEVERAL_LINES else line(value)


def _cleaned_attachment(one: Attachment) -> Attachment:
    # A name is a name, not a place to write to.
    name = line(one.name).replace("\\", "/").rpartition("/")[2].strip(". ")
    return replace(one, name=name or "attachment")


def identity(text: str) -> str:
    """The identity as it is, or, where no receiver could take it, a short one of its own."""
    if text.isprintable() and len(text) <= _LONGEST_IDENTITY:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{line(text)[:60]}#{mark}"


def kind(message: Message) -> str:
    """`resolved`, or the severity: what the colour and the first word say."""
    return "resolved" if message.status is Status.resolved else message.severity.value


def place(message: Message) -> str:
    """Project and environment, as in `demand/production`."""
    return "/".join(filter(None, (message.project, message.environment)))


def headline(message: Message) -> str:
    """The one line by which a message is recognised: `[demand/production][ERROR] title`."""
    title = message.title or message.event_type
    where = place(message)
    before = f"[{where}]" if where and where not in title else ""
    test = "[TEST]" if message.is_sample else ""
    return f"{before}{test}[{kind(message).upper()}] {title}"


def facts(message: Message, zone: ZoneInfo) -> list[Fact]:
    """What is known, the most wanted first."""
    texts = (
        Fact("Asset", message.asset_key, message.asset_url),
        Fact("Partition", message.partition),
        Fact("Check", message.check_name),
        Fact("Observed", message.observed),
        Fact("Expected", message.expected),
        Fact("Scenario", message.scenario),
        Fact("Run", message.run_id[:_SHORT_RUN], message.run_url),
        Fact("Trigger", ": ".join(filter(None, (message.trigger_name, message.trigger_reason)))),
        Fact("Project", place(message).replace("/", " / ")),
        Fact("Owner", message.owner),
        Fact("When", moment(message.occurred_at, zone)),
        Fact("Started", moment(message.started_at, zone)),
        Fact("Took", elapsed(message.elapsed_s)),
        Fact("Last good", moment(message.last_ok_at, zone)),
    )
    return [one for one in texts if one.value]


def links(message: Message) -> list[Link]:
    """Where a reader can go from here, the most wanted first."""
    possible = (
        Link("Open run", message.run_url),
        Link("Open asset", message.asset_url),
        Link("Acknowledge", message.ack_url if message.status is Status.firing else ""),
        Link("Runbook", message.runbook_url),
    )
    return [one for one in possible if one.url]


def origin(message: Message) -> str:
    """The rule and the event, for who wants to change the one or look for the other."""
    rule = f"rule {message.rule_id}" if message.rule_id else ""
    gathered = f"{len(message.items)} messages" if message.items else ""
    return " · ".join(filter(None, (message.event_type, gathered, rule)))


def digest(message: Message) -> Digest:
    """The items of a digest, counted by kind and rule, the newest first."""
    counted = Counter((kind(one), one.rule_id or message.rule_id) for one in message.items)
    counts = sorted(((*what, n) for what, n in counted.items()), key=_worst_first)
    newest = tuple(
        Title(kind(one), one.title or one.event_type, first_url(one))
        for one in reversed(message.items[-NEWEST:])
    )
    return Digest(tuple(counts), newest, max(0, len(message.items) - NEWEST))


def _worst_first(count: tuple[str, str, int]) -> tuple[int, int, str]:
    word, rule, n = count
    rank = Severity(word).rank if word in list(Severity) else -1
    return -rank, -n, rule


def first_url(message: Message) -> str:
    """Where the whole story is; empty where no page tells it."""
    return next((one.url for one in links(message)), "")


def moment(at: datetime | None, zone: ZoneInfo) -> str:
    """A time in the readers' zone and in UTC.

    >>> moment(datetime(2026, 8, 19, 2, 14, tzinfo=UTC), ZoneInfo("Asia/Seoul"))
    '2026-08-19 11:14 KST (2026-08-19 02:14 UTC)'
    """
    if at is None:
        return ""
    utc = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    said = f"{utc:%Y-%m-%d %H:%M} UTC"
    here = utc.astimezone(zone)
    return said if here.tzname() == "UTC" else f"{here:%Y-%m-%d %H:%M} {here.tzname()} ({said})"


def elapsed(seconds: float | None) -> str:
    """A time as people say it.

    >>> elapsed(4), elapsed(75), elapsed(7500), elapsed(200_000)
    ('4 s', '1 min 15 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds is None or not 0 <= seconds < _LONGEST_S:
        return ""
    rest = round(seconds)
    words: list[str] = []
    for size, unit in (*_UNITS, (1, "s")):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not words):
            words.append(f"{count} {unit}")
    return " ".join(words[:2])
