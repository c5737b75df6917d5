"""Values as a reader wants them."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.storage.shown import rounded, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "True"),
        (1234567, "1,234,567"),
        (1234.567, "1,234.57"),
        (0.03891, "0.03891"),
        (-2.5, "-2.5"),
        (17700681.0, "17,700,681"),
        (float("nan"), ""),
        (datetime(2012, 10, 26), "2012-10-26"),  # noqa: DTZ001 - as pandas gives a day
        (datetime(2012, 10, 26, 9, 5), "2012-10-26 09:05:00"),  # noqa: DTZ001
        ("text", "text"),
    ],
)
def test_a_value_is_shown_as_people_write_it(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "figure"),
    [
        (0.038914372851234, 0.0389144),
        (-2 / 3, -0.666667),
        (1234567.891, 1234568.0),
        (12.5, 12.5),
        (7, 7),
        (0.0, 0.0),
        (float("inf"), float("inf")),
    ],
)
def test_a_figure_keeps_six_digits_and_all_before_the_point(value, figure):
    assert rounded(value) == figure


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_a_figure_changes_it_by_less_than_a_reader_sees(value):
    assert abs(rounded(value) - value) <= 0.5e-5 * abs(value)
    assert rounded(rounded(value)) == rounded(value)
