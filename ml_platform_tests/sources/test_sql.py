"""Queries on real databases: SQLite and PostgreSQL."""

import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
import sqlalchemy as sa

from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from ml_platform.sources.shape import Shape
from ml_platform.sources.sql import SqlSource, read_query
from ml_platform.sources.window import Window
from ml_platform_tests.conftest import PASSWORD

WEEKS = Window(date(2010, 2, 5), date(2010, 2, 19))
DAYS = ["2010-01-29", "2010-02-05", "2010-02-12", "2010-02-19"]


@pytest.fixture
def sqlite_url(tmp_path):
    path = tmp_path / "sales.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sales (store INTEGER, day TEXT, at TEXT, usd NUMERIC)")
        connection.executemany(
            "INSERT INTO sales VALUES (?, ?, ?, ?)",
            [(n, day, f"{day} 00:00:00", n + 0.5) for n, day in enumerate(DAYS)],
        )
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_sales(postgres_url):
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE sales (store int, day date, at timestamptz, usd numeric(12, 2),"
                " free numeric, is_open boolean, rate real, note varchar(9),"
                " extra jsonb, gone text)"
            )
        )
        for n, day in enumerate(DAYS):
            connection.execute(
                sa.text("INSERT INTO sales VALUES (:n, :d, :d, :n, 0.125, true, 0.5, 'é', '[1]')"),
                {"n": n, "d": date.fromisoformat(day)},
            )
        connection.execute(sa.text("INSERT INTO sales DEFAULT VALUES"))
    return postgres_url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request):
    return request.getfixturevalue(
        {"sqlite": "sqlite_url", "postgres": "postgres_sales"}[request.param]
    )


def rows(url, query, window=None, environ=None, **options):
    return (
        read_query(SqlSource(url, query, **options), window, environ or {}).read_all().to_pylist()
    )


def test_a_window_takes_its_start_and_leaves_its_end(url):
    query = "SELECT store FROM sales WHERE day >= :start AND day < :end ORDER BY day"
    assert rows(url, query, WEEKS) == [{"store": 1}, {"store": 2}]


def test_a_window_of_moments_takes_the_row_at_its_start(url):
    midnights = Window(
        *(datetime.fromisoformat(day + "T00:00").replace(tzinfo=UTC) for day in DAYS[1:3])
    )
    if url.startswith("sqlite"):
        midnights = Window(midnights.start.replace(tzinfo=None), midnights.end.replace(tzinfo=None))
    query = "SELECT store FROM sales WHERE at >= :start AND at < :end"
    assert rows(url, query, midnights) == [{"store": 1}]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_a_large_result_comes_in_batches_and_is_the_same(url, batch_rows):
    query = "SELECT store, usd FROM sales WHERE store IS NOT NULL ORDER BY store"
    source = SqlSource(url, query, Shape(dtypes={"usd": "float"}), batch_rows)
    batches = list(read_query(source, environ={}))
    assert max(batch.num_rows for batch in batches) <= batch_rows
    assert [n for batch in batches for n in batch["store"].to_pylist()] == [0, 1, 2, 3]


def test_a_result_without_rows_has_its_columns(url):
    reader = read_query(SqlSource(url, "SELECT store, day FROM sales WHERE 1 = 0"), environ={})
    assert reader.schema.names == ["store", "day"]
    assert reader.read_all().num_rows == 0


def test_columns_get_their_new_names_and_types(url):
    shape = Shape(("usd", "store"), {"usd": "sales_usd"}, {"usd": "float"})
    query = "SELECT * FROM sales WHERE store = 1"
    value = 1.5 if url.startswith("sqlite") else 1.0
    assert rows(url, query, shape=shape) == [{"sales_usd": value, "store": 1}]


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ("SELECT * FROM slaes", NotFoundError, ["slaes", "sales (did you mean this?)"]),
        ("SELECT shop FROM sales", NotFoundError, ["shop"]),
        ("SELEC store FROM sales", DeclarationError, ["SELEC"]),
        ("INSERT INTO sales (store) VALUES (9)", DeclarationError, []),
        ("DROP TABLE sales", DeclarationError, []),
        ("-- nothing", DeclarationError, []),
        ("SELECT store, day AS store FROM sales", DataError, ["called 'store'", "AS"]),
        ("SELECT :strat", DeclarationError, ["':strat' is no parameter", "start (did you mean"]),
        ("SELECT :start", DeclarationError, ["no window"]),
    ],
)
def test_a_wrong_query_is_told_in_the_databases_words(url, query, kind, words):
    with pytest.raises(kind) as caught:
        rows(url, query)
    assert [word for word in words if word not in str(caught.value)] == []
    assert caught.value.subject.startswith("query on ")
    # What SQLAlchemy adds (the statement again, and a link) is not the reader's business.
    assert "sqlalche.me" not in str(caught.value)
    assert [row["store"] for row in rows(url, "SELECT store FROM sales WHERE store = 1")] == [1]


def test_a_window_that_the_query_ignores_is_refused(url):
    with pytest.raises(DeclarationError, match="nothing in the source uses it"):
        rows(url, "SELECT * FROM sales", WEEKS)


