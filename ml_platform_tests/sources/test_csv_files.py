"""CSV files: the types that are found, and the line of what is wrong."""

import csv
import io
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError
from ml_platform.sources import csv_files
from ml_platform.sources.csv_files import CsvFile
from ml_platform.sources.csv_places import CsvText
from ml_platform.sources.shape import cast_batches


def file_of(content, *, nulls=("",), declared=(), delimiter=",", encoding="utf-8"):
    raw = content if isinstance(content, bytes) else content.encode()
    text = CsvText("file x", lambda: io.BytesIO(raw), encoding, delimiter)
    return CsvFile(text, nulls, frozenset(declared))


def read(file):
    schema = file.schema()
    rows = cast_batches(file.batches(), schema.names, schema, "file x", str)
    return pa.Table.from_batches(rows, schema)


def column(*values, **options):
    return read(file_of("\n".join(["v,w", *(f"{value},1" for value in values)]), **options))["v"]


@pytest.mark.parametrize(
    ("values", "kind", "last"),
    [
        (["1", "-2"], pa.int64(), -2),
        (["1", "2.5", "1e3"], pa.float64(), 1000.0),
        (["true", "False"], pa.bool_(), False),
        (["2010-02-05", "2010-02-28"], pa.date32(), date(2010, 2, 28)),
        (
            ["2010-02-05", "2010-02-05 10:30"],
            pa.timestamp("us"),
            datetime.fromisoformat("2010-02-05T10:30"),
        ),
        (
            ["2010-02-05T10:30:00+01:00"],
            pa.timestamp("us", "UTC"),
            datetime(2010, 2, 5, 9, 30, tzinfo=UTC),
        ),
        (["05-02-2010"], pa.string(), "05-02-2010"),
        (["apple", "2 pears", "3"], pa.string(), "3"),
        (["2010-02-05T10:30Z", "2010-02-05T10:30"], pa.string(), "2010-02-05T10:30"),
        (["", ""], pa.null(), None),
        (["10115", "01067"], pa.string(), "01067"),
        (["0x1F"], pa.string(), "0x1F"),
        (["1", "12345678901234567890"], pa.string(), "12345678901234567890"),
        (["0.5", "-0.25", "0"], pa.float64(), 0.0),
        (["1", "", "3"], pa.int64(), 3),
    ],
)
def test_a_column_has_the_narrowest_type_that_keeps_every_digit(values, kind, last):
    found = column(*values)
    assert (found.type, found[-1].as_py()) == (kind, last)


@pytest.mark.parametrize("block_bytes", [40, 8 << 20])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1"] * 200 + ["2.5"], pa.float64()),
        (["2010-02-05"] * 50 + ["2010-02-05 10:00"], pa.timestamp("us")),
        (["1"] * 5 + ["x"] * 50, pa.string()),
        (["1"] * 50 + ["007"], pa.string()),
        ([""] * 50 + ["7"], pa.int64()),
    ],
)
def test_types_do_not_depend_on_which_rows_come_first(monkeypatch, block_bytes, values, kind):
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", block_bytes)
    assert column(*values).type == kind
    assert column(*reversed(values)).type == kind


@pytest.mark.parametrize("block_bytes", [40, 8 << 20])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["1", "2", "3", "n/a", "x"],
            "line 5, column 'v': \"n/a\" is no number, while 3 of .* 5 values",
        ),
        (["1"] * 150 + ["x"], "line 152, column 'v': \"x\" is no number, while 150 of"),
        (["x"] + ["1"] * 150, "line 2, column 'v': \"x\" is no number"),
        (["2010-02-05"] * 3 + ["soon"], "line 5, column 'v': \"soon\" is no date or time"),
        (["true"] * 3 + ["maybe"], "line 5, column 'v': \"maybe\" is no boolean"),
    ],
)
def test_a_few_values_of_another_kind_are_told_with_their_line(
    monkeypatch, block_bytes, values, message
):
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", block_bytes)
    with pytest.raises(DataError, match=message) as caught:
        column(*values)
    assert "dtypes: {v: string}" in caught.value.fix


def test_a_line_end_within_quotes_may_lie_anywhere_in_the_file(monkeypatch):
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 64)
    lines = "".join(f'{n},"x\n\n{"y" * (n % 7)}"\n' for n in range(100))
    table = read(file_of(f"a,b\n{lines}"))
    assert table["a"].to_pylist() == list(range(100))
    assert table["b"][99].as_py() == "x\n\ny"


def test_a_declared_column_may_mix_kinds():
    assert column("1", "2", "n/a", declared=["v"]).to_pylist() == ["1", "2", "n/a"]


def test_the_words_for_a_missing_value_are_declared():
    assert column("1", "n/a", "3", nulls=("", "n/a")).to_pylist() == [1, None, 3]


def test_a_quoted_nothing_is_missing_too():
    assert read(file_of('a,b\n"1",""\n"",x\n')).to_pydict() == {"a": [1, None], "b": [None, "x"]}


@pytest.mark.parametrize("content", ["a,b\n", "a,b", "a,b\n\n\n"])
def test_a_header_alone_is_an_empty_table_with_its_columns(content):
    table = read(file_of(content))
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("a,b,a\n1,2,3\n", "line 1: several columns are called 'a'"),
        ("a,,b\n1,2,3\n", "line 1: column 2 has no name"),
        ("a;b\n1;2\n", "line 1: divided by ',' there is only one column, 'a;b'"),
        ("a,b\n1,2\n3\n", "line 3 has 1 fields, the header 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, the header 2"),
        (b"a,b\n1,\xe9\n", "line 2: not utf-8: byte 0xe9"),
        (b"a,\xe9\n1,2\n", "line 1: not utf-8: byte 0xe9"),
        ('a,b\n1,2\n3,"4\n5,6\n', "line 3: unexpected end of data"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(content, message):
    with pytest.raises(DataError) as caught:
        read(file_of(content))
    assert message in str(caught.value)
    assert caught.value.fix


def test_bytes_that_are_wrong_only_far_below_are_found_in_every_encoding():
    rows = "é,1\n" * 40_000
    table = read(file_of(f"a,b\n{rows}".encode("cp1252"), encoding="cp1252"))
    assert set(table["a"].to_pylist()) == {"é"}
    with pytest.raises(DataError, match="line 40002: not cp1252: byte 0x81"):
        read(file_of(f"a,b\n{rows}".encode("cp1252") + b"\x81,1\n", encoding="cp1252"))


TEXTS = st.text('aé,;"\n\r 😀', max_size=6).filter(lambda text: text == "" or text.strip())


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20))
def test_whatever_a_csv_writer_writes_comes_back(rows):
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    table = read(file_of(written.getvalue(), declared=["a", "b"]))
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        tuple(value or None for value in row) for row in rows
    ]
