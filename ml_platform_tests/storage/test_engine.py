"""A database for each query: nothing of the one before, its own memory, gone with its process."""

import os
import subprocess
import sys

import duckdb
import pytest

from ml_platform.storage.engine import connect


def test_a_query_that_passes_its_memory_limit_spills_and_ends():
    with connect("64MB") as connection:
        (row,) = connection.execute(
            "SELECT count(*) FROM (SELECT DISTINCT hash(range) FROM range(3_000_000))"
        ).fetchall()
    assert row == (3_000_000,)


LAST_OF_EACH = """
    EXPLAIN SELECT * FROM (SELECT range % 7 AS id, range AS moment FROM range(100))
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY moment DESC) = 1
"""


@pytest.mark.parametrize(("limit", "is_window"), [("64MB", True), ("", False)])
def test_under_a_limit_the_last_row_of_each_key_is_found_by_what_can_spill(limit, is_window):
    with connect(limit) as connection:
        ((_, plan),) = connection.execute(LAST_OF_EACH).fetchall()
    assert ("Window" in plan) is is_window


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


def test_each_connection_keeps_its_own_memory_limit():
    limits = []
    for limit in ("64MB", "", "64MB"):
        with connect(limit) as connection:
            limits += connection.execute("SELECT current_setting('memory_limit')").fetchall()
    assert limits[0] == limits[2] == ("61.0 MiB",)
    assert limits[1] != limits[0]


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
