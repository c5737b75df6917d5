"""How another system is named and shown; queries on real ones are in sources/test_sql."""

import pytest

from ml_platform.kernel.errors import SettingsError
from ml_platform.storage.connection import database_engine, database_url, secrets_of, shown_url


def test_a_whole_url_may_come_from_the_environment():
    url = database_url("${DSN}", {"DSN": "postgresql://me:p%40ss@db:5433/shop?sslmode=require"})
    assert (url.drivername, url.password) == ("postgresql+psycopg", "p@ss")
    assert shown_url(url) == "postgresql://db:5433/shop"


def test_the_secrets_of_a_url_are_its_password_and_keys_as_written_and_as_meant():
    url = database_url("postgresql://me:${PW}@db/shop?api_key=k1&sslmode=require", {"PW": "p@ss"})
    assert set(secrets_of(url)) == {"p@ss", "p%40ss", "k1"}


def test_a_driver_that_is_missing_is_told():
    url = database_url("nosuchdb://host/shop")
    with pytest.raises(SettingsError, match="the driver for nosuchdb is missing"):
        database_engine(url, "query")
