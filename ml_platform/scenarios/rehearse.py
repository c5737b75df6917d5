"""What a trigger would have done over a recorded time, with another grace delay; nothing is run.

What belongs here: from rows of the record to runs. The rows say what was seen and when it was first
seen; the rest is `settle`, as it decides in earnest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ml_platform.scenarios.recorder import Row
from ml_platform.scenarios.settle import Rules, State, decide


@dataclass(frozen=True)
class Rehearsal:
    """What came of it.

    Attributes:
        changes: how often something else was seen than before.
        runs: when a run would have started, in seconds since 1970.
        p99_gap: within this time, in seconds, came all but one in a hundred of the changes that
            followed another within `NEAR_S` seconds; None where none did.
    """

    changes: int
    runs: list[float]
    p99_gap: float | None


NEAR_S = 6 * 3600.0
"""Changes further apart than this are two bursts, whatever the grace delay."""


def rehearsed(rows: Sequence[Row], rules: Rules) -> Rehearsal:
    """Replay the rows of one trigger, the oldest first.

    It is looked at each time that something was seen, and whenever a wait would have been over.
    """
    seen = [row for row in rows if row.fingerprint]
    state, runs, changed_at, last = State(), [], [], None
    for number, row in enumerate(seen):
        if last is not None and row.fingerprint != last:
            changed_at.append(row.first_at)
        last = row.fingerprint
        until = seen[number + 1].first_at if number + 1 < len(seen) else row.last_at
        for moment in _moments(row, until, rules):
            verdict = decide(state, row.fingerprint, moment, rules)
            state = verdict.state
            runs += [moment] if verdict.fires else []
    return Rehearsal(len(changed_at), runs, _p99(changed_at))


def _moments(row: Row, until: float, rules: Rules) -> list[float]:
    """When to look while the same is seen: at first, when the wait is over, and at last."""
    over = [row.first_at + rules.grace, row.first_at + max(rules.grace, rules.minimum_interval)]
    return sorted({row.first_at, *(at for at in over if at < until), row.last_at})


def _p99(changed_at: Sequence[float]) -> float | None:
    gaps = sorted(b - a for a, b in pairwise(changed_at))
    near = [gap for gap in gaps if 0 < gap <= NEAR_S]
    return near[math.ceil(0.99 * len(near)) - 1] if near else None


def suggested(found: Rehearsal) -> float | None:
    """A grace delay that would join nearly all bursts: the gap, rounded up to a whole minute."""
    return None if found.p99_gap is None else 60.0 * math.ceil((found.p99_gap + 1) / 60)


def compared(rows: Sequence[Row], rules: Rules, grace: float | None) -> tuple[Rehearsal, float]:
    """The rehearsal with the declared grace delay or another one, and which it was."""
    chosen = rules.grace if grace is None else grace
    return rehearsed(rows, replace(rules, grace=chosen)), chosen
