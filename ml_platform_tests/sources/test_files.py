"""Files and folders, here and on an object store, as one table."""

import bz2
import gzip
import os
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from ml_platform.sources import files
from ml_platform.sources.files import FileSource, read_files
from ml_platform.sources.shape import Shape
from ml_platform.sources.window import Window

WEEK = Window(date(2010, 2, 5), date(2010, 2, 12))


def put(folder, **contents):
    """Write files; `sales__csv` is the file sales.csv."""
    for name, content in contents.items():
        path = folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def rows(path, window=None, environ=None, **options):
    return (
        read_files(FileSource(str(path), **options), window, environ or {}).read_all().to_pylist()
    )


ONE_TWO = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"a,b\n1,x\n2,y\n"),
        ("t.CSV", b"a,b\n1,x\n2,y\n"),
        ("t.tsv", b"a\tb\n1\tx\n2\ty\n"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0)),
        ("t.json", b'[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]'),
        ("t.jsonl.bz2", bz2.compress(b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}')),
        ("t.parquet", pa.table({"a": [1, 2], "b": ["x", "y"]})),
    ],
)
def test_the_ending_tells_the_format(tmp_path, name, content):
    put(tmp_path, **{name.replace(".", "__"): content})
    assert rows(tmp_path / name) == ONE_TWO


def test_a_declared_format_goes_before_the_ending(tmp_path):
    put(tmp_path, export__txt="a;b\n1;x\n2;y\n")
    assert rows(tmp_path / "export.txt", format="csv", delimiter=";") == ONE_TWO


def test_an_ending_that_tells_nothing_asks_for_the_format(tmp_path):
    put(tmp_path, export__txt="a\n1\n")
    with pytest.raises(DeclarationError, match="does not tell the format") as caught:
        rows(tmp_path / "export.txt")
    assert "declare format" in caught.value.fix


def test_a_folder_is_one_table_in_the_order_of_names_without_hidden_files(tmp_path):
    put(tmp_path, b__csv="a,b\n2,y\n", a__csv="b,a\nx,1\n", README__md="# no data")
    put(tmp_path / "sub", c__csv="a,b\n3,z\n")
    put(tmp_path / "_tmp", d__csv="a,b\n9,z\n")
    put(tmp_path, __hidden__csv="other\n")
    assert rows(tmp_path) == [
        *({"b": row["b"], "a": row["a"]} for row in ONE_TWO),
        {"b": "z", "a": 3},
    ]


def test_a_pattern_takes_the_files_that_are_like_it(tmp_path):
    put(tmp_path, a1__csv="a\n1\n", a2__csv="a\n2.5\n", b__csv="a\nx\n")
    assert rows(tmp_path / "a*.csv") == [{"a": 1.0}, {"a": 2.5}]


def test_an_empty_column_of_one_file_takes_the_type_of_the_others(tmp_path):
    put(tmp_path, a__csv="a,b\n1,\n", b__csv="a,b\n2,2010-02-05\n")
    assert rows(tmp_path) == [{"a": 1, "b": None}, {"a": 2, "b": date(2010, 2, 5)}]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("a,c\n1,x\n", "its columns differ from those of file .*a.csv in b, c"),
        ("a,b\nx,y\n", "'a' is string, not int64"),
    ],
)
def test_files_that_do_not_fit_together_are_named(tmp_path, second, message):
    put(tmp_path, a__csv="a,b\n1,x\n", b__csv=second)
    with pytest.raises(DataError, match=message) as caught:
        rows(tmp_path)
    assert "b.csv" in caught.value.subject


def test_declared_columns_and_types_let_files_differ(tmp_path):
    put(tmp_path, a__csv="a,b\n1,x\n", b__csv="a,c\nz,y\n")
    shape = Shape(("a",), dtypes={"a": "string"})
    assert rows(tmp_path, shape=shape) == [{"a": "1"}, {"a": "z"}]


def test_a_file_without_a_declared_column_is_named(tmp_path):
    put(tmp_path, a__csv="a,b\n1,x\n", b__csv="a,c\n2,y\n")
    with pytest.raises(DataError, match=r"b\.csv: column 'b' is missing"):
        rows(tmp_path, shape=Shape(("a", "b")))


