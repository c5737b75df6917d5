"""No kind of event is a word only: for each one a test lets the platform itself make it.

A new kind needs a line here, and so a test that names it.
"""

import ast
from pathlib import Path

import pytest

from ml_platform.alerts.event import KINDS

ASSETS, RUNS = "listening/test_assets.py", "listening/test_runs.py"
BESIDE, SCENARIOS = "listening/test_beside.py", "listening/test_scenarios.py"
MADE = {
    ASSETS: {
        "test_a_failed_check_is_told_with_what_was_seen_and_whose_it_is": ["check.failed"],
        "test_a_check_that_only_warns_is_told_as_a_warning": ["check.warned"],
        "test_what_passes_is_a_good_sign_of_the_same_subject": ["check.recovered"],
        "test_freshness_is_heard": ["freshness.failed", "freshness.warned", "freshness.recovered"],
        "test_columns_and_verdicts_are_read_from_what_was_made": [
            "schema.changed", "model.champion", "model.rejected",
        ],
        "test_any_room_tells_by_an_observation_that_names_the_kind": ["message"],
        "test_drift_of_a_declared_table_is_told_as_drift_and_not_as_a_failed_check": [
            "drift.found", "drift.over",
        ],
    },
    RUNS: {
        "test_a_check_that_crashes_is_told_although_dagster_says_nothing_of_it": ["check.crashed"],
        "test_a_failed_run_names_the_first_error_and_what_was_not_made": [
            "run.failed", "asset.failed",
        ],
        "test_a_run_that_succeeds_is_a_good_sign_of_itself_and_of_what_it_made": [
            "run.recovered", "asset.recovered",
        ],
        "test_a_run_that_will_be_repeated_has_not_failed_yet": ["run.retried"],
        "test_a_canceled_run_is_heard": ["run.canceled"],
    },
    BESIDE: {
        "test_a_run_that_takes_long_is_told_once_it_does": ["run.too_long"],
        "test_the_ticks_of_the_project_are_told_in_their_order": ["tick.failed", "tick.recovered"],
        "test_a_backfill_is_told_when_it_has_ended": ["backfill.failed", "backfill.finished"],
        "test_declarations_that_broke_and_that_were_mended_are_told": [
            "declaration.broken", "declaration.mended",
        ],
    },
    SCENARIOS: {
        "test_a_start_is_told_with_what_started_it": ["scenario.started"],
        "test_an_end_is_told_with_the_outcome_that_the_run_was_marked_with_or_had": [
            "scenario.ended",
        ],
    },
    "listening/test_reading.py": {
        "test_a_row_that_cannot_be_read_is_named_and_the_next_is_read": ["event.unreadable"],
    },
    "test_sensor.py": {
        "test_a_code_location_that_stops_and_comes_back_is_told_by_another": [
            "location.gone", "location.back",
        ],
    },
    "test_quota.py": {"test_what_is_told_says_what_is_used_of_what": ["quota.near"]},
    "test_delivery.py": {
        "test_after_ten_attempts_it_is_a_dead_letter_that_is_told_elsewhere_once": [
            "delivery.dead",
        ],
        "test_a_closed_channel_gets_nothing_until_it_is_opened_and_loses_nothing": [
            "channel.closed",
        ],
    },
    "test_routing.py": {
        "test_a_wrong_template_sends_the_plain_message_and_tells_the_owner_once": [
            "template.failed",
        ],
        "test_who_acknowledges_is_told_to_every_channel_and_reminders_stop": [
            "incident.acknowledged",
        ],
    },
}  # fmt: skip
"""The kinds by the test that has them made."""

CASES = [
    (kind, file, test) for file in MADE for test, kinds in MADE[file].items() for kind in kinds
]


def test_every_kind_has_its_test_and_no_other():
    assert sorted(kind for kind, _, _ in CASES) == sorted(KINDS)


@pytest.mark.parametrize(("kind", "file", "test"), CASES)
def test_the_test_of_a_kind_is_there_and_names_it(kind, file, test):
    text = (Path(__file__).parent / file).read_text()
    [found] = [
        one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef) and one.name == test
    ]
    words = [str(one.value) for one in ast.walk(found) if isinstance(one, ast.Constant)]
    assert any(kind in word.split() for word in words)
