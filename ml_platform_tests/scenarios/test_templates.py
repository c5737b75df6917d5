"""What a declaration may ask of a run, and what comes of it."""

import pytest

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.scenarios.templates import checked_below, filled, variables_asked
from ml_platform.scenarios.variables import Secret

KNOWN = {
    "outcome": "SUCCESS",
    "steps": {"check": {"output": {"rows": 3}}},
    "params": {"n": 1},
    "variables": {"region": "north", "token": Secret("SHOP_TOKEN")},
    "trigger": "manual",
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("group:demand", "group:demand"),
        ("tag:region={{ variables.region }}", "tag:region=north"),
        ("= steps.check.output.rows + 1", 4),
        ("{{ steps.check.output.rows }} rows", "3 rows"),
        (["= params.n", {"a": "{{ outcome }}"}, 7, None], [1, {"a": "SUCCESS"}, 7, None]),
        ("{% if params.n == 1 %}one{% else %}more{% endif %}", "one"),
        ("{{ variables.region | upper }}", "NORTH"),
        ("Bearer {{ variables.token }}", "Bearer ***"),
        ("= variables.token", Secret("SHOP_TOKEN")),
        ("= 'x' ~ variables.token", "x***"),
        ("= variables.token == 'it'", False),
        ("= variables.season | default('none')", "none"),
    ],
)
def test_a_text_is_filled_with_what_is_known(given, expected):
    assert filled(given, KNOWN) == expected


@pytest.mark.parametrize("text", ["{{ variables.season }}", "= params.m", "{{ steps.a.output }}"])
def test_what_is_not_there_is_told(text):
    with pytest.raises(DataError, match=r"is not|has no|undefined"):
        filled(text, KNOWN)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ region }}", "there is no name 'region'"),
        ("{{ outcom }}", "outcome (did you mean this?)"),
        ("{{ params.get('n') }}", "a call is not allowed"),
        ("{% for x in steps %}{{ x }}{% endfor %}", "a loop is not allowed"),
        ("{% set x = 1 %}", "is not allowed"),
        ("{{ ''.__class__.__mro__ ", "template"),
        ("= __import__('os')", "is not allowed"),
        ("{{ 'x' | format }}", "there is no filter"),
    ],
)
def test_what_could_run_away_or_reach_python_is_refused_when_it_is_read(text, told):
    with pytest.raises(DeclarationError) as error:
        checked_below({"a": [{"b": text}]})
    assert told in str(error.value)


def test_the_variables_that_must_be_there_are_found_wherever_they_stand():
    value = {
        "a": ["{{ variables.one }}", "= variables['two'] + 1", "variables.none"],
        "b": "{% if variables.three is defined %}{{ variables.four | default('x') }}{% endif %}",
    }
    assert variables_asked(value) == {"one", "two"}
    assert variables_asked("variables.five > 2 and outcome", condition=True) == {"five"}
