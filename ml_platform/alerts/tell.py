"""`tell`: a step says itself what happened; the project's rules decide who hears it.

The event goes into the outbox under its own key before this returns, so a step that is repeated
tells once, and one that is killed afterwards has told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime

from ml_platform.alerts.compose import short_id
from ml_platform.alerts.event import KINDS, OURS, Event
from ml_platform.alerts.installed import outbox_here
from ml_platform.alerts.message import Severity
from ml_platform.alerts.outbox import Outbox
from ml_platform.kernel.errors import DeclarationError, closest


@dataclass(frozen=True, kw_only=True)
class About:
    """What an event that a step tells is about; what does not apply is left out.

    Attributes:
        observed, expected: what was seen, and what should have been, as text.
        elapsed_s: how long it took, in seconds.
        owners: who answers for it: addresses, or `team:name`.
        facts: plain values that conditions may ask for.
        at: when it happened; now by default.
    """

    asset_key: str = ""
    partition: str = ""
    scenario: str = ""
    run_id: str = ""
    observed: str = ""
    expected: str = ""
    elapsed_s: float | None = None
    owners: tuple[str, ...] = ()
    facts: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    at: datetime | None = None


def tell(
    title: str,
    *,
    project: str,
    key: str,
    kind: str = "message",
    summary: str = "",
    severity: Severity | None = None,
    about: About = About(),
    outbox: Outbox | None = None,
) -> bool:
    """Tell of something by the project's rules; it goes out with the next tick of its sensor.

    Args:
        title: what happened, in a few words.
        project: whose rules decide.
        key: names this event within the project; the same key is told once, however often it is
            said. A run's id and the step's name make a good one.
        kind: one of the kinds of events, such as `drift.found` or `scenario.ended`.
        summary: a sentence or two.
        severity: where the kind's own is not right.
        about: what else is known.
        outbox: another than the installation's.

    Returns:
        Whether this is the first time that it is told.

    Raises:
        DeclarationError: there is no such kind.
        UnavailableError: the outbox's database does not answer.
    """
    if kind not in KINDS or kind in OURS:
        raise DeclarationError(
            f"event '{kind}'",
            "there is no such kind",
            allowed=closest(kind, sorted(set(KINDS) - OURS)),
        )
    with (outbox or outbox_here()).book() as book:
        known = {one.name: getattr(about, one.name) for one in fields(About)}
        event = Event(
            **{**known, "at": about.at or book.now},
            id=f"told-{short_id(project, key)}",
            type=kind,
            project=project,
            subject=f"{kind.partition('.')[0]} {about.asset_key or about.scenario or key}",
            what=title,
            summary=summary,
            severity=severity,
        )
        return book.tell(f"{project}\n{key}", event)
