"""A tick from end to end: a real instance, a real outbox, a channel that remembers."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from ml_platform.alerts.channels.channel import Receipt
from ml_platform.alerts.event import KINDS, OURS
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.routing import acknowledge
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.sensor import GONE_AFTER_S, Reader, alerts_sensor, locations
from ml_platform.alerts.settings import AlertSettings
from ml_platform.alerts.tell import About, tell
from ml_platform.kernel.errors import DeclarationError

KEY = dg.AssetKey(["raw", "sales"])


class Recorder:
    type = "folder"

    def __init__(self, name="inbox"):
        self.name, self.got = name, []

    def rendered(self, message):
        return message.title

    def send(self, message, *, key, thread=""):
        self.got.append(message)
        return Receipt()


@dg.asset(key=KEY, owners=["team:shop"])
def sales():
    return 1


class Shop:
    """An instance with a reader whose clock may be moved ahead."""

    def __init__(self, instance, home, *rules):
        self.instance, self.home, self.ahead = instance, home, timedelta()
        self.settings = AlertSettings.from_environment({"ML_PLATFORM_HOME": str(home)})
        self.inbox = Recorder()
        self.broken = []
        self.reader = self.reading("shop", *(rules or [{}]))

    def reading(self, project, *rules):
        made = [Rule(**{"name": "r", "channels": ["inbox"], **one}) for one in rules]
        outbox = Outbox(self.settings.url, self.now)
        return Reader(project, made, self.settings, outbox, lambda: {"inbox": self.inbox}, self.now)

    def now(self):
        return datetime.now(tz=UTC) + self.ahead

    def tick(self):
        broken = [
            dg.AssetSpec(["broken", name], tags={"ml_platform/broken": "true"}, description="bad")
            for name in self.broken
        ]
        defs = dg.Definitions(assets=[sales, *broken])
        return self.reader.tick(self.instance, defs.get_repository_def())

    def result(self, passed=False, name="rows", **more):
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=KEY, check_name=name, passed=passed, metadata={}, **more
            )
        )

    def told(self):
        return [one.event_type for one in self.inbox.got]


@pytest.fixture
def shop(tmp_path, instances):
    with instances() as instance:
        yield Shop(instance, tmp_path)


def test_history_before_the_first_tick_is_told_to_nobody(shop):
    shop.result()
    first = shop.tick()
    assert first.is_first
    assert "Listens from now on" in first.sentence()
    shop.tick()
    assert shop.told() == []


def test_a_failed_check_and_its_recovery_are_told_once_however_often_it_is_looked(shop):
    shop.tick()
    shop.result()
    for _ in range(3):
        shop.tick()
    shop.result(passed=True)
    for _ in range(3):
        shop.tick()
    assert shop.told() == ["check.failed", "check.recovered"]


def test_each_failure_of_a_check_is_told(shop):
    shop.tick()
    for _ in range(5):
        shop.result()
    shop.tick()
    assert shop.told() == ["check.failed"] * 5
    assert "It is number 5 in a row." in shop.inbox.got[-1].summary


def test_the_cursor_moves_on_when_nothing_can_appear_any_more(shop):
    def cursor():
        with shop.reader.outbox.book() as book:
            return int(book.cursor("shop", "events"))

    shop.tick()
    shop.result()
    shop.tick()
    assert cursor() == 0
    shop.ahead = timedelta(seconds=20)
    assert shop.tick().rows == 1
    assert cursor() == 1
    assert shop.tick().rows == 0


def test_an_event_that_appears_late_below_the_others_is_not_missed(shop):
    shop.tick()
    for _ in range(3):
        shop.result(name="early")
    with shop.instance.event_log_storage.index_connection() as connection:
        connection.execute(sa.text("UPDATE event_logs SET id = id + 10 WHERE id = 2"))
    shop.tick()
    with shop.instance.event_log_storage.index_connection() as connection:
        connection.execute(sa.text("UPDATE event_logs SET id = 2 WHERE id = 3"))
    shop.tick()
    assert len(shop.told()) == 4  # rows 1, 3, 12, and what then appeared as row 2


def test_a_log_that_was_wiped_is_read_from_its_new_beginning(shop):
    for _ in range(5):
        shop.result()
    shop.tick()
    with shop.instance.event_log_storage.index_connection() as connection:
        connection.execute(sa.text("DELETE FROM event_logs"))
    shop.result(name="after")
    shop.tick()
    assert shop.told() == ["check.failed"]


def test_a_poisoned_row_is_named_and_what_follows_is_told(shop):
    shop.tick()
    with shop.instance.event_log_storage.index_connection() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp) "
                "VALUES ('', '{', 'ASSET_CHECK_EVALUATION', '2026-01-01')"
            )
        )
    shop.result()
    shop.tick()
    shop.tick()
    assert shop.told() == ["event.unreadable", "check.failed"]


def test_hundreds_of_failures_at_once_in_more_than_a_page_become_one_digest(shop):
    shop.tick()
    for number in range(600):
        shop.result(name=f"c{number}")
    shop.tick()
    assert shop.told() == []
    shop.ahead = timedelta(seconds=40)
    shop.tick()
    [digest] = shop.inbox.got
    assert digest.event_type == "digest"
    assert "600 messages" in digest.title


def test_what_a_step_tells_goes_out_with_the_next_tick_once(shop):
    shop.reader = shop.reading("shop", {"events": ["drift.found", "message"]})
    shop.tick()
    outbox = shop.reader.outbox
    about = About(asset_key="raw/sales", observed="0.31", facts={"psi": 0.31})
    drift = {"project": "shop", "key": "run1/drift", "kind": "drift.found", "about": about}
    assert tell("PSI of price", outbox=outbox, **drift)
    assert not tell("PSI of price", outbox=outbox, **drift)
    tell("for others", project="other", key="k", outbox=outbox)
    shop.tick()
    shop.tick()
    [message] = shop.inbox.got
    assert (message.asset_key, message.observed) == ("raw/sales", "0.31")
    assert "PSI of price" in message.title


@pytest.mark.parametrize("kind", sorted(set(KINDS) - OURS))
def test_every_kind_of_event_that_is_told_arrives(shop, kind):
    shop.reader = shop.reading("shop", {"events": [kind.partition(".")[0] + "*"]})
    shop.tick()
    if KINDS[kind].course == "ends":  # there is an end only of what began
        begins = next(
            k for k in KINDS
            if k.partition(".")[0] == kind.partition(".")[0] and KINDS[k].course == "begins"
        )  # fmt: skip
        tell("t", project="shop", key="first", kind=begins, about=About(asset_key="raw/x"),
             outbox=shop.reader.outbox)  # fmt: skip
        shop.tick()
    changed = '{"a": "int"}' if kind == "schema.changed" else ""
    if changed:
        tell("t", project="shop", key="zero", kind=kind, outbox=shop.reader.outbox,
             about=About(asset_key="raw/x", observed='{"b": "int"}'))  # fmt: skip
        shop.tick()
    about = About(asset_key="raw/x", observed=changed)
    tell("t", project="shop", key="k", kind=kind, about=about, outbox=shop.reader.outbox)
    shop.tick()
    assert shop.told()[-1] == kind


def test_telling_of_no_such_kind_names_those_there_are(shop):
    with pytest.raises(DeclarationError, match=r"drift\.found \(did you mean this\?\)"):
        tell("t", project="shop", key="k", kind="drift.fond", outbox=shop.reader.outbox)


def test_declarations_that_break_and_are_mended_are_told(shop):
    shop.tick()
    shop.broken = ["sales_line_3"]
    for _ in range(3):
        shop.ahead += timedelta(seconds=20)
        shop.tick()
    assert shop.told() == ["declaration.broken"]
    shop.broken = []
    shop.ahead += timedelta(seconds=20)
    shop.tick()
    assert shop.told() == ["declaration.broken", "declaration.mended"]


def test_a_code_location_that_stops_and_comes_back_is_told_by_another(shop):
    other = shop.reading("other", {"events": ["message"]})
    shop.tick()
    other.tick(shop.instance)
    for _ in range(12):
        shop.ahead += timedelta(seconds=20)
        other.tick(shop.instance)
        shop.tick()
    assert shop.told() == []
    for _ in range(12):
        shop.ahead += timedelta(seconds=20)
        shop.tick()
    assert shop.told() == ["location.gone"]
    assert shop.inbox.got[0].severity.value == "critical"
    for _ in range(2):
        shop.ahead += timedelta(seconds=20)
        other.tick(shop.instance)
        shop.tick()
    assert shop.told() == ["location.gone", "location.back"]


NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_after_a_pause_of_our_own_nobody_is_said_to_be_gone():
    long_ago, just_now = NOW - timedelta(days=1), NOW - timedelta(seconds=10)
    signs = {"shop": (just_now, NOW), "other": (long_ago, long_ago)}
    assert locations("shop", signs, NOW) == []
    signs["shop"] = (NOW - timedelta(seconds=GONE_AFTER_S), NOW)
    assert [e.type for e in locations("shop", signs, NOW)] == ["location.gone"]


def test_who_acknowledged_is_seen_on_the_assets_page(shop):
    shop.tick()
    shop.result()
    shop.tick()
    with shop.reader.outbox.book() as book:
        acknowledge(book, shop.inbox.got[0].dedup_key, "Ada")
    shop.tick()
    assert shop.told() == ["check.failed", "incident.acknowledged"]
    found = shop.instance.fetch_observations(KEY, limit=10).records
    assert [r.asset_observation.metadata["acknowledged by"].value for r in found] == ["Ada"]


def test_channels_that_are_wrongly_declared_lose_nothing(shop):
    def wrong():
        raise DeclarationError("channels", "no YAML")

    shop.tick()
    shop.result()
    shop.reader.channels = wrong
    with pytest.raises(DeclarationError):
        shop.tick()
    shop.reader.channels = lambda: {"inbox": shop.inbox}
    shop.tick()
    assert shop.told() == ["check.failed"]


def test_the_sensor_of_a_project_skips_and_says_what_it_did(tmp_path, monkeypatch, instances):
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path))
    monkeypatch.setenv("ML_PLATFORM_CHANNELS", str(tmp_path / "none.yaml"))
    sensor = alerts_sensor("shop", [Rule(name="r", channels=["inbox"])])
    defs = dg.Definitions(assets=[sales], sensors=[sensor])
    with instances() as instance:
        said = []
        for _ in range(2):
            context = dg.build_sensor_context(
                instance=instance, repository_def=defs.get_repository_def()
            )
            said.append(sensor(context).skip_message)
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(asset_key=KEY, check_name="c", passed=False, metadata={})
            )
    assert "Listens from now on" in said[0]
    assert "1 events, 1 messages at once" in said[1]
    [file] = Path(tmp_path / "alerts" / "inbox").glob("*.json")
    assert json.loads(file.read_text())["event_type"] == "check.failed"
