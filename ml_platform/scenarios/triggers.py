"""One round of looking: which triggers are due, what each has seen, which runs are to start.

What belongs here: from what is remembered and what is seen to runs and to rows of the record. The
looking itself is given, and so is the time. No Dagster. What is remembered is small, and is written
by Dagster together with the runs that are requested: either both hold, or neither.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from ml_platform.kernel.errors import PlatformError
from ml_platform.scenarios.settle import Decision, State, decide, look_again_at
from ml_platform.scenarios.times import Time, due
from ml_platform.scenarios.trigger_words import KINDS, Trigger
from ml_platform.scenarios.watch.look import Look, gathered

LATE_S = 120.0
"""A moment that is longer past than this was missed."""

_NOT_WATCHED: Any = {"sql": {"timeout"}, "python": {"timeout"}, "webhook": {"secret"}}
"""How it is looked, and not at what; to change this does not begin anew."""

MOST_RUNS = 50
"""So many runs are requested in one round by `missed: all`; the rest follows in the next ones."""

LONGEST_ACCOUNT, _MOST_TOLD = 500, 20
"""Dagster keeps what a round came to with each of its ticks, so it is not to be long."""

Watch = Callable[[Trigger, State], Look]
"""Looks at what a trigger watches; the state is what is remembered of it."""


@dataclass(frozen=True)
class Memory:
    """What is remembered of one trigger.

    Attributes:
        words: a hash of what is watched; other words begin anew.
        looked: when it was last looked at, or for times, until when they are handled.
        state: whether something waits to settle.
    """

    words: str = ""
    looked: float | None = None
    state: State = field(default_factory=State)


@dataclass(frozen=True)
class Cursor:
    """What a scenario remembers: when it began to look, and each trigger's memory.

    A reset cursor begins at another time, and so its runs have other keys than those before.
    """

    began: int
    memories: dict[str, Memory] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None, now: float) -> Self:
        """From Dagster's cursor; a new one where there is none, or none that can be read."""
        try:
            found = json.loads(text or "")
            memories = {
                name: Memory(one["words"], one["looked"], State(**one["state"]))
                for name, one in found["memories"].items()
            }
            return cls(int(found["began"]), memories)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(int(now * 1000))

    def text(self) -> str:
        """As Dagster keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True)
class Evaluation:
    """What one look at one trigger came to."""

    trigger: str
    kind: str
    at: float
    account: str
    fingerprint: str
    decision: Decision
    reason: str
    run_key: str = ""


@dataclass(frozen=True)
class Start:
    """A run to start."""

    run_key: str
    triggers: tuple[str, ...]
    params: dict[str, Any]


@dataclass(frozen=True)
class Round:
    """What a round came to."""

    cursor: Cursor
    evaluations: list[Evaluation]
    starts: list[Start]


def go_round(
    triggers: Sequence[Trigger],
    cursor: Cursor,
    now: float,
    watch: Watch,
    *,
    is_running: Callable[[], bool],
) -> Round:
    """Look at all triggers that are due.

    Whether the scenario runs is asked only where something is to start, since the answer costs more
    than all else in a quiet round.

    Those that fire in the same round start one run together. A look that fails with one of the
    platform's errors is recorded with its message, and the other triggers go on.
    """
    running = functools.cache(is_running)
    memories = {one.name: _known(one, cursor) for one in triggers}
    found = []
    for trigger in triggers:
        memory = memories[trigger.name]
        if trigger.active and is_due(trigger, memory, now):
            look = _timed if trigger.time else _watched
            found.append(look(trigger, memory, now, watch, running))
            memories[trigger.name] = found[-1].memory
    single = [_start_of(one, moment) for one in found for moment in one.moments[:-1]]
    whole = _together(cursor.began, [one for one in found if one.fires])
    evaluations = [_with_key(one.evaluation, whole) for one in found]
    return Round(Cursor(cursor.began, memories), evaluations, [*single, *whole])


def account_of(done: Round, triggers: Sequence[Trigger]) -> str:
    """What a round that started nothing came to, in words: each look, or when the next ones are."""
    said = [
        f"{one.trigger}: {one.decision}, {one.reason}"
        + (f"; saw {one.account}" * bool(one.account))
        for one in done.evaluations
    ]
    if not said:
        said = [f"{one.name}: {_next_look(one, done.cursor)}" for one in triggers]
    return "\n".join(_cut(one, LONGEST_ACCOUNT) for one in said[:_MOST_TOLD])


def _next_look(trigger: Trigger, cursor: Cursor) -> str:
    memory = cursor.memories.get(trigger.name, Memory())
    if not trigger.active:
        return "not looked at, for it is not active"
    if trigger.time or memory.looked is None:
        return "nothing is due"
    again = look_again_at(memory.state, trigger.rules)
    at = min(memory.looked + trigger.interval, again or float("inf"))
    was = "a change waits" if again else "nothing had changed"
    looked = f"{was} when it was looked at, at {_clock(memory.looked)}"
    return f"{looked}; the next look is due at {_clock(at)} UTC"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, tz=UTC):%H:%M:%S}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def is_due(trigger: Trigger, memory: Memory, now: float) -> bool:
    """Whether to look now: a moment has come, the interval is over, or the clock has gone back."""
    if memory.looked is None or now < memory.looked:
        return True
    if trigger.time:
        is_over = now >= memory.looked + trigger.interval
        return is_over or bool(_moments_since(trigger.time, memory.looked, now))
    again = look_again_at(memory.state, trigger.rules)
    return now >= memory.looked + trigger.interval or (again is not None and now >= again)


@dataclass(frozen=True)
class _Found:
    memory: Memory
    evaluation: Evaluation
    key: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    moments: tuple[datetime, ...] = ()

    @property
    def fires(self) -> bool:
        return self.evaluation.decision is Decision.fired

    @property
    def name(self) -> str:
        return self.evaluation.trigger


def _known(trigger: Trigger, cursor: Cursor) -> Memory:
    """What is remembered of a trigger; its numbers go on where its words were changed."""
    part = trigger.model_dump_json(include={*KINDS}, exclude=_NOT_WATCHED, exclude_none=True)
    words = hashlib.blake2b(part.encode(), digest_size=6).hexdigest()
    memory = cursor.memories.get(trigger.name, Memory(words))
    if memory.words == words:
        return memory
    return Memory(words, state=State(sequence=memory.state.sequence))


def _watched(
    trigger: Trigger, memory: Memory, now: float, watch: Watch, running: Callable[[], bool]
) -> _Found:
    state = memory.state
    more: Mapping[str, Any] = {}
    try:
        looked = watch(trigger, state)
        state = state if looked.known is None else replace(state, handled=looked.known)
        account, more = looked.account, looked.params
        need_all = getattr(getattr(trigger, trigger.kind), "need", "any") == "all"
        seen: str | None = gathered(state.handled, looked, need_all=need_all)
    except PlatformError as error:
        seen, account = None, str(error)
    is_running = seen not in {None, state.handled} and running()
    verdict = decide(state, seen, now, trigger.rules, is_running=is_running)
    evaluation = Evaluation(
        trigger.name, trigger.kind, now, account, seen or "", verdict.decision, verdict.reason
    )
    after = replace(memory, looked=now, state=verdict.state)
    return _Found(after, evaluation, str(verdict.state.sequence), {**more, "seen": account})


def _timed(
    trigger: Trigger, memory: Memory, now: float, _watch: Watch, running: Callable[[], bool]
) -> _Found:
    assert trigger.time  # noqa: S101 - for mypy: the caller has asked

    def told(decision: Decision, reason: str, account: str = "") -> Evaluation:
        return Evaluation(trigger.name, "time", now, account, "", decision, reason)

    if memory.looked is None:
        first = told(Decision.first, "times before the first look start no run")
        return _Found(replace(memory, looked=now), first)
    moments = _moments_since(trigger.time, memory.looked, now)
    account = ", ".join(f"{one:%Y-%m-%d %H:%M:%S} UTC" for one in moments[-3:])
    if moments and running():
        return _Found(memory, told(Decision.held, "waits for the end of the run that goes on"))
    taken = _taken(trigger.time, moments, now)
    until = max(memory.looked, taken[-1].timestamp() if len(taken) == MOST_RUNS else now)
    after = replace(memory, looked=until)
    if not taken:
        reason = "it was missed, and is skipped" if moments else "nothing was due"
        return _Found(after, told(Decision.quiet, reason, account))
    more = f"; the last of {len(moments)}" if len(moments) > 1 else ""
    evaluation = told(Decision.fired, f"due{more}", account)
    key = f"{taken[-1]:%Y%m%dT%H%M%S}"
    params = {"expected_start": taken[-1].isoformat()}
    return _Found(after, evaluation, key, params, tuple(taken))


def _moments_since(spec: Time, since: float, now: float) -> list[datetime]:
    """What came due; of what is only skipped or joined, no more than is needed is counted."""
    until = datetime.fromtimestamp(now, tz=UTC)
    begin = datetime.fromtimestamp(since, tz=UTC)
    if spec.missed == "all":
        return list(due(spec, begin, until))
    for days in (1, 32, 400):
        found = list(due(spec, max(begin, until - timedelta(days=days)), until))
        if found:
            return found
    return list(due(spec, begin, until))


def _taken(spec: Time, moments: list[datetime], now: float) -> list[datetime]:
    """Of what came due, what starts a run."""
    if spec.missed == "all":
        return moments[:MOST_RUNS]
    if spec.missed == "skip":
        moments = [one for one in moments if now - one.timestamp() <= LATE_S]
    return moments[-1:]


def _start_of(found: _Found, moment: datetime) -> Start:
    key = f"{found.name}-{moment:%Y%m%dT%H%M%S}"
    return Start(key, (found.name,), {"expected_start": moment.isoformat()})


def _together(began: int, found: list[_Found]) -> list[Start]:
    """One run of all that fired; the parameters of the last win, and all are kept by trigger."""
    if not found:
        return []
    keys = "+".join(f"{one.name}-{one.key}" for one in found)
    params = {name: value for one in found for name, value in one.params.items()}
    if len(found) > 1:
        params["triggers"] = {one.name: one.params for one in found}
    return [Start(f"{began}:{keys}", tuple(one.name for one in found), params)]


def _with_key(one: Evaluation, starts: list[Start]) -> Evaluation:
    return replace(one, run_key=starts[0].run_key) if one.decision is Decision.fired else one
