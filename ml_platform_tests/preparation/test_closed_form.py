"""Ridge in closed form: the textbook's answer, for every pattern of clues that is missing."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from ml_platform.preparation.closed_form import PENALTY, learn_closed_form


def told(rows=800, seed=0):
    """Two plain columns and two clues, which make the target."""
    matrix = np.random.default_rng(seed).normal(size=(rows, 4)) * [1, 10, 0.1, 100] + 5
    return matrix, matrix @ [1, 0.3, 20, 0.05] + 7


def with_gaps(matrix, seed=1):
    """Each clue missing in three of ten rows."""
    gone = np.random.default_rng(seed).random((len(matrix), 2)) < 0.3
    return np.column_stack([matrix[:, :2], np.where(gone, np.nan, matrix[:, 2:])])


def test_without_gaps_it_is_the_ridge_of_the_textbook():
    matrix, target = told()
    scaled = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    expected = Ridge(PENALTY).fit(scaled, target).predict(scaled)
    found = learn_closed_form(matrix, target, 2).predict(matrix)
    assert found == pytest.approx(np.clip(expected, target.min(), target.max()))


def test_a_row_without_a_clue_is_told_by_the_others():
    matrix, target = told()
    learnt = learn_closed_form(with_gaps(matrix), target, 2)
    error = {}
    for missing in ([], [2], [3], [2, 3]):
        asked = matrix.copy()
        asked[:, missing] = np.nan
        error[len(missing)] = np.std(learnt.predict(asked) - target)
    assert error[0] < 0.05 * target.std()
    assert error[0] < error[1] < error[2] < 0.9 * target.std()


def test_a_pattern_that_was_never_seen_takes_the_plain_columns():
    matrix, target = told()
    learnt = learn_closed_form(matrix, target, 2)
    asked = matrix.copy()
    asked[:, 2] = np.nan
    found = learnt.predict(asked)
    asked[:, 3] = np.nan
    assert found == pytest.approx(learnt.predict(asked))


def test_an_estimate_never_leaves_the_range_of_what_was_seen():
    matrix, target = told()
    found = learn_closed_form(matrix, target, 2).predict(matrix * 1e6)
    assert target.min() <= found.min() <= found.max() <= target.max()


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_few_rows_and_constant_columns_are_no_trouble(rows):
    matrix, target = told(rows)
    matrix[:, 0] = 3.0
    matrix[:, 3] = np.nan
    assert np.isfinite(learn_closed_form(matrix, target, 2).predict(matrix)).all()


def test_without_clues_there_is_one_pattern():
    matrix, target = told()
    learnt = learn_closed_form(matrix, target, 0)
    assert len(learnt.solutions) == 1
    assert np.std(learnt.predict(matrix) - target) < 0.05 * target.std()


def test_a_row_alone_gets_what_it_gets_among_others():
    matrix, target = told()
    gappy = with_gaps(matrix)
    learnt = learn_closed_form(gappy, target, 2)
    whole = learnt.predict(gappy)
    alone = [learnt.predict(gappy[[row]])[0] for row in range(len(gappy))]
    np.testing.assert_array_equal(alone, whole)
