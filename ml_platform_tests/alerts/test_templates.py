"""A rule's own words: what they may print, and that none can run away."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.message import Message, Severity
from ml_platform.alerts.templates import (
    LONGEST_TEXT,
    MOST_SIGNS,
    VARIABLES,
    checked_template,
    rendered,
)
from ml_platform.kernel.errors import DataError, DeclarationError

MESSAGE = Message(
    event_id="e",
    event_type="check.failed",
    severity=Severity.error,
    title="판매 <b>",
    observed="812",
)


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ title }}: {{ observed }}", "판매 <b>: 812"),
        ("{% if severity == 'error' %}bad{% else %}fine{% endif %}", "bad"),
        ("{{ partition | default('all', true) | upper }}", "ALL"),
        ("plain words", "plain words"),
        ("{% for one in items %}{{ one.title }};{% endfor %}", "판매 <b>;판매 <b>;"),
        ("{{ status }} {{ items | length }}", "firing 2"),
    ],
)
def test_a_template_prints_the_messages_fields(template, made):
    from dataclasses import replace

    checked_template(template)
    assert rendered(template, replace(MESSAGE, items=(MESSAGE, MESSAGE))) == made


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ titel }}", r"title \(did you mean this\?\)"),
        ("{{ title", "end of template|unexpected"),
        ("{% for x in range(10 ** 9) %}x{% endfor %}", "not allowed|a call|a power"),
        ("{% for x in title %}x{% endfor %}", "for x in items"),
        ("{% for a in items %}{% for b in items %}x{% endfor %}{% endfor %}", "within another"),
        ("{% set a = title %}{{ a }}", "not allowed"),
        ("{% include 'x' %}", "not allowed"),
        ("{% import 'x' as y %}", "not allowed"),
        ("{% macro m() %}{% endmacro %}", "not allowed"),
        ("{{ title.__class__.mro() }}", "a call"),
        ("{{ 'x' | center(1000000000) }}", "no filter"),
        ("x" * (MOST_SIGNS + 1), "characters long"),
    ],
)
def test_what_could_run_away_or_reach_python_is_refused(template, said):
    with pytest.raises(DeclarationError, match=said):
        checked_template(template)


def test_what_a_message_does_not_have_is_told_when_it_is_rendered():
    with pytest.raises(DataError, match="nobody"):
        rendered("{{ title.nobody }}", MESSAGE)


def test_a_long_text_is_cut():
    long = Message(event_id="e", event_type="m", severity=Severity.info, title="t" * 5000)
    made = rendered("{{ title }}" * 100, long)
    assert len(made) == LONGEST_TEXT
    assert made.endswith("…")


def test_every_fact_of_a_message_can_be_printed():
    hidden = {"body", "attachments", "version"}
    assert set(VARIABLES) == {one.name for one in fields(Message)} - hidden


@given(st.text(max_size=40))
def test_what_stands_in_a_message_is_never_read_as_a_template(text):
    message = Message(
        event_id="e", event_type="m", severity=Severity.info, title=text + "{{ 7*7 }}"
    )
    assert rendered("{{ title }}", message) == text + "{{ 7*7 }}"
