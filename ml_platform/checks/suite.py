"""A Great Expectations suite as it is declared in YAML: read, run on a frame, told as a result.

Here: what a list of expectations may say, and Great Expectations kept to itself: nothing sent,
nothing written, nothing printed, no logging or warnings changed. Not here: schemas (schema.py).

Names and arguments are looked up in the JSON schemas that the library carries, so that reading a
declaration takes milliseconds and does not load the library, which takes seconds.
"""

import contextlib
import json
import logging
import math
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ml_platform.checks.result import (
    EXAMPLES,
    CheckResult,
    Outcome,
    Severity,
    collect,
    counted,
    single_names,
    text_of,
)
from ml_platform.kernel.errors import DeclarationError, SettingsError, Where, closest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SEVERITIES: tuple[Severity, ...] = get_args(Severity)

_HOUSEKEEPING = {
    *("id", "meta", "notes", "result_format", "catch_exceptions", "rendered_content"),
    *("windows", "batch_id", "metadata", "description", "severity"),
}
"""What the library's schemas list besides an expectation's own arguments."""

_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")
_EXACT_FLOAT = 2**53
"""Up to here every whole number is a float; the library compares bounds as floats."""

_ONE_AT_A_TIME = threading.RLock()
"""The library keeps its context in a global, and warning filters are the process's."""


@dataclass(frozen=True)
class Rule:
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

    rules: tuple[Rule, ...]
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
    rules: list[Rule] = []
    for one in declared:
        rules.append(_read_rule(one, Suite(tuple(rules), subject, where)))
    return Suite(tuple(rules), subject, where)


def verify(suite: Suite) -> None:
    """Let the library look at the arguments' values too; it is loaded for that.

    Raises:
        DeclarationError: an argument's value is not possible.
    """
    with _library() as gx:
        _expectations(suite, gx)


def check_suite(suite: Suite, table: "pd.DataFrame | pa.Table") -> CheckResult:
    """Run a suite on a table; the table is not changed.

    Expectations see plain pandas types: pandas' nullable and Arrow's types become numpy's, a date
    becomes a timestamp at midnight, a time with a zone the same moment in UTC without one. An
    expectation about a column that is not there, or that raises, is a failed rule with its message.

    Raises:
        DeclarationError: an argument's value is not possible.
    """
    frame, outcomes = single_names(_as_frame(table))
    with _library() as gx:
        expectations = _expectations(suite, gx)
        absent = {i: _absent(rule, frame) for i, rule in enumerate(suite.rules)}
        runnable = [one for i, one in enumerate(expectations) if not absent[i]]
        results = {
            one.expectation_config.meta["rule"]: one for one in _validated(runnable, frame, gx)
        }
    for i, rule in enumerate(suite.rules):
        missing = absent[i]
        outcomes.append(missing[0] if missing else _outcome(rule, results[i], frame))
    return collect(outcomes, len(frame))


# --- What a declaration may say


def _read_rule(declared: object, so_far: Suite) -> Rule:
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
    rule = Rule(
        str(name),
        {word: _moment(word, value) for word, value in own.items()},
        arguments.get("severity", "error"),
        str(arguments.get("description") or ""),
    )
    _refuse_unknown_words(Suite((*so_far.rules, rule), so_far.subject, so_far.where), place)
    return rule


def _refuse_unknown_name(name: str, so_far: Suite) -> None:
    known = _catalogue()
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


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, tuple[Path, bool]]:
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
    said = json.loads(_catalogue()[name][0].read_text("utf-8"))
    words = [word for word in said["properties"] if word not in _HOUSEKEEPING]
    return words, list(said.get("required") or [])


# --- The library, kept to itself


@contextlib.contextmanager
def _library() -> Iterator[Any]:
    """The loaded library, with what it does to the process undone at the end.

    On import it hands all warnings of the process to a logger that drops them, sets filters and
    a level; while it works it warns about itself.
    """
    with _ONE_AT_A_TIME, _logging_as_it_was(), warnings.catch_warnings():
        for message, category in _ITS_OWN_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        import great_expectations as gx

        yield gx


