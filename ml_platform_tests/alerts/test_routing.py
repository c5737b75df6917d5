"""From events to deliveries: what a project's rules make of them, in an outbox on disk."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ml_platform.alerts.compose import Place
from ml_platform.alerts.event import Event
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.routing import Desk, acknowledge, elsewhere, ingest, remind
from ml_platform.alerts.rules import Rule
from ml_platform.kernel.errors import NotFoundError

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Office:
    """A project with its rules, an outbox, and a clock that is moved by hand."""

    def __init__(self, url):
        self.now = NOON
        self.outbox = Outbox(url, lambda: self.now)
        self.number = 0

    def rules(self, *rules):
        made = [Rule(**{"name": "r", "channels": ["inbox"], **one}) for one in rules]
        self.desk = Desk("shop", made, Place(), lambda key: f"https://ack/{key}")
        return self

    def happens(self, *kinds, subject="raw/sales schema", **words):
        """Let such events happen now, one after the other; what became of them."""
        events = []
        for kind in kinds:
            self.number += 1
            made = Event(
                id=f"e{self.number}", type=kind, at=self.now, project="shop",
                subject=f"s {subject}", what=subject, asset_key="raw/sales", order=self.number,
            )  # fmt: skip
            events.append(replace(made, **words))
        with self.outbox.book() as book:
            return ingest(book, self.desk, events)

    def told(self, status="pending"):
        """What is there, as words: the channel and the kind of event."""
        with self.outbox.book() as book:
            found = reversed(book.with_status(status, 100_000))
        return [f"{one.channel} {one.message.event_type}" for one in found]

    def messages(self, status="pending"):
        with self.outbox.book() as book:
            return [one.message for one in reversed(book.with_status(status, 1000))]

    def reminds(self):
        with self.outbox.book() as book:
            return remind(book, self.desk)


@pytest.fixture
def office(tmp_path):
    return Office(f"sqlite:///{tmp_path}/alerts.db").rules({})


def test_a_failure_and_its_end_are_one_incident_on_each_channel(office):
    office.rules({"channels": ["inbox", "chat"]})
    office.happens("check.failed", "check.recovered")
    assert office.told() == [
        "inbox check.failed", "chat check.failed", "inbox check.recovered", "chat check.recovered",
    ]  # fmt: skip
    assert len({one.dedup_key for one in office.messages()}) == 1
    first, *_ = office.messages()
    assert first.ack_url == f"https://ack/{first.dedup_key}"


def test_after_its_end_another_incident_begins(office):
    office.happens("check.failed", "check.recovered", "check.failed")
    keys = [one.dedup_key for one in office.messages()]
    assert keys[0] == keys[1] != keys[2]


def test_an_event_that_is_read_again_is_told_once(office):
    office.happens("check.failed")
    office.number = 0
    tally = office.happens("check.failed")
    assert (tally.events, tally.told) == (0, 0)
    assert len(office.told()) == 1


def test_each_rule_tells_by_itself(office):
    office.rules({}, {"name": "bad", "min_severity": "critical"}, {"name": "two", "events": ["*"]})
    office.happens("check.failed", "check.warned")
    assert sorted(office.told()) == [
        "inbox check.failed", "inbox check.failed", "inbox check.warned",
    ]  # fmt: skip


def test_an_end_of_what_was_never_told_is_not_told(office):
    office.rules({"consecutive_failure_threshold": 3})
    office.happens("check.failed", "check.failed", "check.recovered")
    assert office.told() == []
    office.happens("check.failed", "check.failed", "check.failed", "check.recovered")
    assert office.told() == ["inbox check.failed", "inbox check.recovered"]


def test_an_incident_ends_quietly_where_ends_are_not_asked_for(office):
    office.rules({"events": ["check.failed"]})
    office.happens("check.failed", "check.recovered", "check.failed")
    assert office.told() == ["inbox check.failed", "inbox check.failed"]
    assert len({one.dedup_key for one in office.messages()}) == 2


def test_events_of_another_project_are_told_where_a_rule_asks_for_them(office):
    office.rules({"projects": ["other"]})
    office.happens("check.failed", project="other")
    office.happens("check.failed", project="third")
    [message] = office.messages()
    assert message.project == "other"


def test_two_projects_may_tell_of_the_same_event(office):
    office.happens("check.failed")
    office.number = 0
    office.desk = replace(office.desk, project="watch", rules=[
        Rule(name="r", channels=["inbox"], projects=["shop"])
    ])  # fmt: skip
    office.happens("check.failed")
    assert len(office.told()) == 2


def test_a_flood_is_held_to_become_one_message(office):
    office.rules({"flood_over": 20})
    tally = office.happens(*["run.failed"] * 1000)
    assert (tally.told, tally.held) == (0, 1000)
    with office.outbox.book() as book:
        due = {one.due_at for one in book.with_status("held", 1000)}
    assert due == {NOON + timedelta(seconds=30)}


def test_what_follows_a_flood_joins_it(office):
    office.rules({"flood_over": 20})
    office.happens(*["run.failed"] * 30)
    office.now += timedelta(seconds=10)
    office.happens(*["run.failed"] * 30)
    with office.outbox.book() as book:
        assert len({one.due_at for one in book.with_status("held", 100)}) == 1


def test_as_many_as_are_allowed_in_a_minute_are_told_one_by_one(office):
    office.rules({"flood_over": 5, "channels": ["inbox", "chat"]})
    for _ in range(5):
        office.happens("run.canceled", type="run.failed")
        office.now += timedelta(seconds=5)
    assert len(office.told()) == 10
    office.happens("run.failed")
    assert len(office.told("held")) == 2
    office.now += timedelta(minutes=2)
    office.happens("run.failed")
    assert len(office.told()) == 12


def test_a_flood_of_one_rule_holds_up_no_other(office):
    office.rules({"flood_over": 5}, {"name": "calm", "events": ["tick.failed"]})
    office.happens(*["run.failed"] * 10, "tick.failed")
    assert office.told() == ["inbox tick.failed"]


def test_maintenance_is_written_down_and_told_to_nobody(office):
    window = {"start": "2026-03-02T11:00", "end": "2026-03-02T13:00"}
    office.rules({"maintenance": [window]})
    assert office.happens("check.failed").muted == 1
    assert office.told("muted") == ["inbox check.failed"]


def test_a_condition_that_cannot_be_asked_is_named_and_stops_nothing(office):
    office.rules({"condition": "facts.rows > 3"}, {"name": "other"})
    tally = office.happens("check.failed")
    assert "rule shop/r" in tally.wrong[0]
    assert tally.told == 1


def test_a_wrong_template_sends_the_plain_message_and_tells_the_owner_once(office):
    office.rules({"body": "{{ observed + elapsed_s }}", "owner": "ada@shop.ch"})
    office.happens("check.failed", "check.failed")
    assert office.told() == [
        "inbox check.failed", "inbox template.failed", "inbox check.failed",
    ]  # fmt: skip
    notice = office.messages()[1]
    assert notice.owner == "ada@shop.ch"
    assert "{{ observed + elapsed_s }}" in notice.summary


def test_what_lasts_is_told_again_and_goes_up_the_ladder(office):
    office.rules({"renotify_after_min": 30, "escalate": [{"after_min": 45, "channels": ["lead"]}]})
    office.happens("check.failed")
    office.now += timedelta(minutes=29)
    assert office.reminds() == 0
    office.now += timedelta(minutes=1)
    assert office.reminds() == 1
    assert office.reminds() == 0
    office.now += timedelta(minutes=15)
    assert office.reminds() == 1
    assert office.told() == ["inbox check.failed"] * 2 + ["lead check.failed"]
    again, last = office.messages()[1:]
    assert again.summary.startswith("Still so, 30 minutes after it began.")
    assert last.summary.startswith("Nobody has acknowledged, 45 minutes after it began.")
    assert len({one.dedup_key for one in office.messages()}) == 1


def test_an_end_stops_the_reminders(office):
    office.rules({"renotify_after_min": 30})
    office.happens("check.failed", "check.recovered")
    office.now += timedelta(hours=5)
    assert office.reminds() == 0


def test_reminders_of_a_rule_that_is_no_more_stop(office):
    office.rules({"renotify_after_min": 30})
    office.happens("check.failed")
    office.rules()
    office.now += timedelta(hours=5)
    assert office.reminds() == 0
    office.rules({"renotify_after_min": 30})
    assert office.reminds() == 0


def test_who_acknowledges_is_told_to_every_channel_and_reminders_stop(office):
    office.rules({"renotify_after_min": 30, "channels": ["inbox", "chat"]})
    office.happens("check.failed")
    key = office.messages()[0].dedup_key
    with office.outbox.book() as book:
        incident, is_new = acknowledge(book, key, "Ada")
        assert is_new
        assert incident.acknowledged_by == "Ada"
        assert acknowledge(book, key, "Bob") == (incident, False)
    assert office.told()[2:] == ["chat incident.acknowledged", "inbox incident.acknowledged"]
    assert office.messages()[2].dedup_key == key
    assert "Ada" in office.messages()[2].title
    office.now += timedelta(hours=5)
    assert office.reminds() == 0
    with office.outbox.book() as book:
        [(shown, last)] = book.take_unshown("shop")
        assert (shown.acknowledged_by, last.asset_key) == ("Ada", "raw/sales")
        assert book.take_unshown("shop") == []


def test_an_incident_that_nobody_knows_cannot_be_acknowledged(office):
    with office.outbox.book() as book, pytest.raises(NotFoundError, match="k9"):
        acknowledge(book, "k9", "Ada")


@pytest.mark.parametrize(
    ("fallback", "closed", "where"),
    [
        ([], {}, ["chat", "inbox"]),
        (["inbox", "mail"], {}, ["inbox"]),
        ([], {"chat": "x"}, ["inbox"]),
        (["mail"], {}, []),
    ],
)
def test_that_a_channel_failed_is_told_elsewhere(fallback, closed, where):
    rule = Rule(name="r", channels=["mail"], fallback=fallback)
    assert elsewhere(rule, "mail", ["chat", "inbox", "mail"], closed) == where


def test_without_its_rule_it_is_told_everywhere_else():
    assert elsewhere(None, "mail", ["chat", "mail"], {}) == ["chat"]
