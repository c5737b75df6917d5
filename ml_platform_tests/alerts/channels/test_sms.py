"""How many segments a text message takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.channels.sms import GSM_7, UCS_2, alphabet, segments, simpler


@pytest.mark.parametrize(
    ("text", "used", "count"),
    [
        ("a" * 160, GSM_7, 1),
        ("a" * 161, GSM_7, 2),
        ("a" * 306, GSM_7, 2),
        ("a" * 307, GSM_7, 3),
        ("€" * 80, GSM_7, 1),
        ("€" * 81, GSM_7, 2),
        # The escape and its sign stay together: 76 in a part of 153, not 76.5.
        ("€" * 152, GSM_7, 2),
        ("€" * 153, GSM_7, 3),
        ("가" * 70, UCS_2, 1),
        ("가" * 71, UCS_2, 2),
        ("가" * 134, UCS_2, 2),
        ("가" * 135, UCS_2, 3),
        ("🎉" * 35, UCS_2, 1),
        ("🎉" * 36, UCS_2, 2),
        ("🎉" * 66, UCS_2, 2),
        ("🎉" * 67, UCS_2, 3),
        ("a" * 69 + "가", UCS_2, 1),
        ("", GSM_7, 1),
    ],
)
def test_segments_are_counted_as_networks_do(text, used, count):
    assert alphabet(text) is used
    assert segments(text) == count


def test_typographic_signs_do_not_cost_a_segment_more():
    text = simpler("812 \u2013 \u201cfew\u201d\u2026 \u2264 10\u00a0000")
    assert text == '812 - "few"... <= 10 000'
    assert alphabet(text) is GSM_7


@given(st.text(max_size=400))
def test_a_longer_text_never_takes_fewer(text):
    assert segments(text) <= segments(text + "가")
    assert segments(text) <= max(1, -(-2 * len(text) // 66))
