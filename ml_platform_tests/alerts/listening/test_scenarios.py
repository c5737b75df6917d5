"""What is heard of scenarios: their start, and their end with its outcome."""

import dagster as dg
import pytest

from ml_platform.alerts.message import Severity
from ml_platform.alerts.rules import Rule
from ml_platform_tests.alerts.listening.conftest import only

TAGS = {"ml_platform/scenario": "weekly", "ml_platform/project": "shop"}
OUTCOME = "ml_platform/outcome"


def run_of(shop, end="success", mark="", name="weekly", **tags):
    """A run of a scenario, which its last step has marked; its events."""
    tags = {**TAGS, "ml_platform/scenario": name, **tags}

    @dg.op
    def last(context):
        if mark:
            context.instance.add_run_tags(context.run_id, {OUTCOME: mark})
        if end == "failed":
            raise ValueError("no file")

    @dg.job(name=name, tags=tags)
    def weekly():
        last()

    if end == "canceled":
        run = shop.instance.create_run_for_job(weekly, tags=tags)
        shop.instance.report_run_canceled(run)
    else:
        weekly.execute_in_process(instance=shop.instance, raise_on_error=False)
    return shop.events()


def test_a_start_is_told_with_what_started_it(shop):
    events = run_of(shop, **{"ml_platform/trigger": "monday: 06:00 has come"})
    found = only(events, "scenario.started")
    assert (found.project, found.scenario, found.what) == ("shop", "weekly", "weekly")
    assert (found.trigger_name, found.trigger_reason) == ("monday", "06:00 has come")


def test_a_run_that_is_repeated_by_itself_is_the_same_scenario_still(shop):
    events = run_of(shop, **{"dagster/retry_number": "1"})
    assert "scenario.started" not in [one.type for one in events]


@pytest.mark.parametrize(
    ("end", "mark", "outcome", "severity"),
    [
        ("success", "", "success", Severity.info),
        ("success", "success", "success", Severity.info),
        ("success", "warning", "warning", Severity.warning),
        ("success", "failed", "failed", Severity.error),
        ("success", "nonsense", "success", Severity.info),
        ("failed", "", "failed", Severity.error),
        ("failed", "success", "failed", Severity.error),
        ("canceled", "", "canceled", Severity.warning),
    ],
)
def test_an_end_is_told_with_the_outcome_that_the_run_was_marked_with_or_had(
    shop, end, mark, outcome, severity
):
    found = only(run_of(shop, end, mark), "scenario.ended")
    assert (found.outcome, found.severity) == (outcome, severity)
    assert found.what == f"weekly: {outcome}"
    assert ("no file" in found.failure_message) == (end == "failed")


def test_a_mark_that_was_made_after_the_run_was_first_looked_at_is_seen(shop):
    known = shop.known()
    job = dg.GraphDefinition("weekly").to_job(tags=TAGS)
    run = shop.instance.create_run_for_job(job, tags=TAGS)
    assert OUTCOME not in known.run(run.run_id).tags
    shop.instance.add_run_tags(run.run_id, {OUTCOME: "warning"})
    for status in (dg.DagsterEventType.RUN_START, dg.DagsterEventType.RUN_SUCCESS):
        event = dg.DagsterEvent(event_type_value=status.value, job_name="weekly", message="")
        shop.instance.report_dagster_event(event, run.run_id)
    ended = only(shop.events(known=known), "scenario.ended")
    assert ended.outcome == "warning"


def test_a_run_of_no_scenario_starts_and_ends_none(shop):
    assert not [kind for kind in shop.kinds(shop.run("sales")) if kind.startswith("scenario.")]


def test_what_a_scenario_has_started_belongs_to_its_project(shop):
    [*_, above] = run_of(shop)
    job = dg.GraphDefinition("part").to_job(tags={"ml_platform/parent_run": above.run_id})
    job.execute_in_process(instance=shop.instance)
    known = shop.known()
    known.project = "another"
    [found] = [e for e in shop.events(known=known) if e.job == "part"]
    assert found.project == "shop"


@pytest.mark.parametrize(
    ("words", "condition", "told"),
    [
        (["run.failed"], "", ["run.failed"]),
        (["scenario.ended"], "", ["scenario.ended"]),
        (["run.failed", "scenario.ended"], "", ["run.failed", "scenario.ended"]),
        (["run.*", "scenario.*"], "", ["run.failed"]),
        (["*"], "outcome == 'failed'", ["run.failed"]),
        (["*"], "event_type == 'scenario.ended'", ["scenario.ended"]),
        (["*"], "outcome == 'warning'", []),
    ],
)
def test_a_scenario_that_broke_off_is_told_once_unless_a_rule_names_both(
    shop, words, condition, told
):
    rule = Rule(name="r", channels=["inbox"], events=words, condition=condition)
    found = [one.type for one in run_of(shop, "failed") if rule.wants(one)]
    assert [one for one in found if one in {"run.failed", "scenario.ended"}] == told


@pytest.mark.parametrize(
    ("words", "runs", "told"),
    [
        (["run.failed"], "own", ["run.failed weekly"]),
        (["run.*", "scenario.*"], "own", ["run.failed weekly"]),
        (
            ["scenario.ended"],
            "own",
            ["scenario.ended part: failed", "scenario.ended weekly: failed"],
        ),
        (["run.failed"], "all", ["run.failed part", "run.failed weekly"]),
    ],
)
def test_a_run_that_fails_within_a_step_is_told_by_its_scenario_alone_unless_a_rule_asks_for_it(
    shop, words, runs, told
):
    run_of(shop, "failed", name="part", **{"ml_platform/parent_run": "the run of weekly"})
    rule = Rule(name="r", channels=["inbox"], events=words, runs=runs)
    found = [f"{one.type} {one.what}" for one in run_of(shop, "failed") if rule.wants(one)]
    ends = ("run.failed", "scenario.ended")
    assert [one for one in found if one.startswith(ends)] == told


@pytest.mark.parametrize("mark", ["warning", "failed"])
def test_an_outcome_that_no_run_tells_is_told_also_by_a_star(shop, mark):
    rule = Rule(name="r", channels=["inbox"], events=["*"])
    assert rule.wants(only(run_of(shop, "success", mark), "scenario.ended"))
