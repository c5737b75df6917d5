"""Lengths of time, and what a trigger tells of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.scenarios.parts import seconds
from ml_platform.scenarios.settle import Rules
from ml_platform.scenarios.trigger_words import Trigger


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", 30), ("2m", 120), ("1.5h", 5400), ("7d", 604800), ("2 m", 120), (45, 45), (0, 0)],
)
def test_a_length_of_time(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "2", "2w", "-2m", "2m30s", "1e3s", None, True, -1, []])
def test_what_is_no_length_of_time_is_told(text):
    with pytest.raises(ValueError, match="write it like 30s"):
        seconds(text)


@given(st.floats(0, 1e6, allow_nan=False), st.sampled_from("smhd"))
def test_every_number_and_unit_is_one(number, unit):
    text = f"{number:.3f}{unit}"
    assert seconds(text) == pytest.approx(
        float(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    )


def test_what_is_watched_is_looked_at_every_quarter_hour_and_waits_two_minutes():
    trigger = Trigger(name="t", files={"paths": ["in"]})
    assert (trigger.kind, trigger.interval) == ("files", 900)
    assert trigger.rules == Rules(grace=120, recheck=True, minimum_interval=0)
