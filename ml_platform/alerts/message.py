"""What is said about an event, before any channel lays it out.

Every channel renders the same `Message`, so that a person reads the same facts wherever they are
told. Its fields are the variables that templates may use.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is, from the least to the worst."""

    info = "info"
    warning = "warning"
    error = "error"
    critical = "critical"

    @property
    def rank(self) -> int:
        """Its place in that order, from 0."""
        return list(Severity).index(self)


class Status(StrEnum):
    """Whether it lasts."""

    firing = "firing"
    resolved = "resolved"


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a message, where the channel can carry one."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One thing to tell. Empty text means that the fact is not known or does not apply.

    Attributes:
        event_id: the event; the same for every rule that tells of it.
        event_type: dotted, such as `check.failed`.
        title: what, where and since when, in at most 100 characters.
        summary: a sentence or two.
        body: what a rule's own template made; in place of the facts, where there is one.
        project, environment: where it happened, such as `demand` in `production`.
        dedup_key: the incident; the same while it fires and when it is resolved.
        rule_id: the rule by which it is told.
        observed, expected: for a check, as text.
        elapsed_s: how long it took, in seconds.
        items: for a digest, what it gathers, the newest last.
        is_sample: it was sent to try a channel out.
        occurred_at: when the event happened.
        version: of these fields.
    """

    event_id: str
    event_type: str
    severity: Severity
    title: str
    status: Status = Status.firing
    summary: str = ""
    body: str = ""
    project: str = ""
    environment: str = ""
    scenario: str = ""
    run_id: str = ""
    run_url: str = ""
    trigger_name: str = ""
    trigger_reason: str = ""
    asset_key: str = ""
    asset_url: str = ""
    partition: str = ""
    check_name: str = ""
    observed: str = ""
    expected: str = ""
    occurred_at: datetime | None = None
    last_ok_at: datetime | None = None
    failure_message: str = ""
    owner: str = ""
    ack_url: str = ""
    runbook_url: str = ""
    started_at: datetime | None = None
    elapsed_s: float | None = None
    dedup_key: str = ""
    rule_id: str = ""
    items: tuple["Message", ...] = ()
    attachments: tuple[Attachment, ...] = ()
    is_sample: bool = False
    version: int = 1
