"""Text in a declared encoding, and the line of what is not of it."""

import io

import pytest

from ml_platform.kernel.errors import DeclarationError
from ml_platform.sources import encoded
from ml_platform.sources.encoded import EncodedFile, check_encoding, is_utf8


def file_of(content, encoding="utf-8"):
    return EncodedFile("file x", lambda: io.BytesIO(content), encoding)


def error_in(file):
    with pytest.raises(UnicodeError) as caught, file.open() as opened, file.text(opened) as text:
        text.read()
    return str(file.bad_bytes(caught.value))


def test_a_byte_order_mark_is_no_part_of_the_text():
    file = file_of(b"\xef\xbb\xbfa\r\n")
    with file.open() as opened, file.text(opened) as text:
        assert text.read() == "a\r\n"


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        ("a\nb\né".encode("latin-1"), "utf-8", ["line 3", "0xe9", "perhaps cp1252 or latin-1"]),
        ("a\né".encode("utf-16"), "utf-8", ["line 1", "perhaps utf-16"]),
        ("a\né".encode(), "ascii", ["line 2", "not ascii", "perhaps utf-8"]),
        (b"a\nbcde", "utf-16", ["line 1", "UTF-16", "perhaps utf-8"]),
    ],
)
def test_the_line_of_a_wrong_byte_is_told_with_a_guess(content, encoding, words):
    message = error_in(file_of(content, encoding))
    assert [word for word in words if word not in message] == []


def test_lines_are_counted_across_pieces_of_a_large_file(monkeypatch):
    monkeypatch.setattr(encoded, "_CHUNK", 3)
    assert "line 4" in error_in(file_of("é\né\né\n".encode() + b"x\xff\n"))


def test_an_unknown_encoding_is_refused():
    with pytest.raises(DeclarationError, match="encoding 'utf-9' is unknown"):
        check_encoding("utf-9", "files x")


@pytest.mark.parametrize(
    ("name", "is_one"), [("UTF8", True), ("utf-8-sig", True), ("cp1252", False)]
)
def test_utf8_has_several_names(name, is_one):
    assert is_utf8(name) is is_one
