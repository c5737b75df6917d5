"""Whether the values of a column are of a type, however a library holds them."""

from datetime import date, datetime
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ml_platform.checks.words import WORDS, as_frame, of_type, plain

TIMES = [datetime.fromisoformat(text) for text in ("2010-02-05", "2010-02-05T13:30")]


def fits(word, values):
    return list(of_type(plain(values), word))


HELD = {
    "integer": [
        pd.Series([1, 2]),
        pd.Series([1, 2], dtype="uint8"),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1.0, np.nan]),
        pd.Series([1, None], dtype=pd.ArrowDtype(pa.int32())),
        pd.Series([1, Decimal(2), 3.0, None], dtype=object),
        pd.Series([1, 2], dtype="category"),
    ],
    "number": [
        pd.Series([1.5, np.nan, np.inf]),
        pd.Series([1.5, None], dtype="Float32"),
        pd.Series([Decimal("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        pd.Series([1, 2.5, None], dtype=object),
    ],
    "text": [
        pd.Series(["a", None]),
        pd.Series(["a", None], dtype="string"),
        pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
        pd.Series(["a", None], dtype="category"),
        pd.Series(["a", None], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    ],
    "boolean": [
        pd.Series([True, False]),
        pd.Series([True, None], dtype="boolean"),
        pd.Series([True, None], dtype=object),
        pd.Series([True, None], dtype=pd.ArrowDtype(pa.bool_())),
    ],
    "date": [
        pd.Series(pd.to_datetime(["2010-02-05", None])),
        pd.Series([date(2010, 2, 5), None], dtype=object),
        pd.Series([date(2010, 2, 5), None], dtype=pd.ArrowDtype(pa.date32())),
        pd.Series([date(9999, 12, 31), TIMES[0]], dtype=object),
    ],
    "timestamp": [
        pd.Series(TIMES),
        pd.Series(TIMES, dtype="datetime64[s]"),
        pd.Series(TIMES).dt.tz_localize("Europe/Berlin"),
        pd.Series(TIMES, dtype=pd.ArrowDtype(pa.timestamp("us", tz="UTC"))),
        pd.Series(TIMES, dtype=pd.ArrowDtype(pa.timestamp("ms"))),
        pd.Series([*TIMES, None], dtype=object),
    ],
}


@pytest.mark.parametrize(
    ("word", "values"),
    [(word, values) for word, many in HELD.items() for values in many],
    ids=lambda one: one if isinstance(one, str) else str(one.dtype),
)
def test_a_type_takes_its_values_however_a_library_holds_them(word, values):
    assert all(fits(word, values))


ALSO = {("integer", "number"), ("date", "timestamp")}
"""Whole numbers are numbers; a day held as a moment at midnight is a moment too."""


@pytest.mark.parametrize(
    ("word", "held"),
    [(word, held) for word in WORDS for held in WORDS if word != held and (held, word) not in ALSO],
)
def test_a_type_refuses_the_values_of_the_others(word, held):
    # The last value of the last example is one that no other type takes.
    values = HELD[held][-1].dropna().tail(1) if held != "number" else pd.Series([2.5])
    assert fits(word, values) == [False]


@pytest.mark.parametrize("values", HELD["boolean"], ids=lambda one: str(one.dtype))
@pytest.mark.parametrize("word", ["integer", "number"])
def test_true_is_no_number_however_it_is_held(word, values):
    assert not any(fits(word, values.dropna()))


@pytest.mark.parametrize("arrow", [False, True])
def test_duckdbs_own_frames_and_tables_fit_the_types_that_sql_gave_them(arrow):
    made = duckdb.sql(
        "select 1::hugeint as i, 1.5::decimal(5, 2) as n, 'x' as t, true as b, date '2010-02-05' "
        "as d, timestamptz '2010-02-05 13:00:00+00' as m union all select null, null, null, null, "
        "null, null"
    )
    types = {
        "i": "integer",
        "n": "number",
        "t": "text",
        "b": "boolean",
        "d": "date",
        "m": "timestamp",
    }
    frame = as_frame(made.to_arrow_table() if arrow else made.df())
    refused = [name for name, word in types.items() if fits(word, frame[name]) != [True, True]]
    assert refused == []
