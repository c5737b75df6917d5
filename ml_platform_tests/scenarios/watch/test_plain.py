"""Values as parameters of a run."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.scenarios.watch.plain import MOST_CHARACTERS, checked_params, fitting, plain_value

KEPT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal(3), 3),
        (Decimal("2.50"), 2.5),
        (Decimal("NaN"), None),
        (float("inf"), None),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (b"\x01\xff", "01ff"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (True, True),
    ],
)
def test_what_a_database_gives_becomes_plain(value, expected):
    assert plain_value(value) == expected


@given(st.dictionaries(st.text(max_size=5), KEPT, max_size=4))
def test_what_json_can_say_is_kept_as_it_is(params):
    assert checked_params(params, "it") == json.loads(json.dumps(params))


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=99), max_size=2)))
def test_as_many_parts_as_there_is_room_for_are_kept(parts):
    kept = fitting(parts, 300)
    assert kept == parts[: len(kept)]
    assert sum(len(json.dumps(one)) for one in kept) <= 300
    whole = fitting(parts, MOST_CHARACTERS)
    assert len(whole) >= len(kept)
