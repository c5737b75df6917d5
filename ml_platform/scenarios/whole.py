"""What only shows of a project's scenarios together: whom they call, which variables they have.

What belongs here: scenarios and variables as a project's definitions carry them.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

import dagster as dg

from ml_platform.kernel.errors import closest
from ml_platform.kernel.settings import Settings
from ml_platform.scenarios.remembered import PLATFORM, remembered
from ml_platform.scenarios.templates import variables_asked
from ml_platform.scenarios.variables import Variable, declared, platform_variables, resolved
from ml_platform.scenarios.words import ScenarioWords

SCENARIO_METADATA = "ml_platform/scenario/"
VARIABLE_METADATA = "ml_platform/variable/"
"""Under these, and its name, each stands in the metadata of what a declaration defines."""


class Carrying(Protocol):
    """What carries metadata: the definitions of a project, or Dagster's repository of them."""

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """Values by name."""


def scenario_metadata(scenario: ScenarioWords) -> dict[str, dg.MetadataValue[Any]]:
    """A scenario as its definitions carry it."""
    words = ScenarioWords.model_dump(scenario, mode="json", by_alias=True, exclude_unset=True)
    return {f"{SCENARIO_METADATA}{scenario.name}": dg.MetadataValue.json(words)}


def variable_metadata(values: Mapping[str, Any]) -> dict[str, dg.MetadataValue[Any]]:
    """A project's variables as its definitions carry them."""
    return {
        f"{VARIABLE_METADATA}{name}": dg.MetadataValue.json({"is": value})
        for name, value in values.items()
    }


def scenarios_in(definitions: Carrying) -> dict[str, ScenarioWords]:
    """The scenarios that these definitions carry, by name."""
    found = dict(_carried(definitions, SCENARIO_METADATA))
    return {name: ScenarioWords.model_validate(words) for name, words in sorted(found.items())}


def project_variables(definitions: Carrying) -> dict[str, Any]:
    """The variables that a project's declarations give."""
    return declared({n: v["is"] for n, v in _carried(definitions, VARIABLE_METADATA)})


def _carried(definitions: Carrying, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in (definitions.metadata or {}).items():
        if name.startswith(prefix) and isinstance(value, dg.JsonMetadataValue):
            yield name.removeprefix(prefix), value.value


def variables_of(
    project: str,
    definitions: Carrying,
    scenario: ScenarioWords | None = None,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Variable]:
    """The variables of a run, of a scenario or of a project, and where each comes from.

    Raises:
        DeclarationError: the platform's file cannot be read.
        UnavailableError: the database of those that were set does not answer.
    """
    file = Settings.from_environment().variables_file
    return resolved(
        [
            (f"platform, {file.name}", platform_variables(file)),
            ("platform, set by a step", remembered(PLATFORM)),
            (f"project {project}", project_variables(definitions)),
            (f"project {project}, set by a step", remembered(project)),
            (f"scenario {scenario.name}" if scenario else "",
             declared(scenario.variables) if scenario else {}),
            ("run", params or {}),
        ]
    )  # fmt: skip


def troubles(
    scenarios: Mapping[str, ScenarioWords], known: Collection[str] | None
) -> dict[str, str]:
    """What is wrong with scenarios that are whole each by itself: a message by name.

    Args:
        scenarios: all of a project.
        known: the variables that project and platform declare; None where that cannot be said,
            because a declaration is broken.
    """
    found: dict[str, str] = {}
    if known is not None:
        set_by_steps = {
            name
            for scenario in scenarios.values()
            for step in scenario.steps
            if step.scope != "run"
            for name in step.set_variables or {}
        }
        everywhere = {*known, *set_by_steps}
        for name, scenario in scenarios.items():
            if said := "\n".join(_unknown(scenario, everywhere, scenarios)):
                found[name] = said
    for name in scenarios:
        if circle := _circle(name, scenarios):
            way = " -> ".join([*circle, circle[0]])
            found[name] = f"it would wait for itself: {way}\n  to do: take one of these steps out"
    return found


def _unknown(
    scenario: ScenarioWords, everywhere: Collection[str], scenarios: Collection[str]
) -> Iterator[str]:
    """What a scenario asks for that nobody declares."""
    known = {*everywhere, *scenario.variables}
    for step in scenario.steps:
        words = step.model_dump(mode="json", exclude={"if_"})
        asked = variables_asked(words)
        if step.if_ not in {"always", "on_success", "on_warning", "on_failure"}:
            asked |= variables_asked(step.if_, condition=True)
        for name in sorted(asked - known):
            yield (
                f"step {step.name}: there is no variable '{name}'\n"
                f"  allowed: {closest(name, sorted(known)) or 'none is declared'}\n"
                "  to do: declare it under `variables`, or ask for `params` if each run gives it"
            )
        called = step.run_scenario or step.kill_scenario
        if called and called not in scenarios:
            yield (
                f"step {step.name}: the project has no scenario '{called}'\n"
                f"  allowed: {closest(called, sorted(scenarios))}"
            )
        known |= {*(step.set_variables or {})}
        if step.run_python:
            return  # it may set any variable


def _circle(start: str, scenarios: Mapping[str, ScenarioWords]) -> list[str]:
    """The way from a scenario over those that it runs back to itself; empty if there is none."""
    ways: list[list[str]] = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for step in scenarios[way[-1]].steps if way[-1] in scenarios else []:
            called = step.run_scenario
            if called == start:
                return way
            if called and called not in seen:
                seen.add(called)
                ways.append([*way, called])
    return []
