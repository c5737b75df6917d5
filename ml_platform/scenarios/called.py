"""Calls over HTTP since the last run, as a place among their numbers."""

from datetime import UTC, datetime
from typing import Any

from ml_platform.scenarios.calls import Call, Calls, Hook
from ml_platform.scenarios.watch.look import Look
from ml_platform.scenarios.watch.plain import MOST_CHARACTERS, fitting

MOST, ROOM = 50, 4 * MOST_CHARACTERS
"""So many calls, and so many characters of them, go into one run; the rest follows in the next."""


def look_at_calls(calls: Calls, hook: Hook, secret: str, handled: str | None, now: float) -> Look:
    """Look at which calls came; with it, the trigger says that it takes calls.

    Args:
        calls: where they are.
        hook: whose.
        secret: the words that name the key, like ${HOOK_KEY}.
        handled: the number of the last call that the last run knew; None for the first look.
        now: the present moment.

    Raises:
        UnavailableError: the database does not answer.
    """
    calls.announce(hook, secret, now)
    last = calls.last(hook)
    if handled is None:
        return Look((str(last),), f"{hook}: no call since this look")
    known = int(handled)
    # Fewer calls than were known: the record was lost, and its numbers began anew.
    there = calls.since(hook, known if known <= last or not last else 0, MOST)
    new = there[: len(fitting([_said(one) for one in there], ROOM))]
    if not new:
        return Look((handled,), f"{hook}: no call since the last run")
    at = datetime.fromtimestamp(new[-1].at, tz=UTC)
    account = f"{hook}: {len(new)} new, last {new[-1].call_id} at {at:%Y-%m-%d %H:%M:%S} UTC"
    params = {**new[-1].params, "calls": [_said(one) for one in new]}
    return Look((str(new[-1].number),), account, params)


def _said(call: Call) -> dict[str, Any]:
    at = datetime.fromtimestamp(call.at, tz=UTC).isoformat(timespec="seconds")
    return {"id": call.call_id, "at": at, "params": call.params}
