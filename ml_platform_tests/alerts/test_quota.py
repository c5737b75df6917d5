"""A limit that is near is told once a level and period; what a project has used is measured."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from ml_platform.alerts.message import Severity
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.quota import QuotaWords, Use, tell_of
from ml_platform.storage.shown import shown

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
LIMITS = {
    "storage_gb": 50,
    "cpu_hours_a_month": 200,
    "runs_a_day": 500,
    "undelivered_messages": 10,
}


@pytest.fixture
def outbox(tmp_path):
    return Outbox(f"sqlite:///{tmp_path}/alerts.db", lambda: NOON)


def told(outbox, share, name="storage_gb", at=NOON, **words):
    """What is told when so much of a limit of ten is used."""
    quota = QuotaWords(name="budget", **{name: 10}, **words)
    tell_of("shop", quota, [Use(name, share * 10, 10)], at, outbox)
    with outbox.book() as book:
        return book.take_told("shop", 10)


@pytest.mark.parametrize(
    ("share", "severity"),
    [
        (0.0, None),
        (0.79, None),
        (0.8, Severity.warning),
        (0.99, Severity.warning),
        (1.0, Severity.error),
        (7.0, Severity.error),
    ],
)
def test_a_limit_is_told_when_it_is_near_and_as_an_error_when_it_is_reached(
    outbox, share, severity
):
    found = told(outbox, share)
    assert [one.severity for one in found] == ([severity] if severity else [])


def test_what_is_told_says_what_is_used_of_what(outbox):
    [found] = told(outbox, 0.85)
    assert (found.type, found.what) == ("quota.near", "storage at 85%")
    assert (found.observed, found.expected) == ("8.5 GB", "up to 10 GB")
    assert found.summary == "Quota budget, storage: 8.5 of 10 GB (85%)."
    assert found.facts == {"quota": "budget", "measure": "storage_gb", "share": 0.85}


def test_each_level_is_told_once_a_period(outbox):
    shares = [0.5, 0.81, 0.9, 1.1, 0.85, 1.2]
    assert [len(told(outbox, share)) for share in shares] == [0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "later", "again"),
    [
        ("runs_a_day", timedelta(hours=11), 0),
        ("runs_a_day", timedelta(hours=12), 1),
        ("cpu_hours_a_month", timedelta(hours=11), 0),
        ("cpu_hours_a_month", timedelta(hours=12), 1),
        ("storage_gb", timedelta(hours=-200), 0),
    ],
)
def test_in_the_next_day_or_month_it_is_told_again(outbox, name, later, again):
    assert len(told(outbox, 0.9, name)) == 1
    assert len(told(outbox, 0.9, name, NOON + later)) == again


def test_the_levels_are_those_that_were_declared(outbox):
    assert told(outbox, 0.85, tell_at=[0.9, 0.5])[0].severity == Severity.warning
    assert told(outbox, 0.89, tell_at=[0.9, 0.5]) == []
    assert len(told(outbox, 0.9, tell_at=[0.9, 0.5])) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "give at least one limit: storage_gb, cpu_hours_a_month"),
        ({"storage_gb": 0}, "greater than 0"),
        ({"storage_gb": 1, "tell_at": [80]}, "a share of a limit is a number like 0.8"),
        ({"storage_gb": 1, "tell_at": []}, "at least 1 item"),
        ({"storage_tb": 1}, "storage_tb"),
    ],
)
def test_a_quota_that_limits_nothing_is_refused(words, said):
    with pytest.raises(ValueError, match=said):
        QuotaWords(name="budget", **words)


def tick(workshop, name="quota_budget"):
    """What the sensor says of itself."""
    repository = workshop.load().definitions.get_repository_def()
    context = dg.build_sensor_context(workshop.instance, repository_def=repository)
    return repository.get_sensor_def(name).evaluate_tick(context).skip_message


def test_a_tick_says_what_the_project_has_used(workshop, monkeypatch, tmp_path):
    url = f"sqlite:///{tmp_path}/alerts.db"
    monkeypatch.setenv("ML_PLATFORM_ALERTS_URL", url)
    monkeypatch.setenv("ML_PLATFORM_STORAGE_ROOT", workshop.store.root)
    workshop.table("a", "SELECT range AS n FROM range(100000)")
    workshop.declare("Quota", "quota", name="budget", **{**LIMITS, "storage_gb": 1e-6})
    workshop.run()
    workshop.run()
    said = tick(workshop)
    stored = sum(f.stat().st_size for f in (tmp_path / "tables").rglob("*.parquet"))
    assert stored > 200_000
    assert f"storage: {shown(stored / 1e9)} of 1e-06 GB" in said
    assert "CPU time of the month: " in said
    assert "runs of the day: 2 of 500 runs (0%)" in said
    assert "undelivered messages: 0 of 10 messages (0%)" in said
    with Outbox(url).book() as book:
        [near] = book.take_told("shop", 10)
    assert near.facts["measure"] == "storage_gb"