def test_a_value_that_a_declared_type_refuses_is_told_with_file_and_line(tmp_path):
    put(tmp_path, t__csv='a,b\n1,"x\ny"\n2.5,z\n')
    with pytest.raises(DataError, match=r"t.csv: line 4, column 'a': '2.5' is not of type int64"):
        rows(tmp_path / "t.csv", shape=Shape(dtypes={"a": "integer"}))
    put(tmp_path, t__parquet=pa.table({"a": [1.0, 2.5]}))
    with pytest.raises(DataError, match=r"t.parquet: row 2, column 'a': 2.5 is not of type int64"):
        rows(tmp_path / "t.parquet", shape=Shape(dtypes={"a": "integer"}))


def test_columns_get_their_new_names_and_types(tmp_path):
    put(tmp_path, t__csv="Store,Sales\n01,1.50\n")
    shape = Shape(("Sales", "Store"), {"Sales": "sales_usd"}, {"Sales": "decimal(8,2)"})
    table = read_files(FileSource(str(tmp_path / "t.csv"), shape=shape)).read_all()
    assert table.schema == pa.schema([("sales_usd", pa.decimal128(8, 2)), ("Store", pa.string())])
    assert str(table["sales_usd"][0]) == "1.50"


def test_a_header_alone_is_an_empty_table(tmp_path):
    put(tmp_path, t__csv="a,b\n")
    table = read_files(FileSource(str(tmp_path / "t.csv"))).read_all()
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])


def test_a_missing_file_shows_names_like_it(tmp_path):
    put(tmp_path, sales__csv="a\n1\n", other__csv="a\n1\n")
    with pytest.raises(NotFoundError, match="no file has this name") as caught:
        rows(tmp_path / "slaes.csv")
    assert caught.value.allowed.startswith("sales.csv (did you mean this?)")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere/sales.csv", "there is no folder .*/nowhere"),
        ("in/*.csv", "no file is like this pattern"),
        ("in", "the folder holds no csv, parquet or json file"),
        ("void/x.csv", "no file has this name"),
    ],
)
def test_a_place_without_data_is_told(tmp_path, path, message):
    put(tmp_path / "in", notes__txt="x")
    (tmp_path / "void").mkdir()
    with pytest.raises(NotFoundError, match=message):
        rows(tmp_path / path)


def test_a_folder_of_several_formats_asks_which(tmp_path):
    put(tmp_path, a__csv="a\n1\n", b__json='[{"a": 2}]')
    with pytest.raises(DataError, match="several formats lie there: csv, json"):
        rows(tmp_path)
    assert rows(tmp_path, format="json") == [{"a": 2}]


@pytest.mark.parametrize("kept", [0, 3, 7, 60, 0.5, -1])
def test_a_parquet_file_that_was_cut_off_is_told(tmp_path, kept):
    put(tmp_path, t__parquet=pa.table({"a": list(range(1000))}))
    whole = (tmp_path / "t.parquet").read_bytes()
    part = whole[: int(len(whole) * kept) if isinstance(kept, float) else kept]
    (tmp_path / "t.parquet").write_bytes(part)
    with pytest.raises(DataError, match="no whole Parquet file") as caught:
        rows(tmp_path / "t.parquet")
    assert "t.parquet" in caught.value.subject


def test_a_parquet_file_that_is_broken_inside_is_told(tmp_path):
    put(tmp_path, t__parquet=pa.table({"a": [f"{n * n}" for n in range(5000)]}))
    broken = bytearray((tmp_path / "t.parquet").read_bytes())
    broken[100:2000] = b"\xff" * 1900
    (tmp_path / "t.parquet").write_bytes(bytes(broken))
    with pytest.raises(DataError, match="no whole Parquet file"):
        rows(tmp_path / "t.parquet")


def test_a_parquet_file_with_two_columns_of_one_name_is_refused(tmp_path):
    twins = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    put(tmp_path, t__parquet=twins)
    with pytest.raises(DataError, match="several columns are called 'a'"):
        rows(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv.gz", b"a,b\n1,2\n"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + os.urandom(500).hex().encode())[:-60]),
        ("t.csv.bz2", b"a,b\n1,2\n"),
        ("t.csv.xz", b"a,b\n1,2\n"),
    ],
)
def test_broken_compression_is_told(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="it cannot be unpacked"):
        rows(tmp_path / name)


