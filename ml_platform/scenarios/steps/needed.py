"""What of a selection has to be made: all of it, what is missing, or what is stale.

Stale is what `make` means by it: the code version is another one, or something that it is made
from was made later, or is about to be made now. Data versions do not tell: Dagster gives a table
that reads another system the same one each time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from ml_platform.kernel.errors import DeclarationError
from ml_platform.kernel.names import TableKey
from ml_platform.scenarios.steps.partitions import chosen_partitions
from ml_platform.storage.tables import TableStore

CODE_VERSION = "dagster/code_version"

Needed = dict[dg.AssetKey, list[str] | None]
"""Of each asset its partitions; None for one that has none."""


@dataclass
class Judge:
    """Says what has to be made, asset by asset, those before that it is made from."""

    instance: dg.DagsterInstance
    graph: Any
    project: str
    store: TableStore | None
    needed: Needed = field(default_factory=dict)

    def ask(self, key: dg.AssetKey, only: str, said: Any) -> None:
        """Take down what of an asset has to be made."""
        node = self.graph.get(key)
        if node.partitions_def is None:
            if only == "all" or self._is_due(key, None, only):
                self.needed[key] = None
            return
        chosen = chosen_partitions(key.to_user_string(), node.partitions_def, said)
        if only != "all":
            chosen = [one for one in chosen if self._is_due(key, one, only)]
        if chosen:
            self.needed[key] = chosen

    def _is_due(self, key: dg.AssetKey, partition: str | None, only: str) -> bool:
        record = self._last(key, partition)
        if record is None or self._was_cleared(key, partition):
            return True
        return only == "stale" and self._is_stale(key, partition, record)

    def _last(self, key: dg.AssetKey, partition: str | None) -> dg.EventLogRecord | None:
        wanted = dg.AssetRecordsFilter(
            asset_key=key, asset_partitions=None if partition is None else [partition]
        )
        return next(iter(self.instance.fetch_materializations(wanted, limit=1).records), None)

    def _was_cleared(self, key: dg.AssetKey, partition: str | None) -> bool:
        """Whether a table's rows were taken away since; its old ones are kept then."""
        try:
            table = TableKey.parse(key.to_user_string())
        except DeclarationError:  # no table of this platform
            return False
        if self.store is None or partition in self.store.partitions(self.project, table):
            return False
        return bool(self.store.versions(self.project, table, partition))

    def _is_stale(self, key: dg.AssetKey, partition: str | None, record: dg.EventLogRecord) -> bool:
        made = record.asset_materialization
        version = self.graph.get(key).code_version
        tags: Mapping[str, str] = (made.tags if made else None) or {}
        if version is not None and tags.get(CODE_VERSION) != version:
            return True
        return any(
            above in self.needed or self._is_newer(above, key, partition, record)
            for above in self._above(key)
        )

    def _above(self, key: dg.AssetKey) -> Iterator[dg.AssetKey]:
        yield from self.graph.get(key).parent_keys

    def _is_newer(
        self, above: dg.AssetKey, key: dg.AssetKey, partition: str | None, own: dg.EventLogRecord
    ) -> bool:
        if not self.graph.has(above):
            return False
        alike = self.graph.get(above).partitions_def == self.graph.get(key).partitions_def
        other = self._last(above, partition if alike else None)
        return other is not None and other.timestamp > own.timestamp


def batches(needed: Needed, graph: Any) -> Iterator[tuple[list[dg.AssetKey], list[str] | None]]:
    """What can be made in one go: assets of the same partitions, after all that they wait for."""
    left = [key for key in graph.toposorted_asset_keys if key in needed]
    while left:
        first = left[0]
        batch: list[dg.AssetKey] = []
        for key in left:
            alike = needed[key] == needed[first] and _division(graph, key) == _division(
                graph, first
            )
            waiting = (set(graph.get(key).parent_keys) & set(left)) - set(batch)
            if alike and not waiting:
                batch.append(key)
        yield batch, needed[first]
        left = [key for key in left if key not in batch]


def _division(graph: Any, key: dg.AssetKey) -> Any:
    return graph.get(key).partitions_def
