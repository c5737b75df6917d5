"""What lasts, as tables of sentences: standings, incidents, reminders."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.event import Event
from ml_platform.alerts.incidents import (
    Incident,
    Standing,
    State,
    acknowledged,
    next_look,
    reminders,
    settled,
    taken,
)
from ml_platform.alerts.rules import Rule

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def after(minutes):
    return NOON + timedelta(minutes=minutes)


def event(kind="check.failed", order=1, minutes=0, **words):
    return Event(
        id=f"{kind}-{order}",
        type=kind,
        at=after(minutes),
        project="shop",
        subject="s",
        what="w",
        order=order,
        **words,
    )


def rule(**words):
    return Rule(**{"name": "r", "channels": ["inbox"], **words})


def told(letters):
    """What is told of a history: F fails, P passes; the event's type and its count in a row."""
    standing, found = Standing(), []
    for order, letter in enumerate(letters, start=1):
        kind = "check.failed" if letter == "F" else "check.recovered"
        made, standing = settled(event(kind, order, order), standing)
        if made:
            found.append(f"{letter}{made.failures}")
    return " ".join(found)


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ("PPP", ""),
        ("F", "F1"),
        ("FFF", "F1 F2 F3"),
        ("FP", "F1 P1"),
        ("FPP", "F1 P1"),
        ("PFFPF", "F1 F2 P1 F1"),
    ],
    ids=[
        "what is good is no event",
        "the first failure",
        "each failure with its count",
        "an end after a failure",
        "only one end",
        "it begins anew",
    ],
)
def test_a_subjects_history_makes_events(history, said):
    assert told(history) == said


@given(st.text("FP", max_size=30))
def test_there_are_as_many_failures_told_as_there_were_and_ends_only_after_them(history):
    said = told(history).split()
    assert sum(one[0] == "F" for one in said) == history.count("F")
    assert sum(one[0] == "P" for one in said) == history.count("FP")


@given(st.lists(st.tuples(st.sampled_from("FP"), st.integers(1, 8)), max_size=20))
def test_what_is_read_again_leaves_the_standing_as_it_is(history):
    standing = Standing()
    for letter, order in history:
        kind = "check.failed" if letter == "F" else "check.recovered"
        _, standing = settled(event(kind, order), standing)
        _, again = settled(event(kind, order), standing)
        assert again == standing


def test_a_failure_that_appears_late_is_told_and_does_not_undo_the_end_after_it():
    _, standing = settled(event("check.failed", 5), Standing())
    _, standing = settled(event("check.recovered", 7, 2), standing)
    late, same = settled(event("check.failed", 6, 1), standing)
    assert late is not None
    assert same == standing
    assert same.bad_since is None


def test_a_failure_says_since_when_and_when_it_was_last_good():
    _, standing = settled(event("check.recovered", 1, 0), Standing())
    _, standing = settled(event("check.failed", 2, 5), standing)
    second, _ = settled(event("check.failed", 3, 9), standing)
    assert (second.started_at, second.last_ok_at) == (after(5), after(0))


def test_a_run_that_was_never_bad_leaves_nothing_behind():
    assert settled(event("run.recovered"), Standing()) == (None, Standing())


def columns(order=1, **types):
    return event("schema.changed", order, observed=json.dumps(types))


def test_columns_are_told_only_when_they_differ_from_those_before():
    first, standing = settled(columns(1, a="int", b="text"), Standing())
    same, standing = settled(columns(2, a="int", b="text"), standing)
    changed, standing = settled(columns(3, a="double", c="date"), standing)
    assert first is None
    assert same is None
    assert changed.observed == "c is new (date); b is gone (was text); a is double (was int)"
    assert json.loads(standing.value) == {"a": "double", "c": "date"}


def test_columns_in_another_order_are_said_to_be_just_that():
    _, standing = settled(columns(1, a="int", b="text"), Standing())
    changed, _ = settled(columns(2, b="text", a="int"), standing)
    assert changed.observed == "their order is another"


OPEN = Incident("shop/r", "s", "key-1", State.firing, NOON, NOON, "check.failed-1")
OVER = replace(OPEN, state=State.resolved, resolved_at=after(3))
SEEN = replace(OPEN, state=State.acknowledged, acknowledged_at=after(1), acknowledged_by="Ada")
FAIL, PASS = event(minutes=5), event("check.recovered", 2, 5)


