"""A readable row of the event log, and the events that its readers make of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ml_platform.alerts.event import Event
from ml_platform.alerts.listening.known import (
    Known,
    job_of,
    plain_tags,
    scenario_of,
    trigger_of,
)

LONGEST_VALUE = 500


@dataclass(frozen=True)
class Entry:
    """A readable row, and what is known around it."""

    id: int
    entry: dg.EventLogEntry
    known: Known

    @property
    def at(self) -> datetime:
        """When it was written down."""
        return datetime.fromtimestamp(self.entry.timestamp, tz=UTC)

    @property
    def data(self) -> Any:
        """What only this kind of event says."""
        return self.entry.dagster_event.event_specific_data if self.entry.dagster_event else None

    @property
    def run(self) -> dg.DagsterRun | None:
        """The run that wrote it, if it is still there."""
        return self.known.run(self.entry.run_id)

    def event(self, kind: str, subject: str, what: str, *, asset: str = "", **more: Any) -> Event:
        """An event of this row; the same row always gives the same id."""
        run = self.run
        run_id = self.entry.run_id if run else ""
        trigger, _, reason = trigger_of(run).partition(": ")
        tags = dict(self.known.tags.get(asset, {})) or plain_tags(run)
        own = {
            "trigger_name": trigger,
            "trigger_reason": reason,
            "job": job_of(run),
            "scenario": scenario_of(run),
            "tags": tags,
            "owners": tuple(self.known.owners.get(asset, ())),
            **more,
        }
        return Event(
            # With its time: after the log was wiped, ids begin again.
            id=f"log-{self.id}-{self.entry.timestamp:.6f}-{kind}{own.pop('suffix', '')}",
            type=kind,
            at=self.at,
            project=self.known.project_of(run, asset),
            subject=subject,
            what=what,
            order=self.id,
            asset_key=asset,
            run_id=run_id,
            **own,
        )


def said(metadata: Mapping[str, dg.MetadataValue[Any]], name: str) -> str:
    """A value of some metadata as text; empty where there is none."""
    value = metadata[name].value if name in metadata else None
    if value is None:
        return ""
    if isinstance(value, Mapping):
        text = "; ".join(f"{key}: {one}" for key, one in value.items())
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
