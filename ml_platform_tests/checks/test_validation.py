"""What pandera finds of a table's rules, all of them in one look."""

from datetime import datetime

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_platform.checks.schema import read_schema
from ml_platform.checks.validation import check_schema, to_pandera

TIMES = [datetime.fromisoformat(text) for text in ("2010-02-05", "2010-02-05T13:30")]


def schema(text):
    return read_schema(yaml.safe_load(text))


def broken(text, table):
    """For each broken rule the rows that break it, as far as they are shown."""
    found = check_schema(schema(text), table)
    assert found.passed == (not found.failures)
    return {f"{one.column}: {one.rule}": list(one.first_rows) for one in found.failures}


@pytest.mark.parametrize(
    ("extra", "expected"), [("forbid", {": extra_columns": []}), ("allow", {})]
)
def test_columns_that_are_not_declared_fail_where_they_are_forbidden(extra, expected):
    rules = f"{{columns: {{a: {{}}}}, extra_columns: {extra}}}"
    assert broken(rules, pd.DataFrame({"a": [1], "b": [2]})) == expected


def test_to_forbid_other_columns_is_a_rule_by_itself():
    rules = "{columns: {a: {required: false, nullable: true}}, extra_columns: forbid}"
    assert broken(rules, pd.DataFrame({"a": [None]})) == {}
    assert broken(rules, pd.DataFrame({"b": [1]})) == {": extra_columns": []}


def test_a_missing_column_is_one_failure_that_names_the_likely_one():
    found = check_schema(
        schema("columns: {sales: {type: number, min: 0}}"), pd.DataFrame({"sale": []})
    )
    (failure,) = found.failures
    assert (failure.rule, failure.column, failure.rows) == ("required", "sales", None)
    assert "sale (did you mean this?)" in failure.observed


def test_a_column_of_gaps_only_fails_beside_one_with_none():
    # pandera joins the gaps of several columns into one table, about which pandas warns.
    frame = pd.DataFrame({"a": [np.nan, np.nan], "c": pd.Categorical(["x", None])})
    rules = "columns: {a: {}, c: {nullable: true, allowed: [q]}}"
    assert broken(rules, frame) == {"a: nullable": [0, 1], "c: allowed": [0]}


@pytest.mark.parametrize("rows", [0, 3])
def test_faults_of_rows_columns_and_the_table_are_all_found_in_one_look(rows):
    frame = pd.DataFrame({"a": [1, -1], "n": [0.5, None], "t": ["x", "y"]})
    columns = "{a: {type: integer, min: 0}, n: {}, t: {allowed: [x]}, z: {}}"
    expected = {"z: required": [], "a: min": [1], "n: nullable": [1], "t: allowed": [1]}
    expected |= {": min_rows": []} if rows else {}
    assert broken(f"{{columns: {columns}, min_rows: {rows}}}", frame) == expected


def test_a_column_that_may_be_absent_is_checked_when_it_is_there():
    rules = "columns: {a: {}, b: {required: false, type: integer}}"
    assert broken(rules, pd.DataFrame({"a": [1]})) == {}
    assert broken(rules, pd.DataFrame({"a": [1], "b": ["x"]})) == {"b: type": [0]}


def test_a_key_needs_its_columns_even_if_they_may_be_absent():
    rules = "{columns: {a: {}, b: {required: false}}, key: [a, b]}"
    assert broken(rules, pd.DataFrame({"a": [1]})) == {"b: required": []}


def test_a_column_that_is_there_twice_fails_and_the_rest_is_still_checked():
    frame = pd.DataFrame([[1, 2, -1]], columns=["a", "a", "b"])
    found = broken("columns: {a: {type: integer}, b: {type: integer, min: 0}}", frame)
    assert found == {"a: column names": [], "b: min": [0]}


def test_values_that_cannot_be_compared_are_a_failure_and_not_a_crash():
    frame = pd.DataFrame({"a": [1, "x"]})
    (failure,) = check_schema(schema("{columns: {a: {}}, ordered_by: [a]}"), frame).failures
    assert failure.rule == "ordered_by"
    assert "could not be looked at: TypeError" in failure.observed
    assert failure.rows is None


def test_a_table_without_rows_breaks_only_the_rules_that_count_rows():
    rules = "{columns: {a: {type: text, unique: true}}, key: [a], ordered_by: [a], min_rows: 1}"
    assert broken(rules, pd.DataFrame({"a": pd.Series(dtype=object)})) == {": min_rows": []}


def test_a_warning_stays_a_warning():
    found = check_schema(
        schema("{columns: {a: {type: text}}, severity: warn}"), pd.DataFrame({"a": [1]})
    )
    assert (found.passed, found.severity) == (False, "warn")
    assert found.failures[0].severity == "warn"


def test_a_result_tells_what_was_expected_what_was_there_and_where():
    frame = pd.DataFrame({"a": [5, -1, -1, -2]})
    (failure,) = check_schema(schema("columns: {a: {type: integer, min: 0}}"), frame).failures
    assert (failure.expected, failure.observed) == ("at least 0", "3 rows")
    assert (failure.rows, failure.share, failure.examples) == (3, 0.75, ("-1", "-2"))


def test_a_check_does_not_change_the_table():
    frame = pd.DataFrame({"a": [1, None], "t": TIMES, "c": ["x", "y"]}, index=[3, 3])
    before = frame.copy(deep=True)
    broken("columns: {a: {type: integer}, t: {type: date}, c: {type: text}, z: {}}", frame)
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == before.attrs


def test_the_same_schema_works_in_pandera_alone():
    made = to_pandera(schema("{columns: {a: {type: integer, min: 2}}, extra_columns: forbid}"))
    assert len(made.validate(pd.DataFrame({"a": [2, 3]}))) == 2
    with pytest.raises(pandera.errors.SchemaError, match="at least 2 failure cases: 1"):
        made.validate(pd.DataFrame({"a": [2, 1]}))
    with pytest.raises(pandera.errors.SchemaErrors, match="column 'b' not in"):
        made.validate(pd.DataFrame({"a": [2], "b": 1}))


# --- Counting, against plain pandas


numbers = st.one_of(st.none(), st.integers(-50, 50), st.floats(-50, 50))


bounds = st.one_of(st.none(), st.integers(-50, 50), st.floats(-50, 50))


@settings(deadline=None)
@given(st.lists(numbers, max_size=30), bounds, bounds, st.sampled_from(["float64", "object", "pa"]))
def test_as_many_rows_fail_as_plain_pandas_counts(values, low, high, dtype):
    low, high = sorted([low, high]) if None not in (low, high) else (low, high)
    rules = {"type": "number", "min": low, "max": high, "nullable": True, "unique": True}
    plain = pd.Series(values, dtype="float64")
    held = plain.astype(pd.ArrowDtype(pa.float64()) if dtype == "pa" else dtype)
    table = pd.DataFrame({"a": held})
    found = check_schema(read_schema({"columns": {"a": rules}}), table)
    below = plain < low if low is not None else plain != plain  # noqa: PLR0124 - False or missing
    below = below & plain.notna()
    above = (plain > high) if high is not None else below & False
    twice = plain.dropna().duplicated(keep=False).reindex(plain.index, fill_value=False)
    expected = {"min": below.sum(), "max": above.sum(), "unique": twice.sum()}
    got = {one.rule: one.rows for one in found.failures}
    assert got == {word: count for word, count in expected.items() if count}
    assert found.failing_rows == (below | above | twice).sum()
