"""A run over several partitions: what is done is recorded, what fails fails alone and by name."""

import dagster as dg
import pytest

from ml_platform.execution.fanout import NAMED_PARTITIONS, WHOLE_ERRORS, failure
from ml_platform.execution.recording import TAKEN_OVER, materialisations
from ml_platform.execution.work import Ended, Order, Trouble
from ml_platform.kernel.errors import DataError, UnavailableError
from ml_platform.kernel.names import TableKey

KEY = TableKey("features", "sales")
SALES = dg.AssetKey(KEY.parts)
PARTS = ["a", "b", "c", "d"]
SQL = """
SELECT $partition AS part, CASE WHEN EXISTS (
    SELECT 1 FROM raw.broken AS r WHERE r.part = $partition
) THEN error('broken ' || $partition) ELSE 'fine' END AS word
"""
ENGINES = {"its own process": {}, "two processes": {"execution": {"max_parallel": 2}}}


def break_partitions(workshop, *parts):
    import pyarrow as pa

    rows = pa.table({"part": pa.array(parts, pa.string())})
    workshop.store.write("shop", TableKey("raw", "broken"), rows)


def declare(workshop, **attributes):
    retry = {"attempts": 0}
    workshop.table("sales", SQL, partitions={"keys": PARTS}, **{"retry": retry, **attributes})


def recorded(workshop, run_id):
    return [
        (event.asset_key.to_user_string(), event.partition)
        for event in materialisations(workshop.instance, run_id)
    ]


