"""SQL over tables: what a query reads, and what it says when it is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from ml_platform.kernel.errors import DeclarationError, NotFoundError, Where
from ml_platform.kernel.names import TableKey
from ml_platform.storage.engine import attach, connect, parsed_together, planned, tables_named_in

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


def test_queries_parsed_together_give_what_each_gives_alone():
    queries = [
        "SELECT * FROM raw.a",
        "WITH s AS (FROM raw.b) FROM s JOIN features.c USING (n)",
        "SELECT * FROM nowhere",
        "SELECT *\nFROM raw.a\nWHERE WHERE",
        "",
    ]

    def told(sql):
        try:
            return [str(name) for name in tables_named_in(sql, Where(FILE))]
        except DeclarationError as error:
            return str(error)

    alone = [told(sql) for sql in queries]
    with parsed_together([*queries, queries[0]]):
        assert [told(sql) for sql in queries] == alone
    assert [told(sql) for sql in queries] == alone


def test_a_connection_finds_nothing_of_the_one_before(folder_store):
    for project, rows in (("demand", [1, 2]), ("shop", [3])):
        folder_store.write(project, TableKey("raw", "sales"), pa.table({"n": rows}))
    both = "SELECT count(*) FROM raw.sales, demand.raw.sales AS other"
    assert query(folder_store, both, "shop") == [(2,)]
    assert query(folder_store, "SELECT sum(n) FROM raw.sales", "demand") == [(3,)]
    with connect() as connection:
        assert connection.execute(USER_MADE).fetchall() == []


USER_MADE = """
    SELECT table_name FROM information_schema.tables
    UNION ALL SELECT database_name FROM duckdb_databases()
    WHERE NOT internal AND database_name <> 'memory'
"""


@pytest.mark.parametrize(
    "leave",
    ["CREATE TABLE left_behind AS SELECT 1 AS n", "CREATE VIEW left_behind AS SELECT 1 AS n"],
)
def test_what_a_query_leaves_is_not_met_by_the_next(leave):
    with connect() as connection:
        connection.execute(leave)
    with connect() as connection:
        assert connection.execute(USER_MADE).fetchall() == []


def test_after_a_failure_the_next_connection_is_whole():
    with pytest.raises(duckdb.BinderException), connect() as connection:
        connection.execute("BEGIN; CREATE TABLE left_behind AS SELECT 1 AS n; SELECT nowhere")
    with connect() as connection:
        assert connection.execute(USER_MADE).fetchall() == []


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


def test_each_connection_keeps_its_own_memory_limit():
    limits = []
    for limit in ("64MB", "", "64MB"):
        with connect(limit) as connection:
            limits += connection.execute("SELECT current_setting('memory_limit')").fetchall()
    assert limits[0] == limits[2] == ("61.0 MiB",)
    assert limits[1] != limits[0]


def test_a_table_that_is_replaced_is_read_anew_each_time(folder_store):
    key = TableKey("raw", "sales")
    for n in range(1000, 1030):  # of one size, and written within the same second
        folder_store.write("demand", key, pa.table({"n": [n] * 5}))
        assert query(folder_store, "SELECT DISTINCT n FROM raw.sales") == [(n,)]


def test_a_connection_is_closed_after_its_block():
    with connect() as connection:
        relation = connection.sql("SELECT 1 AS n")
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("SELECT 1")
    with pytest.raises(duckdb.Error):
        relation.fetchall()


def test_a_finished_process_leaves_no_folder_to_spill_to(tmp_path):
    program = (
        "from ml_platform.storage.engine import connect\n"
        "with connect() as connection: connection.execute('SELECT 1')\n"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert list(tmp_path.iterdir()) == []
    assert done.stderr == ""


def test_a_forked_process_makes_a_database_of_its_own():
    program = (
        "import os\n"
        "from ml_platform.storage.engine import connect\n"
        "many = 'SELECT count(*) FROM range(1_000_000) WHERE range % 3 = 0'\n"
        "def ask():\n"
        "    with connect() as connection: return connection.execute(many).fetchall()\n"
        "here = ask()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if ask() == here else 1)\n"
        "print(os.waitpid(child, 0)[1], ask() == here)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "True"]
