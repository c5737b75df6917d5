"""How many rows a budget holds, and which rows teach when there are more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError
from ml_platform.preparation.budget import rows_within, stratified


def test_twice_the_budget_holds_twice_the_rows_and_twice_the_columns_half_of_them():
    assert rows_within(200, 16) == pytest.approx(2 * rows_within(100, 16), abs=1)
    assert rows_within(100, 32) == pytest.approx(rows_within(100, 16) / 2, abs=1)


def test_a_budget_too_small_to_learn_anything_says_how_much_is_needed():
    with pytest.raises(DataError) as caught:
        rows_within(0.5, 40)
    needed = float(str(caught.value).split("at least, ")[1].split(" MB")[0])
    assert rows_within(needed + 1, 40) >= 1_000


@given(st.integers(1, 5_000), st.integers(1, 5_000), st.integers(0, 3))
def test_each_stretch_of_the_table_gives_one_row(count, wanted, seed):
    places = stratified(count, wanted, seed)
    assert len(places) == min(count, wanted)
    assert (np.diff(places) > 0).all()
    bounds = np.linspace(0, count, len(places) + 1).astype(int)
    assert (bounds[:-1] <= places).all()
    assert (places < bounds[1:]).all()


def test_a_period_in_the_rows_cannot_hide_from_the_sample():
    hours = np.arange(24_000) % 24
    seen = np.bincount(hours[stratified(24_000, 1_000, 0)], minlength=24)
    assert seen.min() > 15  # every 24th row would see one hour alone
