# ruff: noqa: PD011 - a Column is no frame of pandas
"""Learning a preparation: each step where it is asked for, and what it found is told."""

import numpy as np
import pandas as pd
import pytest

from ml_platform.preparation.fitted import CLIPPED, FILLED, RECODED, REFUSED
from ml_platform.preparation.steps import Options, learn

NAN = np.nan


def table():
    draw = np.random.default_rng(0)
    x = draw.normal(10, 1, 200).round(3)
    x[[4, 9]] = NAN, 500.0
    return pd.DataFrame(
        {
            "x": x,
            "n": draw.integers(0, 50, 200),
            "c": draw.choice(["u", "v", None], 200),
            "at": pd.date_range("2024-01-01", periods=200, freq="5h"),
            "key": [f"k{row}" for row in range(200)],
            "label": draw.normal(size=200),
        }
    )


@pytest.mark.parametrize(
    ("name", "what", "is_number", "found"),
    [
        ("a", "missing", True, "mean"),
        ("a", "missing", False, "own"),
        ("b", "missing", True, "median"),
        ("a", "outliers", True, "iqr"),
        ("b", "outliers", True, "off"),
        ("b", "encode", False, "ordinal"),
        ("b", "text", False, "off"),
        ("b", "dates", False, "auto"),
    ],
)
def test_a_columns_own_word_counts_before_the_tables(name, what, is_number, found):
    own = {"b": {"missing": "median", "outliers": False, "encode": "label"}}
    options = Options(missing_num="mean", missing_categ="own", outliers="iqr", columns=own)
    assert options.of(name, what, is_number=is_number) == found


def test_every_step_leaves_its_mark_on_the_cells_and_a_sentence():
    learnt = learn(table().assign(price=["$ 1", "2", "no"] + ["3"] * 197), Options())
    assert learnt.cells["x"][[4, 9, 0]].tolist() == [FILLED, CLIPPED, 0]
    assert learnt.cells["price"][:3].tolist() == [RECODED, 0, REFUSED | FILLED]
    found = learnt.findings.found
    assert any("outside" in said for said in found["x"])
    assert any("left alone" in said for said in found["n"])
    assert any("encoded: onehot" in said for said in found["c"])
    assert any("taken apart" in said for said in found["at"])
    assert any("left out" in said for said in found["key"])
    assert set(learnt.findings.seconds) == {"reading", "outliers", "gaps", "encoding"}


def test_columns_that_are_kept_are_not_looked_at():
    learnt = learn(table(), Options(kept=("label",)))
    assert "label" not in learnt.preparation.readers
    assert not any("label" in name for name in learnt.made)


@pytest.mark.parametrize("how", ["off", "delete"])
def test_what_is_not_to_be_filled_is_not(how):
    learnt = learn(table(), Options(missing_num=how, missing_categ=how, encode="off"))
    assert np.isnan(learnt.made["x"].values).sum() == 1
    assert learnt.made["c"].missing().any()
    assert learnt.cells["x"][4] == 0


def test_outliers_do_not_teach_the_fills():
    frame = table()
    frame.loc[100:130, "x"] = 1e9
    learnt = learn(frame, Options(missing_num="mean", outliers="zscore"))
    assert learnt.made["x"].values[4] < 100


@pytest.mark.parametrize(
    ("indicators", "columns"),
    [(False, []), (True, ["c_missing", "x_missing"]), ("auto", ["c_missing", "x_missing"])],
)
def test_gaps_are_marked_where_that_is_asked(indicators, columns):
    learnt = learn(table().drop(columns="at"), Options(indicators=indicators))
    assert sorted(name for name in learnt.made if name.endswith("_missing")) == columns


def test_flags_of_outliers_leave_the_values():
    learnt = learn(table(), Options(outliers="flag"))
    assert learnt.made["x"].values[9] == 500.0
    assert learnt.made["x_outlier"].values.nonzero()[0].tolist() == [9]


def test_columns_whose_outliers_are_left_alone_are_left_alone():
    learnt = learn(table(), Options(outliers="iqr", outlier_skip=("x",)))
    assert learnt.made["x"].values[9] == 500.0
    assert learnt.cells["x"][9] == 0
