"""Environment variables in declarations, and secrets kept out of messages."""

from urllib.parse import quote

import pytest

from ml_platform.kernel.environment import hide, resolve, variables_in
from ml_platform.kernel.errors import SettingsError


def test_every_variable_is_filled_and_everything_else_stays():
    environ = {"HOST": "db", "PORT": "5432"}
    text = resolve("pg://${HOST}:${PORT}/{start}?a=$HOST", "url", environ)
    assert text == "pg://db:5432/{start}?a=$HOST"


def test_a_value_is_encoded_and_not_searched_for_further_variables():
    environ = {"A": "${B}", "B": "never"}
    assert resolve("${A}", "url", environ) == "${B}"
    assert resolve("${A}", "url", environ, lambda value: quote(value, safe="")) == "%24%7BB%7D"


def test_a_missing_variable_is_named_with_its_neighbour_but_no_value_is_shown():
    environ = {"SALES_PASSWORD": "s3cret", "HOME": "/root"}
    with pytest.raises(SettingsError) as caught:
        resolve("pg://${SALES_PASWORD}@db", "database pg", environ)
    message = str(caught.value)
    assert "SALES_PASWORD is not set" in message
    assert "SALES_PASSWORD (did you mean this?)" in message
    assert "s3cret" not in message
    assert "HOME" not in message


def test_the_names_are_listed_in_order():
    assert variables_in("${B}:${A}") == ["B", "A"]


def test_longer_secrets_are_hidden_before_their_own_parts():
    assert hide("token abcdef and abc", ["abc", "", "abcdef"]) == "token *** and ***"


@pytest.mark.parametrize(
    ("text", "environ", "filled"),
    [
        ("${A:-b}", {}, "b"),
        ("${A:-b}", {"A": "c"}, "c"),
        ("${A:-}", {}, ""),
        ("x ${A:-http://h:1/p} y", {}, "x http://h:1/p y"),
    ],
)
def test_a_default_stands_in_for_a_variable_that_is_not_set(text, environ, filled):
    assert resolve(text, "test", environ) == filled
    assert variables_in(text) == ["A"]
