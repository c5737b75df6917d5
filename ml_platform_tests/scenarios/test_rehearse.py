"""Replaying a recorded time: the same rows become as many runs as the grace delay lets them."""

import pytest

from ml_platform.scenarios.recorder import Row
from ml_platform.scenarios.rehearse import compared, rehearsed, suggested
from ml_platform.scenarios.settle import Rules


def recorded(*seen):
    """Rows `(fingerprint, minute)`: each was seen until the next one came."""
    rows = []
    for number, (fingerprint, minute) in enumerate(seen):
        end = seen[number + 1][1] if number + 1 < len(seen) else minute + 600
        rows.append(
            Row("shop", "refresh", "t", "files", minute * 60, (end - 1) * 60, 1, "", fingerprint,
                "quiet", "", "")
        )  # fmt: skip
    return rows


BURSTS = recorded(("A", 0), ("B", 100), ("C", 104), ("D", 107), ("E", 500), ("F", 503))


@pytest.mark.parametrize(
    ("grace", "runs"),
    [(0, [100, 104, 107, 500, 503]), (2, [102, 106, 109, 502, 505]), (5, [112, 508]), (700, [])],
)
def test_a_longer_grace_delay_joins_what_comes_in_bursts(grace, runs):
    found, tried = compared(BURSTS, Rules(), grace * 60)
    assert (found.changes, tried) == (5, grace * 60)
    assert [run / 60 for run in found.runs] == runs


def test_the_declared_grace_delay_is_taken_where_none_is_tried():
    assert compared(BURSTS, Rules(grace=300), None)[1] == 300


def test_the_suggested_grace_delay_makes_one_run_of_each_burst():
    found = rehearsed(BURSTS, Rules())
    assert found.p99_gap == 240
    better = suggested(found)
    assert better == 300
    assert len(rehearsed(BURSTS, Rules(grace=better)).runs) == 2


def test_a_single_change_suggests_nothing():
    found = rehearsed(recorded(("A", 0), ("B", 100)), Rules())
    assert (len(found.runs), found.p99_gap, suggested(found)) == (1, None, None)


def test_failed_looks_and_an_empty_record_change_nothing():
    rows = recorded(("A", 0), ("", 50), ("A", 60), ("B", 100))
    assert rehearsed(rows, Rules()).changes == 1
    assert rehearsed([], Rules()).runs == []
