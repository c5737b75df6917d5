"""Bursts of every shape, and the runs that they become; without a clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.scenarios.settle import Decision, Rules, State, decide, look_again_at

TWO_MINUTES = Rules(grace=120)


def replayed(looks, rules, busy=()):
    """The verdicts over looks `(moment, fingerprint)`; a scenario runs at the moments `busy`."""
    state, verdicts = State(), []
    for moment, seen in looks:
        verdict = decide(state, seen, moment, rules, is_running=moment in busy)
        state = verdict.state
        verdicts.append(verdict)
    return verdicts


def fired_at(looks, rules, busy=()):
    verdicts = replayed(looks, rules, busy)
    return [look[0] for look, one in zip(looks, verdicts, strict=True) if one.fires]


def looks(text, every=60):
    """A look a minute: each letter is what was seen, `.` the same again, `!` a look that failed."""
    made, last = [], None
    for number, sign in enumerate(text):
        last = last if sign in ".!" else sign
        made.append((number * every, None if sign == "!" else last))
    return made


GRACE = [
    ("nothing ever changes", "A.....", []),
    ("what is there at the first look starts nothing", "A", []),
    ("one change, then quiet", "AB....", [3]),
    ("two files of one burst are one run", "ABC....", [4]),
    ("a file a minute for ever: no run until it is quiet", "ABCDEFGH", []),
    ("the long burst is over", "ABCDEFGH...", [9]),
    ("a second file just before the end begins the wait again", "AB.C...", [5]),
    ("two bursts with quiet between are two runs", "AB...C...", [3, 7]),
    ("there and back again is no change", "ABA.....", []),
    ("there, back and there again waits from the last time", "ABAB...", [5]),
    ("there, handled, and back is a change as well", "AB..A...", [3, 6]),
    ("to and fro four times, each settled, is four runs", "AB..A..B..A..", [3, 6, 9, 12]),
    ("a failed look changes nothing", "AB!...", [3]),
    ("looks that fail until after the grace delay only put the run off", "AB!!!.", [5]),
    ("the first look fails", "!A.B...", [5]),
    ("a change while looks fail is found afterwards", "A!!!B..", [6]),
]


@pytest.mark.parametrize(("what", "seen", "minutes"), GRACE, ids=[one[0] for one in GRACE])
def test_a_burst_becomes_so_many_runs(what, seen, minutes):
    assert fired_at(looks(seen), TWO_MINUTES) == [60 * minute for minute in minutes]


@pytest.mark.parametrize(
    ("what", "rules", "seen", "minutes"),
    [
        ("without grace every look is over at once", Rules(), "ABCA", [1, 2, 3]),
        ("without re-check the first change alone counts", Rules(120, recheck=False), "ABCDE", [3]),
        ("without re-check what comes later is a new wait", Rules(120, recheck=False),
         "ABCDEF..", [3, 6]),
        ("a minimum interval puts a run off", Rules(0, minimum_interval=240), "AB.C....", [1, 5]),
        ("what comes meanwhile is in the same run", Rules(0, minimum_interval=240),
         "ABCDEF.", [1, 5]),
    ],
)  # fmt: skip
def test_other_ways_of_waiting(what, rules, seen, minutes):
    assert fired_at(looks(seen), rules) == [60 * minute for minute in minutes]


def test_a_change_while_it_runs_waits_for_the_end_and_is_one_run():
    busy = {60 * minute for minute in range(3, 8)}
    seen = looks("AB..C.......")
    assert fired_at(seen, TWO_MINUTES, busy) == [480]
    verdicts = replayed(seen, TWO_MINUTES, busy)
    assert [one.decision for one in verdicts][6:9] == ["held", "held", "fired"]


@pytest.mark.parametrize("back", [100, 3600, 10**9])
def test_a_clock_that_goes_back_makes_the_wait_begin_again_and_not_longer(back):
    seen = [(10**9, "A"), (10**9 + 60, "B"), (10**9 - back, "B")]
    later = [(10**9 - back + wait, "B") for wait in (119, 120, 121)]
    assert fired_at(seen + later, TWO_MINUTES) == [10**9 - back + 120]


def test_a_clock_that_goes_back_does_not_stretch_the_minimum_interval():
    rules = Rules(minimum_interval=300)
    seen = [(10**6, "A"), (10**6 + 1, "B"), (0, "C"), (299, "C"), (300, "C")]
    assert fired_at(seen, rules) == [10**6 + 1, 300]


def test_reasons_say_how_long_is_left():
    verdicts = replayed(looks("AB."), TWO_MINUTES)
    assert verdicts[1].reason == "changed just now; 120 s of the grace delay left"
    assert verdicts[2].reason == "changed, and nothing since; 60 s of the grace delay left"


def test_the_next_look_comes_when_the_wait_is_over():
    waiting = replayed(looks("AB."), TWO_MINUTES)[-1].state
    assert look_again_at(waiting, TWO_MINUTES) == 180
    assert look_again_at(State(handled="A"), TWO_MINUTES) is None


histories = st.lists(
    st.tuples(
        st.integers(-200, 400),  # seconds since the last look; clocks may go backwards
        st.sampled_from(["A", "B", "C", None]),
        st.booleans(),
    ),
    max_size=60,
)
waits = st.builds(
    Rules,
    grace=st.sampled_from([0, 1, 120, 500]),
    recheck=st.booleans(),
    minimum_interval=st.sampled_from([0, 60, 1000]),
)


def lived(history, rules):
    now, state, steps = 0, State(), []
    for passed, seen, is_running in history:
        now += passed
        verdict = decide(state, seen, now, rules, is_running=is_running)
        steps.append((state, seen, is_running, verdict))
        state = verdict.state
    return now, state, steps


@given(histories, waits, st.sampled_from("ABC"))
def test_what_stays_is_handled_whatever_was_before(history, rules, last):
    """Three looks at leisure handle the newest change: nothing is lost, and then all is quiet."""
    now, state, _ = lived([*history, (0, last, True)], rules)
    before = state
    for _ in range(2):
        now += rules.grace + rules.minimum_interval + 1
        verdict = decide(state, last, now, rules)
        state = verdict.state
    assert (state.handled, state.candidate) == (last, None)
    assert state.sequence - before.sequence == (1 if before.candidate else 0)
    assert decide(state, last, now, rules).decision is Decision.quiet


@given(histories, waits)
def test_no_change_starts_two_runs(history, rules):
    """A run is only started for what the last one did not know, and each has its own number."""
    _, state, steps = lived(history, rules)
    fired = [one for one in steps if one[3].fires]
    for before, seen, is_running, verdict in fired:
        assert seen not in {None, before.handled}
        assert verdict.state.handled == seen
        assert not is_running
    assert [one[3].state.sequence for one in fired] == list(range(1, len(fired) + 1))
    assert state.sequence == len(fired)
