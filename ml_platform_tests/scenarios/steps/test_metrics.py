"""Figures of tables: what is counted, where it is kept, and what later steps make of it."""

import dagster as dg
import pytest

VALUES = """
    SELECT * FROM (VALUES
    (1, 'a|b', DATE '2026-01-01', [1]), (3, NULL, NULL, [2]), (3, 'c', NULL, [2])
    ) AS made(n, name, day, list)
"""


def observations(stage, table):
    wanted = dg.AssetKey.from_user_string(table)
    records = stage.instance.fetch_observations(wanted, limit=10).records
    return [one.asset_observation for one in records]


def measure(*tables, **words):
    return {"name": "measure", "compute_metrics": {"tables": [*tables], **words}}


def test_figures_are_kept_with_the_table_and_decide_what_comes_later(stage):
    stage.workshop.table("made", VALUES)
    stage.workshop.run("features/made")
    rows = "steps.measure.output['features/made'].rows"
    stage.declare(
        measure("features/made"),
        {"name": "enough", "if": f"{rows} >= 3", "set_variables": {"n": f"= {rows}"}},
        {"name": "many", "if": f"{rows} > 3", "set_variables": {"n": 0}},
    )
    result = stage.run()
    assert stage.outcomes(result) == {"measure": "SUCCESS", "enough": "SUCCESS", "many": "SKIPPED"}
    assert stage.metadata(result, "measure")["output"]["features/made"] == {
        "rows": 3,
        "columns": {
            "n": {"missing": 0, "distinct": 2, "least": 1, "largest": 3, "mean": 7 / 3},
            "name": {"missing": 1, "distinct": 2, "least": "a|b", "largest": "c"},
            "day": {"missing": 2, "distinct": 1, "least": "2026-01-01", "largest": "2026-01-01"},
            "list": {"missing": 0, "distinct": 2},
        },
    }
    [found] = observations(stage, "features/made")
    assert (found.metadata["rows"].value, found.metadata["missing_cells"].value) == (3, 3)
    assert "| name | 1 | 2 | a\\|b | c |" in found.metadata["columns"].value
    [event] = stage.instance.get_records_for_run(
        result.run_id, of_type=dg.DagsterEventType.ASSET_OBSERVATION
    ).records
    assert event.event_log_entry.step_key == "measure"


def test_partitions_are_measured_each_for_itself(stage):
    days = {"every": "day", "start": "2026-01-01", "end": "2026-01-04"}
    stage.workshop.table("days", "SELECT $partition AS day", partitions=days)
    stage.workshop.run("features/days", partitions=["2026-01-01", "2026-01-02"])
    stage.declare(measure("features/days", partitions="2026-01-01..2026-01-02", columns=["day"]))
    output = stage.metadata(stage.run(), "measure")["output"]
    assert {name: one["rows"] for name, one in output.items()} == {
        "features/days 2026-01-01": 1, "features/days 2026-01-02": 1,
    }  # fmt: skip
    assert {one.partition for one in observations(stage, "features/days")} == {
        "2026-01-01", "2026-01-02",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"tables": ["features/onee"]}, "features/one (did you mean this?)"),
        ({"tables": ["features/one"], "columns": ["m"]}, "it has no column 'm'"),
        ({"tables": ["features/two"]}, "it has no data yet"),
        ({"tables": ["features/one"], "partitions": "a"}, "partition"),
    ],
)
def test_what_cannot_be_measured_is_told(stage, words, told):
    stage.workshop.run("features/one")
    stage.declare({"name": "measure", "compute_metrics": words})
    result = stage.run()
    assert not result.success
    [event] = [e for e in result.get_step_failure_events() if e.step_key == "measure"]
    assert told in event.step_failure_data.user_failure_data.description
