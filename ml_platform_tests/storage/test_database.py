"""A database of the platform's own: opened by several at once, and told when it cannot be."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa

from ml_platform.kernel.errors import SettingsError, StorageFullError, UnavailableError
from ml_platform.storage.database import opened_with, transaction, with_driver


def table():
    made = sa.MetaData()
    sa.Table("numbers", made, sa.Column("n", sa.Integer))
    return made


WRITER = """
import sys
import sqlalchemy as sa
from ml_platform.storage.database import opened_with
made = sa.MetaData()
numbers = sa.Table("numbers", made, sa.Column("n", sa.Integer))
engine = opened_with(made, sys.argv[1], "X")
for n in range(30):
    with engine.begin() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(numbers)).scalar()
        connection.execute(numbers.insert().values(n=count))
"""


def test_processes_that_read_and_then_write_wait_for_each_other(tmp_path):
    url = f"sqlite:///{tmp_path / 'deep' / 'own.db'}"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url]) for _ in range(3)]
    assert [one.wait() for one in writers] == [0, 0, 0]
    with opened_with(table(), url, "X").connect() as connection:
        found = connection.execute(sa.text("SELECT n FROM numbers ORDER BY n")).scalars().all()
    assert found == list(range(90))


@pytest.mark.parametrize(
    ("pragma", "kind", "said"),
    [
        ("PRAGMA max_page_count = 2", StorageFullError, "disk is full"),
        ("PRAGMA query_only = 1", UnavailableError, "readonly"),
    ],
)
def test_what_cannot_be_written_is_told_by_its_name_and_nothing_of_it_holds(
    tmp_path, pragma, kind, said
):
    made = table()
    engine = opened_with(made, f"sqlite:///{tmp_path / 'own.db'}", "X")
    with transaction(engine, "book of numbers") as connection:
        connection.exec_driver_sql(pragma)
    rows = [{"n": number} for number in range(5000)]
    with pytest.raises(kind, match=f"book of numbers: .*{said}"):  # noqa: SIM117 - what is tested
        with transaction(engine, "book of numbers") as connection:
            connection.execute(made.tables["numbers"].insert(), rows)
    with contextlib.closing(sqlite3.connect(tmp_path / "own.db")) as other:
        assert other.execute("SELECT n FROM numbers").fetchall() == []


@pytest.mark.postgres
def test_postgres_is_opened_by_the_url_that_people_write(postgres_url):
    for _ in range(2):
        engine = opened_with(table(), postgres_url, "X")
        with engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO numbers VALUES (1)"))
            found = connection.execute(sa.text("SELECT count(*) FROM numbers")).scalar_one()
        engine.dispose()
    assert found == 2


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("no url", SettingsError),
        ("nothing://here", SettingsError),
        ("sqlite:////dev/null/own.db", UnavailableError),
        ("postgresql://me:secret@127.0.0.1:1/db", UnavailableError),
    ],
)
def test_what_cannot_be_opened_is_told_without_a_password(url, kind):
    with pytest.raises(kind) as error:
        opened_with(table(), url, "THE_VARIABLE")
    assert "secret" not in str(error.value)
    assert kind is UnavailableError or "THE_VARIABLE" in str(error.value)


def test_only_postgres_needs_a_driver_to_be_named():
    assert with_driver("sqlite:///x") == "sqlite:///x"
    assert with_driver("postgres://h/d").startswith("postgresql+psycopg")
    assert with_driver("postgresql+asyncpg://h/d") == "postgresql+asyncpg://h/d"
