"""Rules, as a table of sentences: which event is told, how bad it is, and when."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from ml_platform.alerts.event import KINDS, OURS, USUAL, Event, kinds_like
from ml_platform.alerts.message import Severity
from ml_platform.alerts.rules import Rule
from ml_platform.kernel.errors import DataError, DeclarationError

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def rule(**words):
    return Rule(**{"name": "r", "channels": ["inbox"], **words})


def event(**words):
    return Event(
        **{
            "id": "e",
            "type": "check.failed",
            "at": NOON,
            "project": "shop",
            "subject": "check raw/sales schema",
            "what": "raw/sales schema",
            "asset_key": "raw/sales",
            "check_name": "schema",
            "owners": ("team:shop",),
            "tags": {"domain": "retail"},
            "failures": 3,
            **words,
        }
    )


@pytest.mark.parametrize(
    ("words", "about", "is_concerned"),
    [
        ({}, {}, True),
        ({"active": False}, {}, False),
        ({}, {"project": "other"}, False),
        ({"projects": ["*"]}, {"project": "other"}, True),
        ({"projects": ["other"]}, {}, False),
        ({"assets": ["raw/*"]}, {}, True),
        ({"assets": ["features/*"]}, {}, False),
        ({"assets": ["raw/*"]}, {"asset_key": "", "check_name": ""}, False),
        ({}, {"asset_key": "", "check_name": ""}, True),
        ({"checks": ["sch*"]}, {}, True),
        ({"checks": ["suite"]}, {}, False),
        ({"checks": ["suite"]}, {"check_name": ""}, True),
        ({"owners": ["team:shop", "a@b.ch"]}, {}, True),
        ({"owners": ["a@b.ch"]}, {}, False),
        ({"tags": {"domain": "retail"}}, {}, True),
        ({"tags": {"domain": "retail", "tier": "1"}}, {}, False),
    ],
    ids=[
        "its project's",
        "switched off",
        "another project's",
        "of all projects",
        "its own is not among those named",
        "an asset by a star",
        "another layer",
        "assets are asked for and it has none",
        "no asset and none is asked for",
        "a check by a star",
        "another check",
        "a check is asked for and the event is of none",
        "one of its owners",
        "another's",
        "a tag",
        "only one of two tags",
    ],
)
def test_a_rule_concerns_an_event(words, about, is_concerned):
    assert rule(**words).concerns(event(**about), "shop") is is_concerned


@pytest.mark.parametrize(
    ("words", "about", "is_wanted"),
    [
        ({}, {}, True),
        ({}, {"type": "check.warned"}, False),
        ({"events": ["check.*"]}, {"type": "check.warned"}, True),
        ({"min_severity": "critical"}, {}, False),
        ({"min_severity": "critical", "severity": "critical"}, {}, True),
        ({"min_severity": "error"}, {"type": "check.recovered"}, True),
        ({"consecutive_failure_threshold": 3}, {}, True),
        ({"consecutive_failure_threshold": 4}, {}, False),
        ({"condition": "failures > 2 and asset_key == 'raw/sales'"}, {}, True),
        ({"condition": "severity == 'warning'"}, {}, False),
        ({"condition": "'team:shop' in owners and tags.domain == 'retail'"}, {}, True),
        ({"condition": "failures > 5"}, {"type": "check.recovered"}, True),
    ],
    ids=[
        "a usual one",
        "warnings are not usual",
        "unless they are named",
        "not bad enough",
        "bad enough by the rule's own word",
        "an end is told whatever its severity",
        "the third in a row",
        "not the fourth yet",
        "its condition is true",
        "its condition is false",
        "owners and tags can be asked for",
        "an end asks no condition",
    ],
)
def test_a_rule_wants_an_event(words, about, is_wanted):
    assert rule(**words).wants(event(**about)) is is_wanted


def test_a_condition_about_what_an_event_does_not_have_is_told():
    with pytest.raises(DataError, match="nobody"):
        rule(condition="facts.nobody > 1").wants(event())


def test_the_events_own_severity_goes_before_its_kinds_and_the_rules_before_both():
    assert rule().severity_of(event()) is Severity.error
    assert rule().severity_of(event(severity=Severity.warning)) is Severity.warning
    strict = rule(severity="critical")
    assert strict.severity_of(event(severity=Severity.warning)) is Severity.critical
    assert strict.severity_of(event(type="check.recovered")) is Severity.info


NIGHT = {"start": "11:00", "end": "13:00"}


@pytest.mark.parametrize(
    ("words", "about", "how"),
    [
        ({}, {}, "now"),
        ({"digest": {"every": "hour"}}, {}, "held"),
        ({"quiet_hours": NIGHT}, {}, "held"),
        ({"quiet_hours": NIGHT}, {"severity": Severity.critical}, "now"),
        ({"quiet_hours": {**NIGHT, "except_from": "error"}}, {}, "now"),
        ({"maintenance": [{"start": "2026-03-02T11:00", "end": "2026-03-02T13:00"}]}, {}, "muted"),
        ({"maintenance": [{"start": "2026-03-02T13:00", "end": "2026-03-02T14:00"}]}, {}, "now"),
    ],
)
def test_an_event_is_told_now_or_held_or_never(words, about, how):
    found, due = rule(**words).when(event(**about), NOON)
    assert found == how
    assert (due > NOON) is (how == "held")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"events": ["check.faild"]}, r"check\.failed \(did you mean this\?\)"),
        ({"events": ["delivery.dead"]}, "there is no such kind"),
        ({"events": []}, "at least 1"),
        ({"condition": "severty == 'error'"}, r"severity \(did you mean this\?\)"),
        ({"title": "{{ titel }}"}, r"title \(did you mean this\?\)"),
        ({"body": "{% for x in range(9) %}{% endfor %}"}, "a call"),
        ({"channels": []}, "at least 1"),
        ({"name": "a b"}, "pattern"),
        ({"chanels": ["x"]}, "Extra inputs"),
        ({"severity": "bad"}, "critical"),
        ({"flood_over": 0}, "greater than or equal"),
        (
            {
                "escalate": [
                    {"after_min": 9, "channels": ["x"]},
                    {"after_min": 5, "channels": ["y"]},
                ]
            },
            "earliest to the latest",
        ),
    ],
)
def test_a_rule_that_says_nothing_possible_is_refused(words, said):
    with pytest.raises((ValidationError, DeclarationError), match=said):
        rule(**words)


def test_a_rule_survives_the_way_through_json():
    made = rule(digest={"every": "day"}, quiet_hours=NIGHT, escalate=[], condition="failures > 1")
    assert Rule.model_validate_json(made.model_dump_json()) == made


def test_what_is_usual_is_what_broke_and_its_end():
    assert set(USUAL) <= set(KINDS) - OURS
    families = {kind.partition(".")[0] for kind in USUAL if KINDS[kind].course == "begins"}
    ends = {kind.partition(".")[0] for kind in USUAL if KINDS[kind].course == "ends"}
    assert ends == families


def test_every_family_that_begins_something_can_end_it():
    begins = {kind.partition(".")[0] for kind in KINDS if KINDS[kind].course == "begins"}
    ends = {kind.partition(".")[0] for kind in KINDS if KINDS[kind].course == "ends"}
    assert begins == ends


def test_kinds_are_found_by_name_or_star():
    assert kinds_like(["check.failed"]) == {"check.failed"}
    assert kinds_like(["check.*"]) == {k for k in KINDS if k.startswith("check.")}
    assert kinds_like(["chek.*"]) == frozenset()
