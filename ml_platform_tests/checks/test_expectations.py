"""What a suite finds in a table, and that it gives the same result as a schema."""

import json
import logging
import os
import subprocess
import sys
import textwrap
import warnings
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_platform.checks.expectations import check_suite, verify
from ml_platform.checks.schema import read_schema
from ml_platform.checks.suite import read_suite
from ml_platform.checks.validation import check_schema
from ml_platform.kernel.errors import DeclarationError

BETWEEN = "expect_column_values_to_be_between"


def suite(text):
    return read_suite(yaml.safe_load(text))


def check(text, table):
    return check_suite(suite(text), table)


def between(table, **arguments):
    """The rows of column `a` that are not between, and how many the result counts."""
    found = check_suite(read_suite([{BETWEEN: {"column": "a"} | arguments}]), table)
    return [list(one.first_rows) for one in found.failures], found.failing_rows


@pytest.fixture
def frame():
    return pd.DataFrame({"a": [5, -1, -1, -2], "b": ["x", None, "y", "x"]}, index=[7, 7, 8, 9])


# --- What a result says


def test_a_failure_tells_what_was_expected_what_was_there_and_where(frame):
    found = check(f"- {BETWEEN}: {{column: a, min_value: 0}}", frame)
    (failure,) = found.failures
    assert (failure.rule, failure.column) == (BETWEEN, "a")
    assert failure.expected == "column values to be between (min_value 0)"
    assert failure.observed == "3 of 4 values"
    assert (failure.rows, failure.share, failure.examples) == (3, 0.75, ("-1", "-2"))
    assert failure.first_rows == (1, 2, 3)
    assert found.summary == "3 of 4 rows break 1 rule"


def test_a_description_stands_in_place_of_the_name(frame):
    found = check(f"- {BETWEEN}: {{column: a, min_value: 0, description: never negative}}", frame)
    assert found.failures[0].expected == "never negative"


@pytest.mark.parametrize(
    ("rule", "failing"),
    [
        ("expect_column_values_to_not_be_null: {column: b}", [1]),
        ("expect_column_values_to_be_null: {column: b}", [0, 2, 3]),
        ("expect_column_values_to_be_in_set: {column: b, value_set: [x]}", [2]),
        ("expect_column_values_to_be_unique: {column: a}", [1, 2]),
        ("expect_column_values_to_match_regex: {column: b, regex: ^x$}", [2]),
        ("expect_column_value_lengths_to_equal: {column: b, value: 2}", [0, 2, 3]),
        ("expect_compound_columns_to_be_unique: {column_list: [a, c]}", [1, 2]),
        ("expect_column_pair_values_a_to_be_greater_than_b: {column_A: a, column_B: c}", [1, 2, 3]),
        (BETWEEN + ": {column: a, min_value: 0, mostly: 0.3}", [1, 2, 3]),
        (BETWEEN + ": {column: a, min_value: 0, mostly: 0.25}", None),
        (
            BETWEEN + ": {column: a, min_value: 0, row_condition: b == 'x', "
            "condition_parser: pandas}",
            [3],
        ),
    ],
)
def test_a_rule_names_exactly_the_rows_that_break_it(frame, rule, failing):
    found = check(f"- {rule}", frame.assign(c=0))
    assert [list(one.first_rows) for one in found.failures] == (
        [] if failing is None else [failing]
    )
    assert found.failing_rows == len(failing or [])


@pytest.mark.parametrize(
    ("rule", "observed"),
    [
        ("expect_column_mean_to_be_between: {column: a, min_value: 1}", 0.25),
        ("expect_column_max_to_be_between: {column: a, max_value: 4}", 5),
        ("expect_table_row_count_to_equal: {value: 3}", 4),
        ("expect_column_to_exist: {column: c}", "there are a, b"),
        (
            "expect_column_distinct_values_to_be_in_set: {column: b, value_set: [x]}",
            "also there: y",
        ),
        ("expect_table_columns_to_match_set: {column_set: [a]}", "a, b"),
    ],
)
def test_a_rule_about_the_whole_tells_what_it_measured(frame, rule, observed):
    found = check(f"- {rule}", frame)
    (failure,) = found.failures
    assert list(found.observed.values()) == [observed]
    assert (failure.rows, failure.share, found.failing_rows) == (None, None, 0)


