"""Tables: what a write leaves, on a folder and on S3."""

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError, NotFoundError, StorageFullError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import RUN_COLUMN, Write

SALES = TableKey("raw", "sales")


def table(**columns):
    return pa.table(columns)


def rows(store, key=SALES, **options):
    return store.read("demand", key, **options).to_pylist()


def kinds_of_data():
    frame = pd.DataFrame({"store": [1, 2], "sales_usd": [10.0, 20.0]})
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    return {
        "a pandas frame": frame,
        "an Arrow table": arrow,
        "a batch reader": pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches()),
        "a DuckDB relation": duckdb.connect().from_arrow(arrow),
    }


@pytest.mark.parametrize("kind", kinds_of_data())
def test_every_kind_of_data_is_written_and_read_back(store, kind):
    written = store.write("demand", SALES, kinds_of_data()[kind])
    assert (written.rows, list(written.columns)) == (2, ["store", "sales_usd"])
    assert rows(store) == [{"store": 1, "sales_usd": 10.0}, {"store": 2, "sales_usd": 20.0}]


def test_partitions_are_files_and_read_as_one_table(store):
    store.write("demand", SALES, table(n=[1]), partition="2010-02-05")
    store.write("demand", SALES, table(n=[2], extra=["x"]), partition="eu/west|2010")
    assert store.partitions("demand", SALES) == ["2010-02-05", "eu/west|2010"]
    assert rows(store) == [{"n": 1, "extra": None}, {"n": 2, "extra": "x"}]
    assert rows(store, partitions=["2010-02-05"]) == [{"n": 1}]


def test_replacing_twice_leaves_the_last_rows_and_keeps_what_was_there(store):
    for value in (1, 2, 3):
        store.write("demand", SALES, table(n=[value]))
    kept = store.versions("demand", SALES)
    assert rows(store) == [{"n": 3}]
    assert len(kept) >= 1  # S3 tells times in whole seconds, so quick writes share one


def test_a_version_comes_back_and_what_it_replaced_stays(folder_store):
    for value in (1, 2):
        folder_store.write("demand", SALES, table(n=[value]))
    (first,) = folder_store.versions("demand", SALES)
    folder_store.restore("demand", SALES, first)
    assert rows(folder_store) == [{"n": 1}]
    assert len(folder_store.versions("demand", SALES)) == 2


def test_a_table_as_it_was_is_found_as_long_as_its_version_is_kept(folder_store):
    moments = [datetime.now(tz=UTC)]
    for value in (1, 2, 3):
        folder_store.write("demand", SALES, table(n=[value]), how=Write(keep_versions=1))
        moments.append(datetime.now(tz=UTC))
    found = []
    for moment in moments[2:]:
        with folder_store.relation_of(folder_store.urls_as_of("demand", SALES, moment)) as kept:
            found += kept.fetchall()
    assert found == [(2,), (3,)]
    for moment in moments[:2]:
        with pytest.raises(NotFoundError, match="keep_versions"):
            folder_store.urls_as_of("demand", SALES, moment)


def test_what_a_project_takes_counts_its_versions(folder_store):
    for partition in ("a", "a", "b"):
        folder_store.write("demand", SALES, table(n=[1]), partition=partition)
    folder_store.write("other", SALES, table(n=[1]))
    [info] = folder_store.tables("demand")
    one = info.bytes // 2
    assert folder_store.stored_bytes("demand") == info.bytes + one == 3 * one


def test_only_as_many_versions_stay_as_the_table_declares(folder_store):
    for value in range(6):
        folder_store.write("demand", SALES, table(n=[value]), how=Write(keep_versions=2))
    assert len(folder_store.versions("demand", SALES)) == 2


def test_an_unknown_version_is_refused_with_those_that_there_are(folder_store):
    folder_store.write("demand", SALES, table(n=[1]))
    with pytest.raises(NotFoundError, match="version 'yesterday'"):
        folder_store.restore("demand", SALES, "yesterday")


def test_merging_updates_rows_by_key_and_adds_the_rest(store):
    how = Write(mode="merge", key=("store",))
    store.write("demand", SALES, table(store=[1, 2, None], n=[10, 20, 30]), how=how)
    store.write("demand", SALES, table(store=[2, 3, None], n=[21, 31, 32]), how=how)
    found = {row["store"]: row["n"] for row in rows(store)}
    assert found == {1: 10, 2: 21, 3: 31, None: 32}


def test_merging_refuses_two_new_rows_of_one_key(folder_store):
    how = Write(mode="merge", key=("store",))
    with pytest.raises(DataError, match="2 new rows have the key store=7"):
        folder_store.write("demand", SALES, table(store=[7, 7]), how=how)
    assert not folder_store.exists("demand", SALES)


