"""One step over its partitions: send them out, record each as it ends, fail with what is missing.

A failed partition stops no other. When all have ended the step fails if one did, with a message
that names them; what is made stays made, and the next attempt makes only the rest.
"""

import time
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from typing import Any

import dagster as dg

from ml_platform.execution.engines.choice import engine_of
from ml_platform.execution.profile import Plan
from ml_platform.execution.recording import Record, done_before, taken_over
from ml_platform.execution.work import Ended, Made, Order, Work
from ml_platform.kernel.errors import PlatformError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.resource import PREVIEW_ROWS, metadata_of
from ml_platform.storage.tables import TableStore

WHOLE_ERRORS = 3
"""How many errors a message has whole; the others are counted."""

TOLD_EVERY_S = 2.0
"""How often the run's log says how far a fan-out is."""

NAMED_PARTITIONS = 20
"""How many failed partitions a message names; all are in the failure's metadata."""


def made_whole(context: dg.AssetExecutionContext, work: Work, plan: Plan) -> Iterator[Any]:
    """Make a table without partitions, and tell of each table that was written."""
    (ended,) = engine_of(plan, context.log.info).run(work, [Order(None)])
    if ended.made is None:
        raise failure(work.key, [ended], 1)
    made = ended.made.by_table(work.key)
    shown = {one: _shown(work.store, work.project, one, what) for one, what in made.items()}
    shown[work.key] |= cost_of(ended)
    for key in context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=key, metadata=shown[TableKey(*key.path)])


def fanned_out(
    context: dg.AssetExecutionContext,
    work: Work,
    partitions: dg.PartitionsDefinition[str],
    plan: Plan,
) -> Iterator[Any]:
    """Make the run's partitions, and yield the record of each as it ends.

    Raises:
        dg.Failure: a partition could not be made; retried if that may help one of them.
    """
    done = done_before(context)
    before = [event for key in context.partition_keys for event in done.get(key, ())]
    yield from taken_over(before)
    try:
        yield from _rest_made(context, work, partitions, plan, done)
    except (dg.Failure, PlatformError):
        # Dagster plans all partitions of a run, and shows as failed what a failed run did not make.
        yield from before
        raise


def _rest_made(
    context: dg.AssetExecutionContext,
    work: Work,
    partitions: dg.PartitionsDefinition[str],
    plan: Plan,
    done: Container[str],
) -> Iterator[Any]:
    keys = list(context.partition_keys)
    record, progress = Record(context, keys), Progress(context, work.key, len(keys))
    todo = [order for order in orders(partitions, keys) if order.partition not in done]
    progress.begin(len(keys) - len(todo))
    failed = []
    for ended in engine_of(plan, context.log.info).run(work, todo):
        progress.tell(ended)
        if ended.made is None:
            failed.append(ended)
        else:
            yield from record.made(str(ended.order), _of_partition(work.key, ended, ended.made))
    if failed:
        place = {order.partition: number for number, order in enumerate(todo)}
        failed.sort(key=lambda one: place[one.order.partition])  # and not as they happened to end
        raise failure(work.key, failed, len(keys))
    yield from record.output(progress.shown())


def orders(partitions: dg.PartitionsDefinition[str], keys: Sequence[str]) -> Iterator[Order]:
    """The order of each partition."""
    for key in keys:
        if isinstance(partitions, dg.TimeWindowPartitionsDefinition):
            found = partitions.time_window_for_partition_key(key)
            yield Order(key, (found.start, found.end))
        else:
            yield Order(key)


