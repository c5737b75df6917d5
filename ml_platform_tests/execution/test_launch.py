"""Runs started from here: what is told of them, and which partitions they make."""

import importlib
import os
import subprocess
import sys
import textwrap

import dagster as dg
import pyarrow as pa
import pytest

from ml_platform.execution.launch import materialise, partitions_between
from ml_platform.kernel.errors import NotFoundError
from ml_platform.kernel.names import TableKey

DAYS = {"every": "day", "start": "2024-01-01", "end": "2024-01-08"}
A = dg.AssetKey(["features", "a"])


def test_what_happens_is_told_in_its_order(workshop):
    workshop.table("a")
    workshop.table("b", "FROM features.a")
    told = []
    project = workshop.load()
    keys = [A, dg.AssetKey(["features", "b"])]
    outcome = materialise(project.definitions, workshop.instance, keys, tell=told.append)
    assert outcome.success
    assert [(one.kind, one.what) for one in told] == [
        ("started", "features__a"),
        ("made", "features/a"),
        ("started", "features__b"),
        ("made", "features/b"),
    ]


def test_a_failure_is_told_by_its_own_words(workshop):
    workshop.table("a", "SELECT nowhere")
    outcome = workshop.run()
    (failure,) = outcome.failures
    assert failure.what == "features__a"
    assert "Binder Error" in failure.message
    assert "Traceback" not in failure.message


@pytest.mark.parametrize(
    ("first", "last", "count"),
    [(None, None, 7), ("2024-01-03", None, 5), (None, "2024-01-03", 3), ("2024-01-05",) * 2 + (1,)],
)
def test_an_open_end_means_all_there_are(workshop, first, last, count):
    workshop.table("a", partitions=DAYS)
    assert len(partitions_between(workshop.load().definitions, A, first, last)) == count


def test_a_partition_that_there_is_not_is_refused_with_the_range(workshop):
    workshop.table("a", partitions=DAYS)
    with pytest.raises(NotFoundError, match="2024-01-01 to 2024-01-07"):
        partitions_between(workshop.load().definitions, A, "2025-01-01", None)


@pytest.mark.parametrize(
    ("every", "start", "keys"),
    [
        ("day", "2024-01-01", ["2024-01-01", "2024-01-02"]),
        ("week", "2010-02-05", ["2010-02-05", "2010-02-12"]),
        ("month", "2010-02-01", ["2010-02-01", "2010-03-01"]),
        ("hour", "2024-01-01", ["2024-01-01-00:00", "2024-01-01-01:00"]),
    ],
)
def test_partitions_of_time_begin_where_they_are_declared_to(workshop, every, start, keys):
    workshop.table("a", partitions={"every": every, "start": start})
    found = partitions_between(workshop.load().definitions, A, None, None)
    assert found[:2] == keys


@pytest.mark.parametrize(
    ("partitions", "said"),
    [
        ({"every": "day"}, "`every` needs a `start`"),
        ({"every": "day", "start": "2024-01-01", "keys": ["a"]}, "either `every`"),
        ({}, "either `every`"),
        ({"every": "day", "start": "yesterday"}, "partitions.start"),
    ],
)
def test_partitions_that_say_nothing_possible_are_broken(workshop, partitions, said):
    workshop.table("a", partitions=partitions)
    (broken,) = workshop.load().broken
    assert said in str(broken)


JOB = """
    import pathlib
    import dagster as dg
    from ml_platform_tests.conftest import Workshop

    def job():
        root = pathlib.Path(__file__).parents[1]
        with dg.DagsterInstance.get() as instance:
            shop = Workshop(root, instance, __name__.partition(".")[0])
            tables = shop.load().definitions
        everything = dg.Definitions(jobs=[dg.define_asset_job("everything")])
        return dg.Definitions.merge(tables, everything).resolve_job_def("everything")
"""


