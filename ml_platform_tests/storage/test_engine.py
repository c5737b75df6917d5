"""SQL over tables: what a query reads, and what it says when it is wrong."""

from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.kernel.errors import DeclarationError, NotFoundError, Where
from ml_platform.kernel.names import TableKey
from ml_platform.storage.engine import attach, connect, planned, tables_named_in

FILE = Path("features/demand.sql")


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT 1", []),
        ("SELECT * FROM raw.sales", ["raw/sales"]),
        ("SELECT * FROM raw.sales JOIN raw.weather USING (week)", ["raw/sales", "raw/weather"]),
        ("SELECT * FROM shop.raw.sales", ["shop.raw.sales"]),
        ("WITH s AS (SELECT * FROM raw.sales) SELECT * FROM s", ["raw/sales"]),
        ("SELECT (SELECT max(n) FROM features.x) FROM raw.y", ["features/x", "raw/y"]),
        ("FROM raw.sales UNION ALL FROM raw.old", ["raw/old", "raw/sales"]),
        ("-- FROM raw.commented\nSELECT 'FROM raw.quoted' FROM raw.sales;", ["raw/sales"]),
    ],
)
def test_the_tables_that_a_query_reads_are_found(sql, tables):
    assert [str(name) for name in tables_named_in(sql)] == tables


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM sales", "its layer is missing"),
        ("SELECT * FROM bronze.sales", "'bronze' is no layer"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("DROP TABLE raw.sales", "it is not a query"),
        ("SELECT *\nFROM raw.a\nWHERE WHERE", "demand.sql:3:7: SQL: syntax error"),
    ],
)
def test_what_is_no_query_over_tables_is_refused(sql, message):
    with pytest.raises(DeclarationError, match=message):
        tables_named_in(sql, Where(FILE))


def query(store, sql, project="demand"):
    with connect() as connection:
        attach(connection, store, tables_named_in(sql), project)
        return planned(connection, sql, FILE).fetchall()


def test_own_and_other_projects_tables_join(store):
    store.write("demand", TableKey("raw", "sales"), pa.table({"n": [1, 2]}))
    store.write("shop", TableKey("raw", "sales"), pa.table({"n": [2]}))
    sql = "SELECT count(*) FROM raw.sales JOIN shop.raw.sales AS other USING (n)"
    assert query(store, sql) == [(1,)]


def test_an_unknown_column_is_told_with_its_line_and_the_nearest_names(folder_store):
    folder_store.write("demand", TableKey("raw", "sales"), pa.table({"sales_usd": [1]}))
    with pytest.raises(DeclarationError) as caught:
        query(folder_store, "SELECT\n  sale_usd\nFROM raw.sales")
    assert str(caught.value).startswith(f"{FILE}:2:3: ")
    assert "sales_usd" in str(caught.value)


def test_a_table_without_data_is_named(folder_store):
    with pytest.raises(NotFoundError, match="table demand:raw/sales"):
        query(folder_store, "SELECT * FROM raw.sales")


def test_a_query_that_passes_its_memory_limit_spills_and_ends():
    with connect("64MB") as connection:
        (row,) = connection.execute(
            "SELECT count(*) FROM (SELECT DISTINCT hash(range) FROM range(3_000_000))"
        ).fetchall()
    assert row == (3_000_000,)
