"""When a time trigger is due, in the words of its declaration."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_platform.scenarios.times import Time, due

ZURICH = "Europe/Zurich"


def moments(start, days, **words):
    """The moments of so many days, as they are called in the time zone of the declaration."""
    spec = Time(**words)
    zone = ZoneInfo(spec.timezone)
    begin = datetime.fromisoformat(start).replace(tzinfo=zone)
    end = (begin + timedelta(days=days)).replace(tzinfo=zone)
    found = due(spec, begin - timedelta(seconds=1), end - timedelta(seconds=1))
    return [one.astimezone(zone).strftime("%m-%d %H:%M") for one in found]


@pytest.mark.parametrize(
    ("words", "days", "expected"),
    [
        ({"unit": "days", "at": "06:30"}, 3, ["01-01 06:30", "01-02 06:30", "01-03 06:30"]),
        ({"unit": "days", "at": 390}, 1, ["01-01 06:30"]),
        ({"unit": "days", "every": 3, "starting_from": "2026-01-02"}, 9,
         ["01-02 00:00", "01-05 00:00", "01-08 00:00"]),
        ({"unit": "days", "weekdays": ["saturday", "sunday"]}, 7, ["01-03 00:00", "01-04 00:00"]),
        ({"unit": "weeks"}, 14, ["01-05 00:00", "01-12 00:00"]),
        ({"unit": "weeks", "every": 2, "weekdays": ["tuesday", "friday"],
          "starting_from": "2026-01-01"}, 21,
         ["01-02 00:00", "01-13 00:00", "01-16 00:00"]),
        ({"unit": "months", "monthly_on": "last day"}, 60, ["01-31 00:00", "02-28 00:00"]),
        ({"unit": "months", "monthly_on": "day 31"}, 60, ["01-31 00:00", "02-28 00:00"]),
        ({"unit": "months", "monthly_on": "third tuesday"}, 60, ["01-20 00:00", "02-17 00:00"]),
        ({"unit": "months", "monthly_on": "last Monday"}, 60, ["01-26 00:00", "02-23 00:00"]),
        ({"unit": "months", "every": 3, "starting_from": "2025-11-01"}, 150,
         ["02-01 00:00", "05-01 00:00"]),
        ({"unit": "hours", "every": 8, "at": "02:00"}, 1,
         ["01-01 02:00", "01-01 10:00", "01-01 18:00"]),
        ({"unit": "minutes", "every": 700, "starting_from": "2026-01-01"}, 1,
         ["01-01 00:00", "01-01 11:40", "01-01 23:20"]),
        ({"unit": "days", "starting_from": "2027-01-01"}, 30, []),
        ({"cron": "0 12 * * MON-FRI"}, 4, ["01-01 12:00", "01-02 12:00"]),
        ({"cron": "0 0 13 * fri"}, 14, ["01-02 00:00", "01-09 00:00", "01-13 00:00"]),
        ({"cron": "@weekly"}, 14, ["01-04 00:00", "01-11 00:00"]),
    ],
)  # fmt: skip
def test_words_mean_these_moments_of_the_year_2026(words, days, expected):
    assert moments("2026-01-01", days, **words) == expected


@pytest.mark.parametrize(
    ("what", "day", "words", "expected"),
    [
        ("the time that the day in spring lacks comes an hour later", "2026-03-29",
         {"unit": "days", "at": "02:30"}, ["03-29 03:30"]),
        ("the time that the day in autumn has twice comes once", "2026-10-25",
         {"unit": "days", "at": "02:30"}, ["10-25 02:30"]),
        ("and in cron, too", "2026-10-25", {"cron": "30 2 * * *"}, ["10-25 02:30"]),
        ("cron at 2:30 in spring", "2026-03-29", {"cron": "30 2 * * *"}, ["03-29 03:30"]),
        ("a day that begins at one o'clock", "2026-03-29",
         {"unit": "days", "timezone": "Asia/Beirut"}, ["03-29 01:00"]),
        ("and its cron", "2026-03-29",
         {"cron": "0 0 * * *", "timezone": "Asia/Beirut"}, ["03-29 01:00"]),
    ],
)  # fmt: skip
def test_clocks_are_changed(what, day, words, expected):
    assert moments(day, 1, **{"timezone": ZURICH, **words}) == expected


@pytest.mark.parametrize("words", [{"unit": "days", "at": "23:30"}, {"cron": "30 23 * * *"}])
def test_a_time_that_the_end_of_a_day_lacks_comes_after_midnight(words):
    """In Nuuk the clocks go from 23 o'clock to midnight, and the looks may be on both days."""
    midnight = datetime(2026, 3, 29, tzinfo=ZoneInfo("America/Nuuk"))
    spec = Time(timezone="America/Nuuk", **words)
    found = list(due(spec, midnight + timedelta(minutes=10), midnight + timedelta(hours=2)))
    assert found == [(midnight + timedelta(minutes=30)).astimezone(UTC)]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
@pytest.mark.parametrize("words", [{"cron": "0 * * * *"}, {"unit": "hours"}])
def test_every_hour_is_every_hour_that_passes(day, hours, words):
    assert len(moments(day, 1, timezone=ZURICH, **words)) == hours


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({}, "give either `cron`"),
        ({"cron": "@daily", "unit": "days"}, "give either `cron`"),
        ({"cron": "@daily", "at": "06:00"}, "`at` goes with `unit`"),
        ({"cron": "0 0 * *"}, "4 fields"),
        ({"unit": "days", "at": "6:00"}, "write it like 08:30"),
        ({"unit": "days", "at": 1600}, "write it like 08:30"),
        ({"unit": "months", "weekdays": ["monday"]}, "`weekdays` goes with"),
        ({"unit": "days", "monthly_on": "last day"}, "`monthly_on` goes with"),
        ({"unit": "months", "monthly_on": "fifth monday"}, "this is no day of a month"),
        ({"unit": "months", "monthly_on": "day 32"}, "this is no day of a month"),
        ({"unit": "days", "timezone": "Europe/Zürich"}, "there is none of this name"),
        ({"unit": "days", "starting_from": "soon"}, "Invalid isoformat"),
        ({"unit": "days", "every": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_meant_is_told(words, told):
    with pytest.raises(ValidationError) as error:
        Time(**words)
    assert told in str(error.value)


minutes = st.integers(0, 60 * 24 * 400)
specs = st.sampled_from(
    [
        Time(unit="minutes", every=7),
        Time(unit="hours", every=5, timezone=ZURICH),
        Time(unit="days", at="02:30", timezone=ZURICH),
        Time(unit="weeks", every=2, weekdays=["sunday"], at="02:15", timezone="America/New_York"),
        Time(cron="*/20 1-3 * * *", timezone=ZURICH),
        Time(cron="*/45 * * * *", timezone=ZURICH),
    ]
)


@given(specs, minutes, st.lists(st.integers(0, 3000), min_size=1, max_size=6))
def test_looking_often_or_once_finds_the_same_moments(spec, start, waits):
    """No moment is lost or doubled at the border of two looks, whatever the clocks do."""
    begin = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=start)
    ends = [begin]
    for wait in waits:
        ends.append(ends[-1] + timedelta(minutes=wait))
    piecewise = [m for a, b in pairwise(ends) for m in due(spec, a, b)]
    assert piecewise == list(due(spec, begin, ends[-1]))
    assert piecewise == sorted(set(piecewise))


def test_a_clock_that_goes_back_brings_no_moment_twice():
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert list(due(Time(unit="minutes"), now, now - timedelta(hours=1))) == []
