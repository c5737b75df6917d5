"""`Source` in a project: files, a database and an API, whole and by months."""

import pytest
import sqlalchemy as sa

from ml_platform.demo.sample import make_sample
from ml_platform.demo.systems import serving, write_sales_database
from ml_platform.kernel.names import TableKey

MONTHS = {"every": "month", "start": "2010-02-01", "end": "2010-05-01"}
KEYS = ["2010-02-01", "2010-03-01", "2010-04-01"]
QUERY = (
    "SELECT store, week_date, weekly_sales FROM weekly_sales "
    "WHERE week_start >= :start AND week_start < :end"
)


@pytest.fixture(scope="module")
def sales():
    return make_sample(stores=3, weeks=20)


def expected(sales):
    """Rows of the three months: the weeks that end within them."""
    months = sales["Date"].str.slice(3)
    return int(months.isin(["02-2010", "03-2010", "04-2010"]).sum())


def test_a_file_beside_the_declaration_becomes_a_table(workshop):
    workshop.write("in/a.csv", "id,amount\n1,2.5\n2,\n")
    workshop.declare(
        "Source", "in", key="raw/a", file={"path": "a.csv"}, rename={"amount": "amount_usd"}
    )
    assert workshop.run().success
    assert workshop.rows("raw/a") == [
        {"id": 1, "amount_usd": 2.5},
        {"id": 2, "amount_usd": None},
    ]


@pytest.mark.parametrize("server", ["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def test_a_database_is_loaded_by_months_and_twice_gives_the_same(
    workshop, sales, server, request, monkeypatch
):
    url = f"sqlite:///{workshop.root}/s.db"
    if server == "pg":
        url = request.getfixturevalue("postgres_url")
    write_sales_database(sales, url)
    monkeypatch.setenv("SHOP_URL", url)
    sql = {"url": "${SHOP_URL}", "query": QUERY}
    workshop.declare("Source", "in", key="raw/sales", sql=sql, partitions=MONTHS)
    for _ in range(2):
        assert workshop.run(partitions=KEYS).success
        assert len(workshop.rows("raw/sales")) == expected(sales)
    assert workshop.store.partitions("shop", TableKey("raw", "sales")) == KEYS
    rows = workshop.metadata("raw/sales", KEYS[0])["dagster/partition_row_count"]
    assert rows == 3 * 4


def test_an_api_is_loaded_by_months_over_its_pages(workshop, sales):
    with serving(sales, page_rows=5) as url:
        http = {
            "base_url": url,
            "path": "/v1/conditions",
            "params": {"start": "{start}", "end": "{end}"},
            "records": "items",
            "pagination": "cursor",
            "cursor_field": "next_page",
            "cursor_param": "page",
        }
        workshop.declare("Source", "in", key="raw/weather", http=http, partitions=MONTHS)
        assert workshop.run(partitions=KEYS).success
    assert len(workshop.rows("raw/weather")) == expected(sales)


def test_what_comes_later_in_the_source_is_loaded_by_its_own_month_alone(workshop, sales):
    url = f"sqlite:///{workshop.root}/s.db"
    write_sales_database(sales[sales["Date"].str.endswith("02-2010")], url)
    sql = {"url": url, "query": QUERY}
    workshop.declare("Source", "in", key="raw/sales", sql=sql, partitions=MONTHS)
    workshop.run(partitions=KEYS)
    before = len(workshop.rows("raw/sales"))
    write_sales_database(sales, url)
    workshop.run(partitions=KEYS[1:2])
    assert len(workshop.rows("raw/sales")) == before + 3 * 4


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"file": {"path": "nowhere.csv"}}, "nowhere.csv"),
        ({"sql": {"url": "${NO_SUCH_VARIABLE}", "query": "SELECT 1"}}, "NO_SUCH_VARIABLE"),
        ({"sql": {"url": "sqlite:///x.db", "query": "SELECT 1"}}, "there is no such database file"),
    ],
)
def test_a_source_that_is_not_there_is_told_without_a_traceback(workshop, fields, said):
    workshop.declare("Source", "in", key="raw/a", **fields)
    (failure,) = workshop.run().failures
    assert said in failure.message
    assert "Traceback" not in failure.message


def test_a_database_that_is_down_is_tried_again_and_then_told(workshop):
    sql = {"url": "postgresql://nobody:secret@127.0.0.1:1/db", "query": "SELECT 1"}
    workshop.declare("Source", "in", key="raw/a", sql=sql, retry={"attempts": 2, "delay_s": 0.01})
    outcome = workshop.run()
    (failure,) = outcome.failures
    assert "127.0.0.1" in failure.message
    assert "secret" not in failure.message
    events = workshop.instance.all_logs(outcome.run_id)
    kinds = [event.dagster_event.event_type_value for event in events if event.dagster_event]
    assert kinds.count("STEP_RESTARTED") == 2


def test_two_origins_in_one_declaration_are_refused(workshop):
    workshop.declare(
        "Source", "in", key="raw/a", file={"path": "a"}, sql={"url": "sqlite://", "query": "x"}
    )
    (broken,) = workshop.load().broken
    assert "one of file, sql and http, not 2 of them" in str(broken)


def test_a_kill_between_two_loads_leaves_whole_partitions(workshop, sales):
    """What a killed run had not yet written is missing, and the next run brings it."""
    url = f"sqlite:///{workshop.root}/s.db"
    write_sales_database(sales, url)
    sql = {"url": url, "query": QUERY}
    workshop.declare("Source", "in", key="raw/sales", sql=sql, partitions=MONTHS)
    workshop.run(partitions=KEYS[:1])
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE weekly_sales RENAME TO gone"))
    assert not workshop.run(partitions=KEYS).success
    assert workshop.store.partitions("shop", TableKey("raw", "sales")) == KEYS[:1]
    assert len(workshop.rows("raw/sales")) == 3 * 4
