"""What an estimator sees of a row: no gaps but in the clues, and never the target's own cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.preparation.design import (
    DAY_S,
    WEEK_S,
    YEAR_S,
    ask_all,
    design_for,
    median_of,
    some_rows,
)
from ml_platform.preparation.roles import Rows
from ml_platform.preparation.surroundings import (
    FEATURES,
    WHOLE,
    Plan,
    learn_surroundings,
    left_by_groups,
)

NAN = np.nan


def rows_of_three(count=300, seed=0, step=3_600.0):
    draw = np.random.default_rng(seed)
    a = draw.normal(50, 10, count)
    numbers = {"a": a, "b": 2 * a + draw.normal(0, 1, count), "c": draw.normal(size=count)}
    numbers["b"] = np.where(draw.random(count) < 0.2, NAN, numbers["b"])
    numbers["c"] = np.where(draw.random(count) < 0.2, NAN, numbers["c"])
    return Rows(numbers, {}, np.arange(count) * step, count)


def told_of(rows, names):
    plan = Plan(WHOLE, (), {})
    around = learn_surroundings(
        {n: rows.numbers[n] for n in names}, rows, dict.fromkeys(names, plan)
    )
    return ask_all(around, rows, {"a": np.arange(rows.count)}, {"a": names})["a"]


def design_of(target, filled, rows, *, has_calendar):
    return design_for(target, filled, rows, rows.numbers, has_calendar=has_calendar)


def test_only_the_clues_have_gaps():
    rows = rows_of_three()
    design = design_of("a", ("a", "b"), rows, has_calendar=True)
    matrix = design.matrix(told_of(rows, ("a", "b")))
    plain = matrix[:, : matrix.shape[1] - design.clues]
    assert design.clues == 2
    assert np.isfinite(plain).all()
    missing = np.isnan(matrix[:, plain.shape[1] :])
    assert (missing == np.isnan(rows.numbers["b"])[:, None]).all()


def test_the_targets_own_cell_is_not_seen():
    rows = rows_of_three()
    told = told_of(rows, ("a", "b"))
    design = design_of("a", ("a", "b"), rows, has_calendar=False)
    lied = type(told)(rows.with_numbers({"a": np.full(300, -1e9)}), told.of)
    np.testing.assert_array_equal(design.matrix(told), design.matrix(lied))


def test_partners_that_go_with_the_target_come_first():
    rows = rows_of_three()
    a, b = rows.numbers["a"], rows.numbers["b"]
    rows = rows.with_numbers(
        {"c": np.where(np.isnan(b), NAN, a + np.random.default_rng(1).normal(0, 9, 300))}
    )
    design = design_of("a", ("c", "a", "b"), rows, has_calendar=False)
    assert design.partners == ("b", "c")
    assert design.others == ()


def test_a_column_that_goes_with_the_target_in_nothing_is_no_partner():
    luck = np.random.default_rng(2).normal(size=3_000)
    rows = rows_of_three(3_000).with_numbers({"c": luck})
    design = design_of("a", ("a", "b", "c"), rows, has_calendar=False)
    assert (design.partners, design.others) == (("b",), ("c",))


def test_columns_that_go_together_within_their_groups_alone_are_partners():
    shop = np.arange(4_000) % 4
    within = np.random.default_rng(3).normal(size=4_000)
    numbers = {"a": 20.0 * (shop % 2) + within, "b": 20.0 * (shop // 2) + within}
    rows = Rows(numbers, {}, None, 4_000)
    rest = {name: left_by_groups(shop, values) for name, values in numbers.items()}
    assert design_of("a", ("a", "b"), rows, has_calendar=False).partners == ()
    assert design_for("a", ("a", "b"), rows, rest, has_calendar=False).partners == ("b",)


@pytest.mark.parametrize(
    ("days", "periods"),
    [
        (0.5, set()),
        (1.5, set()),
        (3, {DAY_S}),
        (10, {DAY_S}),
        (20, {DAY_S, WEEK_S}),
        (800, {DAY_S, WEEK_S, YEAR_S}),
    ],
)
def test_a_period_that_was_not_seen_twice_is_not_believed(days, periods):
    rows = rows_of_three(step=days * DAY_S / 300)
    found = set(design_of("a", ("a",), rows, has_calendar=True).periods)
    assert found & {DAY_S, WEEK_S, YEAR_S} == periods
    assert design_of("a", ("a",), rows, has_calendar=False).periods == ()


def test_a_row_alone_is_seen_as_it_is_among_others():
    rows = rows_of_three()
    told = told_of(rows, ("a", "b"))
    design = design_of("a", ("a", "b"), rows, has_calendar=True)
    whole = design.matrix(told)
    for place in (0, 17, 299):
        one = np.array([place])
        of = {name: said.at(one) for name, said in told.of.items()}
        alone = design.matrix(type(told)(rows.take(one), of))
        np.testing.assert_array_equal(alone, whole[[place]])
    assert whole.shape[1] == 2 * len(FEATURES) + 1 + 2 * len(design.periods) + design.clues


@given(values=st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(NAN)), max_size=40))
def test_the_median_is_numpys(values):
    known = [value for value in values if not np.isnan(value)]
    assert median_of(np.array(values, float)) == (np.median(known) if known else 0.0)


def test_each_target_is_told_of_its_own_rows_what_all_rows_are_told():
    rows = rows_of_three()
    plan = Plan(WHOLE, (), {})
    around = learn_surroundings(rows.numbers, rows, dict.fromkeys("abc", plan))
    every = np.arange(300)
    whole = ask_all(around, rows, {"a": every}, {"a": ("a", "b", "c")})["a"]
    wanted = {"a": every[::7], "b": every[100:200], "c": every[:0]}
    needs = {"a": ("a", "b"), "b": ("b", "a", "c"), "c": ("c",)}
    told = ask_all(around, rows, wanted, needs)
    for target, which in wanted.items():
        assert set(told[target].of) == set(needs[target])
        np.testing.assert_array_equal(told[target].rows.numbers["b"], rows.numbers["b"][which])
        for name, said in told[target].of.items():
            np.testing.assert_array_equal(said.lines, whole.of[name].at(which).lines)


def test_some_rows_are_those_rows():
    matrix = np.arange(12.0).reshape(3, 4).T
    np.testing.assert_array_equal(some_rows(matrix, np.array([3, 1])), matrix[[3, 1]])
