"""The receipt says what was found and done, in figures that can be counted again."""

import json

import numpy as np
import pandas as pd
import pytest

from ml_platform.preparation.receipt import BINS
from ml_platform.preparation.transformer import AutoPrepare


@pytest.fixture(scope="module")
def prepared():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a|b": draw.normal(10, 2, 400),
            "luck": draw.normal(size=400),
            "c": draw.choice(["u", "v"], 400),
            "n": np.arange(400),
            "k": 1,
            "price": [f"$ {n}" for n in draw.integers(1, 9, 400)],
        }
    )
    frame.loc[:39, ["a|b", "luck"]] = np.nan
    frame.loc[40:59, "luck"] = np.nan
    frame.loc[60, "a|b"] = 1e6
    frame.loc[399] = frame.loc[398]
    return AutoPrepare().prepare(frame), frame


def test_rows_and_cells_are_counted(prepared):
    made, frame = prepared
    receipt = made.receipt
    assert (receipt.rows, receipt.rows_left, receipt.dropped) == (400, 399, {"duplicates": 1})
    column = receipt.column("a|b")
    assert (column.gaps, column.filled, column.clipped) == (
        40,
        40,
        (made.cells["a|b"] & 4 > 0).sum(),
    )
    assert receipt.column("price").recoded == 400
    assert receipt.column("luck").gaps == frame["luck"].isna().sum()


def test_columns_missing_together_are_listed(prepared):
    receipt = prepared[0].receipt
    assert receipt.together == [(("a|b", "luck"), 40), (("luck",), 20)]


def test_the_chosen_method_stands_beside_the_errors_of_all(prepared):
    column = prepared[0].receipt.column("luck")
    assert column.method == "median"
    assert {"median", "linear"} <= set(column.errors)
    assert not column.recoverable


def test_before_and_after_are_pictured_in_the_same_bins(prepared):
    column = prepared[0].receipt.column("a|b")
    assert len(column.before["counts"]) == len(column.after["counts"]) == BINS
    assert sum(column.before["counts"]) == 360
    assert sum(column.after["counts"]) == 400
    assert column.before["max"] == 1e6
    assert column.after["max"] < 1e3


def test_as_json_it_is_read_back_whole(prepared):
    receipt = prepared[0].receipt
    said = json.loads(receipt.to_json())
    assert said["rows_left"] == 399
    assert [column["name"] for column in said["columns"]] == ["a|b", "luck", "c", "n", "k", "price"]
    assert said["columns"][0]["errors"] == pytest.approx(dict(receipt.columns[0].errors))


def test_as_markdown_it_is_one_table_whatever_columns_are_called(prepared):
    text = prepared[0].receipt.to_markdown()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert len(table) == 2 + 6
    assert "400 rows came, 399 left." in text
    assert "dropped: 1 (duplicates)" in text
    assert "Not recoverable (nothing beat the simplest fill):" in text
    assert "luck" in text.splitlines()[-1]


def test_a_receipt_of_later_rows_is_of_those_rows(prepared):
    _, frame = prepared
    prepare = AutoPrepare().fit(frame)
    receipt = prepare.apply(frame.iloc[100:110]).receipt
    assert (receipt.rows, receipt.column("luck").gaps) == (10, 0)
    assert receipt.column("luck").errors == prepare.receipt_.column("luck").errors
