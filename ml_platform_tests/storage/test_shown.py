"""Values as a reader wants them."""

from datetime import datetime

import pytest

from ml_platform.storage.shown import shown


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
