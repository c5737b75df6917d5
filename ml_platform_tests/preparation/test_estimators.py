"""Every estimator answers for rows with and without clues, within what it has seen, by its seed."""

import pickle

import numpy as np
import pytest

from ml_platform.preparation.estimators import LEARN

ROWS = 600


def told(seed=0):
    """Three columns, the last a clue with gaps; the target bends."""
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(ROWS, 3))
    target = matrix[:, 0] + np.where(matrix[:, 1] > 0, 3.0, 0.0) + matrix[:, 2]
    matrix[draw.random(ROWS) < 0.2, 2] = np.nan
    return matrix, target


def error(estimator, seed=9):
    matrix, target = told(seed)
    return float(np.std(estimator.predict(matrix) - target) / np.std(target))


@pytest.mark.parametrize("method", LEARN)
def test_each_tells_rows_that_it_has_not_seen(method):
    matrix, target = told()
    assert error(LEARN[method](matrix, target, 1, 0)) < 0.55


@pytest.mark.parametrize("method", ["boosted", "neural"])
def test_what_bends_is_told_better_than_by_a_line(method):
    matrix, target = told()
    line = error(LEARN["linear"](matrix, target, 1, 0))
    assert error(LEARN[method](matrix, target, 1, 0)) < 0.95 * line


@pytest.mark.parametrize("method", LEARN)
def test_the_same_seed_learns_the_same_and_a_pickle_knows_it(method):
    matrix, target = told()
    one, other = (LEARN[method](matrix, target, 1, 5) for _ in range(2))
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(one.predict(matrix), other.predict(matrix))
    np.testing.assert_array_equal(one.predict(matrix), again.predict(matrix))


@pytest.mark.parametrize("method", LEARN)
@pytest.mark.parametrize("rows", [1, 3, 30])
def test_few_rows_are_enough_to_answer_within_their_range(method, rows):
    matrix, target = told()
    found = LEARN[method](matrix[:rows], target[:rows], 1, 0).predict(matrix)
    low, high = target[:rows].min(), target[:rows].max()
    assert np.isfinite(found).all()
    assert (found >= low - 1e-9).all()
    assert (found <= high + 1e-9).all()


@pytest.mark.parametrize("method", ["linear", "boosted"])
def test_a_row_alone_gets_the_very_number_that_it_gets_among_others(method):
    matrix, target = told()
    learnt = LEARN[method](matrix, target, 1, 0)
    alone = [learnt.predict(matrix[[row]])[0] for row in range(ROWS)]
    np.testing.assert_array_equal(alone, learnt.predict(matrix))


def test_a_row_alone_may_lack_what_no_row_lacked_in_training():
    matrix, target = told()
    learnt = LEARN["boosted"](np.nan_to_num(matrix), target, 1, 0)
    among = learnt.predict(matrix)
    assert np.isnan(matrix).any()
    alone = [learnt.predict(matrix[[row]])[0] for row in range(ROWS)]
    np.testing.assert_array_equal(alone, among)


@pytest.mark.parametrize("method", ["knn", "neural"])
def test_a_row_alone_gets_nearly_what_it_gets_among_others(method):
    matrix, target = told()
    learnt = LEARN[method](matrix, target, 1, 0)
    whole = learnt.predict(matrix)
    assert [learnt.predict(matrix[[row]])[0] for row in range(10)] == pytest.approx(whole[:10])
