"""What stands around a gap: the neighbours in time, the group, its like; never the cell itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.preparation.roles import Rows
from ml_platform.preparation.surroundings import (
    FEATURES,
    WHOLE,
    Plan,
    Timeline,
    choose_plan,
    in_order,
    learn_surroundings,
    order_of,
)

NAN = np.nan


def line(values, times=None, groups=None):
    values = np.asarray(values, float)
    times = np.arange(len(values), dtype=float) if times is None else np.asarray(times, float)
    groups = np.zeros(len(values), np.int64) if groups is None else np.asarray(groups)
    return Timeline.of(groups, times, values)


def between(timeline, time, group=0):
    return timeline.around(np.array([group]), np.array([float(time)]))[0][0]


@pytest.mark.parametrize(
    ("time", "expected"), [(1.0, 20.0), (-5.0, 10.0), (99.0, 30.0), (NAN, NAN)]
)
def test_between_two_values_lies_their_mean_and_beyond_them_the_nearest(time, expected):
    found = between(line([10, NAN, 30]), time)
    assert found == pytest.approx(expected, nan_ok=True)


def test_the_nearer_value_counts_more():
    timeline = line([0.0, 100.0], times=[0, 10])
    assert between(timeline, 2) < 40
    assert between(timeline, 8) > 60


def test_a_group_asks_only_its_own():
    timeline = line([1, 2, 100, 200], times=[0, 1, 0, 1], groups=[0, 0, 3, 3])
    assert [round(between(timeline, 0.5, group), 6) for group in (0, 3)] == [1.5, 150.0]
    assert np.isnan(between(timeline, 0.5, 1))
    assert np.isnan(between(timeline, 0.5, 4))
    assert np.isnan(between(line([]), 0.5))


def test_among_themselves_values_do_not_count_themselves():
    assert line([1.0, 2.0, 6.0]).among_themselves().tolist() == [4.0, 3.5, 1.5]
    assert np.isnan(line([5.0]).among_themselves()).all()


@given(
    groups=st.lists(st.integers(0, 3), max_size=30),
    seed=st.integers(0, 5),
)
def test_the_order_is_by_group_and_then_by_time(groups, seed):
    codes = np.array(groups, np.int64)
    times = np.random.default_rng(seed).normal(size=len(codes))
    order = order_of(codes, times)
    assert order.tolist() == np.lexsort((times, codes)).tolist()


def test_the_order_of_many_groups_is_by_group_and_then_by_time():
    draw = np.random.default_rng(0)
    for most in (40_000, 3_000_000, 10**12):
        codes = draw.integers(-most, most, 5_000)[draw.integers(0, 2_000, 5_000)]
        times = draw.integers(0, 50, 5_000).astype(float)
        expected = np.lexsort((times, codes))
        np.testing.assert_array_equal(order_of(codes, times), expected)
        order = order_of(codes[np.argsort(times, kind="stable")], np.sort(times))
        np.testing.assert_array_equal(np.argsort(times, kind="stable")[order], expected)


@given(times=st.lists(st.sampled_from([0.0, -0.0, 1.5, 2.0, NAN, np.inf]), max_size=30))
def test_the_order_of_times_leaves_those_alike_as_they_came(times):
    values = np.array(times, float)
    assert in_order(values).tolist() == np.argsort(values, kind="stable").tolist()


CELLS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.floats(-100, 100)), max_size=40
)


@given(cells=CELLS, group=st.integers(-1, 4), time=st.one_of(st.floats(-5, 30), st.just(NAN)))
def test_a_row_alone_is_told_what_it_is_told_among_others(cells, group, time):
    groups, times, values = np.array(cells, float).reshape(-1, 3).T
    timeline = line(values, times, groups.astype(np.int64))
    alone = timeline.around_one(group, time)
    among = timeline.around(np.array([group, 0]), np.array([time, 1.0]))
    assert [float(one) for one in alone] == pytest.approx(
        [said[0] for said in among], rel=0, abs=0, nan_ok=True
    )
    assert timeline.between_one(group, time) == pytest.approx(alone[0], rel=0, abs=0, nan_ok=True)


@given(
    cells=st.lists(
        st.tuples(st.integers(0, 6), st.floats(-9, 9, allow_subnormal=False)), max_size=60
    )
)
def test_among_themselves_values_are_told_the_mean_of_three_on_each_side(cells):
    groups, values = np.array(sorted(cells), float).reshape(-1, 2).T
    timeline = line(values, groups=groups.astype(np.int64))
    for place, found in enumerate(timeline.among_themselves()):
        near = [
            timeline.values[other]
            for other in range(max(place - 3, 0), min(place + 4, len(values)))
            if other != place and timeline.groups[other] == timeline.groups[place]
        ]
        assert found == pytest.approx(np.mean(near) if near else NAN, abs=1e-9, nan_ok=True)


def table(rows=600, seed=0):
    """A value that a store has, around a wave of time that all share."""
    draw = np.random.default_rng(seed)
    store, other = draw.integers(0, 10, rows), draw.integers(0, 10, rows)
    axis = np.arange(rows, dtype=float)
    values = 10 * np.sin(axis / 40) + 5.0 * store + draw.normal(0, 0.1, rows)
    return values, Rows({"x": values}, {"store": store, "other": other}, axis, rows)


LEVELS = {"store": 11, "other": 11}


def test_the_plan_finds_the_key_that_tells_and_leaves_out_the_one_that_does_not():
    plan = choose_plan(*table(), LEVELS)
    assert "store" in (plan.time_key, *plan.effects)
    assert "other" not in plan.effects


def test_without_an_order_of_rows_groups_alone_are_asked():
    values, rows = table()
    plan = choose_plan(values, Rows(rows.numbers, rows.keys, None, rows.count), LEVELS)
    assert (plan.time_key, plan.effects) == (WHOLE, ("store",))


def test_every_row_is_told_something_even_of_groups_and_times_that_nobody_knew():
    values, rows = table()
    around = learn_surroundings(values, rows, Plan(WHOLE, ("store",), LEVELS))
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
    told = learn_surroundings(left, rows, plan).ask(rows.take(hidden))
    lied = rows.with_numbers({"x": np.where(np.isnan(left), 1e6, values)})
    told_again = learn_surroundings(left, lied, plan).ask(lied.take(hidden))
    for feature in FEATURES:
        np.testing.assert_array_equal(told[feature], told_again[feature])
    assert np.std(told["expected"] - values[hidden]) < 0.5 * np.std(values)


@pytest.mark.parametrize("effects", [(), ("store",), ("store", "other")])
def test_one_row_is_told_by_all_words_what_it_is_told_among_others(effects):
    values, rows = table()
    around = learn_surroundings(values, rows, Plan("other", effects, LEVELS))
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
