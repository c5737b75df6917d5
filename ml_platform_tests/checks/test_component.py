"""`Checks` in a project: what fails stands between the layers, what only warns does not."""

import dagster as dg
import pytest

RULES = {
    "pandera": {"columns": {"n": {"type": "integer", "max": 3}}},
    "great_expectations": [{"expect_column_values_to_be_between": {"column": "n", "max_value": 3}}],
}


def told(outcome):
    return {one.what: one.passed for one in outcome.happenings if one.kind == "checked"}


def shop(workshop, values, **checks):
    workshop.table("a", f"SELECT unnest({values}) AS n")
    workshop.table("b", "SELECT sum(n) AS total FROM features.a")
    workshop.declare("Checks", "checks", table="features/a", **checks)


@pytest.mark.parametrize("kind", RULES)
def test_what_passes_lets_the_next_table_be_made(workshop, kind):
    shop(workshop, [1, 2], **{kind: RULES[kind]})
    outcome = workshop.run()
    assert outcome.success
    assert list(told(outcome).values()) == [True]
    assert workshop.rows("features/b") == [{"total": 3}]


@pytest.mark.parametrize("kind", RULES)
def test_what_fails_keeps_the_next_table_from_being_made(workshop, kind):
    shop(workshop, [1, 9], **{kind: RULES[kind]})
    outcome = workshop.run()
    assert not outcome.success
    assert list(told(outcome).values()) == [False]
    assert "1 of 2 rows" in outcome.failures[0].message
    assert "features/b" not in [one.what for one in outcome.happenings if one.kind == "made"]


def test_what_only_warns_lets_the_next_table_be_made(workshop):
    rules = {**RULES["pandera"], "severity": "warn"}
    shop(workshop, [1, 9], pandera=rules)
    outcome = workshop.run()
    assert list(told(outcome).values()) == [False]
    assert workshop.rows("features/b") == [{"total": 10}]


def test_what_fails_without_blocking_is_told_and_the_next_table_is_made(workshop):
    shop(workshop, [1, 9], blocking=False, pandera=RULES["pandera"])
    outcome = workshop.run()
    assert list(told(outcome).values()) == [False]
    assert workshop.rows("features/b") == [{"total": 10}]


def test_a_failed_check_shows_the_rows_that_fail(workshop):
    shop(workshop, [1, 9], pandera=RULES["pandera"])
    workshop.run()
    shown = last_evaluation(workshop, "schema")
    assert shown["failing_rows"].value == 1
    assert "9" in shown["report"].value


def test_a_figure_that_was_observed_is_told_in_as_many_digits_as_people_read(workshop):
    mean = {"expect_column_mean_to_be_between": {"column": "n", "max_value": 1}}
    shop(workshop, [1, 1, 2], great_expectations=[mean])
    workshop.run()
    (observed,) = last_evaluation(workshop, "suite")["observed"].value.values()
    assert observed == 1.33333


def last_evaluation(workshop, name):
    """The metadata of the last evaluation of a check of features/a."""
    records = workshop.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(["features", "a"]), name), limit=1
    )
    return records[0].event.dagster_event.asset_check_evaluation_data.metadata


@pytest.mark.parametrize(("scope", "passed"), [("table", False), ("run", True)])
def test_a_check_looks_at_the_whole_table_or_at_what_the_run_made(workshop, scope, passed):
    partitions = {"keys": ["good", "bad"]}
    workshop.table("a", "SELECT if($partition = 'bad', 9, 1) AS n", partitions=partitions)
    workshop.declare("Checks", "checks", table="features/a", scope=scope, pandera=RULES["pandera"])
    workshop.run(partitions=["bad"])
    assert list(told(workshop.run(partitions=["good"])).values()) == [passed]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "give `pandera`, `great_expectations` or `drift`"),
        ({"drift": {"against": {}}}, "give one of `champion_of`, `partitions` and `previous`"),
        ({"drift": {"against": {"champion_of": "demand"}}}, "<layer>/<name>"),
        ({"drift": {"against": {"previous": 1}, "max_ks": 2}}, "max_ks"),
        ({"pandera": {"columns": {"n": {"typ": "integer"}}}}, "type (did you mean this?)"),
        ({"great_expectations": [{"expect_colum_max": {}}]}, "expect_colum_max"),
    ],
)
def test_rules_that_say_nothing_possible_are_broken_declarations(workshop, rules, said):
    workshop.table("a")
    workshop.declare("Checks", "checks", table="features/a", **rules)
    (broken,) = workshop.load().broken
    assert said in str(broken)
    assert "checks/defs.yaml:" in str(broken)
