"""What stands around a gap: the neighbours in time, the group, its like; never the cell itself."""

import numpy as np
import pytest

from ml_platform.preparation.roles import Rows
from ml_platform.preparation.surroundings import (
    FEATURES,
    WHOLE,
    Found,
    Plan,
    choose_plans,
    learn_surroundings,
)

NAN = np.nan


def table(rows=600, seed=0):
    """A value that a store has, around a wave of time that all share."""
    draw = np.random.default_rng(seed)
    store, other = draw.integers(0, 10, rows), draw.integers(0, 10, rows)
    axis = np.arange(rows, dtype=float)
    values = 10 * np.sin(axis / 40) + 5.0 * store + draw.normal(0, 0.1, rows)
    return values, Rows({"x": values}, {"store": store, "other": other}, axis, rows)


LEVELS = {"store": 11, "other": 11}


def plan_of(rows):
    return choose_plans(("x",), rows, LEVELS)["x"]


def around_of(values, rows, plan):
    return learn_surroundings({"x": values}, rows, {"x": plan})["x"]


def test_the_plan_finds_the_key_that_tells_and_leaves_out_the_one_that_does_not():
    plan = plan_of(table()[1])
    assert "store" in (plan.time_key, *plan.effects)
    assert "other" not in plan.effects


def test_without_an_order_of_rows_groups_alone_are_asked():
    rows = table()[1]
    plan = plan_of(Rows(rows.numbers, rows.keys, None, rows.count))
    assert (plan.time_key, plan.effects) == (WHOLE, ("store",))


def test_every_row_is_told_something_even_of_groups_and_times_that_nobody_knew():
    values, rows = table()
    around = around_of(values, rows, Plan(WHOLE, ("store",), LEVELS))
    new = Rows({}, {"store": np.array([-1, 10, 3])}, np.array([NAN, 1e12, -5.0]), 3)
    told = around.ask(new)
    assert told.lines.shape == (len(FEATURES), 3)
    assert np.isfinite(told.lines).all()
    assert told["seen"].tolist()[:2] == [0.0, 0.0]


def test_what_is_told_of_a_hidden_cell_does_not_depend_on_it():
    values, rows = table()
    plan = Plan(WHOLE, ("store",), LEVELS)
    hidden = np.arange(0, 600, 7)
    left = values.copy()
    left[hidden] = NAN
    told = around_of(left, rows, plan).ask(rows.take(hidden))
    lied = rows.with_numbers({"x": np.where(np.isnan(left), 1e6, values)})
    told_again = around_of(left, lied, plan).ask(lied.take(hidden))
    for feature in FEATURES:
        np.testing.assert_array_equal(told[feature], told_again[feature])
    assert np.std(told["expected"] - values[hidden]) < 0.5 * np.std(values)


def test_columns_that_are_missing_together_are_searched_once():
    values, rows = table()
    values[::5] = NAN
    columns = {"x": values, "y": 2 * values, "z": np.ones(len(values))}
    plans = dict.fromkeys(columns, Plan("other", ("store",), LEVELS))
    around = learn_surroundings(columns, rows, plans)
    assert around["x"].line.moments is around["y"].line.moments
    assert around["x"].own.moments is around["y"].own.moments
    assert around["z"].line.moments is not around["x"].line.moments
    found = Found(rows)
    for name, one in around.items():
        together, alone = one.ask(rows, found), one.ask(rows)
        np.testing.assert_array_equal(together.lines, alone.lines, err_msg=name)


@pytest.mark.parametrize("axis", [None, np.full(600, NAN)])
@pytest.mark.parametrize("known", [0, 1, 3])
def test_a_column_of_which_hardly_anything_is_known_can_be_asked(known, axis):
    values, rows = table()
    values[known:] = NAN
    rows = Rows({"x": values}, rows.keys, axis, rows.count)
    around = around_of(values, rows, Plan("other", ("store",), LEVELS))
    assert np.isfinite(around.ask(rows).lines).all()
    assert np.isfinite(around.ask(rows.take(np.array([5]))).lines).all()


@pytest.mark.parametrize("effects", [(), ("store",), ("store", "other")])
def test_one_row_is_told_by_all_words_what_it_is_told_among_others(effects):
    values, rows = table()
    around = around_of(values, rows, Plan("other", effects, LEVELS))
    rows = Rows(
        {},
        {"store": np.array([-1, 10, 3, 4]), "other": np.array([2, -1, 10, 5])},
        np.array([NAN, 1e12, -5.0, 300.5]),
        4,
    )
    told = around.ask(rows)
    for place in range(4):
        alone = around.ask(rows.take(np.array([place])))
        np.testing.assert_array_equal(alone.lines, told.at(np.array([place])).lines)
