"""The slow walk: on which line a row stands, and what is wrong first."""

import io

import pytest

from ml_platform.kernel.errors import DataError
from ml_platform.sources.csv_places import CsvText

QUOTED = 'a,b\n1,"x\ny"\n\n2,z\n'


def text(content, delimiter=","):
    return CsvText("file x", lambda: io.BytesIO(content.encode()), "utf-8", delimiter)


def test_rows_start_after_quoted_line_ends_and_blank_lines():
    rows = list(text(QUOTED).rows())
    assert rows == [(1, ["a", "b"]), (2, ["1", "x\ny"]), (5, ["2", "z"])]
    assert [text(QUOTED).line_of(index) for index in (0, 1)] == [2, 5]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ("", ([], None)),
        ("a,b", (["a", "b"], None)),
        ('"a\nb",c\n\n1,2\n', (["a\nb", "c"], 4)),
    ],
)
def test_the_header_comes_with_the_line_of_the_first_row(content, header):
    assert text(content).header() == header


def test_the_first_wrong_value_is_found_below_the_header():
    assert text("1\n2\n3\n").first(0, lambda value: value in "13") == (3, "3")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3 has 1 fields, the header 2"),
        ("a,b\n1,2,3\n", "line 2 has 3 fields, the header 2"),
        ("a,b\n1,2\n", "what the reader said"),
    ],
)
def test_the_first_mistake_is_told(content, message):
    assert message in str(text(content).mistake(2, "what the reader said"))


def test_wrong_bytes_are_a_mistake_too():
    broken = CsvText("file x", lambda: io.BytesIO(b"a\n\xff\n"), "utf-8", ",")
    assert "line 2: not utf-8" in str(broken.mistake(1, "words"))


def test_an_open_quote_is_found_by_a_strict_walk():
    with pytest.raises(DataError, match="line 2: unexpected end of data"):
        list(text('a,b\n1,"2\n3,4\n').rows(strict=True))


def test_a_field_of_more_than_the_usual_limit_is_read():
    long = "x" * 200_000
    assert list(text(f"a\n{long}\n").rows())[1] == (2, [long])
