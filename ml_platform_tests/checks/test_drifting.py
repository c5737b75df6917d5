"""A declared look at drift: against versions, partitions, and what a champion learnt from."""

import dagster as dg
import pytest

DRIFT = {"max_ks": 0.3}
STEADY = (
    "SELECT (i * 37) % 100 / 10.0 AS price, 'pen' AS kind, DATE '2026-01-01' + i::INTEGER AS day"
)
SHIFTED = STEADY.replace("10.0", "10.0 + 6").replace("pen", "ink")
ROWS = " FROM range(400) AS t(i)"


def shop(workshop, sql=STEADY, against=None, **attributes):
    """The table features/a of a query, with a look at drift."""
    drift = {**DRIFT, "against": against or {"previous": 1}, **attributes.pop("drift", {})}
    workshop.table("a", sql + ROWS, **attributes.pop("table", {}))
    workshop.declare("Checks", "checks", table="features/a", drift=drift, **attributes)


def look(workshop, **run):
    """Make the table; what the check said: whether it passed, its sentence, its metadata."""
    assert workshop.run("features/a", **run).success
    [record] = workshop.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(["features", "a"]), "drift"), limit=1
    )
    found = record.event.dagster_event.asset_check_evaluation_data
    return found.passed, found.description, {k: v.value for k, v in found.metadata.items()}


def model(workshop, is_champion, version):
    """What a training says of itself."""
    metadata = {"is_champion": is_champion, "model_version": version}
    event = dg.AssetMaterialization(dg.AssetKey(["models", "m"]), metadata=metadata)
    workshop.instance.report_runless_asset_event(event)


def test_the_first_version_has_nothing_to_be_compared_with(workshop):
    shop(workshop)
    assert look(workshop)[:2] == (
        True,
        "Nothing to compare with yet: no version is there before.",
    )


def test_a_shift_is_told_with_its_columns_and_days_are_left_out(workshop):
    shop(workshop)
    look(workshop)
    assert look(workshop)[0]
    shop(workshop, SHIFTED)
    passed, sentence, shown = look(workshop)
    assert not passed
    assert sentence.startswith("2 of 2 columns have drifted against the version before: price (psi")
    assert shown["drifted_columns"] == 2
    assert shown["ml_platform/event"] == "drift.found"
    assert shown["observed"]["price: ks"] > 0.3
    assert shown["expected"]["price: ks"] == "up to 0.3"
    assert "| price | psi | **" in shown["report"]
    assert shown["picture"].startswith("![")


def test_a_day_that_is_named_is_looked_at(workshop):
    shop(workshop, drift={"columns": ["day"]})
    look(workshop)
    later = STEADY.replace("2026", "2027")
    shop(workshop, later, drift={"columns": ["day"]})
    assert "day (psi" in look(workshop)[1]


@pytest.mark.parametrize(
    ("against", "reference"),
    [({"partitions": ["a"]}, "partition a"), ({"previous": 2}, "the 2 partitions from b to c")],
)
def test_a_partition_is_compared_with_others(workshop, against, reference):
    sql = STEADY.replace("AS price", "+ if($partition IN ('a', 'd'), 6, 0) AS price")
    shop(workshop, sql, against, table={"partitions": {"keys": ["a", "b", "c", "d"]}})
    for key in "abc":
        look(workshop, partitions=[key])
    passed, _, shown = look(workshop, partitions=["d"])
    assert shown["reference"] == reference
    assert passed == ("partitions" in against)
    # The newest that was made is looked at, though others come after it.
    passed, _, shown = look(workshop, partitions=["b"])
    assert shown["rows"] == 400
    assert shown["reference"] == "partition a"
    assert not passed


AGAINST = {"champion_of": "models/m"}


class TestAgainstAChampion:
    def test_without_one_there_is_nothing_to_compare_with(self, workshop):
        shop(workshop, against=AGAINST)
        model(workshop, is_champion=False, version="1")
        assert look(workshop)[1] == "Nothing to compare with yet: models/m has no champion."

    def test_what_it_learnt_from_is_the_reference_however_often_the_table_is_made(self, workshop):
        shop(workshop, against=AGAINST)
        look(workshop)
        model(workshop, is_champion=True, version="1")
        shop(workshop, SHIFTED, against=AGAINST)
        # More often than versions are kept; a challenger that lost changes nothing.
        for _ in range(5):
            model(workshop, is_champion=False, version="2")
            passed, _, shown = look(workshop)
            assert not passed
            assert shown["reference"] == "what version 1 of models/m learnt from"
        model(workshop, is_champion=True, version="3")
        passed, _, shown = look(workshop)
        assert (passed, shown["reference"]) == (True, "what version 3 of models/m learnt from")

    def test_a_version_that_is_no_longer_kept_is_not_passed_off_as_it(self, workshop):
        shop(workshop, against=AGAINST, table={"keep_versions": 1})
        model(workshop, is_champion=True, version="1")
        workshop.run("features/a")
        shown = look(workshop)[2]
        assert shown["reference"].startswith("the oldest version that is kept, as what version 1")


def test_drift_that_is_an_error_stops_what_follows(workshop):
    shop(workshop, drift={"severity": "error"})
    workshop.table("b", "SELECT count(*) AS n FROM features.a")
    look(workshop)
    shop(workshop, SHIFTED, drift={"severity": "error"})
    outcome = workshop.run()
    assert not outcome.success
    assert "features/b" not in [one.what for one in outcome.happenings if one.kind == "made"]


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are(workshop):
    shop(workshop, drift={"columns": ["prize"]})
    workshop.run("features/a")
    outcome = workshop.run("features/a")
    assert "allowed: price, kind, day" in outcome.failures[0].message
