"""What a step's end means for the steps after it; without Dagster."""

import threading
import time

import pytest

from ml_platform.kernel.errors import DataError, SettingsError
from ml_platform.scenarios.course import (
    Course,
    Outcome,
    Result,
    StepTimeoutError,
    is_to_run,
    limited_to,
    variables_set,
)
from ml_platform.scenarios.step_words import Step


def step(name="check", **words):
    return Step(**{"name": name, "set_variables": {}, **words})


@pytest.mark.parametrize(
    ("condition", "success", "warning", "failed"),
    [
        ("always", True, True, True),
        ("on_success", True, True, False),
        ("on_warning", False, True, False),
        ("on_failure", False, False, True),
        ("outcome != 'SUCCESS'", False, True, True),
    ],
)
def test_a_condition_holds_after_these_outcomes(condition, success, warning, failed):
    asked = step(**{"if": condition})
    outcomes = (Outcome.success, Outcome.warning, Outcome.failed)
    found = [is_to_run(asked, Course(outcome=outcome)) for outcome in outcomes]
    assert found == [success, warning, failed]


@pytest.mark.parametrize(
    ("words", "ended", "counted"),
    [
        ({}, Outcome.warning, Outcome.warning),
        ({"warnings_as": "success"}, Outcome.warning, Outcome.success),
        ({"warnings_as": "failure"}, Outcome.warning, Outcome.failed),
        ({"warnings_as": "failure", "continue_on_failure": True}, Outcome.warning, Outcome.warning),
        ({}, Outcome.failed, Outcome.failed),
        ({"continue_on_failure": True}, Outcome.failed, Outcome.warning),
        ({"continue_on_failure": True}, Outcome.success, Outcome.success),
        ({}, Outcome.skipped, Outcome.success),
    ],
)
def test_a_steps_end_counts_for_the_run_as(words, ended, counted):
    assert Course().after(step(**words), Result(ended)).outcome is counted


def test_the_worst_outcome_stays_and_each_step_keeps_its_own():
    course = Course().after(step("a"), Result(Outcome.failed, reason="no disk"))
    course = course.after(step("b"), Result(Outcome.success, {"rows": 3}, variables={"n": 1}))
    assert course.outcome is Outcome.failed
    assert course.variables == {"n": 1}
    asked = "steps.a.reason == 'no disk' and steps.b.output.rows == 3 and variables.n == 1"
    assert is_to_run(step(**{"if": asked}), course)


def test_an_expression_about_a_step_that_did_not_come_is_told():
    with pytest.raises(DataError, match=r"steps\.later") as error:
        is_to_run(step(**{"if": "steps.later.outcome == 'FAILED'"}), Course())
    assert "is defined" in str(error.value)


def test_only_what_begins_with_the_sign_is_an_expression():
    given = {"a": "= params.n + 1", "b": "params.n", "c": 3}
    assert variables_set(given, Course(params={"n": 1})) == {"a": 2, "b": "params.n", "c": 3}


def test_what_takes_too_long_is_broken_off_and_nothing_rings_later():
    with pytest.raises(StepTimeoutError), limited_to(0.05) as rang:
        time.sleep(30)
    assert rang == [True]
    with limited_to(0.05) as rang:
        pass
    time.sleep(0.1)
    assert rang == []


def test_without_a_limit_there_is_none():
    with limited_to(None) as rang:
        time.sleep(0.01)
    assert rang == []


def test_a_limit_needs_the_main_thread_and_says_so():
    told = []

    def attempt():
        try:
            with limited_to(1.0):
                told.append("ran")
        except SettingsError as error:
            told.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert "main thread" in told[0]