def test_a_figure_is_told_when_the_rule_holds_too(frame):
    found = check("- expect_column_mean_to_be_between: {column: a, max_value: 1}", frame)
    assert found.passed
    assert found.observed == {"a: expect_column_mean_to_be_between": 0.25}


def test_rules_keep_the_order_in_which_they_were_declared(frame):
    # The library itself gives results grouped by what they need.
    rules = [
        {"expect_column_mean_to_be_between": {"column": "a", "min_value": 9}},
        {"expect_column_values_to_be_in_set": {"column": "b", "value_set": ["x"]}},
        {"expect_column_max_to_be_between": {"column": "a", "max_value": 1}},
        {"expect_table_row_count_to_equal": {"value": 9}},
        {BETWEEN: {"column": "a", "min_value": 0}},
        {BETWEEN: {"column": "a", "max_value": 0}},
    ]
    found = check_suite(read_suite(rules), frame)
    assert [one.rule for one in found.failures] == [next(iter(one)) for one in rules]
    assert [one.rows for one in found.failures[-2:]] == [3, 1]


def test_a_warning_does_not_stop_and_stands_after_the_errors(frame):
    text = f"- {BETWEEN}: {{column: a, min_value: 0, severity: warn}}\n"
    found = check(text, frame)
    assert (found.passed, found.severity) == (False, "warn")
    found = check(text + "- expect_column_values_to_not_be_null: {column: b}", frame)
    assert found.severity == "error"
    assert [one.severity for one in found.failures] == ["error", "warn"]


@pytest.mark.parametrize("columns", ["column: c", "column: A"])
def test_a_missing_column_is_a_failed_rule_that_names_the_columns(frame, columns):
    found = check(
        f"- expect_column_values_to_not_be_null: {{{columns}}}\n"
        "- expect_column_values_to_not_be_null: {column: a}",
        frame,
    )
    (failure,) = found.failures
    assert failure.observed.startswith("no column '")
    assert "a, b" in failure.observed
    assert found.rules == 2


def test_an_expectation_that_raises_inside_is_a_failed_rule_with_its_message(frame):
    found = check(
        "- expect_column_median_to_be_between: {column: b, min_value: 0}\n"
        "- expect_column_values_to_not_be_null: {column: a}",
        frame,
    )
    (failure,) = found.failures
    assert failure.observed.startswith("could not be looked at: ")
    assert "numeric" in failure.observed


def test_a_column_name_that_is_there_twice_is_a_failure_and_not_a_crash():
    found = check(
        f"- {BETWEEN}: {{column: a, min_value: 0}}", pd.DataFrame([[1, 2]], columns=["a", "a"])
    )
    assert [one.rule for one in found.failures] == ["column names"]


@pytest.mark.parametrize("missing", ["no rows", "only gaps"])
def test_values_that_are_not_there_break_no_rule_about_values(missing):
    values = pd.Series([] if missing == "no rows" else [None, None], dtype="float64")
    found = check(
        f"- {BETWEEN}: {{column: a, min_value: 0}}\n"
        "- expect_column_values_to_be_unique: {column: a}",
        values.to_frame("a"),
    )
    assert found.passed
    assert found.rules == 2


def test_a_check_does_not_change_the_table(frame):
    frame["t"] = pd.Timestamp("2010-02-05", tz="Asia/Tokyo")
    before = frame.copy(deep=True)
    check(f"- {BETWEEN}: {{column: a, min_value: 0}}", frame)
    pd.testing.assert_frame_equal(frame, before)


