"""The Dagster sensor `alerts` of a project: read, write down, tell; every five seconds.

A tick keeps nothing in its own cursor: how far it has come is written with the rows that it made,
in one transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import dagster as dg

from ml_platform.alerts.channels.channel import Channel
from ml_platform.alerts.delivery import Sent, deliver
from ml_platform.alerts.event import Event
from ml_platform.alerts.installed import ack_url, known_channels, place_of
from ml_platform.alerts.listening import beside, log
from ml_platform.alerts.listening.known import Known, known_of
from ml_platform.alerts.listening.reading import events_of
from ml_platform.alerts.listening.runs import is_unsettled
from ml_platform.alerts.outbox import Book, Outbox
from ml_platform.alerts.routing import Desk, ingest, remind
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.settings import AlertSettings
from ml_platform.kernel.clock import Clock, system_clock

NAME = "alerts"
INTERVAL_S = 5
BUDGET_S = 20.0
"""For one tick; Dagster ends one after 60 s."""

LOOK_S = 15.0
"""How often to look at what is in no log: ticks, backfills, long runs, other code locations."""

GONE_AFTER_S = 120.0
"""Without a sign of life for so long, another project's code location is gone."""

KEEP = timedelta(days=90)
"""How long what is over stays in the outbox."""


@dataclass
class Tick:
    """What a tick has done, for the UI to show."""

    is_first: bool = False
    rows: int = 0
    events: int = 0
    told: int = 0
    held: int = 0
    sent: Sent = field(default_factory=Sent)
    wrong: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """In words."""
        if self.is_first:
            return "Listens from now on; what happened before is told to nobody."
        said = (
            f"{self.rows} rows read, {self.events} events, {self.told} messages at once, "
            f"{self.held} held; {self.sent.sent} sent, {self.sent.put_off} to be tried again, "
            f"{self.sent.dead} given up."
        )
        return " ".join([said, *(f"Wrong: {one}." for one in self.wrong[:5])])


def alerts_sensor(project: str, rules: Sequence[Rule]) -> dg.SensorDefinition:
    """The sensor that tells by the rules of a project."""

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        settings = AlertSettings.from_environment()
        reader = Reader(project, rules, settings, Outbox(settings.url))
        done = reader.tick(context.instance, context.repository_def)
        for one in done.wrong:
            context.log.warning(one)
        return dg.SkipReason(done.sentence())

    return dg.SensorDefinition(
        name=NAME,
        evaluation_fn=evaluate,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells people what happens, by the rules that this project declares.",
    )


