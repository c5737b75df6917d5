"""Each partition's record in Dagster, made as the partition ends and not when the step does.

A step that makes several partitions would record all of them with its Output, so nothing of what it
did were known if it failed before. Here each is recorded when it ends, with the event that Dagster
would have made of it, and the Output that lets downstream go on records nothing more.

Dagster 1.13 has no public way for either. What is not public is used here and nowhere else;
ml_platform_tests/execution/test_recording.py names what breaks if it changes:

- `_get_output_asset_events` makes the events, with code version, data version and provenance;
- the metadata key of Dagster's own observations keeps an Output from recording once more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import dagster as dg
from dagster._core.definitions.assets.definition.asset_spec import AssetExecutionType
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.execution.plan.execute_step import _get_output_asset_events

RESUMED = ("dagster/is_resume_retry", "dagster/is_asset_resume_retry")
"""Dagster sets one on a run that goes on where another failed, not on one that does all anew."""

PARENT_RUN = "dagster/parent_run_id"
TAKEN_OVER = "taken_over_from_run"
"""Metadata of a partition that a resumed run found done: which run did it."""

_CODE_VERSION = "dagster/code_version"

_Place: TypeAlias = tuple[dg.AssetKey, str]


class Record:
    """The events of one step's partitions, to be yielded as each one ends."""

    def __init__(self, context: dg.AssetExecutionContext, partitions: Sequence[str]) -> None:
        self._keys = sorted(context.selected_asset_keys)
        self._events = {
            (key, str(event.partition)): event
            for key in self._keys
            for event in _events(context, key, partitions)
        }

    def made(
        self, partition: str, shown: Mapping[dg.AssetKey, Mapping[str, Any]]
    ) -> Iterator[dg.AssetMaterialization]:
        """The events of a partition that ended well, with what is shown of each table of it."""
        for key in self._keys:
            if key in shown:
                yield self._events[key, partition].with_metadata(shown[key])

    def output(self, shown: Mapping[dg.AssetKey, Mapping[str, Any]]) -> Iterator[Any]:
        """What lets downstream go on; it records no partition again."""
        for key in self._keys:
            silent = {**shown.get(key, {}), SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
            yield dg.MaterializeResult(asset_key=key, metadata=silent)


def done_before(context: dg.AssetExecutionContext) -> dict[str, list[dg.AssetMaterialization]]:
    """The partitions that need not be made again, each with what an earlier run recorded of it.

    These are partitions that an earlier attempt of this step recorded, or a run that this one
    resumes, with the code that is here.
    """
    versions = {
        key: context.assets_def.code_versions_by_key.get(key) for key in context.selected_asset_keys
    }
    instance, run = context.instance, context.run
    own = _recorded(instance, run.run_id, versions) if context.retry_number else {}
    earlier: dict[_Place, dg.AssetMaterialization] = {}
    for run_id in reversed(list(resumed_by(instance, run))):
        found = _recorded(instance, run_id, versions)
        earlier |= {place: _with_owner(event, run_id) for place, event in found.items()}
    known = own | earlier
    return {
        partition: [earlier[key, partition] for key in versions if (key, partition) not in own]
        for partition in {partition for _, partition in known}
        if all((key, partition) in known for key in versions)
    }


def taken_over(events: Iterable[dg.AssetMaterialization]) -> Iterator[dg.AssetObservation]:
    """What a resumed run says of a partition that it found done: which run did it.

    It is no materialisation: nothing was made, and who waits for a new one is not called twice.
    """
    for event in events:
        told = {TAKEN_OVER: event.metadata[TAKEN_OVER]}
        yield dg.AssetObservation(event.asset_key, partition=event.partition, metadata=told)


def resumed_by(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    """The runs that a run goes on with, newest first; none for one that begins anew."""
    current: dg.DagsterRun | None = run
    while current is not None and any(current.tags.get(tag) == "true" for tag in RESUMED):
        parent = current.parent_run_id or current.tags.get(PARENT_RUN)
        if parent is None:
            return
        yield parent
        current = instance.get_run_by_id(parent)


def materialisations(
    instance: dg.DagsterInstance, run_id: str
) -> Iterator[dg.AssetMaterialization]:
    """What a run has recorded, oldest first."""
    cursor, more = None, True
    while more:
        page = instance.get_records_for_run(
            run_id, cursor, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1000
        )
        for record in page.records:
            if event := record.asset_materialization:
                yield event
        cursor, more = page.cursor, page.has_more


def _recorded(
    instance: dg.DagsterInstance, run_id: str, versions: Mapping[dg.AssetKey, str | None]
) -> dict[_Place, dg.AssetMaterialization]:
    """The last event of each partition that a run recorded, of these tables in these versions."""
    return {
        (event.asset_key, str(event.partition)): event
        for event in materialisations(instance, run_id)
        if event.asset_key in versions
        and (event.tags or {}).get(_CODE_VERSION) == versions[event.asset_key]
    }


def _with_owner(event: dg.AssetMaterialization, run_id: str) -> dg.AssetMaterialization:
    """The event with the run that recorded it, the first if others have taken it over since."""
    return event.with_metadata({TAKEN_OVER: run_id, **event.metadata})


def _events(
    context: dg.AssetExecutionContext, key: dg.AssetKey, partitions: Sequence[str]
) -> Iterator[dg.AssetMaterialization]:
    """The events that Dagster would record of an Output for these partitions, without metadata."""
    step = context.op_execution_context.get_step_execution_context()
    name = context.assets_def.get_output_name_for_asset_key(key)
    found = _get_output_asset_events(
        key,
        partitions,
        dg.Output(None, name),
        step.op_def.output_def_named(name),
        {},
        step,
        AssetExecutionType.MATERIALIZATION,
    )
    return (event for event in found if isinstance(event, dg.AssetMaterialization))
