"""What a backfill would do, before it does it: partitions, downstream, time, memory, warnings.

It looks and starts nothing. What is expected is what the table's own history shows.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from ml_platform.execution.profile import size_of
from ml_platform.execution.recording import PARENT_RUN, RESUMED, TAKEN_OVER
from ml_platform.kernel.errors import NotFoundError

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

WRITE, AT_ONCE = "ml_platform/write", "ml_platform/max_parallel"
"""Metadata of a declared table, where it is not as usual: how it is written, how many at once."""

MADE, FAILED, RUNNING, MISSING = "made before", "failed", "running now", "missing"

_REMEMBERED = 200
_LATEST_RUNS = 100


@dataclass(frozen=True)
class Downstream:
    """A table that a backfill touches: how many of its partitions, None for all of it."""

    key: dg.AssetKey
    partitions: int | None


@dataclass(frozen=True)
class Expected:
    """What the history of a table says: medians and the most of the last materialisations.

    Attributes:
        seconds: of one partition, at the median.
        peak_memory_bytes: the most that one took.
        seen: how many there are to tell from.
    """

    seconds: float
    peak_memory_bytes: int
    seen: int


@dataclass(frozen=True)
class BackfillPlan:
    """What a backfill would do."""

    key: dg.AssetKey
    groups: Sequence[Sequence[str]]
    states: Mapping[str, str]
    write: str
    at_once: int
    downstream: Sequence[Downstream] = ()
    expected: Expected | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def partitions(self) -> list[str]:
        """All partitions that it would make."""
        return [partition for group in self.groups for partition in group]

    def lines(self) -> Iterator[tuple[str, str]]:
        """What to tell of it: a word, and what it is."""
        chosen = self.partitions
        yield "table", self.key.to_user_string()
        counted = Counter(self.states[partition] for partition in chosen)
        known = ", ".join(f"{count} {state}" for state, count in counted.items())
        ends = f"{chosen[0]} to {chosen[-1]}" if len(chosen) > 1 else "".join(chosen)
        if chosen:
            yield "partitions", f"{len(chosen)}: {ends} ({known})"
        else:
            yield "partitions", "none: it is made as a whole" if self.groups else "none is open"
        at_once = f"{self.at_once} partitions at a time" if self.at_once > 1 else "one by one"
        yield "runs", f"{len(self.groups)}, {at_once}"
        yield "expected", self._expectation()
        for one in self.downstream:
            what = f"{one.partitions} partitions" if one.partitions is not None else "all of it"
            yield "downstream", f"{one.key.to_user_string()} ({what}) is out of date afterwards"
        for note in self.notes:
            yield "note", note

    def _expectation(self) -> str:
        if self.expected is None:
            return "nothing is known: no partition was made yet"
        one = self.expected
        seconds = one.seconds * (len(self.partitions) or 1) / self.at_once
        return (
            f"about {_duration(seconds)} ({_duration(one.seconds)} a partition at the median of "
            f"{one.seen}), {size_of(one.peak_memory_bytes * self.at_once)} of memory at most"
        )


def planned_backfill(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    chosen: Sequence[str],
    *,
    only_open: bool = False,
) -> BackfillPlan:
    """The plan for these partitions; with `only_open` for those that failed or are missing."""
    node = definitions.resolve_asset_graph().get(key)
    states = partition_states(instance, key, chosen, node.partitions_def)
    if only_open:
        chosen = [one for one in chosen if states[one] in {FAILED, MISSING}]
    policy = node.backfill_policy
    single = policy is None or policy.max_partitions_per_run is None
    keys = list(node.partitions_def.get_partition_keys()) if node.partitions_def else []
    groups = list(_stretches(keys, chosen)) if single else [[one] for one in chosen]
    if node.partitions_def is None:
        groups = [[]]  # one run, for the whole table
    write = _value(node.metadata.get(WRITE)) or "replace"
    return BackfillPlan(
        key=key,
        groups=groups,
        states=states,
        write=write,
        at_once=int(_value(node.metadata.get(AT_ONCE)) or 1) if single else 1,
        downstream=list(_downstream(definitions, key, chosen)),
        expected=expected(instance, key),
        notes=list(_notes(key, write, [one for one in chosen if states[one] == MADE], chosen)),
    )


def partition_states(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    chosen: Sequence[str],
    partitions: dg.PartitionsDefinition[str] | None,
) -> dict[str, str]:
    """What is known of each partition, as the UI shows it."""
    if partitions is None:
        return dict.fromkeys(chosen, MISSING)
    words = {"MATERIALIZED": MADE, "FAILED": FAILED, "IN_PROGRESS": RUNNING}
    found = instance.get_status_by_partition(key, list(chosen), partitions) or {}
    return {one: words[status.value] if (status := found.get(one)) else MISSING for one in chosen}


def expected(instance: dg.DagsterInstance, key: dg.AssetKey) -> Expected | None:
    """What the last materialisations took; None where none tells."""
    found = instance.fetch_materializations(key, limit=_REMEMBERED).records
    told: list[dict[str, Any]] = [
        {name: value.value for name, value in one.asset_materialization.metadata.items()}
        for one in found
        if one.asset_materialization and TAKEN_OVER not in one.asset_materialization.metadata
    ]
    seconds = [float(one["seconds"]) for one in told if "seconds" in one]
    if not seconds:
        return None
    peak = max(int(one.get("peak_memory_bytes", 0)) for one in told)
    return Expected(statistics.median(seconds), peak, len(seconds))


def resumable_run(
    instance: dg.DagsterInstance, key: dg.AssetKey, is_gone: Callable[[dg.DagsterRun], bool]
) -> dg.DagsterRun:
    """The last run over partitions of a table, if it did not come to its end.

    Args:
        instance: where runs are recorded.
        key: the table.
        is_gone: whether the process of a run that says that it goes on is there no more.

    Raises:
        NotFoundError: there is none, or it made all its partitions, or it still goes on.
    """
    subject = f"a backfill of {key.to_user_string()} to go on with"
    for run in instance.get_runs(limit=_LATEST_RUNS):
        if RANGE_START not in run.tags or key not in (run.asset_selection or ()):
            continue
        if run.is_failure_or_canceled or (not run.is_finished and is_gone(run)):
            return run
        said = "made all its partitions" if run.is_finished else "still goes on"
        raise NotFoundError(
            subject,
            f"the last one, run {run.run_id[:8]}, {said}",
            fix="`--failed` makes what failed or is missing, whatever run that was",
        )
    raise NotFoundError(subject, "there was none", fix="name partitions with --partitions")


def resuming_tags(run: dg.DagsterRun) -> dict[str, str]:
    """The tags of a run that goes on with another one."""
    own = {tag: run.tags[tag] for tag in (RANGE_START, RANGE_END)}
    return {**own, RESUMED[0]: "true", PARENT_RUN: run.run_id}


def _stretches(keys: Sequence[str], chosen: Sequence[str]) -> Iterator[list[str]]:
    """The chosen partitions in stretches without gaps: a run has a first and a last one."""
    wanted, stretch = set(chosen), list[str]()
    for key in keys:
        if key in wanted:
            stretch.append(key)
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _downstream(
    definitions: dg.Definitions, key: dg.AssetKey, chosen: Sequence[str]
) -> Iterator[Downstream]:
    """All tables that are made from this one, near or far."""
    graph = definitions.resolve_asset_graph()
    own = graph.get(key).partitions_def
    seen, waiting = {key}, [key]
    while waiting:
        for child in sorted(graph.get(waiting.pop(0)).child_keys - seen):
            seen.add(child)
            waiting.append(child)
            yield Downstream(child, _touched(own, graph.get(child).partitions_def, chosen))


def _touched(
    own: dg.PartitionsDefinition[str] | None,
    other: dg.PartitionsDefinition[str] | None,
    chosen: Sequence[str],
) -> int | None:
    """How many partitions of another table these partitions are part of; None for all of it."""
    if other is None or not chosen:
        return None
    if own == other:
        return len(chosen)
    times = dg.TimeWindowPartitionsDefinition
    if not (isinstance(own, times) and isinstance(other, times)):
        return None
    windows = [own.time_window_for_partition_key(one) for one in chosen]
    touched = {
        part for window in windows for part in other.get_partition_keys_in_time_window(window)
    }
    touched |= {
        part
        for part in other.get_partition_keys()
        if any(_overlap(other.time_window_for_partition_key(part), one) for one in windows)
    }
    return len(touched)


def _overlap(one: dg.TimeWindow, other: dg.TimeWindow) -> bool:
    return one.start < other.end and other.start < one.end


def _notes(
    key: dg.AssetKey, write: str, made: Sequence[str], chosen: Sequence[str]
) -> Iterator[str]:
    """What a person should know before it runs."""
    if key.path[0] == "raw":
        yield (
            f"the source is asked {len(chosen)} times"
            if len(chosen) > 1
            else "the source is asked once"
        )
    if made and write == "append":
        yield (
            f"`write: append`: {len(made)} partitions were made before, and their rows are added "
            "once more; --failed leaves them out"
        )
    elif made and write == "merge":
        yield f"`write: merge`: rows of {len(made)} partitions made before are merged by their key"
    elif made:
        yield f"{len(made)} partitions made before are replaced; what they held stays as a version"


def _value(metadata: Any) -> Any:
    return getattr(metadata, "value", metadata)


def _duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> _duration(0.25), _duration(90), _duration(7300)
    ('0.25 s', '90 s', '2 h 2 min')
    """
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - digits
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004
