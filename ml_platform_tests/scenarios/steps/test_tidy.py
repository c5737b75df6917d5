"""What a clean-up removes, and what it must never remove."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.kernel.clock import system_clock
from ml_platform.kernel.names import TableKey
from ml_platform.scenarios.step_words import CleanUp
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.steps.tidy import clean_up

LATER = timedelta(days=40)


@pytest.fixture
def old(stage):
    """Three runs of a table, the last of which has its newest record, and one that failed."""
    stage.runs = [stage.workshop.run("features/one").run_id for _ in range(3)]
    stage.workshop.table("bad", "SELECT error('no such store') AS n")
    stage.runs.append(stage.workshop.run("features/bad").run_id)
    stage.left = Path(stage.instance.storage_directory()) / "0b0b0b0b-0000-4000-8000-000000000000"
    stage.left.mkdir(parents=True)
    (stage.left.parent / "of_somebody").mkdir()
    return stage


def cleaned(stage, after=LATER, **words):
    place = Place(
        instance=stage.instance, repository=None, run_id="own", first_run_id="own", project="shop",
        scenario="night", step="clean", resource=lambda name: Here(stage), say=lambda _: None,
        observe=lambda _: None,
    )  # fmt: skip
    found = clean_up(CleanUp(**words), place, lambda: system_clock() + after).output
    return {
        kind: found[kind]["count"] for kind in words.get("what", ("runs", "versions", "leftovers"))
    }


class Here:
    """The tables' resource."""

    def __init__(self, stage):
        self.stage = stage

    def store(self):
        return self.stage.workshop.store


def left(stage):
    return {run.run_id for run in stage.instance.get_runs()}


def test_what_is_young_stays(old):
    assert cleaned(old, timedelta()) == {"runs": 0, "versions": 0, "leftovers": 0}
    assert cleaned(old, keep="41d") == {"runs": 0, "versions": 0, "leftovers": 0}


def test_a_dry_run_tells_what_a_real_one_removes_and_removes_nothing(old):
    expected = {"runs": 3, "versions": 2, "leftovers": 1}
    assert cleaned(old, dry_run=True) == expected
    assert len(left(old)) == 4
    assert cleaned(old) == expected
    assert left(old) == {old.runs[2]}
    assert not old.left.exists()
    assert (old.left.parent / "of_somebody").exists()
    assert cleaned(old) == {"runs": 0, "versions": 0, "leftovers": 0}
    key = dg.AssetKey(["features", "one"])
    assert old.instance.get_latest_materialization_event(key).run_id == old.runs[2]
    assert old.workshop.store.versions("shop", TableKey("features", "one")) == []
    assert old.workshop.rows("features/one") == [{"n": 1}]


def test_only_what_is_named_is_looked_at(old):
    assert cleaned(old, what=["versions"]) == {"versions": 2}
    assert len(left(old)) == 4


def test_a_run_with_the_newest_record_of_a_partition_stays(old):
    stage = old
    days = {"keys": ["a", "b"]}
    stage.workshop.table("divided", "SELECT $partition AS k", partitions=days)
    both = stage.workshop.run("features/divided", partitions=["a", "b"]).run_id
    newer = stage.workshop.run("features/divided", partitions=["b"]).run_id
    cleaned(stage, what=["runs"])
    assert {both, newer} <= left(stage)
    newest = stage.workshop.run("features/divided", partitions=["a", "b"]).run_id
    cleaned(stage, what=["runs"])
    assert left(stage) & {both, newer, newest} == {newest}