_ITS_OWN_WARNINGS: list[tuple[str, type[Warning]]] = [
    # Two modules of the standard library that it imports by their old names.
    ("module 'sre_(constants|parse|compile)' is deprecated", DeprecationWarning),
    # A condition written as text, which is the only way to write one in YAML.
    ("Passing a string to the row_condition parameter is deprecated", DeprecationWarning),
    ("The condition_parser parameter is deprecated", DeprecationWarning),
]


@contextlib.contextmanager
def _logging_as_it_was() -> Iterator[None]:
    captured = warnings.showwarning is getattr(logging, "_showwarning", None)
    root_level, root_handlers = logging.root.level, list(logging.root.handlers)
    try:
        yield
    finally:
        logging.captureWarnings(captured)
        logging.root.setLevel(root_level)
        logging.root.handlers[:] = root_handlers


def _expectations(suite: Suite, gx: Any) -> list[Any]:
    """The library's own objects, each carrying its place in the suite: results come unordered."""
    made = []
    for place, rule in enumerate(suite.rules):
        kind = getattr(gx.expectations, _catalogue()[rule.name][0].stem)
        try:
            made.append(kind(**rule.arguments, meta={"rule": place}))
        except ValueError as error:  # its validation errors are of an old pydantic, inside it
            given, allowed = _complaint(error, rule)
            raise suite.refuse(place, given, allowed=allowed) from None
    return made


def _complaint(error: ValueError, rule: Rule) -> tuple[str, str]:
    """The library's first complaint: what was given, and all that it would have taken instead."""
    described = getattr(error, "errors", None)
    if described is None:
        return str(error), ""
    found = [(str(one["loc"][0]), str(one["msg"])) for one in described()]
    word, message = found[0]
    if word == "__root__":
        return message, ""
    # The library also takes a mapping for each value, a way of its own to pass parameters.
    messages = [said for about, said in found if about == word and "dict" not in said]
    return f"'{word}' is {text_of(rule.arguments.get(word))}", "; ".join(messages)


def _validated(expectations: list[Any], frame: "pd.DataFrame", gx: Any) -> list[Any]:
    """What the library found, with every failing row.

    A context of its own for each call costs 0.05 s; one kept for the next call would keep the
    whole frame in memory until then.
    """
    from great_expectations.data_context.types import base

    if not expectations:
        return []
    # Its own default makes a folder for pages.
    stores = base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    quiet = base.ProgressBarsConfig(globally=False)
    config = base.DataContextConfig(
        store_backend_defaults=stores, progress_bars=quiet, analytics_enabled=False
    )
    context = gx.get_context(project_config=config, mode="ephemeral")
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    whole = asset.add_batch_definition_whole_dataframe("whole")
    batch = whole.get_batch({"dataframe": frame.set_axis(frame.columns, axis=1)})
    wanted = {
        "result_format": "COMPLETE",
        "partial_unexpected_count": EXAMPLES,
        "return_unexpected_index_query": False,
    }
    suite = gx.ExpectationSuite(name="suite", expectations=expectations)
    return list(batch.validate(suite, result_format=wanted).results)


# --- What it sees


def _as_frame(table: "pd.DataFrame | pa.Table") -> "pd.DataFrame":
    """The table with plain types, which the library compares many times faster than others."""
    import pandas as pd

    frame = table
    if not isinstance(frame, pd.DataFrame):
        return _as_frame(frame.to_pandas(types_mapper=pd.ArrowDtype))
    columns = [_plain(frame.iloc[:, place]) for place in range(frame.shape[1])]
    plain = pd.DataFrame(dict(enumerate(columns)), index=frame.index)
    return plain.set_axis(frame.columns, axis=1)


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd
    from pandas.api import types

    dtype: Any = column.dtype
    if types.infer_dtype(column, skipna=True) == "date":  # Arrow's days, and Python's
        return column.astype(object).astype("datetime64[s]")
    if types.is_datetime64_any_dtype(dtype):
        return _zoneless(column)
    if not types.is_extension_array_dtype(dtype):
        return column
    if types.is_bool_dtype(dtype) or not types.is_numeric_dtype(dtype):
        return _objects(column)
    whole = types.is_integer_dtype(dtype) and not column.isna().any()
    if whole:
        return column.astype(dtype.numpy_dtype)
    return pd.Series(column.to_numpy(dtype="float64", na_value=np.nan), column.index)


