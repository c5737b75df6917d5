"""What the listener makes of Dagster: real runs on a real instance, read as the sensor does."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from ml_platform.alerts import listener
from ml_platform.alerts.listener import Known, Row, events_of, held_back, rows_after


class Shop:
    """Assets, checks and a job that fail as they are told to, on an instance of their own."""

    def __init__(self, instance):
        self.instance = instance
        self.fails, self.columns, self.verdict = set(), {"a": "int"}, None
        self.defs = self._definitions()

    def _definitions(self):
        def schema():
            columns = [dg.TableColumn(name, kind) for name, kind in self.columns.items()]
            return dg.TableSchema(columns=columns)

        @dg.asset(key=["raw", "sales"], owners=["team:shop"], tags={"domain": "retail"})
        def sales():
            if "sales" in self.fails:
                raise ValueError("no such table")
            metadata = {"dagster/column_schema": schema()}
            if self.verdict is not None:
                metadata |= {"is_champion": self.verdict, "verdict": "better than the last"}
            return dg.MaterializeResult(metadata=metadata)

        @dg.asset(key=["features", "sales"], deps=[sales])
        def features():
            return dg.MaterializeResult()

        @dg.asset_check(asset=sales)
        def rows():
            if "crash" in self.fails:
                raise ValueError("the check's own fault")
            return dg.AssetCheckResult(
                passed="rows" not in self.fails,
                severity=dg.AssetCheckSeverity.WARN
                if "warn" in self.fails
                else dg.AssetCheckSeverity.ERROR,
                description="812 rows",
                metadata={"observed": {"rows": 812}, "expected": "at least 10,000", "n": 812},
            )

        return dg.Definitions(assets=[sales, features], asset_checks=[rows])

    @property
    def repository(self):
        return self.defs.get_repository_def()

    def run(self, *fails, retry=False):
        """Make everything; raises nothing."""
        self.fails = set(fails)
        cursor = listener.newest_id(self.instance)
        job = self.defs.resolve_implicit_global_asset_job_def()
        tags = {"team": "shop"}
        done = job.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)
        if retry:
            self.instance.add_run_tags(done.run_id, {"dagster/will_retry": "true"})
        return cursor

    def known(self, now=None):
        return listener.known_of(
            self.instance, "shop", self.repository, now or datetime.now(tz=UTC)
        )

    def events(self, cursor=0):
        known = self.known()
        return [e for row in rows_after(self.instance, cursor) for e in events_of(row, known)]

    def kinds(self, cursor=0):
        return [e.type for e in self.events(cursor)]


@pytest.fixture
def shop():
    with dg.instance_for_test() as instance:
        yield Shop(instance)


def only(events, kind):
    [found] = [one for one in events if one.type == kind]
    return found


def test_a_failed_check_is_told_with_what_was_seen_and_whose_it_is(shop):
    found = only(shop.events(shop.run("rows")), "check.failed")
    assert (found.asset_key, found.check_name) == ("raw/sales", "rows")
    assert (found.observed, found.expected) == ("rows: 812", "at least 10,000")
    assert found.summary == found.failure_message == "812 rows"
    assert found.owners == ("team:shop",)
    assert found.tags["domain"] == "retail"
    assert found.facts["n"] == 812
    assert found.project == "shop"
    assert shop.instance.get_run_by_id(found.run_id) is not None


def test_a_check_that_only_warns_is_told_as_a_warning(shop):
    assert "check.warned" in shop.kinds(shop.run("rows", "warn"))


def test_what_passes_is_a_good_sign_of_the_same_subject(shop):
    bad = only(shop.events(shop.run("rows")), "check.failed")
    good = only(shop.events(shop.run()), "check.recovered")
    assert good.subject == bad.subject
    assert good.order > bad.order
    assert good.failure_message == ""


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
    assert listener.is_unsettled(failure, shop.known(at + timedelta(seconds=1)))
    assert not listener.is_unsettled(failure, shop.known(at + timedelta(seconds=6)))
    shop.instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    assert not listener.is_unsettled(failure, shop.known(at + timedelta(seconds=1)))


def test_columns_and_verdicts_are_read_from_what_was_made(shop):
    shop.columns, shop.verdict = {"a": "int", "b": "text"}, True
    events = shop.events(shop.run())
    assert only(events, "schema.changed").observed == '{"a": "int", "b": "text"}'
    assert only(events, "model.champion").summary == "better than the last"
    shop.verdict = False
    assert "model.rejected" in shop.kinds(shop.run())


def test_any_room_tells_by_an_observation_that_names_the_kind(shop):
    told = {"ml_platform/event": "drift.found", "summary": "PSI 0.3", "observed": "0.3", "psi": 0.3}
    for metadata in (told, {"ml_platform/event": "nonsense"}, {"other": 1}):
        shop.instance.report_runless_asset_event(
            dg.AssetObservation(dg.AssetKey(["raw", "sales"]), metadata=metadata)
        )
    drift, other = shop.events()
    assert (drift.type, drift.summary, drift.observed) == ("drift.found", "PSI 0.3", "0.3")
    assert drift.facts == {"psi": 0.3}
    assert other.type == "message"


@pytest.mark.parametrize(
    ("state", "kind"),
    [("FAIL", "freshness.failed"), ("WARN", "freshness.warned"), ("PASS", "freshness.recovered")],
)
def test_freshness_is_heard(shop, state, kind):
    change = FreshnessStateChange(
        key=dg.AssetKey(["raw", "sales"]),
        new_state=FreshnessState[state],
        previous_state=FreshnessState.UNKNOWN,
        state_change_timestamp=0.0,
    )
    shop.instance.report_runless_asset_event(change)
    [found] = shop.events()
    assert (found.type, found.asset_key, found.run_id) == (kind, "raw/sales", "")


def test_a_canceled_run_is_heard(shop):
    @dg.job
    def nightly():
        pass

    run = shop.instance.create_run_for_job(nightly)
    shop.instance.report_run_canceled(run)
    assert [(e.type, e.what) for e in shop.events()] == [("run.canceled", "nightly")]


def test_the_same_row_has_the_same_id_and_no_other_row_has_it(shop):
    shop.run("sales")
    shop.run("rows")
    first, again = ([e.id for e in shop.events()] for _ in range(2))
    assert first == again
    assert len(set(first)) == len(first)


def test_an_asset_of_nobody_here_is_nobodys_event(shop):
    shop.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["raw", "other"]), check_name="c", passed=False, metadata={}
        )
    )
    assert [e.project for e in shop.events()] == [""]


@pytest.mark.parametrize("text", ["{", "null", '{"__class__": "Nobody"}', '"text"', "\ud800"])
def test_a_row_that_cannot_be_read_is_named_and_the_next_is_read(shop, text):
    shop.run("rows")
    poison(shop.instance, text.encode("utf-8", "replace").decode())
    shop.run()
    events = shop.events()
    unreadable = only(events, "event.unreadable")
    assert unreadable.failure_message
    assert "check.recovered" in [e.type for e in events][events.index(unreadable) :]


def poison(instance, text):
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp) "
                "VALUES ('', :text, 'ASSET_CHECK_EVALUATION', '2026-01-01')"
            ),
            {"text": text},
        )


def test_an_event_that_says_something_unexpected_is_named_too(shop):
    cursor = shop.run("rows")
    [row] = [r for r in rows_after(shop.instance, cursor) if "CHECK" in str(kind_of(r))]
    event = row.entry.dagster_event._replace(event_specific_data=None)
    broken = Row(row.id, row.entry._replace(dagster_event=event))
    [found] = events_of(broken, shop.known())
    assert found.type == "event.unreadable"


def kind_of(row):
    return row.entry.dagster_event_type


def test_the_log_is_read_in_pages_of_its_order(shop):
    shop.run("rows")
    whole = [row.id for row in rows_after(shop.instance, 0)]
    paged, cursor = [], 0
    while page := rows_after(shop.instance, cursor, limit=2):
        paged += [row.id for row in page]
        cursor = page[-1].id
    assert paged == whole == sorted(whole)


def test_the_cursor_stops_before_what_is_young(shop):
    shop.run("rows")
    rows = rows_after(shop.instance, 0)
    last = datetime.fromtimestamp(rows[-1].entry.timestamp, tz=UTC)
    assert held_back(rows, 0, last) == 0
    assert held_back(rows, 0, last + timedelta(hours=1)) == rows[-1].id
    assert held_back([], 7, last) == 7


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
    assert list(listener.long_runs(shop.known(now + timedelta(minutes=9)), 10)) == []
    [found] = listener.long_runs(shop.known(now + timedelta(minutes=11)), 10)
    assert (found.what, found.expected) == ("nightly", "up to 10 minutes")
    [again] = listener.long_runs(shop.known(now + timedelta(minutes=50)), 10)
    assert again.id == found.id


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
    found = [(e.type, e.what, e.elapsed_s) for e in listener.backfills(shop.known(), since)]
    assert found == ([(kind, "raw/sales", 140.0)] if kind else [])


def test_declarations_that_broke_and_that_were_mended_are_told():
    now = datetime.now(tz=UTC)
    known = Known(None, "shop", now, broken={"raw/a": "**bad**", "raw/b": "bad"})
    found = listener.declarations(known, ["declaration raw/b", "declaration raw/c"])
    assert [(e.type, e.what) for e in found] == [
        ("declaration.broken", "raw/a"),
        ("declaration.mended", "raw/c"),
    ]


def test_a_storage_without_sql_is_refused():
    from ml_platform.kernel.errors import SettingsError

    class Instance:
        event_log_storage = object()

    with pytest.raises(SettingsError, match="SQLite or PostgreSQL"):
        listener.newest_id(Instance())
