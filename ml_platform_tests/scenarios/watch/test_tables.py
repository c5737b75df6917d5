"""Watched tables: real ones, written by the store."""

import pyarrow as pa
import pytest

from ml_platform.kernel.errors import DeclarationError
from ml_platform.kernel.names import TableKey
from ml_platform.scenarios.watch.tables import look_at_tables
from ml_platform.storage.tables import TableStore

SALES = TableKey("raw", "sales")


@pytest.fixture
def store(tmp_path):
    return TableStore(str(tmp_path))


def write(store, partition=None, rows=1):
    store.write("shop", SALES, pa.table({"n": range(rows)}), partition=partition)


def test_a_write_is_a_change_even_of_the_same_rows(store):
    empty = look_at_tables(store, "shop", ["raw/sales"])
    assert empty.account == "table raw/sales: nothing there"
    write(store)
    first = look_at_tables(store, "shop", ["raw/sales"])
    assert first.parts != empty.parts
    assert look_at_tables(store, "shop", ["raw/sales"]) == first
    write(store)
    assert look_at_tables(store, "shop", ["raw/sales"]).parts != first.parts


def test_only_the_partitions_that_are_named_count(store):
    write(store, "2026-01")
    write(store, "2026-02")

    def look():
        return look_at_tables(store, "shop", ["raw/sales"], ["2026-02"]).parts

    before = look()
    write(store, "2026-01", rows=9)
    assert look() == before
    write(store, "2026-02", rows=9)
    assert look() != before


def test_a_key_that_is_none_is_told(store):
    with pytest.raises(DeclarationError):
        look_at_tables(store, "shop", ["rav/sales"])