def _zoneless(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Moments in UTC without a zone; those that have none are in UTC already."""
    import pandas as pd

    if isinstance(column.dtype, pd.ArrowDtype):
        column = pd.Series(column.array.to_numpy(), column.index)
    zoned = isinstance(column.dtype, pd.DatetimeTZDtype)
    return column.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else column


def _objects(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Python's values, with None where one is missing."""
    plain = column.astype(object)
    return plain.where(column.notna(), None)


# --- What it found


def _absent(rule: Rule, frame: "pd.DataFrame") -> list[Outcome]:
    """A failed outcome when a column is not there; the library's own message names no others."""
    there = list(frame.columns)
    gone = [name for name in rule.columns if name not in there]
    if not gone or rule.name == "expect_column_to_exist":
        return []
    words = f"no column '{gone[0]}'; there are {closest(gone[0], there)}"
    return [_with(rule, passed=False, observed=words)]


def _outcome(rule: Rule, result: Any, frame: "pd.DataFrame") -> Outcome:
    raised = _exception(result.exception_info)
    if raised is not None:
        return _with(rule, passed=False, observed=f"could not be looked at: {text_of(raised)}")
    found = result.result
    if "unexpected_index_list" not in found:
        return _with(rule, passed=bool(result.success), **_measured(rule, found, frame))
    positions = np.asarray(sorted(set(found["unexpected_index_list"])), dtype=np.intp)
    asked = counted(found["element_count"] - found.get("missing_count", 0), "value")
    return _with(
        rule,
        passed=bool(result.success),
        observed=len(positions),
        words=f"{len(positions):,} of {asked}",
        positions=positions,
        examples=_examples(rule, positions, frame),
    )


def _examples(rule: Rule, positions: Any, frame: "pd.DataFrame") -> Sequence[object]:
    first = frame.iloc[positions[:200]]
    if rule.name == "expect_column_values_to_not_be_null":
        return ()
    if len(rule.columns) == 1:
        return list(first[rule.columns[0]])
    records: list[dict[Any, object]] = first[rule.columns].to_dict("records")
    return records


def _measured(rule: Rule, found: Mapping[str, Any], frame: "pd.DataFrame") -> dict[str, Any]:
    """What a rule about the whole measured, as a figure where it is one."""
    value = found.get("observed_value")
    if rule.name == "expect_column_to_exist":
        there = rule.columns[0] in frame.columns
        return {"observed": "it is there" if there else f"there are {', '.join(frame.columns)}"}
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return {"observed": value}
    unexpected = found.get("partial_unexpected_list") or ()
    if unexpected:
        return {"observed": f"also there: {text_of(list(unexpected))}"}
    return {"observed": "nothing to measure" if value is None else text_of(value)}


def _exception(info: Mapping[str, Any]) -> str | None:
    """The message of what was raised inside: directly, or for each metric that was needed."""
    if "raised_exception" in info:
        return str(info["exception_message"]) if info["raised_exception"] else None
    for one in info.values():
        if isinstance(one, Mapping) and one.get("raised_exception"):
            return str(one["exception_message"])
    return None


def _with(rule: Rule, *, passed: bool, observed: str | float, **more: Any) -> Outcome:
    return Outcome(
        rule=rule.name,
        passed=passed,
        expected=rule.expected,
        observed=observed,
        column=", ".join(rule.columns),
        severity=rule.severity,
        **more,
    )
