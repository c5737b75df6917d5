"""Run assets here and now, in this process, and tell what happens while it does."""

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import dagster as dg

from ml_platform.execution.backfill import RANGE_END, RANGE_START
from ml_platform.execution.recording import TAKEN_OVER
from ml_platform.kernel.errors import NotFoundError, closest

_LOOK_EVERY_S = 0.3
_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION


@dataclass(frozen=True)
class Happening:
    """Something that a person who waits wants to see.

    Attributes:
        kind: `started`, `made`, `checked`, `failed`, `kept` for a partition that an earlier run
            made, or `troubled` for one that failed while others go on.
        what: the asset's key, or its and the check's name.
        passed: for a check, whether it passed.
        message: for a failure, its reason.
        partition: which one, where there are any.
    """

    kind: str
    what: str
    passed: bool = True
    message: str = ""
    partition: str = ""


@dataclass
class Outcome:
    """How a run ended."""

    run_id: str
    success: bool
    happenings: list[Happening] = field(default_factory=list)

    @property
    def failures(self) -> list[Happening]:
        """What failed: steps and checks."""
        return [h for h in self.happenings if h.kind == "failed" or not h.passed]


def keys_of(definitions: dg.Definitions) -> list[dg.AssetKey]:
    """The assets that can be run."""
    return sorted(definitions.resolve_asset_graph().executable_asset_keys)


def partitions_between(
    definitions: dg.Definitions, key: dg.AssetKey, first: str | None, last: str | None
) -> list[str]:
    """The partitions of an asset from `first` to `last`, both included; none given means all.

    Raises:
        NotFoundError: the asset has no such partition.
    """
    partitions = definitions.resolve_asset_graph().get(key).partitions_def
    known = list(partitions.get_partition_keys()) if partitions else []
    for end in (first, last):
        if end is not None and end not in known:
            raise NotFoundError(
                f"partition '{end}' of {key.to_user_string()}",
                "there is none" if known else "the table has no partitions",
                allowed=f"{known[0]} to {known[-1]}: {closest(end, known[-40:])}" if known else "",
            )
    start = known.index(first) if first is not None else 0
    stop = known.index(last) + 1 if last is not None else len(known)
    return known[start:stop]


def materialise(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    keys: Sequence[dg.AssetKey],
    partitions: Sequence[str] = (),
    tell: Callable[[Happening], None] = lambda _: None,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Make these assets in one run; with `partitions`, the range from the first to the last.

    `tags` are the run's besides.
    """
    job = definitions.resolve_implicit_global_asset_job_def()
    ranged = {RANGE_START: partitions[0], RANGE_END: partitions[-1]} if partitions else {}
    run_id = str(uuid.uuid4())
    with followed(instance, run_id, tell) as told:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=list(keys),
            raise_on_error=False,
            tags={**ranged, **tags},
            run_id=run_id,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    return Outcome(run_id, result.success, told)


@contextlib.contextmanager
def followed(
    instance: dg.DagsterInstance, run_id: str, tell: Callable[[Happening], None]
) -> Iterator[list[Happening]]:
    """Read the run's events while it goes on, and all of them once more when it has ended.

    While it goes on only what is new is read. The last reading finds what was recorded out of
    order: processes that write at once may have their numbers before they have their turns.
    """
    told: list[Happening] = []
    seen: set[int] = set()
    ended = threading.Event()
    cursor: str | None = None

    def look(after: str | None) -> str | None:
        page = instance.get_records_for_run(run_id, after)
        for record in page.records:
            if record.storage_id not in seen:
                seen.add(record.storage_id)
                for one in _happenings(record.event_log_entry):
                    told.append(one)
                    tell(one)
        return look(page.cursor) if page.has_more else page.cursor

    def watch() -> None:
        nonlocal cursor
        while not ended.wait(_LOOK_EVERY_S):
            cursor = look(cursor)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield told
    finally:
        ended.set()
        watcher.join()
        look(None)


def _happenings(entry: dg.EventLogEntry) -> Iterator[Happening]:
    event = entry.dagster_event
    if event is None:
        if entry.level == logging.ERROR and entry.step_key:
            yield Happening("troubled", entry.step_key, passed=True, message=entry.user_message)
        return
    if event.event_type == dg.DagsterEventType.STEP_START and event.step_key:
        yield Happening("started", event.step_key)
    elif event.event_type in {_MADE, dg.DagsterEventType.ASSET_OBSERVATION}:
        yield from _of_partition(event)
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        what = f"{check.asset_key.to_user_string()}: {check.check_name}"
        yield Happening("checked", what, check.passed, check.description or "")
    elif event.event_type == dg.DagsterEventType.STEP_FAILURE and event.step_key:
        yield Happening("failed", event.step_key, passed=False, message=_reason(event))
    elif event.event_type == dg.DagsterEventType.RESOURCE_INIT_FAILURE:
        error = event.engine_event_data.error
        what = event.step_key or "resources"
        yield Happening("failed", what, passed=False, message=_innermost(error))


def _of_partition(event: dg.DagsterEvent) -> Iterator[Happening]:
    """That it was made here, or that it is kept; a run that fails says the latter twice."""
    found: dg.AssetMaterialization | dg.AssetObservation
    if event.event_type == _MADE:
        kind, found = "made", event.step_materialization_data.materialization
    else:
        kind, found = "kept", event.asset_observation_data.asset_observation
    if (kind == "kept") == (TAKEN_OVER in found.metadata):
        yield Happening(kind, found.asset_key.to_user_string(), partition=found.partition or "")


def _reason(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return _innermost(data.error)


def _innermost(error: Any) -> str:
    """The message at the bottom of a chain of errors, without Dagster's words around it."""
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else ""
