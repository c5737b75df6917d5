"""The outbox on SQLite and on a real PostgreSQL: nothing twice, in order, and nobody's for ever."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from ml_platform.alerts.event import Event
from ml_platform.alerts.incidents import Incident, Standing, State
from ml_platform.alerts.message import Message, Severity
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.settings import AlertSettings
from ml_platform.alerts.tables import opened
from ml_platform.kernel.errors import SettingsError, StorageFullError, UnavailableError

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now

    def move(self, **by):
        self.now += timedelta(**by)


def message(event_id="e1", dedup_key="k1", **words):
    return Message(
        event_id=event_id,
        event_type="check.failed",
        severity=Severity.error,
        title=f"title {event_id}",
        dedup_key=dedup_key,
        **words,
    )


def event(number=1, **words):
    return Event(
        **{
            "id": f"e{number}",
            "type": "check.failed",
            "at": NOON,
            "project": "shop",
            "subject": "s",
            "what": "w",
            **words,
        }
    )


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path}/home/alerts.db"
    else:
        given = {"ML_PLATFORM_ALERTS_URL": request.getfixturevalue("postgres_url")}
        made = AlertSettings.from_environment(given).url
    yield made
    opened(made).dispose()
    opened.cache_clear()


@pytest.fixture
def outbox(url, clock):
    return Outbox(url, clock, lease_s=60)


def test_an_event_is_written_once_and_read_as_it_was(outbox):
    with outbox.book() as book:
        assert book.record(event())
        assert not book.record(event(what="another"))
        assert book.event("e1") == event()
        assert book.event("e2") is None


def test_letters_that_databases_refuse_do_not_stop_anything(outbox):
    odd = event(what="a\0b\ud800c판매😀", facts={"x": "\ud800\0"})
    with outbox.book() as book:
        assert book.record(odd)
        assert book.event("e1") == odd
        book.deliver(message("odd\ud800"), "shop/r", "inbox")
        one = book.claim("inbox")
        book.put_off(one, "the receiver said \ud800\0", NOON)


def test_a_message_is_put_before_a_channel_once(outbox):
    with outbox.book() as book:
        assert book.deliver(message(), "shop/r", "inbox")
        assert not book.deliver(message(), "shop/r", "inbox")
        assert book.deliver(message(), "shop/r", "chat")
        assert book.deliver(message(), "shop/other", "inbox")
        assert book.counted() == {"pending": 3}


def test_the_key_of_a_message_is_the_same_in_every_outbox(outbox, tmp_path):
    keys = []
    for box in (outbox, Outbox(f"sqlite:///{tmp_path}/another.db")):
        with box.book() as book:
            book.deliver(message(), "shop/r", "inbox")
            keys.append(book.claim("inbox").key)
    assert keys[0] == keys[1]


def test_what_a_transaction_did_not_finish_is_not_there(outbox):
    def half():
        with outbox.book() as book:
            book.record(event())
            book.deliver(message(), "shop/r", "inbox")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    with outbox.book() as book:
        assert book.event("e1") is None
        assert book.counted() == {}


def claimed(outbox, channel="inbox"):
    with outbox.book() as book:
        return book.claim(channel)


def test_what_is_claimed_is_nobody_elses_until_its_lease_is_over(outbox, clock):
    with outbox.book() as book:
        book.deliver(message(), "shop/r", "inbox")
    first = claimed(outbox)
    assert claimed(outbox) is None
    clock.move(seconds=61)
    assert claimed(outbox).id == first.id


def test_what_a_killed_process_held_comes_back_at_once(outbox):
    with outbox.book() as book:
        book.deliver(message(), "shop/r", "inbox")
        book.deliver(message("e2", "k2"), "shop/r", "inbox")
    program = (
        "import sys; from ml_platform.alerts.outbox import Outbox\n"
        "from datetime import datetime\n"
        "box = Outbox(sys.argv[1], lambda: datetime.fromisoformat(sys.argv[2]))\n"
        "with box.book() as book: print(book.claim('inbox').id)"
    )
    command = [sys.executable, "-c", program, outbox.url, NOON.isoformat()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    mine = claimed(outbox)
    assert claimed(outbox) is None
    with outbox.book() as book:
        assert book.free_what_the_dead_held() == 1
    again = claimed(outbox)
    assert again.id == int(done.stdout) != mine.id


def test_a_living_process_keeps_what_it_holds(outbox):
    with outbox.book() as book:
        book.deliver(message(), "shop/r", "inbox")
        assert book.claim("inbox")
        assert book.free_what_the_dead_held() == 0


def test_within_an_incident_the_first_goes_first_whatever_waits(outbox, clock):
    with outbox.book() as book:
        book.deliver(message("e1"), "shop/r", "inbox")
        book.deliver(message("e2"), "shop/r", "inbox")
        book.deliver(message("e3", "k2"), "shop/r", "inbox")
        first = book.claim("inbox")
        book.put_off(first, "not now", clock.now + timedelta(minutes=5))
        other = book.claim("inbox")
        assert other.message.event_id == "e3"
        book.sent(other, "", "", "")
        assert book.claim("inbox") is None
    clock.move(minutes=6)
    with outbox.book() as book:
        first = book.claim("inbox")
        assert first.message.event_id == "e1"
        assert first.attempts == 1
        book.sent(first, "id1", "thread1", "")
        second = book.claim("inbox")
        assert (second.message.event_id, second.thread) == ("e2", "thread1")


def test_what_was_given_up_holds_up_nothing_and_can_be_sent_again(outbox):
    with outbox.book() as book:
        book.deliver(message("e1"), "shop/r", "inbox")
        book.deliver(message("e2"), "shop/r", "inbox")
        first = book.claim("inbox")
        book.given_up(first, "never")
        assert book.claim("inbox").message.event_id == "e2"
        assert [one.error for one in book.with_status("dead")] == ["never"]
        assert book.release(first.id)
        again = book.delivery(first.id)
        assert (again.status, again.attempts) == ("pending", 0)


def test_what_is_sent_is_not_sent_again_by_asking(outbox):
    with outbox.book() as book:
        book.deliver(message(), "shop/r", "inbox")
        one = book.claim("inbox")
        book.sent(one, "", "", "")
        assert not book.release(one.id)
        assert not book.release(999)


def test_a_late_word_about_what_was_sent_changes_nothing(outbox):
    # Two processes may have held it, when the first took longer than its lease.
    with outbox.book() as book:
        book.deliver(message(), "shop/r", "inbox")
        one = book.claim("inbox")
        book.sent(one, "", "", "")
        book.put_off(one, "late", NOON)
        book.given_up(one, "later still")
        assert book.counted() == {"sent": 1}


def test_each_attempt_leaves_a_receipt(outbox):
    with outbox.book() as book:
        book.deliver(message(), "shop/r", "inbox")
        one = book.claim("inbox")
        book.put_off(one, "503", NOON)
        book.sent(book.claim("inbox"), "id9", "", "")
    with opened(outbox.url).begin() as connection:
        rows = connection.execute(sa.text("SELECT outcome, said FROM alert_attempts ORDER BY id"))
        assert [tuple(row) for row in rows] == [("put off", "503"), ("sent", "id9")]


def test_a_bucket_lets_so_many_through_at_once_and_fills_again(outbox, clock):
    def allowed():
        with outbox.book() as book:
            return sum(book.may_send("chat", per_s=2, burst=3) for _ in range(10))

    assert allowed() == 3
    clock.move(seconds=1)
    assert allowed() == 2
    clock.move(hours=1)
    assert allowed() == 3


def test_a_closed_channel_waits_for_a_person_and_a_paused_one_for_a_while(outbox, clock):
    with outbox.book() as book:
        book.may_send("chat", 10, 10)
        assert book.close("chat", "it is archived")
        assert not book.close("chat", "again")
        assert not book.may_send("chat", 10, 10)
        assert book.closed() == {"chat": "it is archived"}
        assert book.open("chat")
        assert not book.open("chat")
        assert book.may_send("chat", 10, 10)
        book.pause("chat", clock.now + timedelta(seconds=5))
        assert not book.may_send("chat", 10, 10)
    clock.move(seconds=6)
    with outbox.book() as book:
        assert book.may_send("chat", 10, 10)


def test_standings_and_incidents_are_read_as_they_were_written(outbox):
    standing = Standing(7, NOON, 3, NOON, "x")
    incident = Incident(
        "shop/r", "s", "k1", State.acknowledged, NOON, NOON, "e1", 1, 2, 3, NOON, "Ada", None
    )
    with outbox.book() as book:
        assert book.standing("shop", "s") == Standing()
        book.keep_standing("shop", "s", standing)
        book.keep_standing("shop", "s", replace(standing, failures=4))
        assert book.standing("shop", "s") == replace(standing, failures=4)
        assert book.standing("other", "s") == Standing()
        book.keep_incident(incident, None)
        assert book.incident("shop/r", "s") == book.incident_of("k1") == incident


def test_subjects_that_are_bad_are_found_by_their_first_word(outbox):
    with outbox.book() as book:
        book.keep_standing("shop", "declaration raw/a", Standing(bad_since=NOON))
        book.keep_standing("shop", "declaration raw/b", Standing())
        book.keep_standing("shop", "check raw/a", Standing(bad_since=NOON))
        assert book.bad_subjects("shop", "declaration ") == ["declaration raw/a"]


def test_only_incidents_of_which_something_is_due_are_looked_at(outbox, clock):
    made = Incident("shop/r", "s", "k", State.firing, NOON, NOON)
    with outbox.book() as book:
        book.keep_incident(made, NOON)
        book.keep_incident(replace(made, subject="later"), NOON + timedelta(minutes=1))
        book.keep_incident(replace(made, subject="never"), None)
        book.keep_incident(replace(made, rule="shopping/r"), NOON)
        assert [one.subject for one in book.incidents_to_look_at("shop")] == ["s"]
    clock.move(minutes=1)
    with outbox.book() as book:
        assert len(book.incidents_to_look_at("shop")) == 2


def test_what_a_step_told_is_taken_once_and_only_by_its_project(outbox):
    with outbox.book() as book:
        assert book.tell("key", event())
        assert not book.tell("key", event(2))
        assert book.take_told("other", 10) == []
        assert book.take_told("shop", 10) == [event()]
        assert book.take_told("shop", 10) == []
        assert not book.tell("key", event())


def test_signs_of_life_say_since_when_a_project_ticks_without_a_pause(outbox, clock):
    def beat():
        with outbox.book() as book:
            return book.beat("shop", 60)["shop"]

    assert beat() == (NOON, NOON)
    clock.move(seconds=30)
    assert beat() == (NOON, clock.now)
    clock.move(seconds=61)
    assert beat() == (clock.now, clock.now)


def test_the_rules_of_a_project_replace_those_before(outbox):
    one, two = (Rule(name=name, channels=["inbox"]) for name in ("one", "two"))
    with outbox.book() as book:
        book.keep_rules("shop", [one])
        book.keep_rules("other", [one])
        book.keep_rules("shop", [two])
        assert book.rules() == {"other/one": one, "shop/two": two}


def test_what_is_over_is_forgotten_and_what_waits_is_not(outbox, clock):
    with outbox.book() as book:
        book.record(event())
        for number in (1, 2):
            book.deliver(message(f"e{number}", f"k{number}"), "shop/r", "inbox")
        book.sent(book.claim("inbox"), "", "", "")
        book.keep_incident(Incident("shop/r", "s", "k1", State.resolved, NOON, NOON), None)
        book.keep_standing("shop", "run 1", Standing(bad_since=NOON))
        book.keep_standing("shop", "check a", Standing(bad_since=NOON))
    clock.move(days=91)
    with outbox.book() as book:
        book.prune(clock.now - timedelta(days=90))
        assert book.counted() == {"pending": 1}
        assert book.event("e1") is None
        assert book.incident_of("k1") is None
        assert book.standing("shop", "run 1") == Standing()
        assert book.standing("shop", "check a").bad_since == NOON


def test_many_processes_share_one_new_outbox_and_no_delivery_goes_twice(url):
    count, processes = 200, 6
    program = (
        "import json, sys; from ml_platform.alerts.outbox import Outbox\n"
        "from ml_platform.alerts.message import Message, Severity\n"
        "def message(n):\n"
        "    return Message(event_id=str(n), event_type='message', severity=Severity.info,\n"
        "                   title='t', dedup_key=f'k{n % 50}')\n"
        "box, mine = Outbox(sys.argv[1]), []\n"
        f"for n in range({count}):\n"
        "    with box.book() as book: book.deliver(message(n), 'shop/r', 'inbox')\n"
        "while True:\n"
        "    with box.book() as book: one = book.claim('inbox')\n"
        "    if one is None: break\n"
        "    with box.book() as book: book.sent(one, '', '', '')\n"
        "    mine.append(one.message.event_id)\n"
        "print(json.dumps(mine))"
    )
    command = [sys.executable, "-c", program, url]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(processes)
    ]
    outputs = [one.communicate() for one in started]
    assert [one.returncode for one in started] == [0] * processes, outputs[0][1].decode()
    sent = [event_id for out, _ in outputs for event_id in json.loads(out)]
    assert len(sent) == len(set(sent))
    with Outbox(url).book() as book:
        # One that another process held at the end leaves what is behind it in its incident.
        while one := book.claim("inbox"):
            book.sent(one, "", "", "")
        assert book.counted() == {"sent": count}


def test_figures_count_messages_and_incidents(outbox):
    def incident(key, state, acknowledged_at=None):
        return Incident("shop/r", key, key, state, NOON, NOON, acknowledged_at=acknowledged_at)

    with outbox.book() as book:
        for number, key in enumerate(["a", "a", "b", "c"]):
            book.deliver(message(f"e{number}", key), "shop/r", "inbox")
        book.deliver(message("e9", "a"), "shop/r", "inbox", status="muted")
        book.keep_incident(incident("a", State.firing), None)
        book.keep_incident(incident("b", State.acknowledged, NOON), None)
        book.keep_incident(incident("c", State.resolved), None)
        book.given_up(book.claim("inbox"), "no")
        [row] = book.figures(NOON - timedelta(days=1))
    assert row == {
        "rule": "shop/r", "channel": "inbox", "told": 4, "dead": 1, "incidents": 3,
        "acknowledged": 1, "ignored": 1, "by_themselves": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("nonsense", SettingsError),
        ("nosuch://host/db", SettingsError),
        ("postgresql+psycopg://platform:geheim@127.0.0.1:1/db", UnavailableError),
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(address, error):
    with pytest.raises(error) as caught, Outbox(address).book():
        pass
    assert "geheim" not in str(caught.value)


def test_a_database_that_fails_in_the_middle_is_told_as_what_it_is(tmp_path, clock):
    box = Outbox(f"sqlite:///{tmp_path}/alerts.db", clock)
    with box.book() as book:
        book.record(event())
    opened(box.url).dispose()
    with opened(box.url).begin() as connection:
        connection.execute(sa.text("PRAGMA max_page_count = 1"))  # as small as it is now
        pages = connection.execute(sa.text("PRAGMA max_page_count")).scalar()
    assert pages > 1

    def fill():
        with box.book() as book:
            for number in range(2, 500):
                book.record(event(number, summary="x" * 4000))

    with pytest.raises(StorageFullError):
        fill()
    with box.book() as book:
        assert book.event("e1") == event()
        assert book.event("e2") is None


def test_tables_of_another_version_are_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path}/alerts.db"
    with opened(url).begin() as connection:
        connection.execute(sa.text("UPDATE alert_cursors SET value = '99' WHERE project = ''"))
    opened.cache_clear()
    with pytest.raises(SettingsError, match="version 99"):
        opened(url)
