"""What a project has used: its own runs of the day, the CPU time and the messages of its rules."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from ml_platform.alerts import quota_sensor
from ml_platform.alerts.message import Message, Severity
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.quota_sensor import cpu_hours, runs_since

NOW = datetime.now(tz=UTC)
DAY = NOW - timedelta(hours=1)


@pytest.fixture
def instance(instances):
    with instances() as made:
        yield made


@pytest.mark.parametrize("page", [2, 500])
def test_the_runs_of_the_project_since_then_are_counted(instance, monkeypatch, page):
    monkeypatch.setattr(quota_sensor, "_PAGE", page)
    job = dg.GraphDefinition("nightly").to_job()
    for project in ["shop"] * 5 + ["other"] * 3:
        instance.create_run_for_job(job, tags={"ml_platform/project": project})
    assert runs_since(instance, "shop", DAY) == 5
    assert runs_since(instance, "shop", NOW + timedelta(hours=1)) == 0


def test_the_cpu_time_is_that_which_the_projects_tables_told(instance):
    for project, seconds in (("shop", 5400.0), ("shop", 1800.0), ("other", 999.0)):
        uri = f"/tables/{project}/raw/a/table.parquet"
        metadata = {"cpu_seconds": seconds, "dagster/uri": uri}
        event = dg.AssetMaterialization(dg.AssetKey(["raw", "a"]), metadata=metadata)
        instance.report_runless_asset_event(event)
    assert cpu_hours(instance, "shop", DAY) == 2.0
    assert cpu_hours(instance, "shop", NOW + timedelta(hours=1)) == 0.0


def test_messages_that_wait_or_are_dead_are_undelivered_and_those_on_their_way_are_not(tmp_path):
    now = [NOW]
    outbox = Outbox(f"sqlite:///{tmp_path}/alerts.db", lambda: now[0])
    with outbox.book() as book:
        for number, status in enumerate(["pending", "dead", "sent", "held", "muted"]):
            message = Message(
                event_id=f"e{number}", event_type="message", severity=Severity.info, title="m"
            )
            book.deliver(message, "shop/rule", "inbox", status=status)
            book.deliver(message, "shop2/rule", "inbox", status=status)
    with outbox.book() as book:
        assert book.undelivered("shop") == 1
    now[0] += timedelta(minutes=2)
    with outbox.book() as book:
        assert book.undelivered("shop") == 2
