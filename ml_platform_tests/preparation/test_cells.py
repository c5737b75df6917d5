"""What one cell says, whatever Python object it is."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.preparation.cells import CELLS, NULLS, Note, clean, is_null, spelled
from ml_platform.preparation.reading import Reader

POINT, COMMA = Reader("", "number"), Reader("", "number", comma=True)


@pytest.mark.parametrize(
    ("cell", "number", "note"),
    [
        (7, 7.0, 0),
        (np.float32(0.5), 0.5, 0),
        (Decimal("2.5"), 2.5, 0),
        ("12", 12.0, Note.FROM_TEXT),
        (" 12 ", 12.0, Note.FROM_TEXT | Note.TRIMMED),
        ("1,234.5", 1234.5, Note.FROM_TEXT | Note.SEPARATOR),
        ("-3 %", -3.0, Note.FROM_TEXT | Note.PERCENT),
        ("$5", 5.0, Note.FROM_TEXT | Note.CURRENCY),
        ("\u22124", -4.0, Note.FROM_TEXT),
        (dt.timedelta(minutes=2), 120.0, 0),
    ],
)
def test_a_number_is_found_in(cell, number, note):
    assert CELLS["number"](POINT, cell) == (number, note)


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        ("007", Note.REFUSED | Note.CODE),
        ("red", Note.REFUSED),
        ([1], Note.REFUSED),
        ("inf", Note.INFINITE),
        (np.inf, Note.INFINITE),
        (10**400, Note.INFINITE),
        ("n/a", Note.NULL),
        (None, 0),
    ],
)
def test_no_number_is_found_in(cell, note):
    number, said = CELLS["number"](POINT, cell)
    assert np.isnan(number)
    assert said & note == note


def test_a_column_says_whether_its_decimal_mark_is_the_comma():
    assert CELLS["number"](COMMA, "1.234,5")[0] == 1234.5
    assert np.isnan(CELLS["number"](POINT, "1.234,5")[0])


@pytest.mark.parametrize("null", [*sorted(NULLS), "NaN", " None "])
def test_words_for_no_value_are_no_words(null):
    assert spelled(null) == (None, Note.NULL)


@pytest.mark.parametrize(
    "null", [None, pd.NA, pd.NaT, np.nan, Decimal("NaN"), np.datetime64("NaT")]
)
def test_objects_for_no_value_are_known(null):
    assert is_null(null)


@given(st.text())
def test_a_clean_text_is_clean(text):
    once, _ = clean(text)
    assert clean(once)[0] == clean(clean(once)[0])[0]
    assert once == once.strip()


@given(st.text(st.characters(min_codepoint=0xC0, max_codepoint=0x24F), min_size=1))
def test_text_whose_encoding_was_broken_is_mended(text):
    broken = text.encode().decode("latin-1")
    assert clean(broken)[0] == clean(text)[0]
