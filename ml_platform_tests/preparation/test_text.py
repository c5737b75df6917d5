"""Free text becomes numbers, in as many columns as it can give, without a warning."""

import pickle

import numpy as np
import pytest

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.preparation.columns import Column
from ml_platform.preparation.text import METHODS, learn_text

PIZZA = [f"the pizza number {n} came late and it was cold" for n in range(12)]
DRIVER = [f"a friendly driver brought order {n}, thanks again" for n in range(12)]


def text(*cells):
    return Column("text", np.array(cells, object))


def matrix(columns):
    return np.column_stack([column.values for column in columns.values()])


@pytest.mark.parametrize("method", METHODS)
def test_texts_about_the_same_are_nearer_than_others(method):
    numbers = matrix(
        learn_text("x", text(*PIZZA, *DRIVER), method, width=8).apply(text(*PIZZA, *DRIVER))
    )
    pizza, driver = numbers[:12], numbers[12:]
    within = np.linalg.norm(pizza[:, None] - pizza, axis=2).mean()
    between = np.linalg.norm(pizza[:, None] - driver, axis=2).mean()
    assert numbers.shape == (24, 8)
    assert within < between


@pytest.mark.parametrize("method", METHODS)
def test_one_row_is_encoded_as_many_are_after_being_saved_too(method):
    encoding = learn_text("x", text(*PIZZA, *DRIVER), method, width=4)
    whole = matrix(encoding.apply(text(*PIZZA, "quite new words", None)))
    again = pickle.loads(pickle.dumps(encoding))
    for row, cell in enumerate([*PIZZA, "quite new words"]):
        np.testing.assert_allclose(
            matrix(again.apply(text(cell)))[0], whole[row], rtol=0.01, atol=1e-4
        )


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_text_is_missing_and_no_row_is_no_row(method):
    encoding = learn_text("x", text(*PIZZA, None), method, width=3)
    found = matrix(encoding.apply(text(PIZZA[0], None)))
    assert np.isnan(found).tolist() == [[False] * 3, [True] * 3]
    assert matrix(encoding.apply(text(None))).shape == (1, 3)
    assert matrix(encoding.apply(text())).shape == (0, 3)


@pytest.mark.parametrize("method", ["string", "gap"])
@pytest.mark.parametrize(
    "cells", [["ab", "cd"], ["ab", "b", "ab"], ["abc def", "xyz", "xyz", "pqr"]]
)
def test_few_texts_give_fewer_columns_without_a_warning(method, cells):
    encoding = learn_text("x", text(*cells), method)
    assert 1 <= len(encoding.outputs) <= len(set(cells))
    assert np.isfinite(matrix(encoding.apply(text(*cells)))).all()


def test_new_columns_never_take_the_name_of_another():
    encoding = learn_text("x", text(*PIZZA), "minhash", width=2, taken=["x_text_1"])
    assert encoding.outputs == ("x_text_0", "x_text_1_2")


def test_the_same_seed_learns_the_same():
    one, other = (learn_text("x", text(*PIZZA), "gap", width=3, random_state=4) for _ in range(2))
    np.testing.assert_array_equal(
        matrix(one.apply(text(*PIZZA))), matrix(other.apply(text(*PIZZA)))
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cells", [[], [None], ["same words", "same words"], ["", None]])
def test_fewer_than_two_texts_are_refused(method, cells):
    with pytest.raises(DataError, match=r"column x: it holds . different texts"):
        learn_text("x", text(*cells), method)


def test_what_is_no_text_or_no_method_is_refused():
    with pytest.raises(DataError, match="column x: it is a number column"):
        learn_text("x", Column("number", np.zeros(3)))
    with pytest.raises(DeclarationError, match=r"minhash .did you mean this"):
        learn_text("x", text("a", "b"), "min_hash")
    with pytest.raises(DeclarationError, match="1 or more"):
        learn_text("x", text("a", "b"), width=0)
