"""What triggers ask of a real instance."""

import json
import time

import dagster as dg
import pytest

from ml_platform.kernel.marks import OUTCOME_TAG, PROJECT_TAG, SCENARIO_TAG
from ml_platform.scenarios.runs import champion, ended_runs, is_running
from ml_platform.scenarios.steps.place import start_config

RETRIES = {"run_retries": {"enabled": True, "max_retries": 2}}


@pytest.fixture(params=[{}, RETRIES], ids=["as it is", "with retries"])
def instance(request, instances):
    with instances(request.param) as made:
        yield made


@dg.op
def start():
    return 1


@dg.job
def load():
    start()


def run(instance, status, outcome=None, scenario="load", project="shop", **tags):
    """A run of a scenario that has come to this status as it does at work."""
    tags = {SCENARIO_TAG: scenario, PROJECT_TAG: project, **tags}
    tags |= {OUTCOME_TAG: outcome} if outcome else {}
    made = instance.create_run_for_job(
        load, tags=tags, run_config=start_config("manual", {"n": 1}),
        status=dg.DagsterRunStatus.STARTED,
    )  # fmt: skip
    if status is None:
        return made.run_id
    event = dg.DagsterEvent(event_type_value=status.value, job_name="load", message="over")
    instance.report_dagster_event(event, made.run_id)
    return made.run_id


SUCCESS = dg.DagsterEventType.RUN_SUCCESS
FAILURE = dg.DagsterEventType.RUN_FAILURE
CANCELED = dg.DagsterEventType.RUN_CANCELED


@pytest.mark.parametrize(
    ("status", "outcome", "expected"),
    [
        (SUCCESS, "success", "success"),
        (SUCCESS, "warning", "warning"),
        (SUCCESS, None, "success"),
        (CANCELED, None, "failed"),
        (CANCELED, "success", "failed"),
    ],
)
def test_how_a_run_has_ended(instance, status, outcome, expected):
    before = time.time()
    run_id = run(instance, status, outcome)
    [found] = ended_runs(instance, "shop", "load", time.time())(before - 1)
    assert (found.run_id, found.outcome, found.params) == (run_id, expected, {"n": 1})
    assert before <= found.at <= time.time()


def test_runs_that_go_on_and_those_of_others_have_not_ended(instance):
    run(instance, None)
    run(instance, SUCCESS, scenario="train")
    run(instance, SUCCESS, project="other")
    assert ended_runs(instance, "shop", "load", time.time())(0) == []
    assert is_running(instance, "shop", "load")
    assert not is_running(instance, "other", "load")


def test_runs_that_ended_before_are_not_asked_for(instance):
    run(instance, SUCCESS)
    assert ended_runs(instance, "shop", "load", time.time())(time.time() + 1) == []


@pytest.mark.parametrize(("said", "expected"), [("true", 0), ("false", 1)])
def test_a_failure_that_dagster_repeats_by_itself_is_no_end(said, expected, instances):
    with instances(RETRIES) as instance:
        run_id = run(instance, FAILURE)
        instance.add_run_tags(run_id, {"dagster/will_retry": said})
        assert len(ended_runs(instance, "shop", "load", time.time())(0)) == expected


def test_a_failure_of_which_this_is_not_said_yet_waits_a_moment(instances):
    with instances(RETRIES) as instance:
        run_id = run(instance, None)
        # What Dagster does first: the status, and only then the tag.
        instance.run_storage.handle_run_event(
            run_id, dg.DagsterEvent(FAILURE.value, "load", message="over")
        )
        now = time.time()
        assert ended_runs(instance, "shop", "load", now)(0) == []
        [found] = ended_runs(instance, "shop", "load", now + 11)(0)
        assert found.outcome == "failed"


def test_the_champion_is_the_last_version_that_became_it(instances):
    with instances() as instance:
        assert champion(instance, "models/demand") is None
        for version, is_champion in [
            ("1", True),
            ("2", True),
            *((str(n), False) for n in range(3, 70)),
        ]:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    ["models", "demand"],
                    metadata={"is_champion": is_champion, "model_version": version},
                )
            )
        found = champion(instance, "models/demand")
        assert found is not None
        assert found[0] == "2"
        json.dumps(found)
