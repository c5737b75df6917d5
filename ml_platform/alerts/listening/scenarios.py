"""What the runs of scenarios say: that one has started, and with which outcome it has ended.

The scenarios' room is met through the tags of its runs alone.
"""

from collections.abc import Iterator
from typing import Any

from ml_platform.alerts.event import Event
from ml_platform.alerts.listening.entry import Entry
from ml_platform.alerts.listening.known import facts_of, scenario_of
from ml_platform.alerts.message import Severity
from ml_platform.kernel.marks import OUTCOME_TAG

RETRY_TAG = "dagster/retry_number"
OUTCOMES = {
    "success": Severity.info,
    "warning": Severity.warning,
    "failed": Severity.error,
    "canceled": Severity.warning,
}
"""How a scenario may end, and how bad that is."""


def started(one: Entry) -> Iterator[Event]:
    """That a scenario has started; where a failed run is repeated, it goes on."""
    run, name = one.run, scenario_of(one.run)
    if run and name and RETRY_TAG not in run.tags:
        yield one.event("scenario.started", f"scenario {name}", name, facts=facts_of(run))


def ended(one: Entry, run_status: str, **more: Any) -> Iterator[Event]:
    """That a scenario has ended: as its last step has marked the run, else as the run has ended."""
    # What this tick knows of the run may be from before it was marked.
    one.known.runs.pop(one.entry.run_id, None)
    name = scenario_of(one.run)
    if not name:
        return
    outcome = _outcome(one, run_status)
    yield one.event(
        "scenario.ended",
        f"scenario {name}",
        f"{name}: {outcome}",
        outcome=outcome,
        severity=OUTCOMES[outcome],
        observed=outcome,
        expected="success",
        facts={**facts_of(one.run), "run_status": run_status},
        **more,
    )


def _outcome(one: Entry, run_status: str) -> str:
    marked = one.run.tags.get(OUTCOME_TAG, "") if one.run else ""
    return marked if run_status == "success" and marked in OUTCOMES else run_status
