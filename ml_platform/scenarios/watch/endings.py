"""Ends of another scenario's runs, as a place in their order: none is passed over or taken twice.

What belongs here: from runs that have ended to those that are new, and to the parameters that they
bring. The runs are given; no Dagster.

A run's end is written a little after the moment that it bears, and another one may be written
first. So the place is a moment, and the runs that ended within `OVERLAP_S` before it or later and
are known already.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ml_platform.scenarios.trigger_words import AfterScenario
from ml_platform.scenarios.watch.look import Look
from ml_platform.scenarios.watch.plain import MOST_CHARACTERS

OVERLAP_S = 900.0
"""Ends that are written later than this after others would be missed."""

MOST = 50
"""So many ends go into one run; the rest follows in the next one."""

REMEMBERED = 50
"""So many runs are known whatever their time."""

_MOVE_ON_S = 86_400.0
"""A place that is older moves on by itself, so that no look has to read more than a day's runs."""


@dataclass(frozen=True)
class Ending:
    """How a run of a scenario has ended; `at` in seconds since 1970."""

    run_id: str
    at: float
    outcome: str
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """The run in a place."""
        return self.run_id[:8]

    @property
    def led_to_it(self) -> tuple[str, ...]:
        """The scenarios whose ends have led to this run, as project/name."""
        after = self.params.get("after")
        return tuple(map(str, after)) if isinstance(after, list) else ()

    @property
    def own_params(self) -> dict[str, Any]:
        """Its parameters without those of the runs before it."""
        return {k: v for k, v in self.params.items() if k not in {"params", "ended", "after"}}


@dataclass(frozen=True)
class Place:
    """Up to where ends are known.

    Attributes:
        at: the moment, in seconds since 1970.
        known: marks of runs that ended near it; the last `REMEMBERED` stay in any case, for a clock
            that goes back.
    """

    at: float
    known: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> "Place":
        """From a trigger's state."""
        at, _, known = text.partition("|")
        return cls(float(at), tuple(filter(None, known.split("+"))))

    def text(self) -> str:
        """As a trigger's state keeps it."""
        return f"{self.at:.3f}|{'+'.join(self.known)}"

    @property
    def since(self) -> float:
        """Ends before this are known, whatever is written of them later."""
        return self.at - OVERLAP_S

    def has_passed(self, ending: Ending) -> bool:
        """Whether an end is known."""
        return ending.at <= self.since or ending.mark in self.known

    def after(self, endings: Sequence[Ending], there: Sequence[Ending], now: float) -> "Place":
        """The place once `endings` are known too; `there` tells which marks are still needed.

        A run whose clock is ahead does not take the place along.
        """
        at = max([self.at, *(min(one.at, now) for one in endings)])
        known = dict.fromkeys((*self.known, *(one.mark for one in endings)))
        near = {one.mark for one in there if one.at > at - OVERLAP_S}
        newest = set([*known][-REMEMBERED:])
        return Place(at, tuple(mark for mark in known if mark in near or mark in newest))


Ended = Callable[[float], list[Ending]]
"""The runs of the scenario that have ended since a moment, or were changed since."""


def look_at_endings(
    words: AfterScenario, project: str, me: str, handled: str | None, ended: Ended, now: float
) -> Look:
    """Look at which runs of a scenario have ended.

    Args:
        words: which scenario, and how it has to end.
        project: the scenario's project.
        me: the scenario that is started, as project/name.
        handled: up to where the last run knew; None for the first look.
        ended: gives the runs.
        now: the present moment.
    """
    other = f"{project}/{words.scenario}"
    place = Place.read(handled) if handled else Place(now)
    place = replace(place, at=min(place.at, now))
    there = ended(place.since)
    if handled is None:
        place = place.after([one for one in there if one.at > place.since], there, now)
        return Look((place.text(),), f"scenario {other}: {len(place.known)} ends before this look")
    fresh = [one for one in there if not place.has_passed(one) and one.outcome in words.outcomes]
    # What this scenario itself has led to would go round for ever.
    new = [one for one in fresh if me not in (*one.led_to_it, other)]
    if not new:
        return _nothing_new(place, there, other, now, len(fresh))
    taken = sorted(new, key=lambda one: (one.at, one.run_id))[:MOST]
    account = f"scenario {other}: {len(new):,} ended, last run {taken[-1].run_id[:8]} at "
    account += f"{_said(taken[-1].at)}: {taken[-1].outcome}"
    params = _params(words, project, other, taken)
    return Look((place.after(taken, there, now).text(),), account, params, place.text())


def _nothing_new(place: Place, there: Sequence[Ending], other: str, now: float, own: int) -> Look:
    if now - place.at > _MOVE_ON_S:
        moved = replace(place, at=now - OVERLAP_S)
        place = moved.after([one for one in there if one.at > moved.since], there, now)
    left_out = f"; {own} left out, which came of this scenario itself" if own else ""
    text = place.text()
    return Look((text,), f"scenario {other}: no end since the last run{left_out}", known=text)


def _params(
    words: AfterScenario, project: str, other: str, taken: Sequence[Ending]
) -> dict[str, Any]:
    last = taken[-1]
    ended = [{**asdict(one), "params": one.own_params, "at": _said(one.at)} for one in taken]
    if len(json.dumps(ended)) > MOST_CHARACTERS:
        ended = [{k: v for k, v in one.items() if k != "params"} for one in ended]
    return {
        "scenario": words.scenario,
        "project": project,
        "run_id": last.run_id,
        "outcome": last.outcome,
        "params": last.own_params,
        "ended": ended,
        "after": [*(one for one in last.led_to_it if one != other), other],
    }


def _said(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="seconds")