# --- What it sees of a table


@pytest.mark.parametrize(
    "dtype",
    [
        "int64",
        "int8",
        "float32",
        "Int64",
        "Float64",
        "object",
        "category",
        pd.ArrowDtype(pa.int16()),
    ],
    ids=str,
)
def test_numbers_are_compared_however_a_library_holds_them(dtype):
    table = pd.DataFrame({"a": pd.Series([1, 2, 3], dtype=dtype)})
    assert between(table, min_value=2) == ([[0]], 1)


@pytest.mark.parametrize(
    "dtype", ["Int64", "Float32", "float64", pd.ArrowDtype(pa.int16())], ids=str
)
def test_gaps_break_no_bound(dtype):
    table = pd.DataFrame({"a": pd.Series([1, None, 3], dtype=dtype)})
    assert between(table, min_value=2) == ([[0]], 1)


DAYS = [date(2010, 2, 4), None, date(2010, 2, 6)]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.to_datetime(DAYS)),
        pd.Series(pd.to_datetime(DAYS)).astype("datetime64[s]"),
        pd.Series(DAYS, dtype=object),
        pd.Series(DAYS, dtype=pd.ArrowDtype(pa.date32())),
        pd.Series(pd.to_datetime(DAYS), dtype=pd.ArrowDtype(pa.timestamp("ms"))),
        pd.Series(pd.to_datetime(DAYS)).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        pd.Series(pd.to_datetime(DAYS, utc=True), dtype=pd.ArrowDtype(pa.timestamp("us", "UTC"))),
    ],
    ids=lambda one: str(one.dtype),
)
@pytest.mark.parametrize(
    "bound", [date(2010, 2, 5), "2010-02-05", datetime(2010, 2, 5, 9, tzinfo=UTC)], ids=repr
)
def test_days_and_moments_are_compared_however_they_are_held_and_written(values, bound):
    assert between(values.to_frame("a"), min_value=bound) == ([[0]], 1)


@pytest.mark.parametrize("dtype", [None, pd.ArrowDtype(pa.timestamp("us", "Asia/Tokyo"))], ids=str)
def test_a_bound_without_a_zone_is_in_utc_and_moments_are_compared_as_such(dtype):
    moments = pd.Series(pd.to_datetime(["2010-01-01 00:30+01:00", "2010-01-01 01:30+01:00"]))
    moments = moments if dtype is None else moments.astype(dtype)
    assert between(moments.to_frame("a"), min_value="2010-01-01") == ([[0]], 1)


def test_an_arrow_table_is_taken_as_it_is():
    table = pa.table({"a": [1, None, 3], "b": ["x", None, "y"]})
    assert between(table, min_value=2) == ([[0]], 1)
    found = check("- expect_column_values_to_not_be_null: {column: b}", table)
    assert [one.first_rows for one in found.failures] == [(1,)]


# --- Counting, against plain pandas and against the other kind of check


numbers = st.one_of(st.none(), st.integers(-50, 50), st.floats(-50, 50))
bound = st.one_of(st.integers(-50, 50), st.floats(-50, 50))


@settings(deadline=None, max_examples=40)
@given(st.lists(numbers, max_size=30), bound, bound, st.sampled_from(["float64", "Float64"]))
def test_both_kinds_of_check_count_the_rows_that_plain_pandas_counts(values, one, other, dtype):
    low, high = sorted([one, other])
    plain = pd.Series(values, dtype="float64")
    table = pd.DataFrame({"a": plain.astype(dtype)})
    rules = {"type": "number", "nullable": True, "min": low, "max": high}
    by_schema = check_schema(read_schema({"columns": {"a": rules}}), table)
    by_suite = check_suite(
        read_suite([{BETWEEN: {"column": "a", "min_value": low, "max_value": high}}]), table
    )
    failing = plain.notna() & ~plain.between(low, high)
    assert by_schema.failing_rows == by_suite.failing_rows == failing.sum()
    assert by_schema.passed == by_suite.passed == (not failing.any())
    first = tuple(np.flatnonzero(failing)[:5])
    assert [failure.first_rows for failure in by_suite.failures] == ([first] if first else [])


words = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c", ""])), max_size=20)


@settings(deadline=None, max_examples=25)
@given(words, st.sets(st.sampled_from(["a", "b", "", "z"]), min_size=1))
def test_both_kinds_agree_on_texts_gaps_and_repeats(values, allowed):
    table = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    column = {"type": "text", "unique": True, "allowed": sorted(allowed)}
    by_schema = check_schema(read_schema({"columns": {"a": column}}), table)
    rules = [
        {"expect_column_values_to_not_be_null": {"column": "a"}},
        {"expect_column_values_to_be_unique": {"column": "a"}},
        {"expect_column_values_to_be_in_set": {"column": "a", "value_set": sorted(allowed)}},
    ]
    by_suite = check_suite(read_suite(rules), table)

    def told(found):
        return [(one.rows, one.share, one.first_rows, one.examples) for one in found.failures]

    assert told(by_schema) == told(by_suite)
    assert by_schema.failing_rows == by_suite.failing_rows
    assert by_schema.summary == by_suite.summary or by_schema.passed


# --- Values that only the library can refuse


@pytest.mark.parametrize(
    ("arguments", "said", "allowed"),
    [
        ({}, "cannot both be None", ""),
        ({"min_value": "abc"}, "'min_value' is abc", "not a valid float"),
        ({"min_value": 1, "mostly": 3}, "'mostly' is 3", "less than or equal to 1"),
        ({"min_value": 1, "strict_min": "perhaps"}, "'strict_min' is perhaps", "boolean"),
    ],
)
@pytest.mark.parametrize("look", [verify, lambda one: check_suite(one, pd.DataFrame({"a": [1]}))])
def test_a_value_that_the_library_refuses_is_a_mistake_in_the_declaration(
    look, arguments, said, allowed
):
    made = read_suite([{BETWEEN: {"column": "a"} | arguments}])
    with pytest.raises(DeclarationError) as refused:
        look(made)
    assert said in str(refused.value)
    assert allowed in refused.value.allowed


# --- The library, kept to itself


def test_the_process_is_as_it_was_after_a_check(frame):
    def state():
        levels = (logging.root.level, logging.root.manager.disable, list(logging.root.handlers))
        return (list(warnings.filters), warnings.showwarning, levels)

    before = state()
    check(f"- {BETWEEN}: {{column: a, min_value: 0}}", frame)
    assert state() == before


@pytest.mark.parametrize("stage", ["read", "check"])
def test_a_fresh_process_writes_sends_and_prints_nothing(tmp_path, stage):
    code = """
        import json, logging, os, sys, warnings
        events = []
        def watch(event, arguments):
            outside = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen")
            flags = arguments[2] if event == "open" else 0
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if event in (*outside, "os.mkdir", "os.rename") or writes:
                events.append([event, str(arguments)])
        sys.addaudithook(watch)
        from ml_platform.checks.expectations import check_suite
        from ml_platform.checks.suite import read_suite
        suite = read_suite([{"expect_column_values_to_not_be_null": {"column": "a"}}])
        if sys.argv[1] == "check":
            import pandas
            before = warnings.showwarning, list(warnings.filters), list(logging.root.handlers)
            assert not check_suite(suite, pandas.DataFrame({"a": [None, 1.0]})).passed
            assert before == (warnings.showwarning, warnings.filters, logging.root.handlers)
            assert logging._warnings_showwarning is None
            assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
        loaded = "great_expectations" in sys.modules
        print(json.dumps([events, loaded]))
    """
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", textwrap.dedent(code), stage],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == [[], stage == "check"]
    assert list(tmp_path.iterdir()) == []
