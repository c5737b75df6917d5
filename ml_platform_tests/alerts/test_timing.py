"""When things are told; the present moment is always an argument."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_platform.alerts.message import Severity
from ml_platform.alerts.timing import (
    ATTEMPTS_AFTER_S,
    LONGEST_WISH_S,
    Digest,
    QuietHours,
    Window,
    in_maintenance,
    next_attempt,
)
from ml_platform.kernel.errors import DeclarationError

MOMENTS = st.integers(1_735_689_600, 1_830_297_600).map(lambda s: datetime.fromtimestamp(s, UTC))


def at(text):
    """A moment in UTC; 2026-03-02 is a Monday."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("digest", "now", "sent"),
    [
        ({"every": "hour"}, "2026-03-02T10:15", "2026-03-02T11:00"),
        ({"every": "hour"}, "2026-03-02T10:00", "2026-03-02T11:00"),
        ({"every": "day", "at": "08:00"}, "2026-03-02T07:59", "2026-03-02T08:00"),
        ({"every": "day", "at": "08:00"}, "2026-03-02T08:00", "2026-03-03T08:00"),
        (
            {"every": "day", "at": "08:00", "timezone": "Asia/Seoul"},
            "2026-03-02T01:00",
            "2026-03-02T23:00",
        ),
        ({"every": "week", "weekday": "monday"}, "2026-03-02T07:00", "2026-03-02T08:00"),
        ({"every": "week", "weekday": "monday"}, "2026-03-02T09:00", "2026-03-09T08:00"),
        ({"every": "week", "weekday": "sunday"}, "2026-03-02T09:00", "2026-03-08T08:00"),
        (
            {"every": "day", "at": "02:30", "timezone": "Europe/Zurich"},
            "2026-03-29T00:00",
            "2026-03-29T01:30",
        ),
    ],
    ids=[
        "the next full hour",
        "a full hour itself is over",
        "later today",
        "tomorrow",
        "morning in Seoul is evening before in UTC",
        "this Monday",
        "next Monday",
        "the coming Sunday",
        "an hour that the clocks leap over comes an hour later",
    ],
)
def test_a_digest_is_sent_at(digest, now, sent):
    assert Digest(**digest).next_after(at(now)) == at(sent)


@given(
    st.sampled_from(["hour", "day", "week"]),
    st.times().map(lambda t: f"{t:%H:%M}"),
    st.sampled_from(["UTC", "Europe/Zurich", "Asia/Seoul", "America/St_Johns"]),
    MOMENTS,
)
def test_the_next_digest_is_later_and_no_further_than_its_period(every, time, zone, now):
    found = Digest(every=every, at=time, timezone=zone).next_after(now)
    period = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
    assert now < found <= now + period[every] + timedelta(hours=1)  # clocks may be put back


NIGHT = QuietHours(start="22:00", end="07:00", timezone="Europe/Zurich")
WORK = QuietHours(start="09:00", end="17:00", weekdays=["monday"])


@pytest.mark.parametrize(
    ("hours", "now", "end"),
    [
        (NIGHT, "2026-03-02T20:59", None),
        (NIGHT, "2026-03-02T21:00", "2026-03-03T06:00"),
        (NIGHT, "2026-03-03T05:59", "2026-03-03T06:00"),
        (NIGHT, "2026-03-03T06:00", None),
        (WORK, "2026-03-02T09:00", "2026-03-02T17:00"),
        (WORK, "2026-03-03T09:00", None),
    ],
    ids=["not yet", "from ten", "before seven", "at seven", "on Monday", "not on Tuesday"],
)
def test_quiet_hours_hold_until(hours, now, end):
    assert hours.end_at(at(now)) == (at(end) if end else None)


def test_quiet_hours_let_the_worst_through_unless_they_say_otherwise():
    assert NIGHT.except_from is Severity.critical


@pytest.mark.parametrize(
    ("moment", "is_muted"),
    [("2026-03-01T20:59", False), ("2026-03-01T21:00", True), ("2026-03-02T01:00", False)],
)
def test_a_maintenance_window_holds_its_start_and_not_its_end(moment, is_muted):
    window = Window(start="2026-03-01T22:00:00+01:00", end="2026-03-02T01:00:00")
    assert in_maintenance([window], at(moment)) is is_muted


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Digest(every="day", at="25:00"), "no time of day"),
        (lambda: Digest(every="day", at="8"), "no time of day"),
        (lambda: Digest(every="day", timezone="Mars/Base"), "Mars/Base"),
        (lambda: Digest(every="day", hour=8), "Extra inputs"),
        (lambda: QuietHours(start="22:00", end="22:00"), "the same"),
        (lambda: Window(start="2026-01-02", end="2026-01-01"), "after its start"),
        (lambda: Window(start="soon", end="2026-01-01"), "Invalid isoformat"),
    ],
)
def test_what_is_no_time_is_refused(make, said):
    with pytest.raises((ValidationError, DeclarationError), match=said):
        make()


def test_a_time_that_yaml_read_as_a_number_is_meant_as_written():
    # 22:00 without quotes is 22 * 60 to the base of sixty.
    assert Digest(every="day", at=1320).at == "22:00"


def middle():
    return 0.5


@pytest.mark.parametrize(
    ("attempts", "wish", "seconds"),
    [
        (1, None, 5),
        (2, None, 300),
        (3, None, 1800),
        (9, None, 86400),
        (1, 60.0, 60),
        (2, 60.0, 300),
        (1, 10 * 86400.0, LONGEST_WISH_S),
    ],
    ids=[
        "at once",
        "then minutes",
        "then half an hour",
        "last a day",
        "a wish is kept",
        "a wish shortens nothing",
        "a wish of ten days is one day",
    ],
)
def test_after_a_failure_the_next_attempt_comes(attempts, wish, seconds):
    now = at("2026-03-02T10:00")
    assert next_attempt(attempts, now, wish, middle) == now + timedelta(seconds=seconds)


def test_after_ten_attempts_it_is_given_up():
    assert next_attempt(len(ATTEMPTS_AFTER_S), at("2026-03-02T10:00")) is None
    assert len(ATTEMPTS_AFTER_S) == 10


@given(st.integers(1, 9), st.floats(0, 1))
def test_chance_moves_an_attempt_by_a_tenth_at_most(attempts, chance):
    now = at("2026-03-02T10:00")
    found = next_attempt(attempts, now, None, lambda: chance)
    assert abs((found - now).total_seconds() / ATTEMPTS_AFTER_S[attempts] - 1) <= 0.1 + 1e-9
