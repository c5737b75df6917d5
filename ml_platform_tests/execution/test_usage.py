"""What tables cost is read from their materialisations."""

from datetime import UTC, datetime, timedelta

from ml_platform.execution.backfill import resuming_tags
from ml_platform.execution.launch import materialise
from ml_platform.execution.usage import usage

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def test_runs_partitions_and_rows_are_counted_by_table_the_dearest_first(workshop):
    workshop.table("cheap", "SELECT 1 AS n")
    workshop.table(
        "dear", "SELECT sum(range) AS n FROM range(20000000) GROUP BY range % 7",
        partitions={"keys": ["a", "b", "c"]},
    )  # fmt: skip
    assert workshop.run("features/dear", partitions=["a", "b", "c"]).success
    for _ in range(2):
        assert workshop.run("features/cheap").success
    dear, cheap = usage(workshop.instance, LONG_AGO)
    assert (dear.project, dear.key) == ("shop", "features/dear")
    assert (len(dear.runs), dear.materialisations, dear.rows) == (1, 3, 21)
    assert (len(cheap.runs), cheap.materialisations, cheap.rows) == (2, 2, 2)
    assert dear.cpu_seconds > cheap.cpu_seconds > 0
    assert dear.peak_memory_bytes > 2**20
    assert dear.rows_per_second == dear.rows / dear.seconds


def test_only_what_was_made_since_a_time_counts(workshop):
    workshop.table("cheap", "SELECT 1 AS n")
    assert workshop.run().success
    assert usage(workshop.instance, datetime.now(tz=UTC) + timedelta(hours=1)) == []


def test_what_a_resumed_run_took_over_is_counted_once(workshop):
    workshop.table(
        "sales", "SELECT CASE WHEN $partition = 'b' THEN error('no') ELSE 1 END AS n",
        partitions={"keys": ["a", "b"]}, retry={"attempts": 0},
    )  # fmt: skip
    outcome = workshop.run(partitions=["a", "b"])
    run = workshop.instance.get_run_by_id(outcome.run_id)
    project = workshop.load()
    keys = list(run.asset_selection)
    tags = resuming_tags(run)
    materialise(project.definitions, workshop.instance, keys, tags=tags)
    (found,) = usage(workshop.instance, LONG_AGO)
    assert (len(found.runs), found.materialisations, found.rows) == (1, 1, 1)
