# ruff: noqa: PD011 - a Column is no frame of pandas
"""Gaps, and nothing else, get a value that other cells tell."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ml_platform.preparation.race import Wanted, learn_filling
from ml_platform.preparation.reading import learn_and_read

NUMBERS = ("riders", "busy", "waiting", "luck")


def read(frame):
    return {name: learn_and_read(name, frame[name])[1].column for name in frame}


def wanted(frame, **methods):
    given = dict.fromkeys(frame, "auto") | methods
    return Wanted(given, "auto", dict.fromkeys(frame, 0.0), {})


def values(column):
    """Numbers, and words for categories."""
    if column.kind == "category":
        return np.array([*column.levels, "unseen", None], object)[column.values]
    return column.values


@pytest.fixture
def gappy(deliveries, with_gaps):
    """Stores' orders with three numbers missing together, and levels missing alone."""
    frame, _ = with_gaps(deliveries(), ["riders", "busy", "waiting"], 0.08, together=True)
    frame, _ = with_gaps(frame, ["market", "kind", "luck"], 0.08, seed=2)
    return frame


def test_all_gaps_are_filled_and_nothing_else_is_touched(gappy):
    columns = read(gappy)
    filled, masks = learn_filling(columns, wanted(gappy)).fill(columns)
    for name, column in columns.items():
        gaps = column.missing()
        assert not filled[name].missing().any()
        assert (masks[name] == gaps).all() if name in masks else not gaps.any()
        assert (values(filled[name])[~gaps] == values(column)[~gaps]).all()


def test_columns_without_gaps_come_back_as_they_are(gappy, deliveries):
    whole = read(deliveries())
    filled, masks = learn_filling(read(gappy), wanted(gappy)).fill(whole)
    assert masks == {}
    assert filled is whole


@pytest.mark.parametrize("method", ["group", "time", "linear", "boosted"])
def test_a_cell_is_not_filled_by_itself(gappy, deliveries, method):
    """What later rows have in a column cannot matter to what it is filled with where it is not."""
    filling = learn_filling(read(gappy), wanted(gappy, **dict.fromkeys(NUMBERS, method)))
    later = deliveries(200, seed=5)
    gone = later.copy()
    gone.loc[::4, "riders"] = np.nan
    lied = gone.copy()
    lied.loc[1::4, "riders"] = 1e6  # the rows beside it
    told = filling.fill(read(gone))[0]["riders"].values[::4]
    again = filling.fill(read(lied))[0]["riders"].values[::4]
    np.testing.assert_array_equal(told, again)


def test_a_row_alone_is_filled_as_it_is_among_others(gappy):
    columns = read(gappy)
    filling = learn_filling(columns, wanted(gappy))
    whole, _ = filling.fill(columns)
    rows = np.flatnonzero(columns["riders"].missing())[:10]
    for row in rows:
        some = np.array([row])
        alone, _ = filling.fill({name: column.take(some) for name, column in columns.items()})
        for name in columns:
            one, many = values(alone[name])[0], values(whole[name])[row]
            assert one == pytest.approx(many) if isinstance(one, float) else one == many


def test_what_it_was_given_is_not_written_to(gappy):
    columns = read(gappy)
    before = {name: column.values.copy() for name, column in columns.items()}
    learn_filling(columns, wanted(gappy)).fill(columns)
    for name, column in columns.items():
        pd.testing.assert_series_equal(pd.Series(column.values), pd.Series(before[name]))


def test_it_is_plain_data(gappy):
    filling = learn_filling(read(gappy), wanted(gappy))
    assert dataclasses.is_dataclass(filling)
    assert set(filling.judged) == set(filling.numbers) | set(filling.categories)
