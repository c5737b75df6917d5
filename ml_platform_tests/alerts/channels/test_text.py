"""Text that receivers can take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.channels.text import clipped, line, lines, shown_url, token, utf8, utf16


@given(st.text(), st.integers(1, 30), st.sampled_from([len, utf16, utf8]))
def test_what_is_clipped_is_never_longer_than_allowed_and_begins_as_it_did(text, limit, measure):
    made = clipped(text, limit, measure)
    assert measure(made) <= limit
    assert text.startswith(made.removesuffix("…").rstrip()) or made == text
    assert (made == text) == (measure(text) <= limit) or text.rstrip() == made


def test_as_much_as_fits_is_kept():
    assert clipped("abcdef", 4) == "abc…"
    assert clipped("🎉🎉🎉🎉", 5, utf16) == "🎉🎉…"
    assert clipped("가나다", 6, utf8) == "가…"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("bell\x07 and \x1b[31mred", "bell  and  [31mred"),
        ("half \ud83d", "half ?"),
        ("tab\tstays", "tab\tstays"),
        ("한국어 🎉", "한국어 🎉"),
    ],
)
def test_control_characters_and_halves_of_letters_are_taken_out(given, made):
    assert lines(given) == made


def test_one_line_has_no_line_ends_of_any_kind():
    assert line(" a\n\tb\u2028c\x85d\v e ") == "a b c d e"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//host/path",
        "https://",
        "https://a.example/ b",
        "https://a.example/<b>",
        "https://a.example/|x",
        "https://a.example/\nBcc:",
        "http://[::1",
        "https://a.example/" + "x" * 1000,
        "",
    ],
)
def test_what_is_no_page_of_the_web_is_no_link(url):
    assert shown_url(url) == ""


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:3000/runs/a?b=c&d=e#f", "https://한국.example/가"]
)
def test_pages_of_the_web_are_links(url):
    assert shown_url(url) == url


@given(st.text())
def test_every_key_becomes_a_header_and_stays_the_same(key):
    made = token(key)
    assert made.isascii()
    assert made.isprintable()
    assert 0 < len(made) <= 256
    assert token(key) == made


def test_different_keys_stay_different():
    assert len({token(key) for key in ("가", "나", "a\nb", "a b", "x" * 300, "x" * 301)}) == 6
