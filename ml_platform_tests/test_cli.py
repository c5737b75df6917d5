"""The command line, as a person types it."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from ml_platform.checks.schema import read_schema
from ml_platform.checks.validation import check_schema
from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore

ROOT = Path(__file__).parent.parent
PROGRAM = Path(sys.executable).parent / "ml-platform"
SALES = TableKey("raw", "sales")


@pytest.fixture
def home(tmp_path):
    store = TableStore(str(tmp_path / "tables"))
    store.write("shop", SALES, pa.table({"n": [1]}))
    store.write("shop", SALES, pa.table({"n": [1, 2]}))
    return tmp_path


def typed(home, *words):
    return subprocess.run(
        [PROGRAM, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ML_PLATFORM_HOME": str(home), "COLUMNS": "140"},
    )


def test_tables_lists_every_table_with_its_rows(home):
    done = typed(home, "tables")
    assert done.returncode == 0
    assert "raw/sales" in done.stdout
    assert " 2 " in done.stdout


@pytest.mark.parametrize(
    "sql", ["SELECT sum(n) AS s FROM raw.sales", "SELECT sum(n) AS s FROM shop.raw.sales"]
)
def test_sql_sees_a_table_by_its_key_from_anywhere(home, sql):
    done = typed(home, "sql", sql, "--output", "csv")
    assert done.stdout == "s\n3.0\n"


def test_a_version_is_listed_and_brought_back(home):
    version = typed(home, "versions", "raw/sales").stdout.strip()
    done = typed(home, "restore", "raw/sales", version)
    assert "1 rows" in done.stdout
    assert TableStore(str(home / "tables")).read("shop", SALES).to_pylist() == [{"n": 1}]


def test_check_loads_every_project_of_the_house(home):
    done = typed(home, "check")
    assert done.returncode == 0, done.stderr
    assert "demand: 8 assets, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["sql", "SELECT m FROM raw.sales"], 1, 'Candidate bindings: "n"'),
        (["sql", "SELECT 1 FROM raw.sale"], 1, "raw/sales (did you mean this?)"),
        (["sql", "DROP TABLE raw.sales"], 1, "it is not a query"),
        (["restore", "raw/sales", "yesterday"], 1, "it is not kept"),
        (["backfill", "raw/nothing"], 1, "no project has it"),
        (["backfill", "raw/sales", "--partitions", "1999-01-01.."], 1, "2010-02-01 to 2012-10-01"),
        (["check", "--project", "demnd"], 1, "no such folder under defs/"),
        (["scenario", "run", "weekly_refrehs"], 1, "weekly_refresh (did you mean this?)"),
        (["scenario", "run", "weekly_refresh", "--param", "region"], 1, "name=value"),
        (["tabels"], 2, "`ml-platform --help` lists the commands"),
        (["demo", "--data", "nowhere.csv"], 1, "nowhere.csv"),
    ],
)
def test_a_mistake_is_told_in_words_and_by_the_exit_code(home, words, code, said):
    done = typed(home, *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_proposed_for_a_table_declares_checks_that_it_passes(home):
    done = typed(home, "checks", "propose", "raw/sales")
    assert done.returncode == 0, done.stderr
    declared = yaml.safe_load(done.stdout)
    assert declared["type"] == "ml_platform.components.Checks"
    assert declared["attributes"]["table"] == "raw/sales"
    schema = read_schema(declared["attributes"]["pandera"])
    assert check_schema(schema, TableStore(str(home / "tables")).read("shop", SALES)).passed
    assert not check_schema(schema, pa.table({"n": ["text"]})).passed


def test_nothing_is_proposed_for_a_table_that_is_not_there(home):
    done = typed(home, "checks", "propose", "raw/sale")
    assert done.returncode == 1
    assert "raw/sale: it has no data yet" in done.stderr
    assert done.stdout == ""


def test_a_scenario_is_listed_run_and_listed_with_its_outcome(home):
    done = typed(home, "scenario", "run", "nightly_clean_up", "--param", "days=3")
    assert (done.returncode, "nightly_clean_up: success" in done.stdout) == (0, True), done.stderr
    listed = typed(home, "scenario", "list", "--project", "demand").stdout
    [line] = [line for line in listed.splitlines() if "nightly_clean_up" in line]
    assert "night (off)" in line
    assert line.rstrip().endswith("success")
    told = typed(home, "variables", "weekly_refresh").stdout
    assert '"all"' in told
    assert "project demand" in told
