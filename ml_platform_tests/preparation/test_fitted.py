# ruff: noqa: PD011 - a Column is no frame of pandas
"""A preparation that was learnt: the same code for a table and for a row."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ml_platform.kernel.errors import DataError
from ml_platform.preparation.columns import Column
from ml_platform.preparation.fitted import OWN_LEVEL, Preparation, to_cell, to_series
from ml_platform.preparation.steps import Options, learn

NAN = np.nan


@pytest.fixture(scope="module")
def learnt():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": draw.normal(size=300),
            "c": draw.choice(["u", "v"], 300),
            "t": pd.date_range("2024-01-01", periods=300, freq="31h"),
        }
    )
    frame.loc[::9, ["x", "c"]] = None
    options = Options(indicators=True, outliers="flag", missing_categ="own", encode="off")
    return learn(frame, options).preparation, frame


def test_a_column_that_is_not_there_is_named_with_what_to_do(learnt):
    preparation, frame = learnt
    with pytest.raises(DataError) as refused:
        preparation.read(frame.drop(columns=["x", "t"]))
    assert "'x', 't'" in refused.value.given
    assert "x, c, t" in refused.value.allowed
    assert refused.value.fix


def test_columns_leave_in_the_order_in_which_they_came_with_theirs_beside_them(learnt):
    preparation, frame = learnt
    made = preparation.apply(preparation.read(frame[["t", "c", "x"]])[0])
    assert list(made)[:5] == ["x", "x_missing", "x_outlier", "c", "c_missing"]
    assert all(name.startswith("t_") for name in list(made)[5:])


def test_a_row_is_prepared_as_a_table_of_one_row_is(learnt):
    preparation, frame = learnt
    one = preparation.apply(preparation.read_row({"x": None, "c": "v", "t": frame["t"][5]}))
    row = pd.DataFrame({"x": [None], "c": ["v"], "t": [frame["t"][5]]})
    table = preparation.apply(preparation.read(row)[0])
    assert list(one) == list(table)
    for name in one:
        assert to_series(one[name]).tolist() == to_series(table[name]).tolist()


def test_what_comes_is_not_written_to(learnt):
    preparation, frame = learnt
    columns, cells = preparation.read(frame)
    before = {name: column.values.copy() for name, column in columns.items()}
    preparation.apply(columns, cells)
    for name, column in columns.items():
        assert pd.Series(column.values).equals(pd.Series(before[name]))


def test_a_gap_is_a_level_of_its_own_and_what_is_unseen_is_another(learnt):
    preparation, _ = learnt
    frame = pd.DataFrame({"x": [1.0] * 3, "c": ["u", None, "new"], "t": [pd.NaT] * 3})
    made = preparation.apply(preparation.read(frame)[0])
    assert to_series(made["c"]).tolist() == ["u", OWN_LEVEL, None]


def test_it_is_frozen(learnt):
    with pytest.raises(dataclasses.FrozenInstanceError):
        learnt[0].kept = ("x",)


@pytest.mark.parametrize(
    ("column", "whole", "found"),
    [
        (Column("number", np.array([1.0, 2.0])), True, "int64"),
        (Column("number", np.array([1.0, NAN])), True, "float64"),
        (Column("number", np.array([1.0, 2.5])), True, "float64"),
        (Column("number", np.array([1.0, 1e300])), True, "float64"),
        (Column("number", np.array([1.0, 2.0])), False, "float64"),
        (Column("flag", np.array([1.0, 0.0])), False, "float64"),
        (Column("category", np.array([0, -1, 1], np.int32), ("a",)), False, "object"),
    ],
)
def test_integers_are_given_where_they_say_the_same(column, whole, found):
    series = pd.Series(to_series(column, whole=whole))
    assert str(series.dtype) == found
    if column.kind == "number":
        np.testing.assert_array_equal(series, column.values)


def test_nothing_learnt_gives_back_what_it_reads():
    empty = Preparation({})
    assert empty.apply(empty.read(pd.DataFrame({"x": [1]}))[0]) == {}


@pytest.mark.parametrize(
    "column",
    [
        *(Column("number", np.array([one])) for one in (5.0, 0.5, np.nan, 2.0**60)),
        *(Column("category", np.array([one], np.int32), ("a", "b")) for one in (-1, 1, 2)),
        Column("moment", np.array(["2026-01-31"], "datetime64[us]")),
    ],
    ids=lambda one: f"{one.kind}-{one.values[0]}",
)
@pytest.mark.parametrize("whole", [False, True])
def test_one_cell_is_what_it_is_in_a_column_of_its_own(column, whole):
    whole = whole and column.kind == "number"
    said, alone = to_series(column, whole=whole)[0], to_cell(column, whole=whole)
    assert type(alone) is type(said)
    np.testing.assert_equal(alone, said)
