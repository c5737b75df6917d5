"""Who says what a variable is, and what is seen of a secret one."""

import pytest

from ml_platform.kernel.errors import DeclarationError, SettingsError
from ml_platform.scenarios.variables import (
    Secret,
    declared,
    hidden,
    platform_variables,
    resolved,
    revealed,
    written,
)

ENVIRON = {"SHOP_TOKEN": "s3cret-value"}


def test_the_narrowest_layer_wins_and_each_variable_says_whence_it_is():
    found = resolved(
        [("platform", {"a": 1, "b": 1, "c": 1}), ("project", {"b": 2, "c": 2}), ("run", {"c": 3})]
    )
    assert [(one.name, one.value, one.origin) for one in found.values()] == [
        ("a", 1, "platform"), ("b", 2, "project"), ("c", 3, "run"),
    ]  # fmt: skip


def test_a_secret_is_shown_by_the_name_of_its_place_alone():
    values = declared({"token": {"secret": "SHOP_TOKEN"}, "plain": {"secret": "A", "more": 1}})
    assert values == {"token": Secret("SHOP_TOKEN"), "plain": {"secret": "A", "more": 1}}
    assert resolved([("project", values)])["token"].shown == "*** (of SHOP_TOKEN)"
    assert declared({"token": written(values["token"])}) == {"token": Secret("SHOP_TOKEN")}


def test_its_value_reaches_who_needs_it_and_nobody_else():
    token = Secret("SHOP_TOKEN")
    assert revealed({"a": [token], "b": token, "c": 1}, ENVIRON) == {
        "a": ["s3cret-value"], "b": "s3cret-value", "c": 1,
    }  # fmt: skip
    said = {"url": "https://x/?t=s3cret-value", "list": ["s3cret-value", 3]}
    assert hidden(said, ["SHOP_TOKEN", "ABSENT"], ENVIRON) == {
        "url": "https://x/?t=***", "list": ["***", 3],
    }  # fmt: skip


def test_a_secret_that_the_environment_does_not_have_is_told_by_its_name():
    with pytest.raises(SettingsError, match="SHOP_TOKEN"):
        revealed(Secret("SHOP_TOKEN"), {})


def test_the_platforms_file_may_be_absent_or_empty_and_is_told_where_it_is_wrong(tmp_path):
    file = tmp_path / "variables.yaml"
    assert platform_variables(file) == {}
    file.write_text("")
    assert platform_variables(file) == {}
    file.write_text("region: north\ntoken: {secret: SHOP_TOKEN}\n")
    assert platform_variables(file) == {"region": "north", "token": Secret("SHOP_TOKEN")}
    for text in ("- a\n", "a: [\n"):
        file.write_text(text)
        with pytest.raises(DeclarationError, match="variables"):
            platform_variables(file)
