"""Ends of another scenario's runs: each starts one run, whatever comes late, early or again."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ml_platform.scenarios.trigger_words import AfterScenario
from ml_platform.scenarios.watch.endings import MOST, OVERLAP_S, Ending, look_at_endings

DAY = 86_400.0


class Watcher:
    """A trigger that looks at ends, and takes what it sees at once."""

    def __init__(self, outcomes=("success", "warning", "failed"), start=1e9):
        self.words = AfterScenario(scenario="load", outcomes=list(outcomes))
        self.now, self.there, self.handled, self.taken, self.asked = start, [], None, [], []
        self.look()

    def ended(self, since):
        self.asked.append(since)
        return [one for one in self.there if one.at > since]

    def end(self, at=None, outcome="success", **params):
        run_id = f"{len(self.there):08x}-run"
        self.there.append(Ending(run_id, self.now if at is None else at, outcome, params))
        return run_id

    def look(self, after=60.0):
        self.now += after
        look = look_at_endings(
            self.words, "shop", "shop/train", self.handled, self.ended, self.now
        )  # fmt: skip
        self.handled = look.known or self.handled
        if look.parts[0] != self.handled and self.handled is not None:
            self.taken += [one["run_id"] for one in look.params["ended"]]
        self.handled = look.parts[0]
        return look


def test_an_end_brings_its_run_its_outcome_and_its_parameters():
    watcher = Watcher()
    run_id = watcher.end(region="north")
    params = watcher.look().params
    assert (params["project"], params["scenario"]) == ("shop", "load")
    assert (params["run_id"], params["outcome"]) == (run_id, "success")
    assert params["params"] == {"region": "north"}
    assert watcher.look().params == {}


def test_only_the_outcomes_that_are_asked_for_count():
    watcher = Watcher(["failed"])
    watcher.end(outcome="success")
    watcher.end(outcome="warning")
    failed = watcher.end(outcome="failed")
    watcher.look()
    assert watcher.taken == [failed]


def test_an_end_that_is_written_after_a_later_one_is_not_passed_over():
    watcher = Watcher()
    first_at = watcher.now
    second = watcher.end(first_at + 5)
    watcher.look()
    late = watcher.end(first_at)
    watcher.look()
    assert watcher.taken == [second, late]


def test_an_end_that_comes_up_again_because_its_tags_changed_is_taken_once():
    watcher = Watcher()
    run_id = watcher.end()
    watcher.look()
    watcher.ended = lambda _since: watcher.there
    for _ in range(3):
        watcher.look(10 * DAY)
    assert watcher.taken == [run_id]


def test_a_run_whose_clock_is_ahead_hides_none_that_come_after():
    watcher = Watcher()
    ahead = watcher.end(watcher.now + DAY)
    watcher.look()
    usual = [watcher.end() for _ in range(3) if watcher.look()]
    watcher.look()
    watcher.look(DAY)
    assert watcher.taken == [ahead, *usual]


def test_a_clock_that_goes_back_neither_takes_again_nor_passes_over():
    watcher = Watcher()
    runs = [watcher.end() for _ in range(5) if watcher.look(2000)]
    watcher.look()
    watcher.look(-3 * 3600)
    runs.append(watcher.end())
    watcher.look()
    assert watcher.taken == runs


def test_what_it_has_itself_led_to_starts_nothing():
    watcher = Watcher()
    watcher.end(after=["shop/train", "shop/other"])
    assert "1 left out" in watcher.look().account
    other = watcher.end(after=["shop/other"])
    assert watcher.look().params["after"] == ["shop/other", "shop/load"]
    assert watcher.taken == [other]


def test_parameters_do_not_grow_from_scenario_to_scenario():
    watcher = Watcher()
    watcher.end(n=1, params={"m": 2}, ended=[{"run_id": "x"}])
    assert watcher.look().params["params"] == {"n": 1}


def test_a_quiet_year_neither_asks_for_more_than_two_days_nor_forgets():
    watcher = Watcher(["failed"])
    for _ in range(365):
        watcher.end(outcome="success")
        watcher.look(DAY)
    assert watcher.now - watcher.asked[-1] < 2 * DAY + 2 * OVERLAP_S
    failed = watcher.end(outcome="failed")
    watcher.look()
    assert watcher.taken == [failed]


def test_more_than_go_into_one_run_follow_in_the_next():
    watcher = Watcher()
    runs = [watcher.end() for _ in range(2 * MOST + 1)]
    for _ in range(4):
        watcher.look(0)
    assert watcher.taken == runs


@given(st.integers(), st.integers(1, 60))
def test_every_end_is_taken_once_and_in_one_run(seed, count):
    """Ends are written up to ten minutes late, and looked at in between at random."""
    chance = random.Random(seed)
    watcher = Watcher()
    written = sorted(
        (watcher.now + chance.uniform(1, 5000), chance.uniform(0, 600)) for _ in range(count)
    )
    waiting = sorted((at + late, at) for at, late in written)
    while waiting:
        watcher.now = max(watcher.now, waiting[0][0])
        watcher.end(waiting.pop(0)[1])
        if chance.random() < 0.5:
            watcher.look(chance.uniform(0, 60))
    watcher.look()
    watcher.look(DAY)
    assert sorted(watcher.taken) == sorted(one.run_id for one in watcher.there)
