"""What a function can do with the run of its scenario."""

import pytest

from ml_platform.kernel.names import TableKey

MODULE = """
import datetime as dt

def all_of_it(scenario, table, wanted):
    assert scenario.trigger == "manual" and scenario.outcome == "SUCCESS"
    [row] = scenario.sql("SELECT $wanted + n AS n FROM features.one")
    made = [scenario.build(f"key:{table}", only=only).output["made"] for only in ("all", "missing")]
    failed = scenario.build('key:"features/bad"', may_fail=True)
    scenario.set_variables(wanted=row["n"], late=wanted)
    for store in ("a", "b"):
        scenario.tell(f"store {store}", "{{ as it is }}")
    return [made, failed.outcome, scenario.variables["wanted"]]

def must_not_fail(scenario):
    scenario.build('key:"features/bad"')

def doubt(scenario):
    scenario.warn("only half of it is there")

def day():
    return dt.date(2026, 1, 31)
"""


@pytest.fixture
def ours(stage):
    stage.workshop.run("features/one")
    (stage.workshop.root / "ml_platform_ours.py").write_text(MODULE)
    stage.workshop.table("bad", "SELECT error('no such store') AS n")
    return stage


def call(function, **arguments):
    words = {"function": f"ml_platform_ours:{function}", "arguments": arguments}
    return {"name": "call", "run_python": words}


def test_it_builds_asks_sets_and_tells(ours):
    ours.declare(
        call("all_of_it", table='"features/one"', wanted="= variables.wanted"),
        {
            "name": "then",
            "if": "variables.wanted == 8 and variables.late == 7",
            "set_variables": {},
        },
        variables={"wanted": 7},
    )
    result = ours.run()
    assert ours.metadata(result, "call")["output"] == [[["features/one"], []], "FAILED", 8]
    assert ours.outcomes(result) == {"call": "WARNING", "then": "SUCCESS"}
    assert len(ours.child_runs(result.run_id)) == 2
    told = [(one.what, one.summary) for one in ours.told()]
    assert told == [("store a", "{{ as it is }}"), ("store b", "{{ as it is }}")]


@pytest.mark.parametrize(
    ("function", "tag", "told"),
    [
        ("must_not_fail", "failed", "failed: features__bad"),
        ("doubt", "warning", None),
        ("day", "failed", "cannot be kept"),
    ],
)
def test_how_it_ends_is_how_the_step_ends(ours, function, tag, told):
    ours.declare(call(function))
    result = ours.run()
    assert ours.outcome_tag(result) == tag
    if told:
        [failure] = result.get_step_failure_events()
        assert told in failure.step_failure_data.user_failure_data.description
    else:
        assert ours.metadata(result, "call")["reason"] == "only half of it is there"


def test_the_demand_projects_function_loads_the_months_of_late_stores_again(stage):
    stage.workshop.table(
        "sales_clean",
        "SELECT unnest([1, 1, 2]) AS store_id, "
        "unnest([DATE '2012-09-28', DATE '2012-10-26', DATE '2012-08-31']) AS week",
    )
    stage.workshop.write("sales/sales.sql", "SELECT $partition AS month")
    stage.workshop.declare(
        "FeatureTable", "sales", key="raw/sales", sql="sales.sql",
        partitions={"every": "month", "start": "2012-07-01", "end": "2012-11-01"},
    )  # fmt: skip
    stage.workshop.run("features/sales_clean")
    function = "ml_platform.defs.demand.scenarios.late_stores:load_again"
    words = {"function": function, "arguments": {"most_weeks": 2}}
    stage.declare({"name": "call", "run_python": words})
    result = stage.run()
    found = stage.metadata(result, "call")
    assert found["output"] == [2]
    assert found["reason"] == "store 2 has sent nothing since 2012-08-31"
    store, sales = stage.workshop.store, TableKey("raw", "sales")
    assert store.partitions("shop", sales) == ["2012-08-01", "2012-09-01", "2012-10-01"]
