"""A Great Expectations suite as it is declared in YAML: read, and refused where it cannot be.

Here: what a list of expectations may say. Not here: running it (expectations.py), and schemas
(schema.py).

Names and arguments are looked up in the JSON schemas that the library carries, so that reading a
declaration takes milliseconds and does not load the library, which takes seconds.
"""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from ml_platform.checks.result import Severity, text_of
from ml_platform.kernel.errors import DeclarationError, SettingsError, Where, closest

SEVERITIES: tuple[Severity, ...] = get_args(Severity)

_HOUSEKEEPING = {
    *("id", "meta", "notes", "result_format", "catch_exceptions", "rendered_content"),
    *("windows", "batch_id", "metadata", "description", "severity"),
}
"""What the library's schemas list besides an expectation's own arguments."""

_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")

_EXACT_FLOAT = 2**53
"""Up to here every whole number is a float; the library compares bounds as floats."""


@dataclass(frozen=True)
class Expectation:
    """One declared expectation: its name, its own arguments, and what its failure means."""

    name: str
    arguments: Mapping[str, Any]
    severity: Severity = "error"
    description: str = ""

    @property
    def columns(self) -> list[str]:
        """The columns that it is about."""
        given = [self.arguments.get(word) for word in _COLUMN_ARGUMENTS]
        named = [one if isinstance(one, list) else [one] for one in given if one is not None]
        return [str(name) for names in named for name in names]

    @property
    def expected(self) -> str:
        """What would be right: its own description, else its name and arguments as words."""
        if self.description:
            return self.description
        own = {k: v for k, v in self.arguments.items() if k not in _COLUMN_ARGUMENTS}
        words = self.name.removeprefix("expect_").replace("_", " ")
        said = ", ".join(f"{word} {text_of(value)}" for word, value in own.items())
        return f"{words} ({said})" if said else words


@dataclass(frozen=True)
class Suite:
    """Expectations in the order in which they were declared."""

    rules: tuple[Expectation, ...]
    subject: str = "suite"
    where: Where | None = None

    def refuse(
        self, rule: int, given: str, *, allowed: str = "", fix: str = ""
    ) -> DeclarationError:
        """The error for the rule at this place in the list, which a person counts from one."""
        name = f" {self.rules[rule].name}" if rule < len(self.rules) else ""
        subject = f"{self.subject}, rule {rule + 1}{name}"
        return DeclarationError(subject, given, allowed=allowed, fix=fix, where=self.where)


def read_suite(declared: object, *, subject: str = "suite", where: Where | None = None) -> Suite:
    """A suite from what YAML holds: a list of one-key mappings from a name to its arguments.

    Beside its own arguments each expectation takes `severity` (error or warn, error by default)
    and `description`, which then stands in results instead of the name.

    Raises:
        DeclarationError: not such a list, an unknown name, argument or severity, one missing.
    """
    if not isinstance(declared, Sequence) or isinstance(declared, str) or not declared:
        raise DeclarationError(
            subject,
            "it is empty" if not declared else f"it is {text_of(declared)}",
            allowed="a list such as - expect_column_values_to_not_be_null: {column: store}",
            where=where,
        )
    rules: list[Expectation] = []
    for one in declared:
        rules.append(_read_rule(one, Suite(tuple(rules), subject, where)))
    return Suite(tuple(rules), subject, where)


# --- What a declaration may say


def _read_rule(declared: object, so_far: Suite) -> Expectation:
    place = len(so_far.rules)
    if not isinstance(declared, Mapping) or len(declared) != 1:
        raise so_far.refuse(
            place,
            f"it is {text_of(declared)}",
            allowed="one name with its arguments, such as "
            "expect_column_values_to_not_be_null: {column: store}",
        )
    name, arguments = next(iter(declared.items()))
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping):
        given = f"the arguments of {name} are {text_of(arguments)}"
        raise so_far.refuse(place, given, allowed="a mapping such as {column: store}")
    _refuse_unknown_name(str(name), so_far)
    own = {str(k): v for k, v in arguments.items() if k not in ("severity", "description")}
    rule = Expectation(
        str(name),
        {word: _moment(word, value) for word, value in own.items()},
        arguments.get("severity", "error"),
        str(arguments.get("description") or ""),
    )
    _refuse_unknown_words(Suite((*so_far.rules, rule), so_far.subject, so_far.where), place)
    return rule


