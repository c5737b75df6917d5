"""Dagster's event log is read in its order from a cursor on."""

from datetime import UTC, datetime, timedelta

import pytest

from ml_platform.alerts.listening import log
from ml_platform.alerts.listening.log import held_back, rows_after
from ml_platform.kernel.errors import SettingsError


def test_the_log_is_read_in_pages_of_its_order(shop):
    shop.run("rows")
    whole = [row.id for row in rows_after(shop.instance, 0)]
    paged, cursor = [], 0
    while page := rows_after(shop.instance, cursor, limit=2):
        paged += [row.id for row in page]
        cursor = page[-1].id
    assert paged == whole == sorted(whole)


def test_the_cursor_stops_before_what_is_young(shop):
    shop.run("rows")
    rows = rows_after(shop.instance, 0)
    last = datetime.fromtimestamp(rows[-1].entry.timestamp, tz=UTC)
    assert held_back(rows, 0, last) == 0
    assert held_back(rows, 0, last + timedelta(hours=1)) == rows[-1].id
    assert held_back([], 7, last) == 7


def test_a_storage_without_sql_is_refused():
    class Instance:
        event_log_storage = object()

    with pytest.raises(SettingsError, match="SQLite or PostgreSQL"):
        log.newest_id(Instance())
