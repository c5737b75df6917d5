"""Typed columns: each kind has its own way to say that there is no value."""

import numpy as np
import pytest

from ml_platform.preparation.columns import Column, rows_of

MOMENTS = np.array(["2024-01-01", "NaT"], "datetime64[us]")


@pytest.mark.parametrize(
    "column",
    [
        Column("number", np.array([0.0, np.nan])),
        Column("flag", np.array([0.0, np.nan])),
        Column("category", np.array([0, -1], np.int32), ("a",)),
        Column("moment", MOMENTS),
        Column("text", np.array(["", None], object)),
    ],
    ids=lambda column: column.kind,
)
def test_each_kind_knows_its_gaps_and_keeps_its_levels_when_rows_are_taken(column):
    assert column.missing().tolist() == [False, True]
    last = column.take(np.array([1]))
    assert (last.kind, last.levels, last.missing().tolist()) == (column.kind, column.levels, [True])


def test_a_level_that_is_unseen_is_no_gap():
    assert not Column("category", np.array([1], np.int32), ("a",)).missing().any()


def test_rows_are_counted_by_any_column():
    assert rows_of({"a": Column("number", np.zeros(3))}) == 3
    assert rows_of({}) == 0
