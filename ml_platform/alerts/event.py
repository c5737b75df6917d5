"""What can happen that somebody may want to be told: the kinds of events, and one that happened.

Nothing here knows Dagster, rules or channels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from ml_platform.alerts.message import Severity

Course = Literal["begins", "ends", "once"]
"""Whether an event begins something that lasts, ends it, or is over with itself."""


@dataclass(frozen=True)
class Kind:
    """A kind of event: how bad it is unless a rule says otherwise, its course, its sentence."""

    severity: Severity
    course: Course
    sentence: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "check.failed": Kind(Severity.error, "begins", "Check failed"),
        "check.warned": Kind(Severity.warning, "begins", "Check warned"),
        "check.crashed": Kind(Severity.error, "begins", "Check gave no answer"),
        "check.recovered": Kind(Severity.info, "ends", "Check passes again"),
        "run.failed": Kind(Severity.error, "begins", "Run failed"),
        "run.canceled": Kind(Severity.warning, "once", "Run canceled"),
        "run.retried": Kind(Severity.warning, "once", "Run failed and is repeated"),
        "run.too_long": Kind(Severity.warning, "begins", "Run takes long"),
        "run.recovered": Kind(Severity.info, "ends", "Run succeeded after all"),
        "asset.failed": Kind(Severity.error, "begins", "Not made"),
        "asset.recovered": Kind(Severity.info, "ends", "Made again"),
        "freshness.warned": Kind(Severity.warning, "begins", "Getting stale"),
        "freshness.failed": Kind(Severity.error, "begins", "Stale"),
        "freshness.recovered": Kind(Severity.info, "ends", "Fresh again"),
        "tick.failed": Kind(Severity.error, "begins", "Tick failed"),
        "tick.recovered": Kind(Severity.info, "ends", "Ticks again"),
        "backfill.failed": Kind(Severity.error, "once", "Backfill failed"),
        "backfill.finished": Kind(Severity.info, "once", "Backfill finished"),
        "location.gone": Kind(Severity.critical, "begins", "Code location is gone"),
        "location.back": Kind(Severity.info, "ends", "Code location is back"),
        "declaration.broken": Kind(Severity.error, "begins", "Broken declaration"),
        "declaration.mended": Kind(Severity.info, "ends", "Declaration is whole again"),
        "schema.changed": Kind(Severity.warning, "once", "Columns changed"),
        "model.champion": Kind(Severity.info, "once", "New champion"),
        "model.rejected": Kind(Severity.warning, "once", "Challenger rejected"),
        "drift.found": Kind(Severity.warning, "begins", "Drift"),
        "drift.over": Kind(Severity.info, "ends", "No drift any more"),
        "quota.near": Kind(Severity.warning, "once", "Near a quota"),
        "scenario.started": Kind(Severity.info, "once", "Scenario started"),
        "scenario.ended": Kind(Severity.info, "once", "Scenario ended"),
        "message": Kind(Severity.info, "once", "Message"),
        "delivery.dead": Kind(Severity.error, "once", "A message could not be delivered"),
        "channel.closed": Kind(Severity.critical, "once", "A channel is closed"),
        "template.failed": Kind(Severity.warning, "once", "A rule's template is wrong"),
        "event.unreadable": Kind(Severity.warning, "once", "An event could not be read"),
        "incident.acknowledged": Kind(Severity.info, "once", "Acknowledged"),
    }
)
"""Every kind by its name, `<family>.<what>`."""

OURS = frozenset({"delivery.dead", "channel.closed", "template.failed", "incident.acknowledged"})
"""Kinds that concern the telling itself: they go where they have to, by no rule of their own."""

USUAL = (
    "check.failed", "check.crashed", "check.recovered",
    "run.failed", "run.recovered",
    "freshness.failed", "freshness.recovered",
    "tick.failed", "tick.recovered",
    "backfill.failed",
    "location.gone", "location.back",
    "declaration.broken", "declaration.mended",
    "event.unreadable",
)  # fmt: skip
"""What a rule tells when it does not say: what broke, and that it is whole again."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        id: the same however often it is read; two events never share one.
        type: a name in `KINDS`.
        at: when.
        project: whose it is.
        subject: what it is about, such as `check raw/sales schema`; a beginning and its end share
            it.
        what: the subject in the words of a title.
        order: the place in the event log, to tell the later of two; 0 for what has none.
        owners: who answers for the asset: addresses, or `team:name`.
        tags: of the asset, or of the run where there is no asset.
        outcome: how a run or a scenario has ended: success, warning, failed or canceled.
        failures: how many times in a row it has failed by now, itself included.
        severity: where the event itself knows better than its kind.
        facts: what else conditions and templates may ask, plain values by name.
    """

    id: str
    type: str
    at: datetime
    project: str
    subject: str
    what: str
    order: int = 0
    summary: str = ""
    asset_key: str = ""
    partition: str = ""
    check_name: str = ""
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    job: str = ""
    scenario: str = ""
    trigger_name: str = ""
    trigger_reason: str = ""
    outcome: str = ""
    observed: str = ""
    expected: str = ""
    failure_message: str = ""
    started_at: datetime | None = None
    last_ok_at: datetime | None = None
    elapsed_s: float | None = None
    failures: int = 1
    severity: Severity | None = None
    facts: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What is known of all events of its type."""
        return KINDS[self.type]

    @property
    def family(self) -> str:
        """The first word of its type."""
        return self.type.partition(".")[0]


def kinds_like(patterns: Iterable[str]) -> frozenset[str]:
    """The kinds that match any of the patterns, `check.*` or a whole name."""
    from fnmatch import fnmatchcase

    return frozenset(kind for kind in KINDS for pattern in patterns if fnmatchcase(kind, pattern))