def test_the_path_is_filled_from_the_window_and_the_environment(tmp_path):
    put(tmp_path / "2010-02-05", sales__csv="a\n1\n")
    path = "${INBOX}/{start}/sales.csv"
    assert rows(path, WEEK, {"INBOX": str(tmp_path)}) == [{"a": 1}]
    with pytest.raises(SettingsError, match="INBOX is not set"):
        rows(path, WEEK)
    with pytest.raises(DeclarationError, match="no window"):
        rows(path)


def test_a_window_that_the_path_ignores_is_refused(tmp_path):
    with pytest.raises(DeclarationError, match="nothing in the source uses it"):
        rows(tmp_path / "sales.csv", WEEK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "cvs"}, "format 'cvs' is unknown"),
        ({"delimiter": "::"}, "delimiter '::'"),
        ({"encoding": "utf-9"}, "encoding 'utf-9' is unknown"),
    ],
)
def test_an_impossible_option_is_refused_when_it_is_declared(options, message):
    with pytest.raises(DeclarationError, match=message):
        FileSource("x.csv", **options)


def test_an_unknown_kind_of_url_is_refused():
    with pytest.raises(DeclarationError, match="sq3"):
        rows("sq3://bucket/x.csv")


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    put(tmp_path, t__csv="a\n1\n")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied", "t.csv")

    # The superuser may read anything, so the refusal is the file system's word put in its mouth.
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", refuse)
    with pytest.raises(SettingsError, match="access is refused"):
        rows(tmp_path / "t.csv")


def test_a_file_that_goes_away_while_it_is_read_is_told(tmp_path):
    put(tmp_path, t__csv="a\n1\n")
    reader = read_files(FileSource(str(tmp_path / "t.csv")))
    (tmp_path / "t.csv").unlink()
    with pytest.raises(NotFoundError, match="gone"):
        reader.read_all()


def test_a_file_larger_than_a_block_comes_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("ml_platform.sources.csv_files.BLOCK_BYTES", 1000)
    put(tmp_path, t__csv="a\n" + "".join(f"{n}\n" for n in range(3000)))
    batches = list(read_files(FileSource(str(tmp_path / "t.csv"))))
    assert len(batches) > 5
    assert [n for batch in batches for n in batch["a"].to_pylist()] == list(range(3000))


def test_each_known_ending_has_a_reader():
    assert set(files._ENDINGS.values()) == {"csv", "parquet", "json"}


@pytest.fixture
def inbox(s3):
    s3.create_bucket(Bucket="inbox")
    return s3


def test_an_object_store_is_read_like_a_folder(inbox):
    inbox.put_object(Bucket="inbox", Key="in/a.csv", Body=b"a,b\n1,x\n")
    inbox.put_object(Bucket="inbox", Key="in/b.csv", Body=b"a,b\n2,y\n")
    assert rows("s3://inbox/in") == ONE_TWO
    assert rows("s3://inbox/in/*.csv") == ONE_TWO
    assert rows("s3://inbox/in/b.csv") == ONE_TWO[1:]
    with pytest.raises(NotFoundError) as caught:
        rows("s3://inbox/in/c.csv")
    assert "a.csv" in caught.value.allowed


def test_a_wrong_line_on_an_object_store_is_told_with_its_url(inbox):
    inbox.put_object(Bucket="inbox", Key="bad/a.csv", Body=b"a,b\n1,x\n2\n")
    with pytest.raises(DataError, match=r"file s3://inbox/bad/a.csv: line 3 has 1 fields"):
        rows("s3://inbox/bad/a.csv")


def test_a_store_that_is_down_can_be_tried_again(inbox, monkeypatch, free_port):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    with pytest.raises(UnavailableError, match="Could not connect"):
        rows("s3://inbox/in")


def test_a_store_without_credentials_asks_for_them(inbox, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="credentials"):
        rows("s3://inbox/in")
