"""Sending what is due: retries, dead letters, closed and slow channels, digests."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from ml_platform.alerts.channels.channel import (
    ClosedError,
    NotDeliveredError,
    Receipt,
    RefusedError,
)
from ml_platform.alerts.compose import Place
from ml_platform.alerts.delivery import deliver
from ml_platform.alerts.message import Message, Severity
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.timing import ATTEMPTS_AFTER_S
from ml_platform.kernel.errors import SettingsError

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Recorder:
    """A channel that remembers what it was given, and fails as it is told to."""

    type = "folder"

    def __init__(self, *troubles, name="inbox"):
        self.name, self.troubles = name, list(troubles)
        self.got, self.keys, self.threads = [], [], []

    def rendered(self, message):
        return message.title

    def send(self, message, *, key, thread=""):
        if self.troubles:
            raise self.troubles.pop(0)
        self.got.append(message)
        self.keys.append(key)
        self.threads.append(thread)
        return Receipt(id=f"id{len(self.got)}", thread=thread or f"t{len(self.got)}")


class Post:
    """An outbox whose clock is moved by hand, and its channels."""

    def __init__(self, url):
        self.now = NOON
        self.outbox = Outbox(url, lambda: self.now)
        self.channels = {}

    def with_channels(self, *channels):
        self.channels = {one.name: one for one in channels}
        return self

    def put(self, event_id="e1", dedup_key="", channel="inbox", rule="shop/r", **how):
        message = Message(
            event_id=event_id,
            event_type="check.failed",
            severity=Severity.error,
            title=f"title {event_id}",
            dedup_key=dedup_key or f"k{event_id}",
        )
        with self.outbox.book() as book:
            book.deliver(message, rule, channel, **how)

    def go(self, budget_s=20.0):
        return deliver(self.outbox, self.channels, Place(), budget_s)

    def counted(self):
        with self.outbox.book() as book:
            return book.counted()


@pytest.fixture
def post(tmp_path):
    return Post(f"sqlite:///{tmp_path}/alerts.db")


def not_now(seconds=None):
    error = NotDeliveredError("channel inbox", "503")
    error.retry_after_s = seconds
    return error


def test_what_is_due_is_sent_once_with_its_own_key(post):
    inbox = Recorder()
    post.with_channels(inbox)
    for number in range(50):
        post.put(f"e{number}")
    assert post.go().sent == 50
    assert post.go().sent == 0
    assert len(set(inbox.keys)) == 50


def test_an_incident_stays_in_one_thread_and_in_order(post):
    inbox = Recorder()
    post.with_channels(inbox)
    for number in range(3):
        post.put(f"e{number}", "k")
    post.go()
    assert [one.event_id for one in inbox.got] == ["e0", "e1", "e2"]
    assert inbox.threads == ["", "t1", "t1"]


def test_what_does_not_get_through_is_tried_again_by_the_schedule_with_the_same_key(post):
    inbox = Recorder(*[not_now() for _ in range(9)])
    post.with_channels(inbox).put()
    for wait in ATTEMPTS_AFTER_S[1:]:
        assert post.go().put_off == 1
        with post.outbox.book() as book:
            due = book.delivery(1).due_at
        assert (due - post.now).total_seconds() == pytest.approx(wait, rel=0.11)
        post.now = due + timedelta(seconds=1)  # a channel that failed is left alone for five
    assert post.go().sent == 1
    assert len(inbox.keys) == 1


@pytest.mark.parametrize(
    ("wish", "early", "late"),
    [(None, 4.4, 5.6), (60.0, 59.0, 61.0)],
    ids=["five seconds, more or less", "as long as the receiver asks"],
)
def test_the_first_wait_is(post, wish, early, late):
    inbox = Recorder(not_now(wish))
    post.with_channels(inbox).put()
    assert post.go().put_off == 1
    post.now = NOON + timedelta(seconds=early)
    assert post.go().sent == 0
    post.now = NOON + timedelta(seconds=late)
    assert post.go().sent == 1


def test_a_channel_that_fails_is_left_alone_for_a_moment(post):
    inbox = Recorder(*[not_now() for _ in range(100)])
    post.with_channels(inbox)
    for number in range(100):
        post.put(f"e{number}")
    assert post.go().put_off == 1


def test_a_secret_that_is_not_set_is_waited_for(post):
    inbox = Recorder(SettingsError("channel inbox", "X is not set"))
    post.with_channels(inbox).put()
    assert post.go().put_off == 1
    post.now += timedelta(seconds=10)
    assert post.go().sent == 1


def test_after_ten_attempts_it_is_a_dead_letter_that_is_told_elsewhere_once(post):
    inbox = Recorder(*[not_now() for _ in range(20)])
    chat = Recorder(name="chat")
    post.with_channels(inbox, chat).put()
    for _ in ATTEMPTS_AFTER_S:
        post.go()
        post.now += timedelta(days=2)
    assert len(inbox.troubles) == 20 - len(ATTEMPTS_AFTER_S)
    post.go()
    post.now += timedelta(days=2)
    post.go()
    [told] = chat.got
    assert told.event_type == "delivery.dead"
    assert "title e1" in told.title
    assert "after 10 attempts" in told.summary
    assert "alerts resend 1" in told.summary


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (RefusedError("channel inbox", "too large"), "too large"),
        (KeyError("our mistake"), "KeyError"),
    ],
    ids=["refused", "a mistake in the channel's code"],
)
def test_what_will_never_be_taken_is_dead_at_once_and_the_next_is_sent(post, trouble, said):
    inbox, chat = Recorder(trouble), Recorder(name="chat")
    post.with_channels(inbox, chat)
    post.put("e1")
    post.put("e2")
    done = post.go()
    assert (done.dead, done.sent) == (1, 1)
    post.now += timedelta(seconds=10)
    post.go()
    assert said in chat.got[0].summary


def test_a_dead_letter_about_a_dead_letter_is_not_written(post):
    inbox = Recorder(RefusedError("channel inbox", "no"))
    chat = Recorder(RefusedError("channel chat", "no"), name="chat")
    post.with_channels(inbox, chat).put()
    for _ in range(5):
        post.go()
        post.now += timedelta(minutes=1)
    assert post.counted() == {"dead": 2}


def test_a_channel_that_is_not_declared_is_told_elsewhere(post):
    chat = Recorder(name="chat")
    post.with_channels(chat).put(channel="gone")
    post.go()
    post.now += timedelta(seconds=10)
    post.go()
    assert "there is no channel gone, but chat" in chat.got[0].summary


def test_where_a_rule_names_a_fallback_only_that_is_told(post):
    with post.outbox.book() as book:
        book.keep_rules("shop", [Rule(name="r", channels=["inbox"], fallback=["mail"])])
    inbox = Recorder(RefusedError("channel inbox", "no"))
    mail, chat = Recorder(name="mail"), Recorder(name="chat")
    post.with_channels(inbox, mail, chat).put()
    post.go()
    post.now += timedelta(seconds=10)
    post.go()
    assert (len(mail.got), len(chat.got)) == (1, 0)


def test_a_closed_channel_gets_nothing_until_it_is_opened_and_loses_nothing(post):
    inbox, chat = Recorder(ClosedError("channel inbox", "archived")), Recorder(name="chat")
    post.with_channels(inbox, chat)
    for number in range(5):
        post.put(f"e{number}")
    post.go()
    post.now += timedelta(days=3)
    post.go()
    assert inbox.got == []
    assert [one.event_type for one in chat.got] == ["channel.closed"]
    assert "alerts open inbox" in chat.got[0].summary
    with post.outbox.book() as book:
        book.open("inbox")
    post.go()
    assert len(inbox.got) == 5


def test_a_slow_channel_holds_up_no_other_and_no_tick(post):
    class Slow(Recorder):
        def send(self, message, *, key, thread=""):
            reached.set()
            let_go.wait(60)
            return super().send(message, key=key, thread=thread)

    reached, let_go = threading.Event(), threading.Event()
    slow, quick = Slow(name="slow"), Recorder(name="quick")
    post.with_channels(slow, quick)
    for number in range(10):
        post.put(f"q{number}", channel="quick")
        post.put(f"s{number}", channel="slow")
    try:
        assert post.go(budget_s=1.0).sent == 10
        assert reached.is_set()
        # The next tick does not start a second thread for the one that hangs.
        post.put("later", channel="quick")
        before = threading.active_count()
        assert post.go(budget_s=1.0).sent == 1
        assert threading.active_count() == before
    finally:
        let_go.set()
    until = datetime.now(UTC) + timedelta(seconds=60)
    while post.counted()["sent"] < 12 and datetime.now(UTC) < until:
        threading.Event().wait(0.05)
    assert len(slow.got) == 1  # it ended its message and wrote the receipt; its budget was over
    assert post.go().sent == 9


def hold(post, count, *, rule="shop/r", due_at=NOON):
    for number in range(count):
        post.put(f"{rule}{number}", rule=rule, status="held", due_at=due_at)


def test_what_was_held_becomes_one_message_when_it_is_due(post):
    inbox = Recorder()
    post.with_channels(inbox)
    hold(post, 10_000, due_at=NOON + timedelta(seconds=30))
    assert post.go().sent == 0
    post.now += timedelta(seconds=30)
    assert post.go().sent == 1
    [digest] = inbox.got
    assert "10000 messages" in digest.title
    assert post.counted() == {"gathered": 10_000, "sent": 1}
    assert post.go().sent == 0


def test_each_rule_has_its_own_digest_and_one_message_alone_is_itself(post):
    inbox = Recorder()
    post.with_channels(inbox)
    hold(post, 3, rule="shop/a")
    hold(post, 1, rule="shop/b")
    post.go()
    assert sorted(one.title for one in inbox.got) == [
        "[/local] 3 messages of rule shop/a",
        "title shop/b0",
    ]
