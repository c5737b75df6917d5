"""Cells are hidden the way the table's own gaps lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ml_platform.preparation.gaps import any_of, beside, hidden_like, together

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def lengths(column):
    """How long the runs of marks are."""
    edges = np.flatnonzero(np.diff(np.r_[0, column.astype(int), 0]))
    return (edges[1::2] - edges[::2]).tolist()


@given(gaps=MASKS, wanted=st.integers(1, 50), seed=st.integers(0, 9))
def test_only_known_cells_are_hidden_and_only_in_columns_with_gaps(gaps, wanted, seed):
    hidden = hidden_like(gaps, wanted, seed)
    assert not (hidden & gaps).any()
    assert not hidden[:, ~gaps.any(axis=0)].any()
    assert (hidden == hidden_like(gaps, wanted, seed)).all()


def test_columns_that_are_missing_together_are_hidden_together():
    gaps = np.zeros((2_000, 3), bool)
    gaps[np.random.default_rng(0).random(2_000) < 0.05, :2] = True
    gaps[np.random.default_rng(1).random(2_000) < 0.05, 2] = True
    hidden = hidden_like(gaps, 200, 0)
    assert hidden[:, 0].sum() >= 200
    free = ~gaps[:, 0]
    assert (hidden[free, 0] == hidden[free, 1]).all()


def test_a_gap_of_twelve_rows_hides_twelve_rows():
    gaps = np.zeros((5_000, 1), bool)
    gaps[700:712] = True
    found = lengths(hidden_like(gaps, 12, 3)[:, 0])
    assert found == [12]


@pytest.mark.parametrize("gaps_in_first", [2, 40, 400])
def test_as_many_cells_are_hidden_as_are_wanted_where_the_table_has_them(gaps_in_first):
    gaps = np.zeros((4_000, 2), bool)
    draw = np.random.default_rng(0)
    gaps[draw.choice(4_000, gaps_in_first, replace=False), 0] = True
    gaps[draw.choice(4_000, 40, replace=False), 1] = True
    hidden = hidden_like(gaps, 300, 0)
    assert (hidden.sum(axis=0) > 0.5 * 300).all()
    assert (hidden.sum(axis=0) < 2 * 300 + gaps.sum(axis=0)).all()


def test_columns_that_do_not_ask_go_along_and_no_further():
    gaps = np.zeros((3_000, 2), bool)
    gaps[::50, 0] = True
    gaps[::100, 1] = True
    gaps[25::50, 1] = True
    both = beside(gaps[:, :1], gaps[:, 1:])
    assert both.sum(axis=0).tolist() == [60, 30]
    hidden = hidden_like(both, 100, 0, asking=1)
    assert not (hidden[:, 1] & ~hidden[:, 0] & ~gaps[:, 0]).any()
    assert hidden[:, 1].any()


def test_what_is_never_missing_together_adds_nothing():
    gaps = np.zeros((10, 2), bool)
    gaps[1, 0], gaps[2, 1] = True, True
    assert beside(gaps[:, :1], gaps[:, 1:]).shape == (10, 1)


@given(marks=MASKS)
def test_any_of_says_what_any_says(marks):
    assert (any_of(marks) == marks.any(axis=1)).all()


@given(gaps=MASKS)
def test_patterns_are_counted_most_frequent_first(gaps):
    names = tuple(f"c{place}" for place in range(gaps.shape[1]))
    found = together(gaps, names)
    assert [count for _, count in found] == sorted((count for _, count in found), reverse=True)
    assert sum(count for _, count in found) == gaps.any(axis=1).sum()
    for pattern, count in found:
        row = np.isin(names, pattern)
        assert (gaps == row).all(axis=1).sum() == count
