"""What a declared schema says about a table."""

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_platform.checks.schema import (
    WORDS,
    Column,
    TableSchema,
    check_schema,
    column_schema,
    propose,
    read_schema,
    to_pandera,
)
from ml_platform.kernel.errors import DataError, DeclarationError, Where

TIMES = [datetime.fromisoformat(text) for text in ("2010-02-05", "2010-02-05T13:30")]


def schema(text):
    return read_schema(yaml.safe_load(text))


def broken(text, table):
    """For each broken rule the rows that break it, as far as they are shown."""
    found = check_schema(schema(text), table)
    assert found.passed == (not found.failures)
    return {f"{one.column}: {one.rule}": list(one.first_rows) for one in found.failures}


def column(rules, values, dtype=None):
    frame = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
    return broken(f"columns: {{a: {{{rules}}}}}", frame)


# --- Types


HELD = {
    "integer": [
        pd.Series([1, 2]),
        pd.Series([1, 2], dtype="uint8"),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1.0, np.nan]),
        pd.Series([1, None], dtype=pd.ArrowDtype(pa.int32())),
        pd.Series([1, Decimal(2), 3.0, None], dtype=object),
        pd.Series([1, 2], dtype="category"),
    ],
    "number": [
        pd.Series([1.5, np.nan, np.inf]),
        pd.Series([1.5, None], dtype="Float32"),
        pd.Series([Decimal("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        pd.Series([1, 2.5, None], dtype=object),
    ],
    "text": [
        pd.Series(["a", None]),
        pd.Series(["a", None], dtype="string"),
        pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
        pd.Series(["a", None], dtype="category"),
        pd.Series(["a", None], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    ],
    "boolean": [
        pd.Series([True, False]),
        pd.Series([True, None], dtype="boolean"),
        pd.Series([True, None], dtype=object),
        pd.Series([True, None], dtype=pd.ArrowDtype(pa.bool_())),
    ],
    "date": [
        pd.Series(pd.to_datetime(["2010-02-05", None])),
        pd.Series([date(2010, 2, 5), None], dtype=object),
        pd.Series([date(2010, 2, 5), None], dtype=pd.ArrowDtype(pa.date32())),
        pd.Series([date(9999, 12, 31), TIMES[0]], dtype=object),
    ],
    "timestamp": [
        pd.Series(TIMES),
        pd.Series(TIMES, dtype="datetime64[s]"),
        pd.Series(TIMES).dt.tz_localize("Europe/Berlin"),
        pd.Series(TIMES, dtype=pd.ArrowDtype(pa.timestamp("us", tz="UTC"))),
        pd.Series(TIMES, dtype=pd.ArrowDtype(pa.timestamp("ms"))),
        pd.Series([*TIMES, None], dtype=object),
    ],
}


@pytest.mark.parametrize(
    ("word", "values"),
    [(word, values) for word, many in HELD.items() for values in many],
    ids=lambda one: one if isinstance(one, str) else str(one.dtype),
)
def test_a_type_takes_its_values_however_a_library_holds_them(word, values):
    assert broken(f"columns: {{a: {{type: {word}, nullable: true}}}}", values.to_frame("a")) == {}


ALSO = {("integer", "number"), ("date", "timestamp")}
"""Whole numbers are numbers; a day held as a moment at midnight is a moment too."""


@pytest.mark.parametrize(
    ("word", "held"),
    [(word, held) for word in WORDS for held in WORDS if word != held and (held, word) not in ALSO],
)
def test_a_type_refuses_the_values_of_the_others(word, held):
    # The last value of the last example is one that no other type takes.
    values = HELD[held][-1].dropna().tail(1) if held != "number" else pd.Series([2.5])
    found = broken(f"columns: {{a: {{type: {word}}}}}", values.to_frame("a"))
    assert found == {"a: type": [0]}


def test_each_row_of_a_mixed_column_is_judged_by_itself():
    values = [1, "n/a", 2.5, None, 4, True]
    assert column("type: integer, nullable: true, min: 2", values) == {
        "a: type": [1, 2, 5],
        "a: min": [0],
    }


@pytest.mark.parametrize("arrow", [False, True])
def test_duckdbs_own_frames_and_tables_fit_the_types_that_sql_gave_them(arrow):
    made = duckdb.sql(
        "select 1::hugeint as i, 1.5::decimal(5, 2) as n, 'x' as t, true as b, date '2010-02-05' "
        "as d, timestamptz '2010-02-05 13:00:00+00' as m union all select null, null, null, null, "
        "null, null"
    )
    types = {
        "i": "integer",
        "n": "number",
        "t": "text",
        "b": "boolean",
        "d": "date",
        "m": "timestamp",
    }
    declared = {name: {"type": word, "nullable": True} for name, word in types.items()}
    table = made.to_arrow_table() if arrow else made.df()
    found = check_schema(read_schema({"columns": declared}), table)
    assert found.passed, found.markdown()


# --- Each rule


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
        ("extra_columns: forbid", {": extra_columns": []}),
        ("extra_columns: allow", {}),
    ],
)
def test_a_rule_about_the_table_is_kept_over_its_rows(text, expected):
    frame = pd.DataFrame({"s": [1, 1, 1, 3, 2], "d": [5, 6, 6, 1, 7], "extra": 0}, index=[9] * 5)
    rules = {"columns": {"s": {}, "d": {}}} | yaml.safe_load(text)
    assert broken(yaml.safe_dump(rules), frame) == expected


def test_an_order_is_kept_across_a_gap_and_keys_with_gaps_are_compared():
    frame = pd.DataFrame({"a": [3, None, 2, None]})
    rules = "{columns: {a: {nullable: true}}, ordered_by: [a], key: [a]}"
    assert broken(rules, frame) == {"a: key": [1, 3], "a: ordered_by": [2]}


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


# --- Declarations that do not say something possible


@pytest.mark.parametrize(
    ("text", "said", "allowed"),
    [
        (
            "columns: {a: {type: int}}",
            "column 'a': 'type' is 'int'",
            "integer (did you mean this?)",
        ),
        ("columns: {a: {typ: text}}", "column 'a': unknown word 'typ'", "type (did you mean"),
        ("colums: {a: {}}", "unknown word 'colums'", "columns (did you mean this?)"),
        ("columns: [a]", "'columns' is ['a']", "a mapping from the name"),
        ("columns: {a: integer}", "column 'a': it is 'integer'", "a mapping of type,"),
        ("[a]", "it is ['a']", "a mapping of description"),
        ("{}", "could never fail", ""),
        ("columns: {a: {min: 3}}", "'min' needs a type that has an order", "integer, number"),
        ("columns: {a: {type: text, max: b}}", "'max' needs a type", "integer, number"),
        ("columns: {a: {type: integer, min: 3, max: 2}}", "min 3 is greater than max 2", ""),
        (
            "columns: {a: {type: date, min: 2011-01-01, max: '2010-01-01'}}",
            "is greater than max",
            "",
        ),
        ("columns: {a: {type: integer, min: 2.5}}", "which is not an integer", ""),
        ("columns: {a: {type: number, min: .nan}}", "which is not a number", ""),
        ("columns: {a: {type: number, min: true}}", "which is not a number", ""),
        ("columns: {a: {type: date, min: 3}}", "which is not a date", "2010-02-05"),
        ("columns: {a: {type: date, min: 2010-02-05T12:00:00}}", "which is not a date", ""),
        ("columns: {a: {type: timestamp, min: noon}}", "not a timestamp", "2010-02-05T13:30:00"),
        ("columns: {a: {type: text, allowed: [1]}}", "holds 1, which is not text", ""),
        ("columns: {a: {allowed: []}}", "'allowed' is empty", ""),
        ("columns: {a: {type: text, matches: '['}}", "is no regular expression", "Python's"),
        ("columns: {a: {type: integer, matches: x}}", "'matches' needs type text", ""),
        ("columns: {a: {max_missing_share: 0.1}}", "may not be missing at all", ""),
        ("columns: {a: {nullable: true, max_missing_share: 2}}", "'max_missing_share' is 2", ""),
        ("{columns: {store: {}}, key: [stor]}", "names 'stor'", "store (did you mean this?)"),
        ("{columns: {store: {}}, ordered_by: [d]}", "'ordered_by' names 'd'", "store"),
        ("{columns: {a: {}}, min_rows: 3, max_rows: 2}", "min_rows 3 is greater than", ""),
        ("{columns: {a: {}}, extra_columns: no}", "'extra_columns' is False", "allow"),
        ("{columns: {a: {}}, severity: warning}", "is 'warning'", "warn (did you mean this?)"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_with_what_is_allowed(text, said, allowed):
    with pytest.raises(DeclarationError) as refused:
        schema(text)
    assert said in str(refused.value)
    assert allowed in refused.value.allowed


def test_a_refusal_tells_the_object_and_the_line():
    where = Where(Path("defs.yaml"), 12)
    with pytest.raises(DeclarationError, match="raw/sales") as refused:
        read_schema({"columns": {"a": {"type": "int"}}}, subject="schema of raw/sales", where=where)
    assert str(refused.value).startswith("defs.yaml:12: schema of raw/sales, column 'a'")


def test_every_word_of_a_declaration_has_a_sentence_and_a_default():
    for model in (Column, TableSchema):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert not field.is_required(), name


def test_a_catalogue_gets_names_types_and_constraints_as_plain_data():
    made = column_schema(
        schema(
            "{columns: {d: {type: date, description: Friday, min: 2010-02-05, unique: true}, "
            "o: {required: false, nullable: true}}, key: [d], max_rows: 9}"
        )
    )
    assert made == {
        "columns": [
            {
                "name": "d",
                "type": "date",
                "description": "Friday",
                "constraints": {
                    "nullable": False,
                    "unique": True,
                    "other": ["at least 2010-02-05"],
                },
            },
            {
                "name": "o",
                "type": "any",
                "description": "",
                "constraints": {
                    "nullable": True,
                    "unique": False,
                    "other": ["the column may be absent"],
                },
            },
        ],
        "constraints": ["d together are there only once", "at most 9 rows"],
    }


# --- Proposals


def filled(values, dtype):
    def series(many):
        return pd.Series(many, dtype=dtype)

    return st.lists(st.one_of(st.none(), values), max_size=12).map(series)


days = st.dates(date(1700, 1, 1), date(2200, 1, 1))
moments = st.datetimes(*map(datetime.fromisoformat, ("1700-01-01", "2200-01-01")))
columns = st.one_of(
    filled(st.integers(-(2**63), 2**63 - 1), "Int64"),
    filled(st.integers(-(2**63), 2**63 - 1), pd.ArrowDtype(pa.int64())),
    filled(st.floats(), "float64"),
    filled(st.floats(), pd.ArrowDtype(pa.float64())),
    filled(st.text(), object),
    filled(st.text(), "string"),
    filled(st.sampled_from(["a", "on", "1", "null", "2010-02-05"]), "category"),
    filled(st.booleans(), "boolean"),
    filled(st.booleans(), object),
    filled(days, object),
    filled(days, pd.ArrowDtype(pa.date32())),
    filled(moments, "datetime64[ns]"),
    filled(moments.map(lambda one: one.replace(tzinfo=UTC)), "datetime64[us, Asia/Tokyo]"),
    filled(st.decimals(-1000, 1000, places=2), object),
    filled(st.one_of(st.integers(), st.text(), st.floats(), st.binary(), days), object),
)


@st.composite
def frames(draw):
    names = draw(st.lists(st.text(), min_size=1, max_size=4, unique=True))
    made = [draw(columns) for _ in names]
    height = min(len(one) for one in made)
    return pd.DataFrame({name: one.iloc[:height] for name, one in zip(names, made, strict=True)})


@settings(deadline=None, max_examples=150)
@given(frames())
def test_a_table_passes_the_schema_that_was_proposed_for_it(frame):
    text = propose(frame)
    declared = read_schema(yaml.safe_load(text))
    found = check_schema(declared, frame)
    assert found.passed, text + found.markdown()
    assert list(declared.columns) == list(frame.columns)


def test_a_proposal_says_what_a_person_would_notice():
    rows = 200
    frame = pd.DataFrame(
        {
            "store": [one // 10 for one in range(rows)],
            "week": pd.to_datetime(["2010-02-05"] * rows) + pd.to_timedelta(range(rows), "W") % 70,
            "kind": ["a", "b"] * (rows // 2),
            "price": [1.0] * rows,
            "seat": [float(one) if one % 8 else None for one in range(rows)],
        }
    )
    frame["week"] = pd.Timestamp("2010-02-05") + pd.to_timedelta(
        [7 * (i % 10) for i in range(rows)], "D"
    )
    made = yaml.safe_load(propose(frame))
    assert made == {
        "columns": {
            "store": {"type": "integer", "min": 0},
            "week": {"type": "date"},
            "kind": {"type": "text", "allowed": ["a", "b"]},
            "price": {"type": "number", "min": 0},
            "seat": {"type": "integer", "nullable": True, "max_missing_share": 0.2, "min": 0},
        },
        "key": ["store", "week"],
        "extra_columns": "forbid",
        "min_rows": 1,
    }


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame([[1, 2]], columns=["a", "a"])])
def test_nothing_is_proposed_for_columns_without_names_of_their_own(frame):
    with pytest.raises(DataError, match=r"no columns|there more than once"):
        propose(frame)


@pytest.mark.real_data
@pytest.mark.skipif("ML_PLATFORM_DATA_DIR" not in os.environ, reason="needs real data")
@pytest.mark.parametrize(
    "name", ["store_sales.csv", "delivery_real.parquet", "delivery_197k.parquet"]
)
def test_real_tables_pass_what_is_proposed_for_them(name):
    file = Path(os.environ["ML_PLATFORM_DATA_DIR"]) / name
    frame = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    found = check_schema(read_schema(yaml.safe_load(propose(frame))), frame)
    assert found.passed, found.markdown()
    assert found.rows == len(frame)
