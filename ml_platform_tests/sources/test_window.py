"""Windows: what is in, how several become one, how texts are filled."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DeclarationError
from ml_platform.sources.window import Window, filled, is_windowed

WEEK = Window(date(2010, 2, 5), date(2010, 2, 12))
HOUR = Window(datetime(2010, 2, 5, 23, tzinfo=UTC), datetime(2010, 2, 6, 0, tzinfo=UTC))
MIDNIGHT = datetime.fromisoformat("2010-02-06")


@given(st.lists(st.dates(max_value=date(9000, 1, 1)), min_size=3, max_size=6, unique=True))
def test_each_day_lies_in_exactly_one_of_neighbouring_windows(days):
    edges = sorted(days)
    windows = [Window(a, b) for a, b in pairwise(edges)]
    whole = Window.covering(reversed(windows))
    assert whole == Window(edges[0], edges[-1])
    for day in edges:
        assert sum(day in window for window in windows) == (day in whole)
    assert all(window.last_day in window for window in windows)
    assert all(window.last_day + timedelta(days=1) not in window for window in windows)


def test_windows_inside_others_do_not_shrink_the_whole():
    inner = Window(date(2010, 2, 6), date(2010, 2, 7))
    assert Window.covering([WEEK, inner]) == WEEK


@pytest.mark.parametrize(
    ("start", "end", "given_words"),
    [
        (date(2010, 2, 5), date(2010, 2, 5), "not before"),
        (date(2010, 2, 6), date(2010, 2, 5), "not before"),
        (date(2010, 2, 5), MIDNIGHT, "its start is a date, its end a datetime"),
        (MIDNIGHT, datetime(2010, 2, 6, tzinfo=UTC), "with time zone"),
    ],
)
def test_an_impossible_window_is_refused(start, end, given_words):
    with pytest.raises(DeclarationError, match=given_words):
        Window(start, end)


def test_a_gap_between_windows_is_refused():
    later = Window(date(2010, 2, 19), date(2010, 2, 26))
    with pytest.raises(DeclarationError, match="gap"):
        Window.covering([later, WEEK])


def test_no_window_covers_nothing():
    with pytest.raises(DeclarationError, match="none"):
        Window.covering([])


@pytest.mark.parametrize(
    ("text", "window", "written"),
    [
        ("{start}..{end}", WEEK, "2010-02-05..2010-02-12"),
        ("to {last_day}", WEEK, "to 2010-02-11"),
        ("to {last_day}", HOUR, "to 2010-02-05"),
        ("{start}", HOUR, "2010-02-05T23:00:00+00:00"),
        ("${start} stays", WEEK, "${start} stays"),
        ("nothing", None, "nothing"),
    ],
)
def test_texts_are_filled_as_iso_dates(text, window, written):
    assert filled(text, window, "url") == written


@pytest.mark.parametrize(
    ("text", "is_one"), [("a/{start}", True), ("a/${start}", False), ("a/{other}", False)]
)
def test_a_text_knows_whether_it_needs_a_window(text, is_one):
    assert is_windowed(text) is is_one


def test_a_misspelt_placeholder_shows_the_right_one():
    with pytest.raises(DeclarationError) as caught:
        filled("{strat}", WEEK, "parameter from")
    assert "parameter from: '{strat}' is no placeholder" in str(caught.value)
    assert "start (did you mean this?)" in str(caught.value)


def test_a_placeholder_without_a_window_says_what_to_do():
    with pytest.raises(DeclarationError, match="no window") as caught:
        filled("{start}", None, "parameter from")
    assert "give the table partitions" in caught.value.fix
