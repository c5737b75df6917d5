"""Queries over tables: whose tables are meant, and what is said when a query is wrong."""

from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.kernel.errors import DataError, DeclarationError, NotFoundError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.engine import connect
from ml_platform.storage.query import attach, planned, queried
from ml_platform.storage.syntax import tables_named_in

FILE = Path("features/demand.sql")
SALES = TableKey("raw", "sales")


@pytest.fixture
def shops(folder_store):
    """Two projects with a table of the same key, and one that only the first has."""
    for project, rows in (("demand", [1, 2]), ("shop", [3])):
        folder_store.write(project, SALES, pa.table({"n": rows}))
    folder_store.write("demand", TableKey("raw", "weather"), pa.table({"n": [9]}))
    return folder_store


def rows(store, sql, project=None, **parameters):
    with queried(store, sql, project, parameters) as relation:
        return relation.fetchall()


def test_a_table_that_one_project_has_needs_no_project(shops):
    assert rows(shops, "FROM raw.weather") == [(9,)]
    assert rows(shops, "SELECT count(*) FROM raw.weather JOIN raw.sales ON true") == [(2,)]


def test_a_table_that_several_have_asks_for_the_project(shops):
    with pytest.raises(DeclarationError, match="several projects have it") as caught:
        rows(shops, "FROM raw.sales")
    assert caught.value.allowed == "demand, shop"
    assert rows(shops, "FROM raw.sales", "shop") == [(3,)]


def test_a_value_is_bound_and_never_read_as_sql(shops):
    assert rows(shops, "SELECT n FROM shop.raw.sales WHERE n = $n", n=3) == [(3,)]
    assert rows(shops, "SELECT $n", n="1; DROP TABLE raw.sales") == [("1; DROP TABLE raw.sales",)]


def test_a_value_that_does_not_fit_is_told_with_the_place(folder_store):
    folder_store.write("demand", SALES, pa.table({"n": ["x"]}))
    with pytest.raises(DataError, match="SQL: Conversion Error"):
        rows(folder_store, "SELECT n::INTEGER FROM raw.sales")


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


def test_a_table_that_is_replaced_is_read_anew_each_time(folder_store):
    key = TableKey("raw", "sales")
    for n in range(1000, 1030):  # of one size, and written within the same second
        folder_store.write("demand", key, pa.table({"n": [n] * 5}))
        assert query(folder_store, "SELECT DISTINCT n FROM raw.sales") == [(n,)]


def test_a_connection_finds_nothing_of_the_one_before(folder_store):
    for project, rows in (("demand", [1, 2]), ("shop", [3])):
        folder_store.write(project, TableKey("raw", "sales"), pa.table({"n": rows}))
    both = "SELECT count(*) FROM raw.sales, demand.raw.sales AS other"
    assert query(folder_store, both, "shop") == [(2,)]
    assert query(folder_store, "SELECT sum(n) FROM raw.sales", "demand") == [(3,)]


def test_connections_open_at_once_see_their_own_tables_alone(folder_store):
    for project, rows in (("demand", [1, 2]), ("shop", [3])):
        folder_store.write(project, TableKey("raw", "sales"), pa.table({"n": rows}))
    sql = "SELECT sum(n) FROM raw.sales"
    with connect() as first, connect() as second:
        attach(first, folder_store, tables_named_in(sql), "demand")
        attach(second, folder_store, tables_named_in(sql), "shop")
        found = [first.execute(sql).fetchall(), second.execute(sql).fetchall()]
    assert found == [[(3,)], [(3,)]]
    assert first is not second
