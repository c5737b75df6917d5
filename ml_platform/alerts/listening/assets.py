"""What assets say in the event log: checks, freshness, what was made, what was observed."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from ml_platform.alerts.event import KINDS, OURS, Event
from ml_platform.alerts.listening.entry import Entry, said
from ml_platform.alerts.message import Severity
from ml_platform.execution.recording import TAKEN_OVER
from ml_platform.kernel.marks import EVENT_KEY

_ENDS = {"drift.found": "drift.over"}
"""What a check may be besides a check, by a word in its metadata, and what it is when it passes."""

_LONGEST_FACT = 200


def check(one: Entry) -> Iterator[Event]:
    """How a check came out: a failure, a warning, or a good sign."""
    found = one.data
    asset = found.asset_key.to_user_string()
    kind, severity = _kind_of_check(found)
    subject = check_subject(asset, found.check_name, found.partition)
    if not kind.startswith("check."):
        subject = f"{kind.partition('.')[0]} {subject.partition(' ')[2]}"
    numbers = {
        name: value.value
        for name, value in found.metadata.items()
        if isinstance(value.value, (int, float, str, bool))
        and len(str(value.value)) < _LONGEST_FACT
    }
    yield one.event(
        kind,
        subject,
        f"{asset} {found.check_name}",
        asset=asset,
        check_name=found.check_name,
        partition=found.partition or "",
        observed=said(found.metadata, "observed"),
        expected=said(found.metadata, "expected"),
        failure_message="" if found.passed else found.description or "",
        summary=found.description or "",
        severity=severity,
        facts=numbers,
    )


def _kind_of_check(found: Any) -> tuple[str, Severity | None]:
    """The kind of its event, and how bad it is where the kind alone does not say that."""
    fails = found.severity != dg.AssetCheckSeverity.WARN
    told = str(found.metadata[EVENT_KEY].value) if EVENT_KEY in found.metadata else ""
    if told in _ENDS:
        if found.passed:
            return _ENDS[told], None
        return told, Severity.error if fails else Severity.warning
    if found.passed:
        return "check.recovered", None
    return ("check.failed" if fails else "check.warned"), None


def check_subject(asset: str, name: str, partition: str | None) -> str:
    """How a check is called from one evaluation to the next."""
    return f"check {asset} {name} {partition or ''}".rstrip()


def freshness(one: Entry) -> Iterator[Event]:
    """That an asset is stale, nearly so, or fresh."""
    found = one.data
    asset = found.key.to_user_string()
    kinds = {"PASS": "recovered", "WARN": "warned", "FAIL": "failed"}
    state = str(found.new_state.value)
    if state in kinds:
        yield one.event(
            f"freshness.{kinds[state]}",
            f"freshness {asset}",
            asset,
            asset=asset,
            observed=state.lower(),
            expected="pass",
            summary=f"{asset} was {found.previous_state.value.lower()} and is {state.lower()}.",
        )


def materialised(one: Entry) -> Iterator[Event]:
    """That an asset was made, with which columns, and what a training has decided."""
    found = one.data.materialization
    if TAKEN_OVER in found.metadata:
        return  # nothing was made: a run that failed told of what an earlier one had made
    asset = found.asset_key.to_user_string()
    partition = found.partition or ""
    yield one.event(
        "asset.recovered",
        f"asset {asset} {partition}".rstrip(),
        asset,
        asset=asset,
        partition=partition,
    )
    columns = _columns(found.metadata)
    if columns:
        yield one.event(
            "schema.changed",
            f"schema {asset}",
            asset,
            asset=asset,
            partition=partition,
            observed=json.dumps(columns),
        )
    if "is_champion" in found.metadata:
        yield _judged(one, asset, found.metadata)


def _judged(one: Entry, asset: str, metadata: Mapping[str, Any]) -> Event:
    """A training says by the metadata of its asset whether its model became champion."""
    won = bool(metadata["is_champion"].value)
    sentence = said(metadata, "verdict")
    return one.event(
        "model.champion" if won else "model.rejected",
        f"model {asset}",
        asset,
        asset=asset,
        summary=sentence,
        observed=sentence,
        facts={"model_version": str(said(metadata, "model_version"))},
    )


def _columns(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, str]:
    value = metadata.get("dagster/column_schema")
    schema = value.value if value is not None else None
    return {one.name: one.type for one in schema.columns} if schema else {}


def observed(one: Entry) -> Iterator[Event]:
    """Any room may tell by an observation whose metadata names the kind of event."""
    found = one.data.asset_observation
    if EVENT_KEY not in found.metadata:
        return
    asset = found.asset_key.to_user_string()
    kind = str(found.metadata[EVENT_KEY].value)
    told = kind if kind in KINDS and kind not in OURS else "message"
    values = {
        name: value.value
        for name, value in found.metadata.items()
        if isinstance(value.value, (str, int, float, bool)) and name != EVENT_KEY
    }
    summary = str(values.pop("summary", ""))
    yield one.event(
        told,
        f"{told.partition('.')[0]} {asset} {found.partition or ''}".rstrip(),
        str(values.pop("title", asset)),
        asset=asset,
        partition=found.partition or "",
        summary=summary,
        observed=str(values.pop("observed", "")),
        expected=str(values.pop("expected", "")),
        facts=values,
    )
