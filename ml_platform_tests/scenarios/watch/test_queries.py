"""Queries that are watched, on real databases: SQLite and PostgreSQL."""

import json
import os
import signal
import sqlite3

import psutil
import pytest
import sqlalchemy as sa

from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from ml_platform.scenarios.trigger_words import Sql
from ml_platform.scenarios.watch.plain import MOST_CHARACTERS
from ml_platform.scenarios.watch.queries import look_at_query
from ml_platform_tests.conftest import PASSWORD

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


class Shop:
    """A database with a table of sales, and the look at a query on it."""

    def __init__(self, url):
        self.url = url
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.do("CREATE TABLE sales (store INTEGER, usd NUMERIC(12, 2), note VARCHAR(9000))")
        for store in (1, 2, 3):
            self.do(f"INSERT INTO sales VALUES ({store}, {store}.5, NULL)")

    def do(self, statement):
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement))

    def look(self, query="SELECT * FROM sales", seconds=20.0, key="t", **words):
        return look_at_query(Sql(url=self.url, query=query, **words), key, seconds)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shop(request, tmp_path):
    if request.param == "sqlite":
        return Shop(f"sqlite:///{tmp_path / 'shop.db'}")
    return Shop(request.getfixturevalue("postgres_url").replace("postgresql", "postgresql+psycopg"))


def test_the_same_rows_are_the_same_until_one_of_them_changes(shop):
    before = shop.look().parts
    assert shop.look().parts == before
    shop.do("UPDATE sales SET usd = 9 WHERE store = 2")
    changed = shop.look().parts
    assert changed != before
    shop.do("INSERT INTO sales VALUES (2, 9, NULL)")
    assert shop.look().parts not in (before, changed)


def test_the_order_of_rows_counts_only_where_it_is_said(shop):
    up, down = (f"SELECT store FROM sales ORDER BY store {way}" for way in ("ASC", "DESC"))
    assert shop.look(up).parts == shop.look(down).parts
    assert shop.look(up, order="counts").parts != shop.look(down, order="counts").parts


def test_the_result_becomes_parameters(shop):
    look = shop.look("SELECT store, usd AS total, note FROM sales ORDER BY store")
    assert (look.params["store"], look.params["total"], look.params["note"]) == (1, 1.5, None)
    assert [row["store"] for row in look.params["rows"]] == [1, 2, 3]
    assert look.params["row_count"] == 3
    assert "3 rows, the first: store = 1, total = 1.5" in look.account


def test_no_rows_are_a_result_too(shop):
    look = shop.look("SELECT * FROM sales WHERE store > 9")
    assert look.params == {"rows": [], "row_count": 0}
    assert look.parts != shop.look().parts


def test_a_longer_result_than_was_allowed_is_told_and_no_part_of_it_is_taken(shop):
    assert shop.look(limit=3).params["row_count"] == 3
    with pytest.raises(DataError, match="more than 2 rows"):
        shop.look(limit=2)


def test_parameters_keep_what_there_is_room_for(shop):
    shop.do("UPDATE sales SET note = '" + "x" * 9000 + "'")
    look = shop.look(f"SELECT a.note FROM sales a, sales b, sales c, ({'SELECT 1'}) d")
    assert look.params["row_count"] == 27
    assert 5 < len(look.params["rows"]) < 27
    assert len(json.dumps(look.params)) < MOST_CHARACTERS + 200
    assert len(look.account) < 1000


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT * FROM sale", NotFoundError),
        ("SELEC * FROM sales", DeclarationError),
        ("SELECT 1 WHERE", DeclarationError),
        ("DELETE FROM sales", DeclarationError),
        ("INSERT INTO sales VALUES (7, 7, NULL)", DeclarationError),
    ],
)
def test_a_query_that_is_wrong_or_writes_is_told_and_changes_nothing(shop, query, error):
    before = shop.look().parts
    with pytest.raises(error, match="query on"):
        shop.look(query)
    assert shop.look().parts == before


def test_a_query_that_never_ends_is_ended_and_the_next_one_is_asked(shop):
    with pytest.raises(UnavailableError):
        shop.look(ENDLESS, seconds=0.3)
    assert shop.look().params["row_count"] == 3


def test_a_database_that_is_not_there_and_a_variable_that_is_not_set_are_told(tmp_path):
    with pytest.raises(NotFoundError, match="no such database file"):
        look_at_query(Sql(url=f"sqlite:///{tmp_path}/no.db", query="SELECT 1"), "t", 5)
    with pytest.raises(SettingsError, match="NO_SUCH_URL is not set"):
        look_at_query(Sql(url="${NO_SUCH_URL}", query="SELECT 1"), "t", 5)


@pytest.mark.postgres
def test_no_secret_is_in_what_is_kept_or_told(postgres_url, monkeypatch):
    monkeypatch.setenv("SHOP_URL", postgres_url)
    look = look_at_query(Sql(url="${SHOP_URL}", query=f"SELECT '{PASSWORD}' AS leak"), "t", 9)
    assert PASSWORD not in look.account
    assert "leak = ***" in look.account
    monkeypatch.setenv("SHOP_URL", postgres_url.replace("platform:", "nobody:"))
    with pytest.raises(SettingsError) as refused:
        look_at_query(Sql(url="${SHOP_URL}", query="SELECT 1"), "t", 9)
    assert PASSWORD not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.postgres
def test_a_server_that_has_stopped_answering_does_not_hang_the_look(postgres_url):
    shop = Shop(postgres_url.replace("postgresql", "postgresql+psycopg"))
    with shop.engine.connect() as held:
        pid = held.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        server = psutil.Process(pid).parent()
    # The process that takes connections is stopped: they are made, and nothing ever comes.
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(UnavailableError):
            shop.look(seconds=0.3, key="stopped")
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_table_that_another_one_writes_is_read_all_the_same(tmp_path):
    shop = Shop(f"sqlite:///{tmp_path / 'shop.db'}")
    with sqlite3.connect(tmp_path / "shop.db") as writer:
        writer.execute("UPDATE sales SET usd = 1")
        assert shop.look().params["row_count"] == 3
    writer.close()
