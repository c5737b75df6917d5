"""Rounds of looking, over a made-up world and hours that pass at once."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ml_platform.kernel.errors import UnavailableError
from ml_platform.scenarios.trigger_words import Trigger
from ml_platform.scenarios.triggers import LONGEST_ACCOUNT, MOST_RUNS, Cursor, account_of, go_round
from ml_platform.scenarios.watch.look import Look

START = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """What a scenario sees, and rounds at any hour; the cursor goes through its text each time."""

    def __init__(self, *triggers):
        self.triggers = [Trigger(**one) for one in triggers]
        self.now, self.text, self.seen = START, None, {}
        self.is_running, self.looks, self.starts, self.rows = False, [], [], []

    def watch(self, trigger, state):
        self.looks.append(trigger.name)
        seen = self.seen.get(trigger.name, "a")
        if seen == "broken":
            raise UnavailableError("folder", "it does not answer")
        return Look(tuple(seen), f"saw {seen}")

    def look(self, minutes=0.0):
        self.now += timedelta(minutes=minutes)
        now = self.now.timestamp()
        cursor = Cursor.read(self.text, now)
        done = go_round(self.triggers, cursor, now, self.watch, is_running=lambda: self.is_running)
        self.text = done.cursor.text()
        self.starts += done.starts
        self.rows += done.evaluations
        return done

    def decisions(self):
        return [str(row.decision) for row in self.rows]


def files(name="arrival", **words):
    return {"name": name, "files": {"paths": ["in"]}, "every": "10m", "grace": "2m", **words}


def test_it_looks_at_its_interval_and_again_when_the_wait_is_over():
    world = World(files())
    for _ in range(20):
        world.look(1)
    assert len(world.looks) == 2
    world.seen["arrival"] = "b"
    world.look(1)  # the interval is over
    world.look(1)
    assert len(world.looks) == 3
    world.look(1)
    assert [start.triggers for start in world.starts] == [("arrival",)]
    assert world.decisions() == ["first", "quiet", "waiting", "fired"]


def test_a_run_has_a_key_of_its_own_even_after_the_cursor_was_reset():
    world = World(files(grace="0s"))
    for seen in "abab":
        world.seen["arrival"] = seen
        world.look(10)
    world.text = None
    for seen in "ab":
        world.seen["arrival"] = seen
        world.look(10)
    keys = [start.run_key for start in world.starts]
    assert len(keys) == len(set(keys)) == 4
    assert [row.run_key for row in world.rows if row.run_key] == keys


def test_a_tick_that_is_done_again_asks_for_the_same_run():
    world = World(files(grace="0s"))
    world.look()
    world.seen["arrival"] = "b"
    before = world.text
    world.look(10)
    world.text = before  # the daemon was killed before it kept the cursor
    world.look(1)
    assert world.starts[0].run_key == world.starts[1].run_key


def test_triggers_that_fire_together_start_one_run():
    world = World(files("one", grace="0s"), files("two", grace="0s"))
    world.look()
    world.seen |= {"one": "b", "two": "b"}
    world.look(10)
    [start] = world.starts
    assert start.triggers == ("one", "two")
    assert start.run_key.endswith(":one-1+two-1")


def test_a_look_that_fails_is_told_and_the_other_trigger_goes_on():
    world = World(files("one", grace="0s"), files("two", grace="0s"))
    world.look()
    world.seen |= {"one": "broken", "two": "b"}
    world.look(10)
    assert [start.triggers for start in world.starts] == [("two",)]
    assert "it does not answer" in world.rows[-2].account
    assert world.decisions()[-2:] == ["failed", "fired"]


def test_a_trigger_that_is_off_is_not_looked_at():
    world = World(files(active=False))
    world.look()
    assert world.looks == []


def test_other_words_begin_anew_and_do_not_count_as_a_change():
    world = World(files(grace="0s"))
    world.look()
    world.seen["arrival"] = "b"
    world.look(10)
    world.triggers = [Trigger(**files(grace="0s") | {"files": {"paths": ["elsewhere"]}})]
    world.seen["arrival"] = "c"
    world.look(10)
    assert world.decisions() == ["first", "fired", "first"]
    world.seen["arrival"] = "d"
    world.look(10)
    assert world.starts[-1].run_key.endswith("-2")


def test_all_of_several_paths_have_to_change():
    world = World(files(grace="0s", files={"paths": ["x", "y"], "need": "all"}))
    for seen in ("aa", "ab", "cb", "cd", "ed"):
        world.seen["arrival"] = seen
        world.look(10)
    assert world.decisions() == ["first", "quiet", "fired", "quiet", "fired"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"began": 1, "memories": {"a": 1}}'])
def test_a_cursor_that_cannot_be_read_begins_anew(text):
    assert Cursor.read(text, 12.5) == Cursor(12500)


def test_the_cursor_stays_small():
    world = World(*(files(f"t{number}") for number in range(5)))
    world.look()
    world.seen |= {f"t{number}": "b" * 3 for number in range(5)}
    world.look(10)
    assert len(json.dumps(world.text)) < 2000


def hourly(**words):
    return {"name": "clock", "time": {"unit": "hours", **words}}


@pytest.mark.parametrize(
    ("missed", "expected"), [("one", ["05"]), ("all", ["01", "02", "03", "04", "05"]), ("skip", [])]
)
def test_what_was_missed_while_the_daemon_was_down(missed, expected):
    world = World(hourly(missed=missed))
    world.look()
    world.look(5 * 60 + 30)
    assert [start.params["expected_start"][11:13] for start in world.starts] == expected
    assert len({start.run_key for start in world.starts}) == len(expected)


def test_what_is_due_just_now_is_not_missed():
    world = World(hourly(missed="skip"))
    world.look()
    world.look(61)
    assert len(world.starts) == 1


def test_a_moment_starts_one_run_however_often_it_is_looked_and_whatever_the_clock_does():
    world = World(hourly())
    world.look()
    for minutes in (60, 1, 1, -30, 20, 15, -300, 290):
        world.look(minutes)
    assert len(world.starts) == 1


def test_a_long_time_missed_comes_in_portions():
    world = World(hourly(missed="all"))
    world.look()
    world.look(60 * 120)
    assert len(world.starts) == MOST_RUNS
    world.look(0.5)
    world.look(0.5)
    assert len(world.starts) == len({start.run_key for start in world.starts}) == 120


def test_what_comes_due_during_a_run_waits_for_its_end():
    world = World(hourly())
    world.look()
    world.is_running = True
    world.look(60)
    world.look(1)
    assert world.starts == []
    world.is_running = False
    world.look(1)
    assert len(world.starts) == 1


def test_a_time_that_is_years_away_is_found_all_the_same():
    world = World({"name": "clock", "time": {"cron": "0 0 1 1 *"}})
    world.look()
    world.look(60 * 24 * 700)
    [start] = world.starts
    assert start.params["expected_start"].startswith("2027-01-01")


def test_a_round_that_starts_nothing_tells_what_it_saw_or_when_it_looks_again():
    daily = {"name": "daily", "time": {"unit": "days", "at": "06:00"}}
    world = World(files(), daily, files("off", active=False))

    def said(minutes):
        return account_of(world.look(minutes), world.triggers).splitlines()

    assert "arrival: first, the first look" in said(0)[0]
    arrival, time, off = said(1)
    assert "nothing had changed when it was looked at, at 00:00:00" in arrival
    assert "next look is due at 00:10:00 UTC" in arrival
    assert (time, off) == ("daily: nothing is due", "off: not looked at, for it is not active")
    world.seen["arrival"] = "b"
    assert said(9)[0].endswith("s of the grace delay left; saw saw b")
    assert "a change waits" in said(1)[0]
    assert "next look is due at 00:12:00 UTC" in said(0)[0]
    world.seen["arrival"] = "c" * 10_000
    assert len(said(1)[0]) == LONGEST_ACCOUNT
