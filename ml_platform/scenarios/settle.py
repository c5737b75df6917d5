"""When a change is over: the wait for quiet between seeing something new and starting a run.

What belongs here: the state of one trigger and the decision after each look. No Dagster and no
clock: the present moment is an argument, in seconds since 1970, and may go backwards.

Upstream data arrives in bursts. Waiting `grace` after the last change makes one run of the burst
instead of one for every file in it. A fingerprint stands for all that was seen; what is decided
depends on nothing else.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Decision(StrEnum):
    """What became of one look."""

    first = "first"
    quiet = "quiet"
    waiting = "waiting"
    reverted = "reverted"
    held = "held"
    fired = "fired"
    failed = "failed"


@dataclass(frozen=True)
class Rules:
    """How a trigger waits; all in seconds.

    Attributes:
        grace: how long nothing may change before a change counts as over.
        recheck: whether a further change within `grace` begins the wait again; otherwise the run
            starts `grace` after the first one, with whatever is there then.
        minimum_interval: the least time between two runs of this trigger.
    """

    grace: float = 0.0
    recheck: bool = True
    minimum_interval: float = 0.0


@dataclass(frozen=True)
class State:
    """What a trigger remembers between two looks.

    Attributes:
        handled: the fingerprint of which the last run knew; None before the first look.
        candidate: another one, which waits to be handled.
        since: when the wait for `candidate` began.
        sequence: how many runs it has started. It is part of a run's key, since the same
            fingerprint may come back: A, then B, then A again are two changes.
        fired_at: when the last one was started.
    """

    handled: str | None = None
    candidate: str | None = None
    since: float = 0.0
    sequence: int = 0
    fired_at: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The state after a look, what was decided, and why."""

    state: State
    decision: Decision
    reason: str

    @property
    def fires(self) -> bool:
        """Whether a run is to be started."""
        return self.decision is Decision.fired


def decide(
    state: State, seen: str | None, now: float, rules: Rules, *, is_running: bool = False
) -> Verdict:
    """What to do after a look.

    Args:
        state: what was left by the last look; a new `State` for the first.
        seen: the fingerprint, or None where the look failed.
        now: the present moment.
        rules: how to wait.
        is_running: whether a run of the scenario has not ended; a change then waits for its end.
    """
    if seen is None:
        return Verdict(state, Decision.failed, "the look failed; what was known stays")
    if state.handled is None:
        first = replace(state, handled=seen)
        return Verdict(first, Decision.first, "the first look: what is there already starts no run")
    if seen == state.handled:
        return _as_before(state)
    state, is_new = _noticed(state, seen, now, recheck=rules.recheck)
    if left := _left(state.since, rules.grace, now):
        since = "changed just now" if is_new else "changed, and nothing since"
        return Verdict(state, Decision.waiting, f"{since}; {left:,.0f} s of the grace delay left")
    return _settled(state, now, rules, is_running=is_running)


def _as_before(state: State) -> Verdict:
    if state.candidate is None:
        return Verdict(state, Decision.quiet, "as the last run knew it")
    calm = replace(state, candidate=None, since=0.0)
    return Verdict(calm, Decision.reverted, "changed back to what the last run knew")


def _noticed(state: State, seen: str, now: float, *, recheck: bool) -> tuple[State, bool]:
    """The state with this candidate, and whether its wait begins now."""
    is_new = state.candidate is None or (recheck and seen != state.candidate)
    # A clock that went back could let the wait last for as long as it went: begin again instead.
    if is_new or state.since > now:
        return replace(state, candidate=seen, since=now), is_new
    return replace(state, candidate=seen), False


def _settled(state: State, now: float, rules: Rules, *, is_running: bool) -> Verdict:
    if is_running:
        return Verdict(state, Decision.held, "settled; waits for the end of the run that goes on")
    if state.fired_at is not None:
        fired_at = min(state.fired_at, now)
        if left := _left(fired_at, rules.minimum_interval, now):
            held = replace(state, fired_at=fired_at)
            reason = f"settled; {left:,.0f} s of the minimum interval between runs left"
            return Verdict(held, Decision.held, reason)
    sequence = state.sequence + 1
    done = State(handled=state.candidate, sequence=sequence, fired_at=now)
    return Verdict(done, Decision.fired, f"settled; run {sequence} of this trigger")


def _left(since: float, wait: float, now: float) -> float:
    return max(0.0, since + wait - now)


def look_again_at(state: State, rules: Rules) -> float | None:
    """When a waiting change is to be looked at again; None where nothing waits."""
    return None if state.candidate is None else state.since + rules.grace
