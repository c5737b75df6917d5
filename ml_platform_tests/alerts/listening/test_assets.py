"""What is heard of assets: their checks, their freshness, how they were made."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

from ml_platform.alerts.listening.known import known_of
from ml_platform.alerts.listening.log import rows_after
from ml_platform.alerts.listening.reading import events_of
from ml_platform.alerts.message import Severity
from ml_platform_tests.alerts.listening.conftest import only


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


def test_an_asset_of_nobody_here_is_nobodys_event(shop):
    shop.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["raw", "other"]), check_name="c", passed=False, metadata={}
        )
    )
    assert [e.project for e in shop.events()] == [""]


def test_drift_of_a_declared_table_is_told_as_drift_and_not_as_a_failed_check(workshop):
    drift = {"against": {"previous": 1}, "columns": ["n"]}
    workshop.declare("Checks", "checks", table="features/a", drift=drift)
    for start in (0, 500, 500):
        workshop.table("a", f"SELECT range + {start} AS n FROM range(400)")
        assert workshop.run().success
    defs = workshop.load().definitions
    known = known_of(workshop.instance, "shop", defs.get_repository_def(), datetime.now(tz=UTC))
    rows = rows_after(workshop.instance, 0)
    found = [e for row in rows for e in events_of(row, known) if e.check_name == "drift"]
    assert [one.type for one in found] == ["drift.over", "drift.found", "drift.over"]
    assert {one.subject for one in found} == {"drift features/a drift"}
    assert found[1].severity == Severity.warning
    assert "n: psi" in found[1].observed
    assert found[1].failure_message.startswith("1 of 1 column has drifted against the version")
