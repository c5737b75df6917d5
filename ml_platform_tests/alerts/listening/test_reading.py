"""Each row of the log becomes its events, and what cannot be read stops no other."""

import pytest
import sqlalchemy as sa

from ml_platform.alerts.listening.log import TYPES, Row, rows_after
from ml_platform.alerts.listening.reading import READERS, events_of
from ml_platform_tests.alerts.listening.conftest import only


def test_each_kind_of_row_that_is_read_has_its_reader_and_no_other():
    assert sorted(READERS) == sorted(one.value for one in TYPES)


def test_the_same_row_has_the_same_id_and_no_other_row_has_it(shop):
    shop.run("sales")
    shop.run("rows")
    first, again = ([e.id for e in shop.events()] for _ in range(2))
    assert first == again
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("text", ["{", "null", '{"__class__": "Nobody"}', '"text"', "\ud800"])
def test_a_row_that_cannot_be_read_is_named_and_the_next_is_read(shop, text):
    shop.run("rows")
    poison(shop.instance, text.encode("utf-8", "replace").decode())
    shop.run()
    events = shop.events()
    unreadable = only(events, "event.unreadable")
    assert unreadable.failure_message
    assert "check.recovered" in [e.type for e in events][events.index(unreadable) :]


def poison(instance, text):
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp) "
                "VALUES ('', :text, 'ASSET_CHECK_EVALUATION', '2026-01-01')"
            ),
            {"text": text},
        )


def test_an_event_that_says_something_unexpected_is_named_too(shop):
    cursor = shop.run("rows")
    [row] = [r for r in rows_after(shop.instance, cursor) if "CHECK" in str(kind_of(r))]
    event = row.entry.dagster_event._replace(event_specific_data=None)
    broken = Row(row.id, row.entry._replace(dagster_event=event))
    [found] = events_of(broken, shop.known())
    assert found.type == "event.unreadable"


def kind_of(row):
    return row.entry.dagster_event_type
