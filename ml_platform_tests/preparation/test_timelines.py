"""What a column was before and after a row: within its group, in order, and never a guess."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.preparation.timelines import Timeline, in_order, known_of, order_of

NAN = np.nan


def line(values, times=None, groups=None):
    values = np.asarray(values, float)
    times = np.arange(len(values), dtype=float) if times is None else np.asarray(times, float)
    groups = np.zeros(len(values), np.int64) if groups is None else np.asarray(groups)
    order, moments = known_of({"x": values}, times)["x"].by("key", groups)
    return Timeline(moments, values[order])


def between(timeline, time, group=0):
    times = np.array([float(time)])
    return timeline.between(timeline.moments.spots(np.array([group]), times), times)[0]


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


@given(
    times=st.lists(
        st.one_of(st.integers(-3, 3).map(float), st.sampled_from([NAN, 2.0**52, -(2.0**52)])),
        max_size=30,
    )
)
def test_whole_numbers_are_put_in_the_same_order(times):
    values = np.array(times, float)
    assert in_order(values).tolist() == np.argsort(values, kind="stable").tolist()


@given(cells=st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 2)), max_size=40))
def test_parts_of_groups_are_groups_in_the_order_of_time(cells):
    groups, parts = np.array(cells, np.int64).reshape(-1, 2).T
    times = np.arange(len(groups), dtype=float)
    whole = line(times, times, groups)
    parted = whole.parted(parts[whole.values.astype(int)], 3)
    apart = line(times, times, groups * 3 + parts)
    np.testing.assert_array_equal(parted.values, apart.values)
    np.testing.assert_array_equal(parted.moments.groups, apart.moments.groups)


def test_columns_known_in_the_same_rows_share_their_moments():
    one, other, third = np.array([1.0, NAN, 3.0]), np.array([4.0, NAN, 6.0]), np.ones(3)
    known = known_of({"one": one, "other": other, "third": third}, np.array([2.0, 1.0, 0.0]))
    codes = np.zeros(3, np.int64)
    assert known["one"] is known["other"]
    assert known["third"] is not known["one"]
    assert known["one"].by("key", codes)[0].tolist() == [2, 0]
    assert known["one"].by("key", codes)[1] is known["other"].by("key", codes)[1]


def test_rows_without_a_time_are_on_no_timeline():
    known = known_of({"x": np.ones(3)}, np.array([NAN, 5.0, 1.0]))["x"]
    order, moments = known.by("key", np.zeros(3, np.int64))
    assert order.tolist() == [2, 1]
    assert moments.times.tolist() == [1.0, 5.0]
    assert known.rows.tolist() == [0, 1, 2]


CELLS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.floats(-100, 100)), max_size=40
)


@given(cells=CELLS, group=st.integers(-1, 4), time=st.one_of(st.floats(-5, 30), st.just(NAN)))
def test_a_row_alone_is_told_what_it_is_told_among_others(cells, group, time):
    groups, times, values = np.array(cells, float).reshape(-1, 3).T
    timeline = line(values, times, groups.astype(np.int64))
    times = np.array([time, 1.0])
    spot = timeline.moments.spot(group, time)
    spots = timeline.moments.spots(np.array([group, 0]), times)
    alone = [timeline.between_one(spot, time), timeline.near_one(spot), timeline.wide_one(spot)]
    among = [timeline.between(spots, times), timeline.near(spots), timeline.wide(spots)]
    assert alone == pytest.approx([said[0] for said in among], rel=0, abs=0, nan_ok=True)


@given(
    cells=st.lists(
        st.tuples(st.integers(0, 6), st.floats(-9, 9, allow_subnormal=False)), max_size=60
    )
)
def test_among_themselves_values_are_told_the_mean_of_three_on_each_side(cells):
    groups, values = np.array(sorted(cells), float).reshape(-1, 2).T
    timeline = line(values, groups=groups.astype(np.int64))
    groups_of = timeline.moments.groups
    for place, found in enumerate(timeline.among_themselves()):
        near = [
            timeline.values[other]
            for other in range(max(place - 3, 0), min(place + 4, len(values)))
            if other != place and groups_of[other] == groups_of[place]
        ]
        assert found == pytest.approx(np.mean(near) if near else NAN, abs=1e-9, nan_ok=True)