def resumed(workshop, run_id):
    """Go on with a failed run, as Dagster's run retries and its UI do."""
    project = workshop.load()
    job = project.definitions.resolve_implicit_global_asset_job_def()
    parent = workshop.instance.get_run_by_id(run_id)
    tags = {
        **{tag: value for tag, value in parent.tags.items() if "partition" in tag},
        "dagster/is_resume_retry": "true",
        "dagster/parent_run_id": run_id,
    }
    return job.execute_in_process(
        instance=workshop.instance, asset_selection=[SALES], raise_on_error=False, tags=tags
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_each_partition_is_recorded_once_and_downstream_goes_on(workshop, engine):
    break_partitions(workshop)
    declare(workshop, **ENGINES[engine])
    workshop.table("after", "SELECT * FROM features.sales WHERE $partition > ''",
                   partitions={"keys": PARTS})  # fmt: skip
    outcome = workshop.run(partitions=PARTS)
    assert outcome.success, outcome.failures
    found = recorded(workshop, outcome.run_id)
    assert sorted(found) == sorted(
        (key, part) for key in ("features/sales", "features/after") for part in PARTS
    )
    assert [row["part"] for row in workshop.rows("features/sales")] == PARTS
    metadata = workshop.metadata("features/sales", "c")
    assert metadata["dagster/partition_row_count"] == 1
    assert {"seconds", "cpu_seconds", "peak_memory_bytes", "rows_per_second"} <= metadata.keys()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failed_partition_stops_no_other_and_is_named(workshop, engine):
    break_partitions(workshop, "b", "d")
    declare(workshop, **ENGINES[engine])
    outcome = workshop.run(partitions=PARTS)
    assert not outcome.success
    assert recorded(workshop, outcome.run_id) == [("features/sales", p) for p in ("a", "c")]
    (failed,) = outcome.failures
    assert "2 of 4 partitions failed: b, d" in failed.message
    assert "broken b" in failed.message
    assert "broken d" in failed.message


def test_the_ui_shows_as_failed_what_failed_and_as_made_what_was_made(workshop):
    from dagster._core.storage.partition_status_cache import (
        get_and_update_asset_status_cache_value,
    )

    break_partitions(workshop, "b")
    declare(workshop)
    first = workshop.run(partitions=PARTS)

    def status():
        partitions = dg.StaticPartitionsDefinition(PARTS)
        value = get_and_update_asset_status_cache_value(workshop.instance, SALES, partitions)
        return (
            set(value.deserialize_materialized_partition_subsets(partitions).get_partition_keys()),
            set(value.deserialize_failed_partition_subsets(partitions).get_partition_keys()),
        )

    assert status() == ({"a", "c", "d"}, {"b"})
    # A run that goes on with it and fails too takes nothing of that back.
    assert not resumed(workshop, first.run_id).success
    assert status() == ({"a", "c", "d"}, {"b"})
    break_partitions(workshop)
    assert resumed(workshop, first.run_id).success
    assert status() == (set(PARTS), set())


def test_a_resumed_run_makes_only_what_is_not_recorded_and_says_whose_the_rest_is(workshop):
    break_partitions(workshop, "b")
    declare(workshop)
    first = workshop.run(partitions=PARTS)
    versions = {part: workshop.store.versions("shop", KEY, part) for part in PARTS}
    break_partitions(workshop)
    second = resumed(workshop, first.run_id)
    assert second.success
    assert {part: workshop.store.versions("shop", KEY, part) for part in PARTS} == versions
    assert {row["part"] for row in workshop.rows("features/sales")} == set(PARTS)
    assert recorded(workshop, second.run_id) == [("features/sales", "b")]
    said = {
        event.partition: event.asset_observation_data.asset_observation.metadata[TAKEN_OVER].value
        for event in second.all_events
        if event.event_type == dg.DagsterEventType.ASSET_OBSERVATION
    }
    assert said == dict.fromkeys(["a", "c", "d"], first.run_id)


def test_a_resumed_run_that_fails_too_tells_whose_its_partitions_are(workshop):
    break_partitions(workshop, "b")
    declare(workshop)
    first = workshop.run(partitions=PARTS)
    second = resumed(workshop, first.run_id)
    third = resumed(workshop, second.run_id)
    for run_id in (second.run_id, third.run_id):
        owners = {
            event.partition: event.metadata[TAKEN_OVER].value
            for event in materialisations(workshop.instance, run_id)
        }
        assert owners == dict.fromkeys(["a", "c", "d"], first.run_id)


def test_a_run_resumed_with_other_code_makes_all_anew(workshop):
    break_partitions(workshop, "b")
    declare(workshop)
    first = workshop.run(partitions=PARTS)
    break_partitions(workshop)
    workshop.table("sales", "SELECT $partition AS part", partitions={"keys": PARTS})
    second = resumed(workshop, first.run_id)
    events = list(materialisations(workshop.instance, second.run_id))
    assert len(events) == len(PARTS)
    assert not [event for event in events if TAKEN_OVER in event.metadata]


def test_a_run_that_is_only_done_again_makes_all_again(workshop):
    break_partitions(workshop)
    declare(workshop)
    for _ in range(2):
        assert workshop.run(partitions=PARTS).success
    assert [len(workshop.store.versions("shop", KEY, part)) for part in PARTS] == [1, 1, 1, 1]


def test_the_second_attempt_of_a_step_makes_only_the_rest(workshop):
    workshop.declare(
        "FeatureTable",
        "flaky",
        key="features/flaky",
        python=f"{workshop.package}.shop.flaky.work:make",
        inputs={"broken": "raw/broken"},
        partitions={"keys": PARTS},
        retry={"attempts": 2, "delay_s": 0},
    )
    workshop.write(
        "flaky/work.py",
        """
        import pathlib
        from ml_platform.kernel.errors import UnavailableError

        CALLS = pathlib.Path(__file__).parent / "calls"

        def make(broken):
            with CALLS.open("a") as calls:
                calls.write("x")
            if len(CALLS.read_text()) == 2:
                raise UnavailableError("the shop", "it is closed for a moment")
            return broken
        """,
    )
    workshop.write("flaky/__init__.py", "")
    workshop.write("__init__.py", "")
    break_partitions(workshop, "z")
    outcome = workshop.run("features/flaky", partitions=PARTS)
    assert outcome.success, outcome.failures
    assert (workshop.shop / "flaky" / "calls").read_text() == "xxxxx"
    assert sorted(part for _, part in recorded(workshop, outcome.run_id)) == PARTS


def test_rows_appended_by_a_run_and_by_the_one_that_resumes_it_are_there_once(workshop):
    from ml_platform.execution.work import Step
    from ml_platform.features.component import FeatureTable

    table = FeatureTable(key="features/log", sql="log.sql", write="append")
    steps = [Step("shop", KEY, "a", None, workshop.store, print, run, "r1") for run in ("r1", "r2")]
    assert {table.write_mode(step).run_id for step in steps} == {"r1"}


def ended(number, error):
    return Ended(Order(f"p{number:03}"), trouble=Trouble.of(error))


FAILURES = {
    "one of two": ([DataError("table a", "it is empty")], 2, False),
    "one that may pass": (
        [DataError("table a", "it is empty"), UnavailableError("the shop", "closed")], 9, True,
    ),
    "a great many": ([DataError("table a", "it is empty")] * 300, 365, False),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_names_partitions_tells_the_first_errors_and_counts_the_rest(case):
    errors, total, retryable = FAILURES[case]
    failed = [ended(number, error) for number, error in enumerate(errors)]
    told = failure(KEY, failed, total)
    assert told.allow_retries is retryable
    assert f"{len(errors)} of {total} partitions failed: p000" in told.description
    assert told.description.count("table a: it is empty") == (
        min(len([e for e in errors if isinstance(e, DataError)]), WHOLE_ERRORS)
        + (len(errors) > WHOLE_ERRORS)
    )
    assert (f"and {len(errors) - NAMED_PARTITIONS} more" in told.description) == (
        len(errors) > NAMED_PARTITIONS
    )
    assert len(told.metadata["failed_partitions"].value) == len(errors)