@pytest.mark.parametrize(
    ("happened", "words", "before", "verdict", "state", "key"),
    [
        (FAIL, {}, None, "tell", "firing", "new"),
        (FAIL, {}, OPEN, "tell", "firing", "key-1"),
        (FAIL, {}, OVER, "tell", "firing", "new"),
        (FAIL, {"repeats": "first"}, OPEN, "quiet", "firing", "key-1"),
        (FAIL, {"repeats": "first"}, OVER, "tell", "firing", "new"),
        (FAIL, {"throttle_min": 10}, OPEN, "quiet", "firing", "key-1"),
        (FAIL, {"throttle_min": 4}, OPEN, "tell", "firing", "key-1"),
        (FAIL, {"throttle_min": 10}, OVER, "quiet", "resolved", "key-1"),
        (FAIL, {}, SEEN, "tell", "acknowledged", "key-1"),
        (PASS, {}, OPEN, "tell", "resolved", "key-1"),
        (PASS, {}, SEEN, "tell", "resolved", "key-1"),
        (PASS, {}, OVER, "quiet", "resolved", "key-1"),
        (PASS, {}, None, "quiet", None, None),
        (PASS, {"events": ["check.recovered"]}, None, "tell", None, None),
    ],
    ids=[
        "the first failure opens an incident",
        "the next belongs to it",
        "after its end another begins",
        "only the first is told",
        "and the first of the next",
        "within the throttle nothing is told",
        "after it, it is",
        "one that comes and goes is throttled too",
        "what was acknowledged stays so",
        "the end closes it",
        "and what was acknowledged",
        "there is one end",
        "no end without a beginning that was told",
        "unless only ends are asked for",
    ],
)
def test_a_rule_takes_an_event(happened, words, before, verdict, state, key):
    found, incident = taken(happened, rule(**words), "shop/r", before, after(5), "new")
    assert found == verdict
    assert (incident.state if incident else None) == state
    assert (incident.dedup_key if incident else None) == key


def test_what_is_not_told_is_counted():
    _, incident = taken(FAIL, rule(repeats="first"), "shop/r", OPEN, after(5), "new")
    _, incident = taken(FAIL, rule(repeats="first"), "shop/r", incident, after(6), "new")
    assert incident.unheard == 2


LADDER = {
    "escalate": [
        {"after_min": 30, "channels": ["lead"]},
        {"after_min": 60, "channels": ["head", "phone"]},
    ]
}


@pytest.mark.parametrize(
    ("words", "incident", "minutes", "due"),
    [
        ({}, OPEN, 600, []),
        ({"renotify_after_min": 60}, OPEN, 59, []),
        ({"renotify_after_min": 60}, OPEN, 60, ["again1 inbox"]),
        ({"renotify_after_min": 60}, SEEN, 600, []),
        ({"renotify_after_min": 60}, OVER, 600, []),
        (LADDER, OPEN, 29, []),
        (LADDER, OPEN, 30, ["escalation1 lead"]),
        (LADDER, OPEN, 90, ["escalation1 lead", "escalation2 head phone"]),
        (LADDER, replace(OPEN, escalated=1), 60, ["escalation2 head phone"]),
        (LADDER, SEEN, 90, []),
        ({**LADDER, "active": False}, OPEN, 90, []),
    ],
)
def test_what_lasts_is_told_again_until_somebody_acknowledges(words, incident, minutes, due):
    found, _ = reminders(incident, rule(**words), after(minutes))
    assert [" ".join([f"{one.kind}{one.number}", *one.channels]) for one in found] == due


def test_nothing_is_due_twice():
    both = rule(renotify_after_min=60, **LADDER)
    first, incident = reminders(OPEN, both, after(60))
    second, _ = reminders(incident, both, after(60))
    assert len(first) == 3
    assert second == []


@pytest.mark.parametrize(
    ("words", "incident", "minutes"),
    [
        ({}, OPEN, None),
        (LADDER, OPEN, 30),
        (LADDER, replace(OPEN, escalated=2), None),
        ({**LADDER, "renotify_after_min": 10}, OPEN, 10),
        (LADDER, SEEN, None),
    ],
)
def test_an_incident_is_looked_at_when_something_may_be_due(words, incident, minutes):
    expected = None if minutes is None else after(minutes)
    assert next_look(incident, rule(**words)) == expected


def test_only_the_first_acknowledges():
    once = acknowledged(OPEN, "Ada", after(1))
    assert (once.state, once.acknowledged_by) == (State.acknowledged, "Ada")
    assert acknowledged(once, "Bob", after(2)) is once
    assert acknowledged(OVER, "Bob", after(2)) is OVER