@pytest.mark.postgres
def test_postgres_types_are_kept_even_where_every_value_is_null(postgres_sales):
    table = read_query(SqlSource(postgres_sales, "SELECT * FROM sales ORDER BY store"), environ={})
    table = table.read_all()
    assert dict(zip(table.column_names, table.schema.types, strict=True)) == {
        "store": pa.int64(),
        "day": pa.date32(),
        "at": pa.timestamp("us", "UTC"),
        "usd": pa.decimal128(12, 2),
        "free": pa.decimal128(38, 3),
        "is_open": pa.bool_(),
        "rate": pa.float64(),
        "note": pa.string(),
        "extra": pa.string(),
        "gone": pa.string(),
    }
    first, *_, last = table.to_pylist()
    assert first["day"] == date(2010, 1, 29)
    assert (first["usd"], first["free"]) == (Decimal("0.00"), Decimal("0.125"))
    assert (first["is_open"], first["extra"], first["gone"]) == (True, "[1]", None)
    assert set(last.values()) == {None}


@pytest.mark.postgres
def test_a_result_that_is_left_half_read_frees_its_connection(postgres_sales):
    source = SqlSource(postgres_sales, "SELECT store FROM sales", batch_rows=1)
    reader = read_query(source, environ={})
    reader.read_next_batch()
    del reader
    open_ones = rows(
        postgres_sales,
        "SELECT count(*)::int AS n FROM pg_stat_activity"
        " WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    )
    assert open_ones == [{"n": 0}]


@pytest.mark.postgres
def test_a_function_that_writes_is_refused(postgres_sales):
    with sa.create_engine(postgres_sales, poolclass=sa.NullPool).begin() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION sneak() RETURNS int LANGUAGE sql AS 'DELETE FROM sales; SELECT 1'"
            )
        )
    with pytest.raises(DeclarationError, match="read-only"):
        rows(postgres_sales, "SELECT sneak() AS done")


@pytest.mark.postgres
def test_words_of_the_database_that_hold_the_password_are_hidden(postgres_url):
    with pytest.raises(DataError, match=r"invalid input .* \"\*\*\*\"") as caught:
        rows(postgres_url, f"SELECT '{PASSWORD}'::int AS one")
    assert PASSWORD not in str(caught.value)


@pytest.mark.postgres
def test_a_password_with_any_character_comes_from_the_environment(postgres_url):
    place = postgres_url.partition("@")[2]
    template = "postgresql://platform:${SALES_PASSWORD}@" + place
    assert rows(template, "SELECT 1 AS one", environ={"SALES_PASSWORD": PASSWORD}) == [{"one": 1}]
    with pytest.raises(SettingsError, match="SALES_PASSWORD is not set"):
        rows(template, "SELECT 1 AS one")


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("user", "password", "database", "kind"),
    [
        ("platform", "wr0ng-secret", "postgres", SettingsError),
        ("platform", PASSWORD, "nowhere", NotFoundError),
    ],
)
def test_a_login_that_is_refused_shows_no_password(postgres_server, user, password, database, kind):
    host = postgres_server.partition("@")[2].partition("/")[0]
    environ = {"DB_USER": user, "DB_PASSWORD": password}
    with pytest.raises(kind) as caught:
        rows(
            "postgresql://${DB_USER}:${DB_PASSWORD}@" + f"{host}/{database}",
            "SELECT 1 AS one",
            environ=environ,
        )
    message = str(caught.value)
    assert f"{host}/{database}" in message
    assert password not in message
    assert caught.value.__suppress_context__


def test_a_database_that_is_down_can_be_tried_again(free_port):
    with pytest.raises(UnavailableError) as caught:
        rows(f"postgresql://me:s3cret@127.0.0.1:{free_port}/shop", "SELECT 1 AS one")
    message = str(caught.value)
    assert f"query on postgresql://127.0.0.1:{free_port}/shop" in message
    assert "s3cret" not in message
    assert "me@" not in message


def test_a_locked_sqlite_file_can_be_tried_again(sqlite_url):
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(UnavailableError, match="locked"):
            rows(f"{sqlite_url}?timeout=0.1", "SELECT * FROM sales")
    finally:
        holder.close()


def test_a_misspelt_sqlite_file_is_not_made(sqlite_url, tmp_path):
    with pytest.raises(NotFoundError, match="no such database file") as caught:
        rows(sqlite_url.replace("sales.db", "slaes.db"), "SELECT 1 AS one")
    assert "sales.db (did you mean this?)" in caught.value.allowed
    assert [one.name for one in tmp_path.iterdir()] == ["sales.db"]


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database at all " * 100)
    with pytest.raises(DataError, match="not a database"):
        rows(f"sqlite:///{tmp_path}/x.db", "SELECT * FROM sales")


@pytest.mark.parametrize(
    "url", ["nonsense s3cret", "postgresql://me:s3cret@host:port/db", "${WHOLE}"]
)
def test_a_url_that_cannot_be_read_is_not_shown(url):
    with pytest.raises(SettingsError) as caught:
        rows(url, "SELECT 1", environ={"WHOLE": "s3cret"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["oracle://me:s3cret@host/db", "postgers://me:s3cret@host/db"])
def test_a_driver_that_is_missing_is_named(url):
    with pytest.raises(SettingsError, match=r"driver for (oracle|postgers) is missing") as caught:
        rows(url, "SELECT 1 AS one")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"query": " \n"}, "query: it is empty"), ({"query": "x", "batch_rows": 0}, "batch_rows: 0")],
)
def test_an_impossible_option_is_refused_when_it_is_declared(options, message):
    with pytest.raises(DeclarationError, match=message):
        SqlSource("sqlite://", **options)
