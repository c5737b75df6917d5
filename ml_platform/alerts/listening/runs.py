"""What runs say in the event log: how each ended, and what it was to make and did not."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

# Not public in Dagster 1.13; see `log`.
from dagster._core.storage.tags import WILL_RETRY_TAG

from ml_platform.alerts.event import Event
from ml_platform.alerts.listening import scenarios
from ml_platform.alerts.listening.assets import check_subject
from ml_platform.alerts.listening.entry import Entry
from ml_platform.alerts.listening.known import Known, cause_of, facts_of, job_of
from ml_platform.alerts.listening.log import Row

RETRY_MARK_S = 5.0
"""Dagster says whether a failed run is repeated just after it records the failure."""

_MOST_PARTITIONS = 20
_BEGIN = dg.DagsterEventType.RUN_FAILURE
_OF_A_RUN = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}


def is_unsettled(row: Row, known: Known) -> bool:
    """Whether Dagster has not said yet what becomes of a failed run; it is read again soon."""
    entry = row.entry
    if entry is None or entry.dagster_event_type != _BEGIN:
        return False
    if entry.timestamp < known.now.timestamp() - RETRY_MARK_S:
        return False
    known.runs.pop(entry.run_id, None)
    run = known.run(entry.run_id)
    return run is not None and WILL_RETRY_TAG not in run.tags


def failed(one: Entry) -> Iterator[Event]:
    """That a run has failed, what it was to make and did not, and the checks without an answer."""
    run = one.run
    log = list(one.known.instance.all_logs(one.entry.run_id, of_type=_OF_A_RUN))
    error = _first_error(log) or _message(one.entry)
    common: dict[str, Any] = {"failure_message": error, **_times(one)}
    name = job_of(run) or one.entry.run_id[:8]
    if run and run.tags.get(WILL_RETRY_TAG) == "true":
        yield one.event(
            "run.retried", _run_subject(one), name, summary=error, facts=facts_of(run), **common
        )
        return
    yield one.event(
        "run.failed", _run_subject(one), name,
        summary=error, outcome="failed", facts=facts_of(run), **common,
    )  # fmt: skip
    for asset, partition in sorted(_planned_not_made(log)):
        yield one.event(
            "asset.failed",
            f"asset {asset} {partition}".rstrip(),
            asset,
            asset=asset,
            partition=partition,
            suffix=f"-{asset}-{partition}",
            **common,
        )
    for asset, check, partition in sorted(_planned_not_evaluated(log)):
        yield one.event(
            "check.crashed",
            check_subject(asset, check, partition),
            f"{asset} {check}",
            asset=asset,
            check_name=check,
            partition=partition,
            suffix=f"-{asset}-{check}-{partition}",
            **common,
        )
    yield from scenarios.ended(one, "failed", **common)


def _message(entry: dg.EventLogEntry) -> str:
    return (entry.dagster_event.message if entry.dagster_event else None) or ""


def _first_error(log: Sequence[dg.EventLogEntry]) -> str:
    for entry in log:
        event = entry.dagster_event
        if event and event.event_type == dg.DagsterEventType.STEP_FAILURE:
            return cause_of(getattr(event.event_specific_data, "error", None))
    return ""


def _planned_not_made(log: Sequence[dg.EventLogEntry]) -> set[tuple[str, str]]:
    planned, made = set(), set()
    for entry in log:
        event = entry.dagster_event
        if event is None or event.asset_key is None:
            continue
        key = (event.asset_key.to_user_string(), event.partition or "")
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            planned.add(key)
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            made.add(key)
    whole = {asset for asset, partition in made if not partition}
    some = {asset for asset, partition in made if partition}
    # A run over many partitions plans the asset as one and tells each partition as it is made.
    return {
        (asset, partition)
        for asset, partition in planned - made
        if asset not in whole and not (not partition and asset in some)
    }


def _planned_not_evaluated(log: Sequence[dg.EventLogEntry]) -> set[tuple[str, str, str]]:
    planned, seen = set(), set()
    for entry in log:
        event = entry.dagster_event
        data: Any = event.event_specific_data if event else None
        if event is None:
            continue
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            asset = data.asset_key.to_user_string()
            planned |= {(asset, data.check_name, one) for one in _partitions_of(data)}
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            seen.add((data.asset_key.to_user_string(), data.check_name, data.partition or ""))
    crashed = _failed_steps(log)
    return {
        (asset, check, partition)
        for asset, check, partition in planned - seen
        if (asset, check, "") not in seen and _ran(asset, check, crashed)
    }


def _partitions_of(planned: Any) -> list[str]:
    """The partitions that a check was planned for; one empty name for none, or for very many."""
    subset = planned.partitions_subset
    found = sorted(subset.get_partition_keys()) if subset is not None else []
    return found if 0 < len(found) <= _MOST_PARTITIONS else [""]


def _failed_steps(log: Sequence[dg.EventLogEntry]) -> set[str]:
    return {
        str(entry.step_key)
        for entry in log
        if entry.dagster_event_type == dg.DagsterEventType.STEP_FAILURE and entry.step_key
    }


def _ran(asset: str, check: str, failed: set[str]) -> bool:
    """Whether the check's own step failed; one behind it was only never reached."""
    own = {check, f"{asset.replace('/', '__')}_{check}"}
    # Without a failed step the process was killed: nobody knows how far it came.
    return not failed or any(step in own or step.endswith(f"_{check}") for step in failed)


def succeeded(one: Entry) -> Iterator[Event]:
    """That a run has succeeded; an event where it or what it repeats had failed."""
    yield from _ended(one, "run.recovered", "success")


def canceled(one: Entry) -> Iterator[Event]:
    """That a run was canceled."""
    yield from _ended(one, "run.canceled", "canceled")


def _ended(one: Entry, kind: str, outcome: str) -> Iterator[Event]:
    name, times = job_of(one.run) or one.entry.run_id[:8], _times(one)
    yield one.event(
        kind, _run_subject(one), name, outcome=outcome, facts=facts_of(one.run), **times
    )
    yield from scenarios.ended(one, outcome, **times)


def _run_subject(one: Entry) -> str:
    run = one.run
    return f"run {run.root_run_id if run and run.root_run_id else one.entry.run_id}"


def _times(one: Entry) -> dict[str, Any]:
    record = one.known.instance.get_run_record_by_id(one.entry.run_id)
    if record is None or not record.start_time:
        return {}
    return {"elapsed_s": round(one.entry.timestamp - record.start_time, 3)}
