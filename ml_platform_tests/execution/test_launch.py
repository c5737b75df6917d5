"""Runs started from here: what is told of them, and which partitions they make."""

import dagster as dg
import pytest

from ml_platform.execution.launch import materialise, partitions_between
from ml_platform.kernel.errors import NotFoundError

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
