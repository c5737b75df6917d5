"""Outliers are found in spite of gaps, and what is not measured is never moved."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.preparation.columns import Column
from ml_platform.preparation.outliers import (
    Bounds,
    flag,
    is_clippable,
    learn_bounds,
    learn_forest,
    rows_outside,
)

NAN = np.nan


def numbers(*values):
    return np.array(values, np.float64)


def test_quartile_bounds_lie_one_and_a_half_ranges_out():
    assert learn_bounds(numbers(1, 2, 3, 4, 5)) == Bounds(-1.0, 7.0)
    assert learn_bounds(numbers(1, 2, 3, 4, 5), "iqr", 3) == Bounds(-4.0, 10.0)


def test_the_robust_score_is_not_widened_by_what_it_looks_for():
    values = numbers(*range(-10, 11), 1e9)
    bounds = learn_bounds(values, "zscore")
    assert bounds.outside(values).tolist() == [False] * 21 + [True]
    assert bounds.high == pytest.approx(0.5 + 3.5 * 1.4826 * 5.5)


def test_a_gap_hides_no_outlier():
    values = numbers(*range(12, 82), NAN, 1e6)
    bounds = learn_bounds(values)
    assert bounds.outside(values).tolist() == [False] * 71 + [True]
    moved = bounds.winsorise(values)
    assert moved[-1] == bounds.high
    assert np.isnan(moved[-2])


@pytest.mark.parametrize("method", ["iqr", "zscore"])
@pytest.mark.parametrize(
    "values", [[0.0] * 95 + [1.0] * 5, [7.0], [NAN, NAN], [], [np.inf, -np.inf, NAN]]
)
def test_without_a_spread_there_are_no_bounds(method, values):
    """95 zeros and 5 ones were once made 100 zeros."""
    bounds = learn_bounds(numbers(*values), method)
    assert bounds == Bounds()
    np.testing.assert_array_equal(bounds.winsorise(numbers(*values)), values)


@pytest.mark.parametrize("param", [False, True, 0, -1.5, NAN])
def test_a_distance_that_is_no_number_above_zero_is_refused(param):
    with pytest.raises(DeclarationError, match="a number above 0"):
        learn_bounds(numbers(1, 2), "iqr", param)


def test_an_unknown_method_is_refused():
    with pytest.raises(DeclarationError, match="iqr, zscore"):
        learn_bounds(numbers(1, 2), "magic")


@given(st.lists(st.floats(), max_size=30), st.sampled_from(["iqr", "zscore"]))
def test_only_what_lies_outside_is_moved_and_never_past_the_bound(values, method):
    values = numbers(*values)
    bounds = learn_bounds(values, method)
    moved = bounds.winsorise(values)
    outside = bounds.outside(values)
    np.testing.assert_array_equal(moved[~outside], values[~outside])
    assert np.isin(moved[outside], [bounds.low, bounds.high]).all()
    assert flag(values, bounds).values.tolist() == outside.astype(float).tolist()


def test_a_row_is_to_be_deleted_when_any_bounded_value_lies_outside():
    columns = {
        "a": Column("number", numbers(1, 99, NAN, 2)),
        "b": Column("number", numbers(0, 0, 0, -99)),
        "free": Column("number", numbers(-999, 0, 0, 0)),
    }
    bounds = {"a": Bounds(0, 10), "b": Bounds(-1, 1)}
    assert rows_outside(columns, bounds).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (Column("flag", numbers(*[0] * 95, *[1] * 5)), "a flag is not measured"),
        (Column("category", np.zeros(3, np.int32), ("a",)), "a category is not measured"),
        (Column("number", numbers(NAN, NAN)), "no value is known"),
        (Column("number", numbers(5.5, NAN, 5.5)), "constant"),
        (Column("number", numbers(*[0.5, 1.5, 2.5] * 9, 1e6)), "fewer than 10 different values"),
        (Column("number", numbers(*range(40), 10_000)), "whole numbers from 0 up"),
        (Column("number", numbers(*np.repeat(0.5, 20_000), *np.arange(12) / 8)), None),
        (Column("number", numbers(*range(-20, 20))), None),
        (Column("number", np.linspace(0, 1, 50)), None),
    ],
)  # fmt: skip
def test_flags_codes_and_counts_are_not_clipped_unasked(column, reason):
    assert (is_clippable(column) or "None").startswith(str(reason))


def made(rows, seed=0):
    random = np.random.default_rng(seed)
    columns = {name: Column("number", random.normal(size=rows)) for name in "abc"}
    columns["flag"] = Column("flag", random.integers(0, 2, rows).astype(float))
    columns["kind"] = Column("category", np.zeros(rows, np.int32), ("x",))
    return columns


@pytest.mark.parametrize("rows", [1, 2, 3, 40, 700])
def test_the_forest_scores_rows_as_scikit_learn_does(rows):
    columns = made(rows)
    forest = learn_forest(columns, random_state=3)
    matrix = np.column_stack([columns[name].values for name in forest.names])
    theirs = -IsolationForest(random_state=3).fit(matrix).score_samples(matrix)
    assert forest.names == ("a", "b", "c", "flag")
    if rows > 1:  # of one row theirs divides zero by zero
        np.testing.assert_allclose(forest.score(columns), theirs)
    assert np.isfinite(forest.score(columns)).all()


def test_a_row_that_is_odd_only_in_its_combination_stands_alone():
    line = np.random.default_rng(0).uniform(-3, 3, 250)
    columns = {"x": Column("number", line.copy()), "y": Column("number", line.copy())}
    columns["x"].values[5], columns["y"].values[5] = 2.5, -2.5
    forest = learn_forest(columns, share=1 / 250)
    assert forest.outside(columns).nonzero()[0].tolist() == [5]


def test_a_missing_or_huge_value_is_scored_and_one_row_as_many_are():
    columns = made(25_000)
    columns["a"].values[::3] = NAN
    columns["b"].values[7] = 1e308
    forest = pickle.loads(pickle.dumps(learn_forest(columns, trees=20)))
    scores = forest.score(columns)
    assert scores[7] > np.quantile(scores, 0.9)
    for row in (0, 7, 24_999):
        one = {name: column.take(np.array([row])) for name, column in columns.items()}
        assert forest.score(one).tolist() == [scores[row]]


def test_the_same_seed_grows_the_same_forest():
    one, other = (learn_forest(made(300), random_state=1).score(made(300, 1)) for _ in range(2))
    assert one.tolist() == other.tolist()


def test_no_rows_are_scored_as_none():
    assert learn_forest(made(30)).score(made(0)).tolist() == []


@pytest.mark.parametrize("columns", [{}, made(0), {"kind": made(5)["kind"]}])
def test_a_forest_needs_numbers_and_rows(columns):
    with pytest.raises(DataError, match="at least one of each"):
        learn_forest(columns)


@pytest.mark.parametrize("share", [0, -1, 0.6, NAN])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(DeclarationError, match=r"up to 0\.5"):
        learn_forest(made(30), share=share)


@pytest.mark.parametrize(
    ("bounds", "whole"),
    [
        (Bounds(0.5, 4.5), Bounds(1, 4)),
        (Bounds(-1.5, np.inf), Bounds(-1, np.inf)),
        (Bounds(2.2, 2.8), Bounds(2.2, 2.8)),
    ],
    ids=["between whole numbers", "open to one side", "no whole number lies within"],
)
def test_bounds_of_whole_numbers_are_whole_and_mark_the_same(bounds, whole):
    assert bounds.whole() == whole
    numbers = np.arange(-9.0, 9.0)
    assert bounds.whole().outside(numbers).tolist() == bounds.outside(numbers).tolist()
