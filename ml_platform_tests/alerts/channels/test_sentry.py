"""Sentry: one issue a check, and knowing whether it was taken."""

from dataclasses import replace

import pytest
import sentry_sdk

from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.channels.sentry import fingerprint
from ml_platform.alerts.message import Severity, Status
from ml_platform_tests.alerts.channels.conftest import EVENTS, FAILED, PASSWORDS
from ml_platform_tests.alerts.conftest import Reply


def test_each_days_failure_of_a_check_joins_one_issue():
    other_day = replace(FAILED, partition="2026-08-21", observed="3", run_id="other", title="t")
    assert fingerprint(FAILED) == ["check", "demand", "raw/sales", "row_count_in_range"]
    assert fingerprint(other_day) == fingerprint(FAILED)
    assert fingerprint(replace(FAILED, check_name="nulls")) != fingerprint(FAILED)


def test_what_is_over_is_not_counted_as_a_failure_more():
    assert fingerprint(replace(FAILED, status=Status.resolved)) == [
        *fingerprint(FAILED),
        "resolved",
    ]


def test_other_events_join_by_what_happened_to_what():
    assert fingerprint(EVENTS["run failed"]) == ["run.failed", "demand", "raw/sales"]
    assert fingerprint(replace(EVENTS["bare"], event_type="")) == ["message"]


def test_the_envelope_goes_to_the_project_with_its_key(reach):
    there = reach("sentry", release="demand@1.4.0")
    receipt = there.send(FAILED)
    request = there.http.requests[0]
    assert request.path == "/api/7/envelope/"
    assert PASSWORDS["TEST_PUBLIC_KEY"] in request.headers["x-sentry-auth"]
    (arrived,) = there.arrived()
    assert receipt.id == "0123456789abcdef0123456789abcdef"
    assert arrived["release"] == "demand@1.4.0"
    assert arrived["environment"] == "production"
    assert arrived["transaction"] == "demand/raw/sales"
    assert arrived["fingerprint"] == fingerprint(FAILED)
    assert arrived["tags"]["check"] == "row_count_in_range"
    assert arrived["extra"]["observed"] == "812"


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({"severity": Severity.info}, "info"),
        ({"severity": Severity.warning}, "warning"),
        ({"severity": Severity.error}, "error"),
        ({"severity": Severity.critical}, "fatal"),
        ({"status": Status.resolved}, "info"),
    ],
)
def test_the_level_is_the_severity(reach, change, level):
    there = reach("sentry")
    there.send(replace(FAILED, **change))
    assert there.arrived()[0]["level"] == level


def test_the_processs_own_sentry_is_left_alone(reach):
    there = reach("sentry")
    there.send(FAILED)
    assert not sentry_sdk.get_client().is_active()


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("60:error:organization", 60),
        ("10::key, 120:error;transaction:project", 120),
        ("60:transaction:key", None),
        ("2700:default;error", 2700),
        ("nonsense", None),
    ],
)
def test_sentrys_own_header_says_how_long_to_wait(reach, header, wait_s):
    there = reach("sentry")
    there.http.answers(Reply(429, b"", {"X-Sentry-Rate-Limits": header}))
    with pytest.raises(NotDeliveredError) as caught:
        there.send(FAILED)
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    "dsn", ["", "nonsense", "https://host/1", "https://key@host/x", "ftp://k@h/1"]
)
def test_a_dsn_that_is_none_is_told_and_not_shown(monkeypatch, dsn):
    monkeypatch.setenv("TEST_DSN", dsn)
    with pytest.raises(ClosedError, match="its DSN is not one") as caught:
        channel_of({"type": "sentry", "dsn": "${TEST_DSN}"}).send(FAILED, key="k")
    assert not dsn or dsn not in str(caught.value)
