"""What is heard of runs: how they ended, and what they were to make and did not."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from ml_platform.alerts.listening.log import rows_after
from ml_platform.alerts.listening.runs import is_unsettled
from ml_platform_tests.alerts.listening.conftest import only


def test_a_check_that_crashes_is_told_although_dagster_says_nothing_of_it(shop):
    events = shop.events(shop.run("crash"))
    crashed = only(events, "check.crashed")
    assert crashed.subject == "check raw/sales rows"
    assert crashed.failure_message.endswith("the check's own fault")
    assert [e.asset_key for e in events if e.type == "asset.failed"] == []


def test_a_failed_run_names_the_first_error_and_what_was_not_made(shop):
    events = shop.events(shop.run("sales"))
    failed = only(events, "run.failed")
    assert failed.failure_message.endswith("no such table")
    assert failed.elapsed_s >= 0
    assert failed.tags == {"team": "shop"} | failed.tags
    missing = [e.asset_key for e in events if e.type == "asset.failed"]
    assert missing == ["features/sales", "raw/sales"]
    # The check behind it was never reached: that is not a crash of the check.
    assert "check.crashed" not in [e.type for e in events]


def test_a_run_that_succeeds_is_a_good_sign_of_itself_and_of_what_it_made(shop):
    events = shop.events(shop.run())
    [run] = [one for one in events if one.type == "run.recovered"]
    made = [one.asset_key for one in events if one.type == "asset.recovered"]
    assert run.subject == f"run {shop.instance.get_runs()[0].run_id}"
    assert (run.outcome, sorted(made)) == ("success", ["features/sales", "raw/sales"])


def test_a_run_that_will_be_repeated_has_not_failed_yet(shop):
    kinds = shop.kinds(shop.run("sales", retry=True))
    assert "run.retried" in kinds
    assert "run.failed" not in kinds


def test_a_failure_waits_until_dagster_says_whether_it_is_repeated(shop):
    cursor = shop.run("sales")
    run = shop.instance.get_runs()[0]
    tags = {k: v for k, v in run.tags.items() if k != "dagster/will_retry"}
    shop.instance.run_storage.delete_run(run.run_id)
    shop.instance.run_storage.add_run(run._replace(tags=tags))
    rows = rows_after(shop.instance, cursor)
    failure = next(r for r in rows if r.entry.dagster_event_type == dg.DagsterEventType.RUN_FAILURE)
    at = datetime.fromtimestamp(failure.entry.timestamp, tz=UTC)
    assert is_unsettled(failure, shop.known(at + timedelta(seconds=1)))
    assert not is_unsettled(failure, shop.known(at + timedelta(seconds=6)))
    shop.instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    assert not is_unsettled(failure, shop.known(at + timedelta(seconds=1)))


def test_a_canceled_run_is_heard(shop):
    @dg.job
    def nightly():
        pass

    run = shop.instance.create_run_for_job(nightly)
    shop.instance.report_run_canceled(run)
    assert [(e.type, e.what) for e in shop.events()] == [("run.canceled", "nightly")]
