"""What is in no log is heard too: long runs, backfills, broken declarations."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    TickData,
    TickStatus,
)
from dagster._utils.error import SerializableErrorInfo

from ml_platform.alerts.listening import beside
from ml_platform.alerts.listening.known import Known


def test_a_run_that_takes_long_is_told_once_it_does(shop):
    @dg.job
    def nightly():
        pass

    run = shop.instance.create_run_for_job(nightly)
    shop.instance.report_run_canceled(run)
    run = shop.instance.create_run_for_job(nightly)
    start = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.RUN_START.value, job_name="nightly", message="go"
    )
    shop.instance.report_dagster_event(start, run.run_id)
    now = datetime.now(tz=UTC)
    assert list(beside.long_runs(shop.known(now + timedelta(minutes=9)), 10)) == []
    [found] = beside.long_runs(shop.known(now + timedelta(minutes=11)), 10)
    assert (found.type, found.what) == ("run.too_long", "nightly")
    assert found.expected == "up to 10 minutes"
    [again] = beside.long_runs(shop.known(now + timedelta(minutes=50)), 10)
    assert again.id == found.id
    assert found.facts == {}
    shop.instance.add_run_tags(run.run_id, {"ml_platform/parent_run": "a scenario's"})
    [part] = beside.long_runs(shop.known(now + timedelta(minutes=50)), 10)
    assert part.facts["parent_run"] == "a scenario's"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (BulkActionStatus.COMPLETED_SUCCESS, "backfill.finished"),
        (BulkActionStatus.COMPLETED_FAILED, "backfill.failed"),
        (BulkActionStatus.FAILED, "backfill.failed"),
        (BulkActionStatus.CANCELED, None),
        (BulkActionStatus.REQUESTED, None),
    ],
)
def test_a_backfill_is_told_when_it_has_ended(shop, status, kind):
    for name, ended in (("old", 50.0), ("new", 150.0)):
        shop.instance.add_backfill(
            PartitionBackfill(
                backfill_id=name,
                status=status,
                from_failure=False,
                tags={},
                backfill_timestamp=10.0,
                asset_selection=[dg.AssetKey(["raw", "sales"])],
                backfill_end_timestamp=ended,
            )
        )
    since = datetime.fromtimestamp(100, tz=UTC)
    found = [(e.type, e.what, e.elapsed_s) for e in beside.backfills(shop.known(), since)]
    assert found == ([(kind, "raw/sales", 140.0)] if kind else [])


def ticked(shop, location, status, error=None, at=150.0):
    """A tick of the sensor `files` of a code location, as the daemon writes it down."""
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
    origin, kind = RemoteInstigatorOrigin(place, "files"), InstigatorType.SENSOR
    state = InstigatorState(origin, kind, InstigatorStatus.RUNNING)
    if not shop.instance.get_instigator_state(origin.get_id(), state.selector_id):
        shop.instance.add_instigator_state(state)
    begun = TickData(
        origin.get_id(), "files", kind, TickStatus.STARTED, at, selector_id=state.selector_id
    )
    shop.instance.update_tick(shop.instance.create_tick(begun).with_status(status, error=error))


def test_the_ticks_of_the_project_are_told_in_their_order(shop):
    wrong = SerializableErrorInfo("no such folder", [], "ValueError")
    ticked(shop, "shop", TickStatus.SUCCESS, at=50.0)
    ticked(shop, "shop", TickStatus.FAILURE, wrong, at=150.0)
    ticked(shop, "other", TickStatus.FAILURE, wrong, at=151.0)
    ticked(shop, "shop", TickStatus.SKIPPED, at=152.0)
    ticked(shop, "shop", TickStatus.STARTED, at=153.0)
    since = datetime.fromtimestamp(100, tz=UTC)
    found = list(beside.ticks(shop.known(), since, "alerts"))
    assert [(one.type, one.what, one.failure_message) for one in found] == [
        ("tick.failed", "files", "no such folder"),
        ("tick.recovered", "files", ""),
    ]
    assert list(beside.ticks(shop.known(), since, "files")) == []


def test_declarations_that_broke_and_that_were_mended_are_told():
    now = datetime.now(tz=UTC)
    known = Known(None, "shop", now, broken={"raw/a": "**bad**", "raw/b": "bad"})
    found = beside.declarations(known, ["declaration raw/b", "declaration raw/c"])
    assert [(e.type, e.what) for e in found] == [
        ("declaration.broken", "raw/a"),
        ("declaration.mended", "raw/c"),
    ]
