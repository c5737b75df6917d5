"""What pandas gives, whatever its type, as plain arrays."""

import numpy as np
import pandas as pd
import pytest

from ml_platform.preparation.plain import plain_of

DAYS = pd.to_datetime(["2026-01-01", None])


@pytest.mark.parametrize(
    ("values", "form", "array"),
    [
        (pd.Series([1, 2]), "number", [1.0, 2.0]),
        (pd.Series([1, None], dtype="Int64"), "number", [1.0, np.nan]),
        (pd.Series([1, None], dtype="int64[pyarrow]"), "number", [1.0, np.nan]),
        (pd.Series([True, None], dtype="boolean"), "flag", [1.0, np.nan]),
        (pd.Series([0.5, np.inf]), "number", [0.5, np.inf]),
        (pd.Series(DAYS), "moment", DAYS.to_numpy("datetime64[us]")),
        (pd.Series(DAYS).dt.tz_localize("Asia/Seoul"), "moment",
         np.array(["2025-12-31T15:00", "NaT"], "datetime64[us]")),
        (pd.Series(pd.to_timedelta(["1min", None])), "number", [60.0, np.nan]),
        (pd.Series(["a", None], dtype="string"), "cells", ["a", None]),
    ],
    ids=lambda one: str(one.dtype) if isinstance(one, pd.Series) else "",
)  # fmt: skip
def test_a_column_becomes_an_array(values, form, array):
    plain = plain_of(values)
    assert plain.form == form
    if form == "cells":
        assert plain.array.tolist() == array
    else:
        np.testing.assert_array_equal(plain.array, np.array(array, plain.array.dtype))


def test_integers_that_floats_cannot_tell_apart_stay_as_they_are():
    assert plain_of(pd.Series([2**53, 2**53 + 1])).array.tolist() == [2**53, 2**53 + 1]


def test_a_category_is_its_levels_and_their_codes():
    plain = plain_of(pd.Series(["b", "a", None], dtype="category"))
    assert plain.array.tolist() == ["a", "b"]
    assert plain.codes.tolist() == [1, 0, -1]


def test_moments_finer_than_a_microsecond_are_marked():
    plain = plain_of(pd.Series(pd.to_datetime([1_000, 1_001])))
    assert plain.cut.tolist() == [False, True]


def test_a_sample_is_known_cells_from_all_over():
    values = pd.Series([None, "a"] * 5_000)
    sample = plain_of(values).sample()
    assert set(sample) <= {"a"}
    assert plain_of(pd.Series(["a", None])).sample() == ["a"]
    assert plain_of(pd.Series([1.0])).sample() == []