def _refuse_unknown_name(name: str, so_far: Suite) -> None:
    known = catalogue()
    if name not in known:
        raise so_far.refuse(
            len(so_far.rules), f"unknown expectation '{name}'", allowed=_nearest(name, list(known))
        )
    if not known[name][1]:
        raise so_far.refuse(
            len(so_far.rules),
            f"'{name}' works on databases only, and tables are checked as frames",
            fix="say it in SQL in a table of its own, or with another expectation",
        )


def _refuse_unknown_words(suite: Suite, place: int) -> None:
    rule = suite.rules[place]
    if rule.severity not in SEVERITIES:
        allowed = closest(str(rule.severity), list(SEVERITIES))
        raise suite.refuse(place, f"severity is '{rule.severity}'", allowed=allowed)
    words, required = _arguments(rule.name)
    for word, value in rule.arguments.items():
        if word not in words:
            allowed = closest(word, [*words, "severity", "description"])
            raise suite.refuse(place, f"unknown argument '{word}'", allowed=allowed)
        _refuse_inexact(word, value, suite, place)
    for word in required:
        if word not in rule.arguments:
            raise suite.refuse(place, f"'{word}' is missing", allowed=", ".join(words))
    _refuse_impossible(suite, place)


def _refuse_impossible(suite: Suite, place: int) -> None:
    """What the library would find only while it runs."""
    given = suite.rules[place].arguments
    low, high = given.get("min_value"), given.get("max_value")
    with contextlib.suppress(TypeError):  # of different kinds: the library says so
        if low is not None and high is not None and low > high:
            said = f"min_value {text_of(low)} is greater than max_value {text_of(high)}"
            raise suite.refuse(place, said, fix="swap them or correct one")
    for pattern in [given.get("regex"), *(given.get("regex_list") or ())]:
        try:
            re.compile(pattern if isinstance(pattern, str) else "")
        except re.error as error:
            raise suite.refuse(
                place,
                f"{pattern!r} is no regular expression: {error}",
                allowed="Python's regular expressions, such as ^[A-Z]{2}[0-9]+$",
            ) from None


def _refuse_inexact(word: str, value: object, suite: Suite, place: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if word in ("min_value", "max_value") and whole and abs(value) > _EXACT_FLOAT:  # type: ignore[arg-type]
        raise suite.refuse(
            place,
            f"'{word}' is {value}, which Great Expectations would round",
            allowed=f"whole numbers up to {_EXACT_FLOAT}",
            fix="declare it as min or max in the table's schema, which is exact",
        )


def _moment(word: str, value: Any) -> Any:
    """Dates as timestamps, which is what the frame holds for them."""
    if isinstance(value, list):
        return [_moment("", one) for one in value]
    if isinstance(value, str) and word in ("min_value", "max_value"):
        with contextlib.suppress(ValueError):  # the library then says what it takes
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    return datetime.combine(value, time()) if isinstance(value, date) else value


def _nearest(name: str, known: list[str]) -> str:
    """The five nearest names; all fifty would hide them."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=5, cutoff=0.0)
    return f"{closest(name, near)} and {len(known) - len(near)} more of Great Expectations"


# --- What the library knows


@lru_cache(maxsize=1)
def catalogue() -> dict[str, tuple[Path, bool]]:
    """For each expectation the file of its schema, and whether it works on a frame."""
    spec = find_spec("great_expectations")  # finds the folder and does not load the library
    if spec is None or not spec.submodule_search_locations:
        raise _not_installed("great_expectations is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "expectations" / "core" / "schemas"
    found = {}
    for file in sorted(folder.glob("*.json")):
        about = json.loads(file.read_text("utf-8")).get("properties", {}).get("metadata")
        if about:
            said = about["properties"]
            sources = said["supported_data_sources"]["const"]
            found[str(said["expectation_type"]["const"])] = (file, "Pandas" in sources)
    if not found:
        raise _not_installed(f"no descriptions of expectations in {folder}")
    return found


def _not_installed(given: str) -> SettingsError:
    return SettingsError(
        "Great Expectations", given, fix="install the versions that requirements.lock names"
    )


def _arguments(name: str) -> tuple[list[str], list[str]]:
    """The arguments that an expectation takes, and those that it needs."""
    said = json.loads(catalogue()[name][0].read_text("utf-8"))
    words = [word for word in said["properties"] if word not in _HOUSEKEEPING]
    return words, list(said.get("required") or [])
