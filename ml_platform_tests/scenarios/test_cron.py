"""Cron expressions: what they mean, and what is told of one that means nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from dagster._utils.schedules import cron_string_iterator
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_platform.kernel.errors import DeclarationError
from ml_platform.scenarios.cron import cron_of
from ml_platform.scenarios.times import Time, due


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * *", "minute '60'"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of the month '0'"),
        ("* * * foo *", "month 'foo'"),
        ("* * * * 8", "weekday '8'"),
        ("5-1 * * * *", "minute '5-1' holds nothing"),
        ("*/0 * * * *", "minute '*/0' holds nothing"),
        ("1;2 * * * *", "minute '1;2' cannot be read"),
        ("0 0 31 2 *", "no year has such a day"),
        ("", "0 fields"),
    ],
)
def test_what_cannot_be_meant_is_told(text, told):
    with pytest.raises(DeclarationError) as error:
        cron_of(text)
    assert told in str(error.value)
    assert error.value.allowed


def number(low, high):
    plain = st.integers(low, high).map(str)
    # Dagster's own takes 0-0, a weekday, as every day.
    ranged = st.tuples(st.integers(low, high - 1), st.integers(1, 20)).map(
        lambda two: f"{two[0]}-{min(sum(two), high)}"
    )
    stepped = st.integers(2, 20).map(lambda step: f"*/{step}")
    return st.one_of(
        st.just("*"), plain, ranged, stepped, st.lists(plain, min_size=2).map(",".join)
    )


@settings(max_examples=25)
@given(st.tuples(number(0, 59), number(0, 23), number(1, 28), st.just("*"), number(0, 6)))
def test_it_means_what_dagsters_own_schedules_mean(fields):
    text = " ".join(fields)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ours = due(Time(cron=text), start - timedelta(seconds=1), start + timedelta(days=1000))
    theirs = cron_string_iterator(start.timestamp(), text, "UTC")
    for _ in range(3):
        assert next(ours) == next(theirs).astimezone(UTC)
