"""What a rule says: which events it tells, whom, and when. Pure; `incidents` says what lasts."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ml_platform.alerts.event import KINDS, OURS, USUAL, Event, kinds_like
from ml_platform.alerts.message import Severity
from ml_platform.alerts.templates import checked_template
from ml_platform.alerts.timing import Digest, Part, QuietHours, Window, in_maintenance
from ml_platform.kernel.errors import DeclarationError, closest
from ml_platform.kernel.expression import Expression, compiled

CONDITION_NAMES = (
    "event_type", "severity", "project", "asset_key", "partition", "check_name", "owner", "owners",
    "tags", "run_id", "job", "scenario", "trigger_name", "outcome", "observed",
    "expected", "failure_message", "elapsed_s", "failures", "facts",
)  # fmt: skip
"""What a condition may ask; `facts` holds what only some kinds of events say."""


class Escalation(Part):
    """Whom to tell when nobody has acknowledged."""

    after_min: float = Field(gt=0, description="Minutes after it began.")
    channels: list[str] = Field(description="The channels that are told then.", min_length=1)


class Rule(BaseModel):
    """Which events are told to whom, and when."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="What it is called, like failed-checks.", pattern=r"^[\w.-]+$")
    description: str = Field(default="", description="What it is for, in a sentence.")
    active: bool = Field(default=True, description="Whether it tells anything.")
    events: list[str] = Field(
        default=list(USUAL),
        description="The kinds of events, whole or with a star: check.failed, run.*; without it, "
        "what broke and what is whole again.",
        min_length=1,
    )
    assets: list[str] = Field(
        default=["*"], description="The assets, by key or with stars: raw/*, models/demand."
    )
    checks: list[str] = Field(default=["*"], description="The checks, by name or with stars.")
    projects: list[str] = Field(
        default=[], description="Other projects to tell of, or *; without it, its own."
    )
    owners: list[str] = Field(default=[], description="Only assets that one of these owns.")
    tags: dict[str, str] = Field(default={}, description="Only assets or runs with these tags.")
    min_severity: Severity = Field(
        default=Severity.info, description="Nothing that is less bad; an end is told all the same."
    )
    condition: str = Field(
        default="", description="An expression that has to be true, like failures > 2."
    )
    severity: Severity | None = Field(
        default=None, description="How bad it is, in place of what the event says."
    )
    runs: Literal["own", "all"] = Field(
        default="own",
        description="Whether runs that a scenario's step has started are told too (all), or only "
        "by the scenario, as a part of its own run.",
    )
    channels: list[str] = Field(description="Where it is told.", min_length=1)
    fallback: list[str] = Field(
        default=[],
        description="Where it is told that a channel did not take a message; without it, "
        "everywhere else.",
    )
    owner: str = Field(default="", description="Who answers for the rule; stands in the message.")
    runbook_url: str = Field(default="", description="A page that says what to do.")
    title: str = Field(default="", description="A template for the title, in place of ours.")
    body: str = Field(default="", description="A template for the text, in place of the facts.")
    repeats: Literal["each", "first"] = Field(
        default="each", description="Whether each failure is told, or the first until it is over."
    )
    consecutive_failure_threshold: int = Field(
        default=1, ge=1, le=100, description="How many failures in a row it takes."
    )
    throttle_min: float = Field(
        default=0, ge=0, description="Minutes without another message of the same incident."
    )
    flood_over: int = Field(
        default=20, ge=1, description="More messages than this in a minute become one digest."
    )
    digest: Digest | None = Field(default=None, description="Gather instead of telling at once.")
    quiet_hours: QuietHours | None = Field(default=None, description="When nobody is disturbed.")
    maintenance: Sequence[Window] = Field(default=[], description="Times of which nothing is told.")
    renotify_after_min: float | None = Field(
        default=None, gt=0, description="Minutes after which it is told again while it lasts."
    )
    escalate: Sequence[Escalation] = Field(
        default=[], description="Whom to tell when nobody has acknowledged."
    )
    run_longer_than_min: float = Field(
        default=60, gt=0, description="From how many minutes on a run takes long, for run.too_long."
    )

    @field_validator("events")
    @classmethod
    def _are_kinds(cls, value: list[str]) -> list[str]:
        for pattern in value:
            if not kinds_like([pattern]) - OURS:
                raise DeclarationError(
                    f"event '{pattern}'",
                    "there is no such kind",
                    allowed=closest(pattern, sorted(set(KINDS) - OURS)),
                )
        return value

    @field_validator("condition")
    @classmethod
    def _is_an_expression(cls, value: str) -> str:
        if value:
            compiled(value, CONDITION_NAMES)
        return value

    @field_validator("title", "body")
    @classmethod
    def _is_a_template(cls, value: str) -> str:
        if value:
            checked_template(value)
        return value

    @model_validator(mode="after")
    def _can_end(self) -> "Rule":
        if self.escalate and sorted(one.after_min for one in self.escalate) != [
            one.after_min for one in self.escalate
        ]:
            raise ValueError("`escalate` goes from the earliest to the latest")
        return self

    @functools.cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of events that it tells."""
        return kinds_like(self.events) - OURS

    @functools.cached_property
    def _condition(self) -> Expression | None:
        return compiled(self.condition, CONDITION_NAMES) if self.condition else None

    def severity_of(self, event: Event) -> Severity:
        """How bad an event is by this rule; an end never is."""
        own = event.severity or event.kind.severity
        return own if event.kind.course == "ends" else self.severity or own

    def concerns(self, event: Event, project: str) -> bool:
        """Whether the event is about what the rule of `project` looks at, whatever its kind."""
        return (
            self.active
            and _matches(event.project, self.projects or [project])
            and (not event.asset_key or _matches(event.asset_key, self.assets))
            and (not event.check_name or _matches(event.check_name, self.checks))
            and (bool(event.asset_key) or self.assets == ["*"])
            and (not self.owners or bool(set(self.owners) & set(event.owners)))
            and self.tags.items() <= dict(event.tags).items()
        )

    def wants(self, event: Event) -> bool:
        """Whether the rule tells such an event, if it concerns it.

        Raises:
            DataError: the condition asks for something that this event does not have.
        """
        if event.type not in self.kinds or self._is_told_above(event):
            return False
        if event.kind.course == "ends":
            return True
        if self.severity_of(event).rank < self.min_severity.rank:
            return False
        if event.failures < self.consecutive_failure_threshold and event.kind.course == "begins":
            return False
        if event.type == "scenario.ended" and self._tells_its_run(event):
            return False
        return self._condition is None or self._condition.holds(self.asked(event))

    def _is_told_above(self, event: Event) -> bool:
        """Whether it is of a run that is a part of a scenario's, which tells for both."""
        return self.runs == "own" and event.family == "run" and bool(event.facts.get("parent_run"))

    def _tells_its_run(self, event: Event) -> bool:
        """Whether it tells already that the scenario's run broke off, and does not name both."""
        run = f"run.{event.facts.get('run_status')}"
        if run not in self.kinds or {run, event.type} <= set(self.events):
            return False
        # What the run is a part of tells for it, and is the same to this rule.
        facts = {**event.facts, "parent_run": ""}
        return self.wants(replace(event, type=run, severity=None, facts=facts))

    def asked(self, event: Event) -> dict[str, Any]:
        """What the condition is told of an event."""
        found = {name: getattr(event, name) for name in CONDITION_NAMES if hasattr(event, name)}
        return {
            **found,
            "event_type": event.type,
            "severity": self.severity_of(event).value,
            "owner": event.owners[0] if event.owners else "",
            "owners": list(event.owners),
        }

    def when(self, event: Event, now: datetime) -> tuple[Literal["now", "held", "muted"], datetime]:
        """Whether an event is told now, or held until a time, or not at all."""
        if in_maintenance(self.maintenance, event.at):
            return "muted", now
        if self.digest:
            return "held", self.digest.next_after(now)
        quiet = self.quiet_hours
        if quiet and self.severity_of(event).rank < quiet.except_from.rank:
            end = quiet.end_at(now)
            if end:
                return "held", end
        return "now", now


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
