"""Tables that are made by themselves: asked as the daemon asks, without one."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest


class Watcher:
    """Asks the conditions of the workshop's tables, and remembers what it has seen."""

    def __init__(self, workshop):
        self.workshop, self.cursor = workshop, None

    def asked(self, at=None):
        found = dg.evaluate_automation_conditions(
            self.workshop.load().definitions, self.workshop.instance, dg.AssetSelection.all(),
            cursor=self.cursor, evaluation_time=at,
        )  # fmt: skip
        self.cursor = found.cursor
        keys = found.total_requested and [
            one.key.to_user_string() for one in found.results if one.true_subset.size
        ]
        return sorted(keys or [])


@pytest.fixture
def watcher(workshop):
    workshop.table("one")
    return Watcher(workshop)


def follow(watcher, automation, sql="SELECT n FROM features.one"):
    watcher.workshop.table("two", sql, automation=automation)


def test_a_table_follows_what_it_is_made_from(watcher):
    follow(watcher, "on_upstream_change")
    assert watcher.asked() == []
    watcher.workshop.run("features/one")
    assert watcher.asked() == ["features/two"]
    assert watcher.asked() == []


def test_a_missing_table_is_made_once_it_can_be_and_one_that_failed_is_not_asked_for_again(watcher):
    follow(watcher, "on_missing", "SELECT error('no') AS n FROM features.one")
    assert watcher.asked() == []
    watcher.workshop.run("features/one")
    assert watcher.asked() == ["features/two"]
    assert not watcher.workshop.run("features/two").success
    assert watcher.asked() == []


def test_a_table_is_made_at_its_time_once_its_upstream_is_new(watcher):
    follow(watcher, {"on_cron": "0 6 * * *", "timezone": "Europe/Zurich"})
    now = datetime.now(UTC)
    assert watcher.asked(now - timedelta(days=3)) == []
    assert watcher.asked(now - timedelta(days=1, hours=1)) == []  # it is time, and nothing is new
    watcher.workshop.run("features/one")
    assert watcher.asked(datetime.now(UTC)) == ["features/two"]
    assert watcher.asked(datetime.now(UTC) + timedelta(seconds=1)) == []


@pytest.mark.parametrize(
    ("automation", "told"),
    [
        ("on_monday", "on_upstream_change"),
        ({"on_cron": "61 * * * *"}, "cron"),
        ({"on_cron": "@daily", "timezone": "Zurich"}, "no time zone"),
    ],
)
def test_what_is_no_automation_is_told(watcher, automation, told):
    follow(watcher, automation)
    [broken] = watcher.workshop.load().broken
    assert told in str(broken)


def test_the_sensor_is_on_and_there_only_where_something_is_automatic(watcher):
    assert not watcher.workshop.load().definitions.sensors
    before = code_version(watcher)
    watcher.workshop.table("one", automation="on_missing")
    [sensor] = watcher.workshop.load().definitions.sensors
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert code_version(watcher) == before


def code_version(watcher):
    graph = watcher.workshop.load().definitions.resolve_asset_graph()
    return graph.get(dg.AssetKey(["features", "one"])).code_version