def test_a_run_that_goes_on_after_its_failure_makes_only_what_is_missing(workshop):
    prices = TableKey("raw", "prices")
    workshop.store.write("shop", prices, pa.table({"n": [1, 1]}))
    workshop.table("a", "SELECT unnest([1, 2]) AS n")
    workshop.table("b", "FROM features.a JOIN raw.prices USING (n)", write="merge", merge_key=["n"])
    workshop.table("c", "FROM features.b")
    module = f"{workshop.package}.job"
    (workshop.root / workshop.package / "job.py").write_text(textwrap.dedent(JOB))
    job = dg.reconstructable(importlib.import_module(module).job)
    here = {"execution": {"config": {"in_process": {}}}}
    with dg.execute_job(job, workshop.instance, run_config=here) as first:
        assert not first.success
        assert "2 new rows have the key n=1" in str(first.all_events)
    assert made(workshop) == {"a": 1, "b": 0, "c": 0}

    workshop.store.write("shop", prices, pa.table({"n": [1, 2]}))
    again = dg.ReexecutionOptions.from_failure(first.run_id, workshop.instance)
    with dg.execute_job(
        job, workshop.instance, run_config=here, reexecution_options=again
    ) as second:
        assert second.success
    assert made(workshop) == {"a": 1, "b": 1, "c": 1}
    assert workshop.rows("features/c") == [{"n": 1}, {"n": 2}]


def made(workshop):
    """How often each table was materialised."""
    return {
        name: len(
            workshop.instance.fetch_materializations(
                dg.AssetKey(["features", name]), limit=10
            ).records
        )
        for name in "abc"
    }


ROWS = 50_000
PARTS = ["p1", "p2", "p3", "p4"]

MEETING = """
    import itertools, os, pathlib, time
    import pandas as pd

    calls = itertools.count()

    def sales(base):
        \"\"\"The rows of this run, once the other one has its own of the same partition.\"\"\"
        who, number = os.environ["WHO"], next(calls)
        place = pathlib.Path(os.environ["MEETING"])
        (place / f"{who}-{number}").touch()
        deadline = time.monotonic() + 120
        while len(list(place.glob(f"*-{number}"))) < 2:
            assert time.monotonic() < deadline, "the other run did not come"
            time.sleep(0.001)
        return pd.DataFrame({"k": [f"{who}{n}" for n in range(ROWS)], "who": who})
"""

RUN = """
    import importlib, os, pathlib, sys
    import dagster as dg
    import ml_platform_tests.conftest as tests
    from ml_platform.execution.launch import materialise

    root, package, *partitions = sys.argv[1:]
    sys.path.insert(0, root)
    with dg.DagsterInstance.get() as instance:
        shop = tests.Workshop(pathlib.Path(root), instance, package)
        outcome = shop.run("features/sales", partitions=partitions)
    sys.exit("\\n".join(one.message for one in outcome.failures) or None)
"""


def run_twice_at_once(workshop, tmp_path):
    """Make features/sales in two processes, which begin to write each partition together."""
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(RUN), tmp_path, workshop.package, *PARTS]
    runs = [
        subprocess.Popen(
            command,
            env={**os.environ, "WHO": who, "MEETING": str(meeting)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for who in "ab"
    ]
    told = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told


@pytest.mark.fault
@pytest.mark.parametrize(
    ("write", "writers"),
    [
        ({"write": "replace", "keep_versions": 1}, 1),
        ({"write": "merge", "merge_key": ["k"]}, 2),
        ({"write": "append"}, 2),
    ],
    ids=lambda one: one["write"] if isinstance(one, dict) else "",
)
def test_two_runs_that_write_a_partition_at_once_leave_it_whole(workshop, tmp_path, write, writers):
    key = TableKey("features", "sales")
    workshop.store.write("shop", TableKey("raw", "base"), pa.table({"n": [1]}))
    if write["write"] == "replace":  # what is there is kept by both
        for part in PARTS:
            workshop.store.write("shop", key, pa.table({"k": ["old"]}), partition=part)
    workshop.write("maker.py", MEETING.replace("ROWS", str(ROWS)))
    workshop.declare(
        "FeatureTable",
        "sales",
        key="features/sales",
        python=f"{workshop.package}.shop.maker:sales",
        inputs={"base": "raw/base"},
        partitions={"keys": PARTS},
        **write,
    )
    run_twice_at_once(workshop, tmp_path)
    for part in PARTS:
        rows = workshop.store.read("shop", key, partitions=[part])
        assert rows.num_rows == writers * ROWS
        assert len(rows["k"].unique()) == writers * ROWS
        assert len(rows["who"].unique()) == writers
    for run in workshop.instance.get_runs():
        assert run.status == dg.DagsterRunStatus.SUCCESS
    assert [*tmp_path.glob("tables/**/.scratch*")] == []
