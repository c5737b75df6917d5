"""What a person reads of a check, and the counting behind it."""

import doctest

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ml_platform.checks import result
from ml_platform.checks.result import (
    EXAMPLES,
    LONGEST,
    Outcome,
    collect,
    escaped,
    single_names,
    text_of,
)


def held(rule="min", **more):
    return Outcome(rule, passed=True, expected="at least 0", observed=0, **more)


def broken(*positions, rule="min", **more):
    rows = np.array(positions, dtype=np.intp)
    more = {"observed": len(rows), "expected": "at least 0", "positions": rows} | more
    return Outcome(rule, passed=False, **more)


def cells(markdown):
    """The cells of the table's body, each as the tokens that a browser would get."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    assert [token.type for token in tokens].count("table_open") == 1
    inline = [token for token in tokens if token.type == "inline" and token.level == 4]
    width = len(result._HEADINGS)
    return [inline[start : start + width] for start in range(width, len(inline), width)]


def shown(token):
    """The text of a cell, which has to be nothing else than text."""
    assert {child.type for child in token.children} <= {"text", "text_special"}
    return "".join(child.content for child in token.children)


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(result).failed == 0


@pytest.mark.parametrize(
    ("outcomes", "rows", "sentence"),
    [
        ([held(), held("max")], 6435, "2 rules checked, all hold for 6,435 rows"),
        ([held()], 1, "1 rule checked, all hold for 1 row"),
        ([broken(1, 2), broken(2, 5, rule="max")], 6435, "3 of 6,435 rows break 2 rules"),
        ([broken(4), held("max")], 10, "1 of 10 rows breaks 1 rule"),
        ([broken(rule="key")], 10, "1 rule about the whole table or column fails"),
        (
            [broken(0), broken(rule="a"), broken(rule="b")],
            10,
            "1 of 10 rows breaks 1 rule; 2 rules about the whole table or column fail",
        ),
        ([broken(0, severity="warn")], 10, "1 of 10 rows breaks 1 rule (warnings only)"),
    ],
)
def test_the_summary_is_one_sentence_that_counts_right(outcomes, rows, sentence):
    assert collect(outcomes, rows).summary == sentence


def test_rules_that_hold_pass_and_are_still_told_with_what_they_found():
    found = collect([held(column="a"), held("max", column="a")], 5)
    assert (found.passed, found.rules, found.failing_rules, found.failing_rows) == (True, 2, 0, 0)
    assert found.observed == {"a: min": 0, "a: max": 0}
    assert found.expected == {"a: min": "at least 0", "a: max": "at least 0"}
    assert found.markdown() == "2 rules checked, all hold for 5 rows\n"


@pytest.mark.parametrize(
    ("severities", "worst"),
    [(["warn"], "warn"), (["warn", "error"], "error"), (["error", "warn"], "error")],
)
def test_one_error_among_warnings_makes_an_error_and_stands_first(severities, worst):
    found = collect([broken(0, severity=one) for one in severities], 3)
    assert found.severity == worst
    assert found.failures[0].severity == worst
    assert not found.passed


def test_a_rule_that_is_declared_twice_keeps_both_its_figures():
    found = collect([broken(0, column="a"), broken(1, 2, column="a")], 3)
    assert found.observed == {"a: min (1)": 1, "a: min (2)": 2}


def test_a_failure_shows_five_different_values_and_the_first_five_rows():
    values = [3, 3, 1, 2, 9, 8, 7]
    (failure,) = collect([broken(*range(10, 17), examples=values)], 100).failures
    assert failure.examples == ("3", "1", "2", "9", "8")
    assert failure.first_rows == (10, 11, 12, 13, 14)
    assert (failure.rows, failure.share) == (7, 0.07)


def test_a_failure_of_the_whole_has_no_count_of_rows():
    (failure,) = collect([broken(observed=171.57839)], 100).failures
    assert (failure.rows, failure.share, failure.observed) == (None, None, "171.57839")


@given(st.lists(st.sets(st.integers(0, 29)), max_size=5))
def test_a_row_that_breaks_many_rules_counts_once(sets):
    found = collect([broken(*sorted(rows)) for rows in sets], 30)
    assert found.failing_rows == len(set().union(*sets))
    assert found.failing_rules == len(sets)


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=LONGEST * 2), min_size=1, max_size=EXAMPLES),
    st.text(max_size=LONGEST),
)
def test_no_value_from_the_data_breaks_the_table(values, column):
    found = collect([broken(0, column=column, examples=values), broken(1)], 2)
    first, second = cells(found.markdown())
    assert shown(first[1]) == seen(column).strip()
    assert shown(first[7]) == seen(", ".join(found.failures[0].examples)).strip()
    assert shown(second[5]) == "1"


def seen(text):
    """How a cell shows a text: characters without a picture are spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@pytest.mark.parametrize(
    "nasty",
    [
        *("a|b", "`|`", "\\|", "\\", "<script>alert(1)</script>", "**x**", "[x](http://e)"),
        *("a\nb", "_x_", "| --- | --- |", "&lt;", "~~x~~", "![i](j)"),
    ],
)
def test_markup_in_a_value_is_shown_and_not_obeyed(nasty):
    (row,) = cells(collect([broken(0, examples=[nasty])], 1).markdown())
    assert shown(row[7]) == nasty.replace("\n", "\\n")


def test_column_names_stay_readable_where_markdown_is_not_rendered():
    assert escaped("sales_usd is_holiday") == "sales_usd is_holiday"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "(missing)"),
        (float("nan"), "(missing)"),
        (pd.NaT, "(missing)"),
        (pd.NA, "(missing)"),
        ("", "''"),
        (" x", "' x'"),
        ("tab\there", "tab\\there"),
        (np.float64(2.5), "2.5"),
        (np.int64(3), "3"),
        (pd.Timestamp("2010-02-05"), "2010-02-05"),
        (pd.Timestamp("2010-02-05 13:30"), "2010-02-05 13:30:00"),
        ({"a": 1, "b": None}, "a: 1, b: (missing)"),
        ((1, np.float64(2)), "1, 2.0"),
    ],
)
def test_a_value_reads_as_a_person_would_write_it(value, text):
    assert text_of(value) == text


def test_a_value_of_megabytes_is_cut():
    assert text_of("x" * 10_000_000) == "x" * (LONGEST - 1) + "…"
    assert len(text_of(b"\x00" * 1000)) == LONGEST


@pytest.mark.parametrize(
    ("failing", "rows", "share"),
    [(1, 1_000_000, "< 0.01 %"), (999_999, 1_000_000, "> 99.99 %"), (1, 3, "33.33 %")],
)
def test_a_share_is_never_rounded_to_none_or_all(failing, rows, share):
    found = collect([broken(*range(failing))], rows)
    assert f"| {escaped(share)} |" in found.markdown()


def test_a_column_name_that_is_there_twice_is_one_failure_and_the_first_is_kept():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"], index=[7])
    clean, (fault,) = single_names(frame)
    assert clean.to_dict("list") == {"a": [1], "b": [2]}
    assert list(clean.index) == [0]
    assert not fault.passed
    assert "a" in fault.column
    assert list(frame.index) == [7]
