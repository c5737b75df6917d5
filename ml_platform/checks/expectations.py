"""Great Expectations, kept to itself: a suite run on a frame and told as a result.

Here: the library loaded and used with nothing sent, nothing written, nothing printed, no logging
or warnings changed. Not here: what a suite may say (suite.py).
"""

import contextlib
import logging
import math
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_platform.checks.result import (
    EXAMPLES,
    CheckResult,
    Outcome,
    collect,
    counted,
    single_names,
    text_of,
)
from ml_platform.checks.suite import Expectation, Suite, catalogue
from ml_platform.checks.words import zoneless
from ml_platform.kernel.errors import closest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ONE_AT_A_TIME = threading.RLock()
"""The library keeps its context in a global, and warning filters are the process's."""


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
        kind = getattr(gx.expectations, catalogue()[rule.name][0].stem)
        try:
            made.append(kind(**rule.arguments, meta={"rule": place}))
        except ValueError as error:  # its validation errors are of an old pydantic, inside it
            given, allowed = _complaint(error, rule)
            raise suite.refuse(place, given, allowed=allowed) from None
    return made


def _complaint(error: ValueError, rule: Expectation) -> tuple[str, str]:
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
        return zoneless(column)
    if not types.is_extension_array_dtype(dtype):
        return column
    if types.is_bool_dtype(dtype) or not types.is_numeric_dtype(dtype):
        return _objects(column)
    whole = types.is_integer_dtype(dtype) and not column.isna().any()
    if whole:
        return column.astype(dtype.numpy_dtype)
    return pd.Series(column.to_numpy(dtype="float64", na_value=np.nan), column.index)


def _objects(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Python's values, with None where one is missing."""
    plain = column.astype(object)
    return plain.where(column.notna(), None)


# --- What it found


def _absent(rule: Expectation, frame: "pd.DataFrame") -> list[Outcome]:
    """A failed outcome when a column is not there; the library's own message names no others."""
    there = list(frame.columns)
    gone = [name for name in rule.columns if name not in there]
    if not gone or rule.name == "expect_column_to_exist":
        return []
    words = f"no column '{gone[0]}'; there are {closest(gone[0], there)}"
    return [_with(rule, passed=False, observed=words)]


def _outcome(rule: Expectation, result: Any, frame: "pd.DataFrame") -> Outcome:
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


def _examples(rule: Expectation, positions: Any, frame: "pd.DataFrame") -> Sequence[object]:
    first = frame.iloc[positions[:200]]
    if rule.name == "expect_column_values_to_not_be_null":
        return ()
    if len(rule.columns) == 1:
        return list(first[rule.columns[0]])
    records: list[dict[Any, object]] = first[rule.columns].to_dict("records")
    return records


def _measured(rule: Expectation, found: Mapping[str, Any], frame: "pd.DataFrame") -> dict[str, Any]:
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


def _with(rule: Expectation, *, passed: bool, observed: str | float, **more: Any) -> Outcome:
    return Outcome(
        rule=rule.name,
        passed=passed,
        expected=rule.expected,
        observed=observed,
        column=", ".join(rule.columns),
        severity=rule.severity,
        **more,
    )