class Progress:
    """What the run's log says of a fan-out while it goes on.

    Each partition has its own event there, so a line now and then is enough; one for each would
    take as long as the event.
    """

    def __init__(self, context: dg.AssetExecutionContext, key: TableKey, total: int) -> None:
        self._log, self._key, self._total = context.log, key, total
        self._done = self._before = 0
        self._rows: Counter[TableKey] = Counter()
        self._begun = self._said = time.monotonic()

    def begin(self, before: int) -> None:
        """Say how many partitions were made before."""
        self._done = self._before = before
        if before:
            said = (before, self._total, self._key)
            self._log.info("%d of %d partitions of %s were made before", *said)

    def tell(self, ended: Ended) -> None:
        """Count one; say what it said, that it failed, or now and then how far all are."""
        for line in ended.said:
            self._log.info("%s: %s", ended.order, line)
        self._done += 1
        if ended.trouble:
            self._log.error("%s failed: %s", ended.order, ended.trouble.text)
            return
        made = (ended.made or Made(None, {})).by_table(self._key)
        self._rows.update({key: _rows(one) for key, one in made.items()})
        now = time.monotonic()
        if self._done == self._total or now - self._said >= TOLD_EVERY_S:
            self._said = now
            said = (self._done, self._total, self._key, self._rows[self._key], self._rest(now))
            self._log.info("%d of %d partitions of %s, %d rows%s", *said)

    def shown(self) -> dict[dg.AssetKey, dict[str, int]]:
        """Of each table, what this run made."""
        count = self._done - self._before
        return {
            dg.AssetKey(key.parts): {"rows_in_this_run": rows, "partitions_in_this_run": count}
            for key, rows in self._rows.items()
        }

    def _rest(self, now: float) -> str:
        made, left = self._done - self._before, self._total - self._done
        seconds = (now - self._begun) / made * left
        return f", about {seconds:.0f} s left" if left else ""


def failure(key: TableKey, failed: Sequence[Ended], total: int) -> dg.Failure:
    """The failure of a step some of whose partitions failed.

    The first errors are told whole; the others are counted by what they say.
    """
    troubles = {str(one.order): one.trouble for one in failed if one.trouble}
    retryable = any(one.retryable for one in troubles.values())
    if [one.order.partition for one in failed] == [None]:
        return dg.Failure(troubles["the table"].text, allow_retries=retryable)
    named = ", ".join(list(troubles)[:NAMED_PARTITIONS])
    more = len(troubles) - NAMED_PARTITIONS
    lines = [
        f"table {key}: {len(troubles)} of {total} partitions failed: {named}"
        + (f" and {more} more" if more > 0 else ""),
        *(f"{name}: {one.text}" for name, one in list(troubles.items())[:WHOLE_ERRORS]),
    ]
    rest = Counter(one.headline for one in list(troubles.values())[WHOLE_ERRORS:])
    lines += [f"{count} more: {text}" for text, count in rest.most_common(WHOLE_ERRORS)]
    fix = "what is made stays; `ml-platform backfill` with --failed makes only what is missing"
    return dg.Failure(
        "\n".join([*lines, f"  to do: {fix}"]),
        metadata={"failed_partitions": dg.MetadataValue.json(list(troubles))},
        allow_retries=retryable,
    )


def cost_of(ended: Ended) -> dict[str, Any]:
    """What an order cost, as metadata."""
    cost = ended.cost
    rows = _rows(ended.made) if ended.made else 0
    return {
        "seconds": round(cost.seconds, 3),
        "cpu_seconds": round(cost.cpu_seconds, 3),
        "peak_memory_bytes": cost.peak_memory_bytes,
        **({"rows_per_second": round(rows / cost.seconds)} if rows and cost.seconds else {}),
    }


def _of_partition(key: TableKey, ended: Ended, made: Made) -> dict[dg.AssetKey, dict[str, Any]]:
    """What to show of each table that was written for a partition."""
    shown = {}
    for one, what in made.by_table(key).items():
        own = {**what.metadata, "dagster/partition_row_count": _rows(what)}
        if what.written:
            own |= {k: v for k, v in metadata_of(what.written).items() if "row_count" not in k}
        shown[dg.AssetKey(one.parts)] = own | (cost_of(ended) if one == key else {})
    return shown


def _rows(made: Made) -> int:
    return made.written.rows if made.written else 0


def _shown(store: TableStore, project: str, key: TableKey, made: Made) -> dict[str, Any]:
    if made.written is None:
        return dict(made.metadata)
    with store.relation(project, key) as relation:
        preview = relation.limit(PREVIEW_ROWS).to_arrow_table()
    return {**metadata_of(made.written, preview), **made.metadata}
