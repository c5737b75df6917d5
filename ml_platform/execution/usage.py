"""What tables have cost: read from the event log, where every materialisation tells it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg

from ml_platform.execution.recording import TAKEN_OVER

_PAGE = 1000
UNKNOWN = "?"
"""The project of what was written nowhere."""


@dataclass
class Usage:
    """What one table of one project has cost since a time.

    Attributes:
        materialisations: how often it, or one of its partitions, was made.
        rows: how many rows these wrote together.
        peak_memory_bytes: the most that one of them took.
    """

    project: str
    key: str
    runs: set[str] = field(default_factory=set)
    materialisations: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    rows: int = 0

    @property
    def rows_per_second(self) -> float:
        """How fast its rows were made; 0 where nobody measured."""
        return self.rows / self.seconds if self.seconds else 0.0

    def add(self, run_id: str, told: dict[str, Any]) -> None:
        """Count one materialisation."""
        self.runs.add(run_id)
        self.materialisations += 1
        self.seconds += float(told.get("seconds", 0))
        self.cpu_seconds += float(told.get("cpu_seconds", 0))
        self.peak_memory_bytes = max(self.peak_memory_bytes, int(told.get("peak_memory_bytes", 0)))
        self.rows += int(told.get("dagster/partition_row_count", told.get("dagster/row_count", 0)))


def usage(instance: dg.DagsterInstance, since: datetime) -> list[Usage]:
    """What each table has cost since a time, the dearest first.

    What a resumed run took over from the one before is counted there, and once.
    """
    found: dict[tuple[str, str], Usage] = {}
    for key in instance.get_asset_keys():
        name = key.to_user_string()
        for run_id, told in _told(instance, key, since):
            project = _project(told)
            found.setdefault((project, name), Usage(project, name)).add(run_id, told)
    return sorted(found.values(), key=lambda one: (-one.cpu_seconds, one.project, one.key))


def _told(
    instance: dg.DagsterInstance, key: dg.AssetKey, since: datetime
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The run and the metadata of each materialisation of a table."""
    wanted = dg.AssetRecordsFilter(asset_key=key, after_timestamp=since.timestamp())
    cursor, more = None, True
    while more:
        page = instance.fetch_materializations(wanted, limit=_PAGE, cursor=cursor)
        for record in page.records:
            event = record.asset_materialization
            if event and TAKEN_OVER not in event.metadata:
                yield record.run_id, {name: one.value for name, one in event.metadata.items()}
        cursor, more = page.cursor, page.has_more


def _project(told: dict[str, Any]) -> str:
    """Whose table it is: the part of its address before layer and table."""
    parts = str(told.get("dagster/uri", "")).split("/")
    return parts[-4] if len(parts) >= 4 else UNKNOWN  # noqa: PLR2004 - project/layer/table/file
