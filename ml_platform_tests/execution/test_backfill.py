"""A plan says what a backfill would do, and what is open is found again."""

import dagster as dg
import pytest

from ml_platform.execution.backfill import (
    FAILED,
    MADE,
    MISSING,
    _duration,
    planned_backfill,
    resumable_run,
    resuming_tags,
)
from ml_platform.execution.launch import materialise
from ml_platform.kernel.errors import NotFoundError
from ml_platform.kernel.names import TableKey

SALES = dg.AssetKey(["features", "sales"])
PARTS = list("abcdef")
SQL = """
SELECT CASE WHEN EXISTS (SELECT 1 FROM raw.broken AS r WHERE r.part = $partition)
THEN error('broken') ELSE 1 END AS n
"""


def break_partitions(workshop, *parts):
    import pyarrow as pa

    rows = pa.table({"part": pa.array(parts, pa.string())})
    workshop.store.write("shop", TableKey("raw", "broken"), rows)


def declare(workshop, **attributes):
    own = {"partitions": {"keys": PARTS}, "retry": {"attempts": 0}, **attributes}
    workshop.table("sales", SQL, **own)
    return workshop.load().definitions


def plan(workshop, definitions, chosen=PARTS, **options):
    return planned_backfill(definitions, workshop.instance, SALES, chosen, **options)


def test_before_anything_was_made_all_is_missing_and_nothing_is_expected(workshop):
    found = plan(workshop, declare(workshop))
    assert set(found.states.values()) == {MISSING}
    assert found.groups == [PARTS]
    lines = dict(found.lines())
    assert lines["partitions"] == "6: a to f (6 missing)"
    assert lines["expected"] == "nothing is known: no partition was made yet"
    assert not found.notes


def test_what_failed_or_is_missing_is_planned_in_stretches_without_gaps(workshop):
    break_partitions(workshop, "b", "e")
    definitions = declare(workshop)
    materialise(definitions, workshop.instance, [SALES], list("abcde"))
    found = plan(workshop, definitions, only_open=True)
    assert [found.states[part] for part in PARTS] == [MADE, FAILED, MADE, MADE, FAILED, MISSING]
    assert found.groups == [["b"], ["e", "f"]]
    break_partitions(workshop)
    for group in found.groups:
        assert materialise(definitions, workshop.instance, [SALES], group).success
    done = plan(workshop, definitions, only_open=True)
    assert done.groups == []
    assert dict(done.lines())["partitions"] == "none is open"


def test_a_table_with_a_run_a_partition_is_planned_so(workshop):
    definitions = declare(workshop, backfill="run_per_partition", execution={"max_parallel": 3})
    found = plan(workshop, definitions)
    assert found.groups == [[part] for part in PARTS]
    assert found.at_once == 1


def test_time_and_memory_are_expected_from_what_was_made(workshop):
    break_partitions(workshop)
    definitions = declare(workshop, execution={"max_parallel": 2})
    materialise(definitions, workshop.instance, [SALES], ["a", "b"])
    found = plan(workshop, definitions)
    assert found.expected.seen == 2
    assert found.expected.seconds > 0
    assert found.expected.peak_memory_bytes > 2**20
    assert found.at_once == 2
    assert dict(found.lines())["runs"] == "1, 2 partitions at a time"


WRITES = {
    "replace": ({}, "are replaced"),
    "merge": ({"write": "merge", "merge_key": ["n"]}, "are merged by their key"),
    "append": ({"write": "append"}, "their rows are added once more"),
}


@pytest.mark.parametrize("write", WRITES)
def test_what_writing_again_does_is_told_before(workshop, write):
    words, said = WRITES[write]
    break_partitions(workshop)
    definitions = declare(workshop, **words)
    assert materialise(definitions, workshop.instance, [SALES], ["a", "b"]).success
    (note,) = plan(workshop, definitions).notes
    assert said in note
    assert "2 " in note
    assert not plan(workshop, definitions, ["c"]).notes


def test_the_source_is_asked_as_often_as_the_plan_says(workshop):
    workshop.write("orders/orders.csv", "n\n1\n")
    partitions = {"keys": PARTS}
    workshop.declare(
        "Source", "orders", key="raw/orders", file={"path": "orders.csv"}, partitions=partitions
    )
    definitions = workshop.load().definitions
    key = dg.AssetKey(["raw", "orders"])
    found = planned_backfill(definitions, workshop.instance, key, PARTS)
    assert found.notes == ["the source is asked 6 times"]


def test_all_that_is_made_from_it_is_named_near_and_far(workshop):
    days = {"every": "day", "start": "2024-01-01", "end": "2024-03-01"}
    months = {"every": "month", "start": "2024-01-01", "end": "2024-03-01"}
    workshop.table("sales", "SELECT $start AS s", partitions=days)
    workshop.table("daily", "SELECT $start AS s FROM features.sales", partitions=days)
    workshop.table("monthly", "SELECT $start AS s FROM features.daily", partitions=months)
    workshop.table("total", "SELECT count(*) AS n FROM features.monthly")
    chosen = [f"2024-01-{day:02}" for day in range(20, 32)] + ["2024-02-01"]
    found = planned_backfill(workshop.load().definitions, workshop.instance, SALES, chosen)
    touched = {one.key.path[-1]: one.partitions for one in found.downstream}
    assert touched == {"daily": 13, "monthly": 2, "total": None}


def test_a_table_without_partitions_is_one_run(workshop):
    workshop.table("sales")
    found = planned_backfill(workshop.load().definitions, workshop.instance, SALES, [])
    assert found.groups == [[]]
    assert dict(found.lines())["partitions"] == "none: it is made as a whole"


def test_only_a_run_that_did_not_end_well_is_gone_on_with(workshop):
    break_partitions(workshop, "b")
    definitions = declare(workshop)
    instance = workshop.instance

    def found():
        return resumable_run(instance, SALES, lambda _: False)

    with pytest.raises(NotFoundError, match="there was none"):
        found()
    first = materialise(definitions, instance, [SALES], PARTS)
    assert found().run_id == first.run_id
    second = materialise(definitions, instance, [SALES], tags=resuming_tags(found()))
    assert not second.success
    assert found().run_id == second.run_id
    break_partitions(workshop)
    assert materialise(definitions, instance, [SALES], tags=resuming_tags(found())).success
    with pytest.raises(NotFoundError, match="made all its partitions"):
        found()
    events = instance.fetch_materializations(SALES, limit=100).records
    alone = [e for e in events if "taken_over_from_run" not in e.asset_materialization.metadata]
    assert sorted(e.asset_materialization.partition for e in alone) == PARTS


@pytest.mark.parametrize("gone", [True, False])
def test_a_run_that_says_that_it_goes_on_is_gone_on_with_only_if_its_process_is_gone(
    workshop, gone
):
    definitions = declare(workshop)
    job = definitions.resolve_implicit_global_asset_job_def()
    run = workshop.instance.create_run_for_job(
        job,
        asset_selection={SALES},
        status=dg.DagsterRunStatus.STARTED,
        tags={f"dagster/asset_partition_range_{end}": "a" for end in ("start", "end")},
    )
    if gone:
        assert resumable_run(workshop.instance, SALES, lambda _: True).run_id == run.run_id
    else:
        with pytest.raises(NotFoundError, match="still goes on"):
            resumable_run(workshop.instance, SALES, lambda _: False)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.034, "0.034 s"), (45, "45 s"), (119, "119 s"), (600, "10 min"), (7300, "2 h 2 min")],
)
def test_durations_are_told_as_people_say_them(seconds, said):
    assert _duration(seconds) == said
