"""From an event to what is read: titles, sentences, links, digests."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.compose import (
    LONGEST_TITLE,
    MOST_ITEMS,
    Place,
    cut,
    digest_of,
    in_own_words,
    message_of,
    notice,
    sample_event,
    short_id,
    titled,
)
from ml_platform.alerts.event import KINDS
from ml_platform.alerts.message import Severity, Status
from ml_platform.alerts.rules import Rule

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLACE = Place("https://ui", "production")
RULE = Rule(name="r", channels=["inbox"], runbook_url="https://book")


def event(**words):
    return replace(sample_event(NOON, "shop"), summary="", **words)


def test_a_message_says_what_where_since_when_and_where_to_look():
    happened = event(run_id="run1", partition="2026-03-01", last_ok_at=NOON, failures=2)
    made, wrong = message_of(happened, RULE, PLACE, dedup_key="k", ack_url="https://ack")
    assert wrong == ""
    assert made.title == (
        "[shop/production] Check failed: raw/sales schema (2026-03-01), since 03-02 12:00 UTC"
    )
    assert made.summary == (
        "Check failed: raw/sales schema. Observed 812 rows, expected at least 10,000 rows. "
        "It is number 2 in a row."
    )
    assert (made.run_url, made.asset_url) == ("https://ui/runs/run1", "https://ui/assets/raw/sales")
    assert (made.dedup_key, made.ack_url, made.runbook_url) == ("k", "https://ack", "https://book")
    assert (made.owner, made.status, made.severity) == (
        "team:sample", Status.firing, Severity.error,
    )  # fmt: skip
    assert made.last_ok_at == NOON


def test_an_end_has_the_same_incident_and_no_button():
    made, _ = message_of(
        event(type="check.recovered"), RULE, PLACE, dedup_key="k", ack_url="https://ack"
    )
    assert (made.status, made.dedup_key, made.ack_url) == (Status.resolved, "k", "")


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=300), st.text(max_size=120))
def test_a_title_has_a_hundred_characters_at_most(kind, what, partition):
    happened = event(type=kind, what=what, partition=partition)
    assert len(titled(happened, "production")) <= LONGEST_TITLE


def test_a_long_subject_is_cut_and_since_when_stays():
    title = titled(event(what="x" * 200), "production")
    assert title.endswith("…, since 03-02 12:00 UTC")


def test_a_rules_own_words_take_the_place_of_ours():
    own = RULE.model_copy(update={"title": "{{ asset_key }}\n fell", "body": "was {{ observed }}"})
    made, wrong = message_of(event(), own, PLACE)
    assert (made.title, made.body, wrong) == ("raw/sales fell", "was 812 rows", "")


def test_a_template_that_fails_leaves_the_plain_message_and_says_why():
    own = RULE.model_copy(update={"title": "short", "body": "{{ observed + elapsed_s }}"})
    made, wrong = message_of(event(), own, PLACE)
    assert made == message_of(event(), RULE, PLACE)[0]
    assert "{{ observed + elapsed_s }}" in wrong


def test_an_empty_title_is_not_taken():
    plain, _ = message_of(event(), RULE, PLACE)
    made, _ = in_own_words(plain, RULE.model_copy(update={"title": "{{ partition }}"}))
    assert made.title == plain.title


def messages(*kinds):
    return [message_of(event(type=kind, id=str(n)), RULE, PLACE)[0] for n, kind in enumerate(kinds)]


def test_a_digest_counts_and_is_as_bad_as_its_worst():
    found = messages("check.warned", "check.failed", "check.recovered")
    made = digest_of(found, 3, "shop/r", "d1", PLACE)
    assert made.severity is Severity.error
    assert made.status is Status.firing
    assert made.title == "[shop/production] 3 messages of rule shop/r"
    assert "1 x Check failed" in made.summary
    assert [one.event_id for one in made.items] == ["0", "1", "2"]


def test_a_digest_of_ends_alone_is_an_end():
    found = messages("check.recovered", "run.recovered")
    assert digest_of(found, 2, "shop/r", "d1", PLACE).status is Status.resolved


def test_a_digest_of_ten_thousand_names_the_newest_and_says_how_many_there_are():
    found = messages(*["check.failed"] * (MOST_ITEMS + 5))
    made = digest_of(found, 10_000, "shop/r", "d1", PLACE)
    assert "10000 messages" in made.title
    assert len(made.items) == MOST_ITEMS
    assert made.items[-1].event_id == str(MOST_ITEMS + 4)
    assert f"the newest {MOST_ITEMS}" in made.summary


def test_a_notice_is_about_the_same_thing_and_has_its_own_severity():
    about = messages("check.failed")[0]
    made = notice("channel.closed", "n1", "Closed", about=about, summary="why", now=NOON)
    assert (made.asset_key, made.rule_id) == ("raw/sales", "r")
    assert made.severity is Severity.critical
    assert made.ack_url == ""


@given(st.text(), st.integers(1, 50))
def test_cutting_never_lengthens(text, length):
    found = cut(text, length)
    assert len(found) <= max(length, 0)
    assert found == text or found.endswith("…")


@pytest.mark.parametrize(("one", "other"), [(("a", "bc"), ("ab", "c")), (("a",), ("a", ""))])
def test_short_ids_of_different_parts_differ(one, other):
    assert short_id(*one) != short_id(*other)
    assert short_id(*one) == short_id(*one)
