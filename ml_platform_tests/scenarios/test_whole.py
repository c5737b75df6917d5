"""What only shows of scenarios together; without a run."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from ml_platform.scenarios.remembered import PLATFORM, remember
from ml_platform.scenarios.variables import Secret
from ml_platform.scenarios.whole import (
    project_variables,
    scenario_metadata,
    scenarios_in,
    troubles,
    variable_metadata,
    variables_of,
)
from ml_platform.scenarios.words import ScenarioWords

NOW = datetime(2026, 1, 31, 9, 10, tzinfo=UTC)


def scenario(name, *steps, **words):
    return ScenarioWords(name=name, steps=list(steps), **words)


def calling(name, *called):
    steps = [{"name": f"call_{one}", "run_scenario": one} for one in called]
    return scenario(name, *steps, {"name": "end", "set_variables": {}})


def named(*scenarios):
    return {one.name: one for one in scenarios}


@pytest.mark.parametrize(
    ("scenarios", "ways"),
    [
        ([calling("a", "b"), calling("b")], {}),
        ([calling("a", "b", "c"), calling("b", "c"), calling("c")], {}),
        ([calling("a", "b"), calling("b", "a")], {"a": "a -> b -> a", "b": "b -> a -> b"}),
        (
            [calling("start", "a"), calling("a", "b"), calling("b", "c"), calling("c", "a")],
            {"a": "a -> b -> c -> a", "b": "b -> c -> a -> b", "c": "c -> a -> b -> c"},
        ),
    ],
)
def test_those_that_would_wait_for_themselves_are_named_with_the_way(scenarios, ways):
    found = troubles(named(*scenarios), known=None)
    assert {name: said.split(": ")[1].split("\n")[0] for name, said in found.items()} == ways


def test_a_name_that_nobody_declares_is_told_where_it_can_be_known():
    asking = scenario(
        "nightly",
        {"name": "first", "build": {"selection": "tag:r={{ variables.regoin }}"}},
        {"name": "set", "set_variables": {"late": 1}},
        {"name": "then", "if": "variables.late == 1", "run_checks": "*"},
        {"name": "call", "run_scenario": "nigthly"},
    )
    said = troubles(named(asking), known={"region"})["nightly"]
    assert "step first: there is no variable 'regoin'" in said
    assert "region (did you mean this?)" in said
    assert "no scenario 'nigthly'" in said
    assert "late" not in said.split("allowed")[0]
    assert troubles(named(asking), known=None) == {}


@pytest.mark.parametrize(
    "before",
    [
        {"name": "other", "set_variables": {"region": 1}, "scope": "project"},
        {"name": "any", "run_python": {"function": "a:b"}},
    ],
)
def test_what_a_step_may_have_set_is_no_unknown_name(before):
    asking = {"name": "ask", "run_checks": "tag:r={{ variables.region }}"}
    assert troubles(named(scenario("one", before, asking)), known=set()) == {}


def test_scenarios_and_variables_go_with_the_definitions_and_come_back():
    words = scenario(
        "nightly",
        {"name": "b", "build": {"selection": "*"}, "if": "always", "timeout": "2m"},
        triggers=[{"name": "daily", "time": {"cron": "@daily"}}],
    )
    values = {"region": "north", "token": {"secret": "SHOP_TOKEN"}}
    carrying = SimpleNamespace(metadata={**scenario_metadata(words), **variable_metadata(values)})
    assert scenarios_in(carrying) == {"nightly": words}
    assert project_variables(carrying) == {"region": "north", "token": Secret("SHOP_TOKEN")}


def test_each_layer_wins_over_the_one_before(tmp_path, monkeypatch):
    file = tmp_path / "mine.yaml"
    file.write_text("{a: 1, b: 1, c: 1, d: 1, e: 1, f: 1}")
    monkeypatch.setenv("ML_PLATFORM_VARIABLES", str(file))
    remember(PLATFORM, dict.fromkeys("bcdef", 2), "run", NOW)
    carrying = SimpleNamespace(metadata=variable_metadata(dict.fromkeys("cdef", 3)))
    remember("shop", dict.fromkeys("def", 4), "run", NOW)
    words = scenario("s", {"name": "x", "set_variables": {}}, variables=dict.fromkeys("ef", 5))
    found = variables_of("shop", carrying, words, {"f": {"secret": "PATH"}})
    assert {name: one.value for name, one in found.items()} == {
        "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": {"secret": "PATH"},
    }  # fmt: skip
    assert found["d"].origin == "project shop, set by a step"
    assert found["f"].origin == "run"
