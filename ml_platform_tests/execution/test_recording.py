"""What is recorded of a partition is what Dagster would have recorded; and what is not public.

These fail when Dagster changes what recording.py uses of it: `_get_output_asset_events`, which
makes the events, and the metadata key that keeps an Output from recording once more.
"""

import dagster as dg
import pytest

from ml_platform.execution.launch import materialise
from ml_platform.execution.recording import materialisations, resumed_by
from ml_platform_tests.jobs import job

SALES = dg.AssetKey(["features", "sales"])
PARTS = ["eu", "us"]
COST = {"seconds", "cpu_seconds", "peak_memory_bytes", "rows_per_second"}


def declare(workshop):
    workshop.table("base", "SELECT 1 AS n")
    workshop.table("sales", "SELECT n, $partition AS p FROM features.base",
                   partitions={"keys": PARTS})  # fmt: skip
    return workshop.load().definitions


def events_of(workshop, definitions, *runs):
    found = {}
    for partitions in runs:
        outcome = materialise(definitions, workshop.instance, [SALES], partitions)
        assert outcome.success, outcome.failures
        for event in materialisations(workshop.instance, outcome.run_id):
            assert found.setdefault(event.partition, event) is event, "recorded twice"
    return found


def by_dagster(version):
    """The same table in Dagster's own words, recorded by it alone."""
    partitions = dg.StaticPartitionsDefinition(PARTS)

    @dg.asset(key=SALES, deps=[["features", "base"]], code_version=version,
              partitions_def=partitions)  # fmt: skip
    def sales(context) -> dg.MaterializeResult:
        for key in context.partition_keys:
            context.add_asset_metadata({"part": key}, partition_key=key)
        return dg.MaterializeResult()

    return dg.Definitions([sales, dg.AssetSpec(["features", "base"])])


def test_the_events_of_one_run_are_those_of_a_run_a_partition_and_dagsters_own(workshop):
    definitions = declare(workshop)
    base = dg.AssetKey(["features", "base"])
    assert materialise(definitions, workshop.instance, [base]).success
    together = events_of(workshop, definitions, PARTS)
    apart = events_of(workshop, definitions, *[[part] for part in PARTS])
    version = together["eu"].tags["dagster/code_version"]
    dagsters = events_of(workshop, by_dagster(version), PARTS)
    assert together.keys() == apart.keys() == dagsters.keys() == set(PARTS)
    for part in PARTS:
        assert together[part].tags == apart[part].tags == dagsters[part].tags
        assert "dagster/input_event_pointer/features/base" in together[part].tags
        assert {k: v for k, v in together[part].metadata.items() if k not in COST} == {
            k: v for k, v in apart[part].metadata.items() if k not in COST
        }


def test_a_partition_is_recorded_when_it_ends_not_when_the_step_does(workshop):
    declare(workshop)
    outcome = workshop.run(partitions=PARTS)
    entries = [
        entry
        for entry in workshop.instance.all_logs(outcome.run_id)
        if entry.step_key == "features__sales" and entry.dagster_event
    ]
    first, last = [e for e in entries if e.dagster_event.is_step_materialization]
    (written,) = (workshop.root / "tables").rglob(f"{PARTS[1]}.parquet")
    assert first.timestamp < written.stat().st_mtime < last.timestamp
    kinds = [entry.dagster_event.event_type_value for entry in entries]
    assert kinds.count("STEP_OUTPUT") == 1


CHAINS = {
    "one that begins anew": ([{}], []),
    "one that does all again": ([{}, {"dagster/parent_run_id": "0"}], []),
    "one that goes on": ([{}, {"dagster/is_resume_retry": "true"}], [0]),
    "one that goes on by assets": ([{}, {"dagster/is_asset_resume_retry": "true"}], [0]),
    "one that goes on with one that goes on": (
        [{}, {"dagster/is_resume_retry": "true"}, {"dagster/is_resume_retry": "true"}], [1, 0],
    ),
    "one that goes on with one done again": (
        [{}, {}, {"dagster/is_resume_retry": "true"}], [1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("chain", CHAINS)
def test_a_run_goes_on_with_those_that_its_tags_say(chain, instances):
    tags, expected = CHAINS[chain]
    with instances() as instance:
        runs = []
        for number, own in enumerate(tags):
            parent = runs[-1].run_id if number else None
            root = runs[0].run_id if number else None
            runs.append(
                instance.create_run_for_job(job, tags=own, parent_run_id=parent, root_run_id=root)
            )
        found = list(resumed_by(instance, runs[-1]))
        assert found == [runs[number].run_id for number in expected]