@dataclass
class Reader:
    """Reads for one project and tells by its rules."""

    project: str
    rules: Sequence[Rule]
    settings: AlertSettings
    outbox: Outbox
    channels: Callable[[], Mapping[str, Channel]] = known_channels
    clock: Clock = system_clock

    def tick(self, instance: dg.DagsterInstance, repository: Any = None) -> Tick:
        """One look: what is new is written down, then what is due is sent.

        Raises:
            SettingsError: the outbox or Dagster's storage is none that this works with.
            DeclarationError: the channels are wrongly declared; what is written down waits.
        """
        deadline = monotonic() + BUDGET_S
        known = known_of(instance, self.project, repository, self.clock())
        done = self._read(known, deadline)
        channels = self.channels()
        place = place_of(self.settings)
        done.sent = deliver(self.outbox, channels, place, max(1.0, deadline - monotonic()))
        return done

    def _desk(self) -> Desk:
        return Desk(
            self.project,
            self.rules,
            place_of(self.settings),
            lambda key: ack_url(self.settings, key),
        )

    def _read(self, known: Known, deadline: float) -> Tick:
        desk, done = self._desk(), Tick()
        with self.outbox.book() as book:
            cursor = book.cursor(self.project, "events")
            if cursor is None:
                self._begin(book, known)
                done.is_first = True
                return done
        self._look(known, desk, done)
        self._follow(known, desk, int(cursor), done, deadline)
        self._show(known)
        return done

    def _begin(self, book: Book, known: Known) -> None:
        book.keep_cursor(self.project, "events", str(log.newest_id(known.instance)))
        book.keep_cursor(self.project, "looked", known.now.isoformat())
        book.keep_rules(self.project, self.rules)

    def _follow(self, known: Known, desk: Desk, start: int, done: Tick, deadline: float) -> None:
        """Go through the event log, a page a transaction, until its end or that of the budget."""
        if log.newest_id(known.instance) < start:  # another log, for the old one was wiped
            start = 0
            with self.outbox.book() as book:
                book.forget_positions(self.project)
        read, kept = start, start
        is_settled = True
        while True:
            rows = log.rows_after(known.instance, read)
            settled = [one for one in rows if not is_unsettled(one, known)]
            if is_settled:
                kept = log.held_back(rows, kept, known.now)
                is_settled = bool(rows) and kept == rows[-1].id
            self._write(known, desk, settled, kept, done)
            if len(rows) < log.PAGE or monotonic() > deadline:
                return
            read = rows[-1].id

    def _write(
        self,
        known: Known,
        desk: Desk,
        rows: Iterable[log.Row],
        cursor: int,
        done: Tick,
    ) -> None:
        found = list(rows)
        events = [
            event for row in found for event in events_of(row, known) if self._concerns(event)
        ]
        with self.outbox.book() as book:
            events += book.take_told(self.project, log.PAGE)
            self._ingest(book, desk, events, done)
            book.keep_cursor(self.project, "events", str(cursor))
            remind(book, desk)
        done.rows += len(found)

    def _concerns(self, event: Event) -> bool:
        return event.project == self.project or any(rule.projects for rule in self.rules)

    def _look(self, known: Known, desk: Desk, done: Tick) -> None:
        """Look now and then at what is in no log, and leave a sign of life."""
        with self.outbox.book() as book:
            signs = book.beat(self.project, LOOK_S * 4)
            looked = datetime.fromisoformat(book.cursor(self.project, "looked") or "")
            if (known.now - looked).total_seconds() < LOOK_S:
                return
            broken = book.bad_subjects(self.project, "declaration ")
        # What ended just before the last look may have been written just after it.
        since = looked - timedelta(seconds=LOOK_S)
        events = [
            *beside.ticks(known, since, NAME),
            *beside.backfills(known, since),
            *beside.declarations(known, broken),
            *self._long_runs(known),
            *locations(self.project, signs, known.now),
        ]
        with self.outbox.book() as book:
            self._ingest(book, desk, events, done)
            book.keep_cursor(self.project, "looked", known.now.isoformat())
            book.keep_rules(self.project, self.rules)
            book.prune(known.now - KEEP)

    def _long_runs(self, known: Known) -> list[Event]:
        limits = {rule.run_longer_than_min for rule in self.rules if "run.too_long" in rule.kinds}
        return list(beside.long_runs(known, min(limits))) if limits else []

    def _ingest(self, book: Book, desk: Desk, events: Iterable[Event], done: Tick) -> None:
        tally = ingest(book, desk, events)
        done.events += tally.events
        done.told += tally.told
        done.held += tally.held
        done.wrong += tally.wrong

    def _show(self, known: Known) -> None:
        with self.outbox.book() as book:
            shown = book.take_unshown(self.project)
        for incident, last in shown:
            beside.show_acknowledged(
                known.instance, last.asset_key, incident.acknowledged_by, last.title
            )


def locations(
    project: str, signs: Mapping[str, tuple[datetime, datetime]], now: datetime
) -> list[Event]:
    """The other projects' code locations that have stopped, or tick.

    After a pause of our own, as when the machine was off, nothing is said until the others have had
    the time to come back too.
    """
    own_since = signs[project][0]
    if (now - own_since).total_seconds() < GONE_AFTER_S:
        return []
    found = []
    for other, (_, at) in sorted(signs.items()):
        is_gone = (now - at).total_seconds() > GONE_AFTER_S
        if other == project:
            continue
        found.append(
            Event(
                id=f"location-{other}-{at.timestamp():.3f}-{'gone' if is_gone else 'back'}",
                type="location.gone" if is_gone else "location.back",
                at=at if is_gone else now,
                project=project,
                subject=f"location {other}",
                what=other,
                summary=f"The sensor of code location {other} was last heard at {at:%H:%M} UTC."
                if is_gone
                else "",
            )
        )
    return found
