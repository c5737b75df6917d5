"""Numbers, names and time are told apart by what they are called and how they behave."""

import numpy as np
import pandas as pd
import pytest

from ml_platform.preparation.columns import Column
from ml_platform.preparation.roles import code_of, in_unit, learn_roles, out_of_unit, seconds

NAN = np.nan
ROWS = 1_000
DRAW = np.random.default_rng(0)


def number(values):
    return Column("number", np.asarray(values, float))


def moments(values):
    return Column("moment", np.asarray(values, "datetime64[us]"))


NAME = DRAW.integers(0, 6, ROWS)
OF_NAME = np.array([3.0, 40, 7, 90, 1, 55])[NAME] + DRAW.normal(0, 1, ROWS)
COUNT = DRAW.integers(0, 20, ROWS)


@pytest.mark.parametrize(
    ("name", "values", "is_name"),
    [
        ("market", NAME, True),
        ("persons", COUNT, False),
        ("store_id", DRAW.integers(0, 200, ROWS), True),
        ("storeId", DRAW.integers(0, 200, ROWS), True),
        ("zip code", DRAW.integers(0, 200, ROWS), True),
        ("paid", DRAW.integers(0, 200, ROWS), False),
        ("store_id", np.arange(ROWS), False),
        ("store_id", DRAW.normal(size=ROWS), False),
        ("flagged", DRAW.integers(0, 2, ROWS), False),
    ],
)
def test_a_number_is_a_name_by_what_it_is_called_or_how_it_behaves(name, values, is_name):
    columns = {name: number(values), "of_name": number(OF_NAME), "of_count": number(2.0 * COUNT)}
    assert (name in learn_roles(columns, 0).coded) == is_name


def test_a_name_of_few_values_is_filled_as_a_name_and_is_no_quantity():
    columns = {"market": number(NAME), "of": number(OF_NAME)}
    roles = learn_roles(columns, 0)
    assert roles.as_names == ("market",)
    assert roles.numbers == ("of",)
    assert roles.rows(columns).keys["market"].tolist() == NAME.tolist()


def test_time_is_the_moment_with_fewest_gaps_else_a_number_that_only_rises():
    days = np.arange(ROWS).astype("datetime64[D]")
    gappy = np.where(np.arange(ROWS) % 3 == 0, np.datetime64("NaT"), days)
    with_moments = {"n": number(np.arange(ROWS)), "a": moments(gappy), "b": moments(days)}
    assert learn_roles(with_moments, 0).axis == "b"
    assert learn_roles({"x": number(OF_NAME), "n": number(np.arange(ROWS))}, 0).axis == "n"
    assert learn_roles({"x": number(OF_NAME)}, 0).axis is None


def test_codes_are_places_among_the_known_and_unseen_ones_come_after():
    known = np.array([1.0, 5.0, 9.0])
    assert code_of(np.array([5.0, np.nan, 2.0, 99.0, 1.0]), known).tolist() == [1, -1, 3, 3, 0]
    assert code_of(np.array([5.0, np.nan]), np.zeros(0)).tolist() == [0, -1]


@pytest.mark.parametrize("known", [[], [1.0], [1.0, 2.0, 5.0]])
@pytest.mark.parametrize("value", [np.nan, -np.inf, 0.5, 1.0, 2.0, 4.0, 5.0, 1e300])
def test_a_value_alone_has_the_code_and_the_unit_that_it_has_among_others(value, known):
    known = np.array(known)
    several = np.array([value, 2.0, np.nan])
    assert code_of(several[:1], known).tolist() == code_of(several, known)[:1].tolist()
    np.testing.assert_array_equal(in_unit(several[:1], 1.0), in_unit(several, 1.0)[:1])


def test_moments_are_seconds():
    found = seconds(moments(["1970-01-01T00:00:01.5", "NaT", "1969-12-31T23:59:59"]))
    assert found.tolist()[::2] == [1.5, -1.0]
    assert np.isnan(found[1])


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1.0, 1e150, 1e307])
def test_a_unit_of_its_own_keeps_every_number_exactly(scale):
    values = np.array([1.0, -0.5, np.nan, 0.25]) * scale
    roles = learn_roles({"x": number(values)}, 0)
    within = in_unit(values, roles.unit("x"))
    assert np.isfinite(np.square(within[~np.isnan(within)])).all()
    np.testing.assert_array_equal(out_of_unit(within, roles.unit("x")), values)
    assert bool(roles.units) == (scale != 1.0)


def test_numbers_counted_back_never_pass_the_end_of_floats():
    unit = learn_roles({"x": number([1e308, 5e307])}, 0).unit("x")
    assert np.isfinite(out_of_unit(np.array([1e100, -1e100]), unit)).all()


def test_rows_are_taken_and_changed_without_touching_the_others():
    columns = {"x": number(OF_NAME), "c": Column("category", NAME.astype(np.int32), (*"abcdef",))}
    rows = learn_roles(columns, 0).rows(columns)
    some = rows.take(np.array([3, 1]))
    assert (some.count, some.numbers["x"].tolist()) == (2, OF_NAME[[3, 1]].tolist())
    changed = rows.with_numbers({"x": np.zeros(ROWS)}).with_keys({"d": NAME})
    assert changed.numbers["x"].sum() == 0
    assert set(changed.keys) == {"c", "d"}
    assert rows.numbers["x"] is columns["x"].values  # noqa: PD011 - no pandas
    assert pd.Series(rows.keys["c"]).equals(pd.Series(NAME))


def test_a_key_of_thousands_is_a_key_in_a_long_table():
    stores = np.random.default_rng(0).integers(0, 8_000, 100_000)
    assert "store_id" in learn_roles({"store_id": number(stores)}, 0).coded


def test_of_many_rows_codes_are_looked_up_as_they_are_searched_for_in_few():
    known = np.array([-3.0, 0, 1, 7, 20])
    asked = np.array([NAN, -3, -3.5, 0, -0.0, 7, 8, 20, 21, -4, 1e300, -1e300, np.inf, 6.999])
    many = np.tile(asked, 1_000)
    assert code_of(many, known).tolist() == code_of(asked, known).tolist() * 1_000
