"""Of a long table a sample is looked at, the same each time."""

from ml_platform.checks import reference
from ml_platform.checks.reference import Place
from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore


def test_of_a_long_table_so_many_rows_are_drawn_and_always_the_same(tmp_path, monkeypatch):
    import pyarrow as pa

    monkeypatch.setattr(reference, "MOST_ROWS", 100)
    key = TableKey("raw", "a")
    place = Place(TableStore(str(tmp_path)), "shop", key)
    place.store.write("shop", key, pa.table({"n": range(5000)}))
    urls = place.store.urls("shop", key)
    first = place.rows(urls)
    assert first.num_rows == 100
    assert place.rows(urls).equals(first)
    place.store.write("shop", key, pa.table({"n": range(70)}))
    assert sorted(place.rows(urls)["n"].to_pylist()) == list(range(70))
