"""A row that is scored by masks ends where LightGBM says that it does, to the last figure."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.preparation.masks import MOST_LEAVES, masks_of

ROWS = 400


def grown(leaves=31, trees=40, gaps=0.2, seed=0):
    """A booster over four columns, of which two have gaps, and rows of which any may be missing."""
    draw = np.random.default_rng(seed)
    matrix = np.round(draw.normal(size=(ROWS, 4)), 1)
    target = matrix[:, 0] * matrix[:, 1] + np.where(matrix[:, 2] > 0, 2.0, 0.0)
    matrix[:, 2:][draw.random((ROWS, 2)) < gaps] = np.nan
    options = {"num_leaves": leaves, "min_data_in_leaf": 3, "verbosity": -1, "seed": seed}
    booster = lightgbm.train(options, lightgbm.Dataset(matrix, target), trees)
    asked = np.round(draw.normal(scale=2, size=(ROWS, 4)), 1)
    asked[draw.random((ROWS, 4)) < 0.3] = np.nan
    return booster, asked


@pytest.mark.parametrize("leaves", [2, 3, 7, 31, MOST_LEAVES])
@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_each_row_gets_what_the_library_says(leaves, gaps):
    booster, asked = grown(leaves, gaps=gaps)
    masks = masks_of(booster)
    np.testing.assert_array_equal([masks.of_row(row)[0] for row in asked], booster.predict(asked))


def test_trees_that_never_part_their_rows_are_their_one_value():
    data = lightgbm.Dataset(np.zeros((50, 2)), np.full(50, 3.5))
    booster = lightgbm.train({"verbosity": -1}, data, 5)
    row = np.array([np.nan, 1.0])
    np.testing.assert_array_equal(masks_of(booster).of_row(row), booster.predict(row[None]))


BOOSTER, _ = grown()
MASKS = masks_of(BOOSTER)
CELLS = st.one_of(
    st.floats(-4, 4).map(lambda cell: round(cell, 1)),
    st.sampled_from([np.nan, 0.0, -0.0, 1e300, -1e300]),
)


@given(st.lists(CELLS, min_size=4, max_size=4))
def test_any_row_gets_what_the_library_says(cells):
    row = np.array(cells)
    np.testing.assert_array_equal(MASKS.of_row(row), BOOSTER.predict(row[None]))
