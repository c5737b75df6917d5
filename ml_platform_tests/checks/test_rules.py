"""Which rows keep each rule of a schema."""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from ml_platform.checks.result import single_names
from ml_platform.checks.rules import rules_of
from ml_platform.checks.schema import read_schema
from ml_platform.checks.words import as_frame


def broken(text, table):
    """For each broken rule the rows that break it; none for a rule about the whole."""
    frame, _ = single_names(as_frame(table))
    answers = {
        f"{', '.join(rule.columns)}: {rule.word}": rule.holds(frame)
        for rule in rules_of(read_schema(yaml.safe_load(text)), frame)
    }
    return {
        name: list(np.flatnonzero(~kept)) if np.ndim(kept) else []
        for name, kept in answers.items()
        if not np.all(kept)
    }


def column(rules, values, dtype=None):
    frame = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
    return broken(f"columns: {{a: {{{rules}}}}}", frame)


def test_each_row_of_a_mixed_column_is_judged_by_itself():
    values = [1, "n/a", 2.5, None, 4, True]
    assert column("type: integer, nullable: true, min: 2", values) == {
        "a: type": [1, 2, 5],
        "a: min": [0],
    }


@pytest.mark.parametrize(
    ("rules", "values", "expected"),
    [
        ("type: number", [1.0, None], {"a: nullable": [1]}),
        ("type: number, nullable: true", [1.0, None], {}),
        ("nullable: true, max_missing_share: 0.5", [1.0, None], {}),
        ("nullable: true, max_missing_share: 0.4", [1.0, None], {"a: max_missing_share": [1]}),
        ("nullable: true, unique: true", [1, 2, 1, None, None], {"a: unique": [0, 2]}),
        ("type: integer, min: 2, max: 3", [1, 2, 3, 4], {"a: min": [0], "a: max": [3]}),
        ("type: number, min: 0.1", [0.1, 0.0999], {"a: min": [1]}),
        ("type: integer, min: 9007199254740993", [2**53, 2**53 + 1], {"a: min": [0]}),
        ("type: integer, max: 100000000000000000000", [1, 2], {}),
        ("allowed: [0]", [0, 1, 0], {"a: allowed": [1]}),
        ("type: text, allowed: [x, '1']", ["x", "1", "X"], {"a: allowed": [2]}),
        ("type: text, matches: '[A-Z]{2}'", ["AB", "ABC", "xAB"], {"a: matches": [1, 2]}),
        ("type: date, min: 2010-02-05", ["2010-02-04", "2010-02-05"], {"a: min": [0]}),
        ("type: date, max: '2010-02-04'", ["2010-02-04", "2010-02-05"], {"a: max": [1]}),
        ("type: date, allowed: [2010-02-04]", ["2010-02-04", "2010-02-05"], {"a: allowed": [1]}),
        ("type: date, unique: true", ["2010-02-04", "2010-02-04"], {"a: unique": [0, 1]}),
        ("type: date", ["2010-02-04", "2010-02-05T00:01"], {"a: type": [1]}),
        (
            "type: timestamp, max: 2010-02-05T12:00:00",
            ["2010-02-05", "2010-02-06"],
            {"a: max": [1]},
        ),
    ],
)
def test_a_rule_names_exactly_the_rows_that_break_it(rules, values, expected):
    if "type: date" in rules or "type: timestamp" in rules:
        moments = pd.to_datetime(pd.Series(values), format="ISO8601")
        assert column(rules, moments) == expected
        assert column(rules, [one.to_pydatetime() for one in moments], dtype=object) == expected
        assert column(rules, moments, pd.ArrowDtype(pa.timestamp("us"))) == expected
    else:
        assert column(rules, values) == expected


@pytest.mark.parametrize("dtype", ["datetime64[ns, Europe/Berlin]", "object", "arrow"])
def test_a_bound_without_a_zone_is_in_utc_and_moments_are_compared_as_such(dtype):
    moments = pd.Series(pd.to_datetime(["2010-01-01 00:30+01:00", "2010-01-01 01:30+01:00"]))
    dtype = pd.ArrowDtype(pa.timestamp("us", tz="Asia/Tokyo")) if dtype == "arrow" else dtype
    assert column("type: timestamp, min: 2010-01-01", moments.astype(dtype)) == {"a: min": [0]}


def test_a_day_as_arrow_holds_it_is_compared_as_a_day():
    days = pd.Series([date(1, 1, 1), date(9999, 12, 31)], dtype=pd.ArrowDtype(pa.date32()))
    assert column("type: date, min: 2010-01-01", days) == {"a: min": [0]}


def test_nan_in_an_arrow_column_is_missing_as_it_is_in_pandas():
    table = pa.table({"a": pa.array([1.0, float("nan"), None])})
    assert broken("columns: {a: {type: number, min: 0}}", table) == {"a: nullable": [1, 2]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key: [s, d]", {"s, d: key": [1, 2]}),
        ("key: [s]", {"s: key": [0, 1, 2]}),
        ("ordered_by: [s, d]", {"s, d: ordered_by": [4]}),
        ("ordered_by: [d]", {"d: ordered_by": [3]}),
        ("min_rows: 6", {": min_rows": []}),
        ("max_rows: 4", {": max_rows": []}),
        ("{min_rows: 5, max_rows: 5}", {}),
    ],
)
def test_a_rule_about_the_table_is_kept_over_its_rows(text, expected):
    frame = pd.DataFrame({"s": [1, 1, 1, 3, 2], "d": [5, 6, 6, 1, 7]}, index=[9] * 5)
    rules = {"columns": {"s": {}, "d": {}}} | yaml.safe_load(text)
    assert broken(yaml.safe_dump(rules), frame) == expected


def test_an_order_is_kept_across_a_gap_and_keys_with_gaps_are_compared():
    frame = pd.DataFrame({"a": [3, None, 2, None]})
    rules = "{columns: {a: {nullable: true}}, ordered_by: [a], key: [a]}"
    assert broken(rules, frame) == {"a: key": [1, 3], "a: ordered_by": [2]}
