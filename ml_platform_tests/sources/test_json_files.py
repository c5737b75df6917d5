"""JSON files: lists and lines."""

import io

import pyarrow as pa
import pytest

from ml_platform.kernel.errors import DataError
from ml_platform.sources import json_files
from ml_platform.sources.encoded import EncodedFile
from ml_platform.sources.json_files import JsonFile


def file_of(content, declared=(), encoding="utf-8"):
    raw = content if isinstance(content, bytes) else content.encode()
    return JsonFile(
        EncodedFile("file x", lambda: io.BytesIO(raw), encoding), dict.fromkeys(declared, "string")
    )


def read(file):
    return pa.Table.from_batches(file.batches(), file.schema()).to_pylist()


@pytest.mark.parametrize(
    "content",
    [
        '[{"a": 1}, {"a": 2, "b": "é"}]',
        '\n [\n{"a": 1},\n{"a": 2, "b": "é"}\n]\n',
        '{"a": 1}\n{"a": 2, "b": "é"}\n',
        '\n{"a": 1}\r\n\r\n{"a": 2, "b": "é"}',
        '\ufeff{"a": 1}\n{"a": 2, "b": "é"}',
    ],
)
def test_lists_and_lines_are_the_same_rows(content):
    assert read(file_of(content)) == [{"a": 1, "b": None}, {"a": 2, "b": "é"}]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_kinds_and_places_hold_across_batches(monkeypatch, batch_rows):
    monkeypatch.setattr(json_files, "BATCH_ROWS", batch_rows)
    lines = ['{"a": 1}', '{"a": null, "b": "x"}', '{"a": 2.5}']
    assert [row["a"] for row in read(file_of("\n".join(lines)))] == [1.0, None, 2.5]
    with pytest.raises(DataError, match="line 5, column 'b': true is boolean"):
        read(file_of("\n".join([*lines, "", '{"b": true}'])))


def test_an_empty_list_has_no_rows_and_no_columns():
    assert file_of("[]").schema().names == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ('{"a": 1}\n{"a": 2', "line 2, column 8: broken JSON near '{\"a\": 2'"),
        ('[{"a": 1},\n{"a" 2}]', "line 2, column 6: broken JSON"),
        ('{"a": 1}\n\n{"a": "x"}', "line 3, column 'a': \"x\" is text"),
        ('[{"a": 1}, {"a": "x"}]', "record 2, column 'a': \"x\" is text"),
        ('{"a": 1} {"a": 2}\n', "line 1, column 9: broken JSON near"),
        ('{"a": 1}\n7', "line 2: 7 is not an object"),
        (b'{"a": 1}\n{"a": "\xe9"}', "line 2: not utf-8: byte 0xe9"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(content, message):
    with pytest.raises(DataError) as caught:
        read(file_of(content))
    assert message in str(caught.value)


def test_a_declared_column_may_mix_kinds():
    assert read(file_of('{"a": 1}\n{"a": "x"}', ["a"])) == [{"a": "1"}, {"a": "x"}]


def test_another_encoding_is_read():
    assert read(file_of('{"a": "é"}'.encode("utf-16"), encoding="utf-16")) == [{"a": "é"}]