def test_appending_twice_in_one_run_leaves_its_rows_once(store):
    for run, value in (("a", 1), ("b", 2), ("b", 3)):
        store.write("demand", SALES, table(n=[value]), how=Write(mode="append", run_id=run))
    assert {row[RUN_COLUMN]: row["n"] for row in rows(store)} == {"a": 1, "b": 3}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.dictionaries(st.integers(0, 5), st.integers(-9, 9), min_size=1), min_size=1)
)
def test_merging_any_batches_equals_updating_a_dict(folder_store, batches):
    folder_store.remove("demand", SALES)
    expected = {}
    for batch in batches:
        new = table(k=list(batch), v=list(batch.values()))
        for _ in range(2):  # a repeated run changes nothing
            folder_store.write("demand", SALES, new, how=Write(mode="merge", key=("k",)))
        expected |= batch
    assert {row["k"]: row["v"] for row in rows(folder_store)} == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pa.table([[1], [2]], names=["a", "a"]), "several columns are called a"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "several columns are called a"),
        (pd.DataFrame({"a": [1, "x", None]}), "values of several types"),
        ([1, 2], "a list"),
    ],
)
def test_what_is_no_table_is_refused_and_nothing_is_left(folder_store, data, message):
    with pytest.raises(DataError, match=message):
        folder_store.write("demand", SALES, data)
    assert not folder_store.exists("demand", SALES)
    assert not list((folder_store.files._root).rglob(".scratch*"))


def test_a_table_without_data_says_what_to_do(folder_store):
    folder_store.write("demand", TableKey("raw", "sale"), table(n=[1]))
    with pytest.raises(NotFoundError) as caught:
        folder_store.read("demand", SALES)
    assert "raw/sale (did you mean this?)" in str(caught.value)
    assert "materialise raw/sales first" in str(caught.value)


def test_a_missing_partition_is_named(folder_store):
    folder_store.write("demand", SALES, table(n=[1]), partition="2010-02")
    with pytest.raises(NotFoundError, match="1 of 2 partitions have no data, first 2010-03"):
        folder_store.read("demand", SALES, partitions=["2010-02", "2010-03"])


def test_a_document_is_read_back_and_is_no_part_of_the_table(store):
    store.write("demand", SALES, table(n=[1]))
    for content in (b"old", b"new"):
        store.publish("demand", SALES, "receipt.json", content)
    assert store.document("demand", SALES, "receipt.json") == b"new"
    assert rows(store) == [{"n": 1}]


def test_a_document_that_is_not_there_is_told_with_those_that_are(folder_store):
    folder_store.publish("demand", SALES, "receipt.html", b"")
    with pytest.raises(NotFoundError, match=r"allowed: receipt\.html"):
        folder_store.document("demand", SALES, "receipt.json")


def test_the_listing_names_every_table_of_every_project(store):
    store.write("demand", SALES, table(n=[1]), partition="a")
    store.write("quickstart", TableKey("features", "x"), table(n=[1]))
    found = [(i.project, str(i.key), i.partitions) for i in store.tables()]
    assert found == [("demand", "raw/sales", 1), ("quickstart", "features/x", 1)]


MERGER = """
    import sys, pyarrow as pa
    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore, Write
    how = Write(mode="merge", key=("k",))
    rows = pa.table({"k": [int(sys.argv[2])]})
    TableStore(sys.argv[1]).write("demand", TableKey("raw", "sales"), rows, how=how)
"""


def start(script, *arguments, **options):
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, **options)


def test_runs_that_merge_into_one_partition_at_once_lose_no_row(store):
    writers = [start(MERGER, store.root, number) for number in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert sorted(row["k"] for row in rows(store)) == [0, 1, 2, 3]


WRITER = """
    import sys, pyarrow as pa
    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore
    store = TableStore(sys.argv[1])
    print("ready", flush=True)
    n = 1
    while True:
        n += 1
        store.write("demand", TableKey("raw", "sales"), pa.table({"n": [n] * 200_000}))
"""


@pytest.mark.fault
def test_readers_see_whole_tables_while_a_writer_is_killed_again_and_again(folder_store):
    folder_store.write("demand", SALES, table(n=[1] * 200_000))
    for kills in range(1, 6):
        writer = start(WRITER, folder_store.root, stdout=subprocess.PIPE)
        writer.stdout.readline()
        seen = set()
        while len(seen) < 1 + kills:
            values = folder_store.read("demand", SALES)["n"].unique().to_pylist()
            assert len(values) == 1
            seen.update(values)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert folder_store.read("demand", SALES).num_rows == 200_000


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.fault
@pytest.mark.parametrize("how", [Write(), Write(mode="append", run_id="r")])
@pytest.mark.parametrize("kind", ["arrow", "duckdb"])
def test_a_full_disk_is_told_and_the_old_table_stays(small_disk, how, kind):
    from ml_platform.storage.tables import TableStore

    store = TableStore(str(small_disk))
    store.write("demand", SALES, table(n=[1]))
    big = pa.table({"n": [os.urandom(16).hex() for _ in range(200_000)]})
    data = big if kind == "arrow" else duckdb.connect().from_arrow(big)
    with pytest.raises(StorageFullError, match="no space is left"):
        store.write("demand", SALES, data, how=how)
    assert rows(store) == [{"n": 1}]
    assert not list(small_disk.rglob(".scratch*"))
