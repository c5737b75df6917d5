# ruff: noqa: PD011 - a Column is no frame of pandas
"""A column is read for what it says, and every cell that was changed or refused is told."""

import datetime as dt
import json
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.preparation.reading import Reader, learn_and_read, learn_reader

NAN = float("nan")


def column(*cells, dtype=object):
    return pd.Series(list(cells), dtype=dtype)


def shown(read):
    """The values of a column as Python objects, NaN and NaT as None."""
    values = read.column.values
    if read.column.kind == "moment":
        values = values.astype("datetime64[s]").astype(str)
    cells = [None if cell != cell or cell == "NaT" else cell for cell in values.tolist()]  # noqa: PLR0124 - NaN
    levels = [*read.column.levels, "unseen", None]
    return [levels[cell] for cell in cells] if read.column.kind == "category" else cells


@pytest.mark.parametrize(
    ("cells", "numbers", "changed"),
    [
        (["12", "3.5", "-4"], [12.0, 3.5, -4.0], [False] * 3),
        (["1,234.5", "2,000", "7"], [1234.5, 2000.0, 7.0], [True, True, False]),
        (["1.234,5", "2.000", "7"], [1234.5, 2000.0, 7.0], [True, True, False]),
        (["0,5", "1,25"], [0.5, 1.25], [True, True]),
        (["1,234", "5,678"], [1234.0, 5678.0], [True, True]),
        (["12.5 %", "3%"], [12.5, 3.0], [True, True]),
        (["$1,200", "€ 3.50", "-£4", "¥-5"], [1200.0, 3.5, -4.0, -5.0], [True] * 4),
        (["1e-05", "2E3", ".5"], [1e-05, 2000.0, 0.5], [False] * 3),
        (["1 234", "5\u00a0678"], [1234.0, 5678.0], [True, True]),
        ([" 7 ", "8\u00a0"], [7.0, 8.0], [True, True]),
        (["7", "", "n/a ", "NULL", "None", "-", "?"], [7.0] + [None] * 6, [False] + [True] * 6),
        (["1e999", "inf", "5"], [None, None, 5.0], [True, True, False]),
        ([b"5", "6"], [5.0, 6.0], [True, False]),
        (["\u22125", "6"], [-5.0, 6.0], [False, False]),
        ([Decimal("1.5"), None, 2], [1.5, None, 2.0], [False] * 3),
    ],
)
def test_numbers_stored_as_text_are_read(cells, numbers, changed):
    reader, read = learn_and_read("x", column(*cells))
    assert reader.kind == "number"
    assert shown(read) == numbers
    assert read.changed.tolist() == changed
    assert not read.refused.any()


@pytest.mark.parametrize(
    "cells",
    [
        ["007", "012", "100"],
        ["1234567890123456", "1234567890123457"],
        ["1.2.3", "1.2.4"],
        ["12 kg", "13 kg"],
        ["1_000", "2_000"],
        ["\u0661\u0662", "\u0663"],
        ["+", "."],
    ],
)
def test_codes_are_no_numbers(cells):
    assert learn_reader("x", column(*cells)).kind == "category"


def test_a_few_codes_with_leading_zeros_keep_a_whole_column_from_becoming_numbers():
    reader, read = learn_and_read("zip", column(*[str(n) for n in range(10_000, 10_400)], "02139"))
    assert reader.kind == "category"
    assert "02139" in shown(read)


@pytest.mark.parametrize(
    ("cells", "flags"),
    [
        (["yes", "No", "TRUE "], [1.0, 0.0, 1.0]),
        (["y", "n", ""], [1.0, 0.0, None]),
        (["on", "off", "1", "0"], [1.0, 0.0, 1.0, 0.0]),
        ([True, None, False], [1.0, None, 0.0]),
        (["t", "f"], [1.0, 0.0]),
    ],
)
def test_spellings_of_true_and_false_become_a_flag(cells, flags):
    reader, read = learn_and_read("x", column(*cells))
    assert (reader.kind, shown(read)) == ("flag", flags)


@pytest.mark.parametrize("cells", [["f", "m"], ["f", "f"], ["yes", "no", "maybe"], ["t", "n", "x"]])
def test_letters_that_only_look_like_true_and_false_stay_categories(cells):
    assert learn_reader("x", column(*cells)).kind == "category"


def test_zeros_and_ones_are_numbers():
    assert learn_reader("x", column(0, 1, dtype="int64")).kind == "number"
    assert learn_reader("x", column("0", "1")).kind == "number"


@pytest.mark.parametrize(
    ("cells", "moments"),
    [
        (["2015-02-16 02:47:12", None], ["2015-02-16T02:47:12", None]),
        (["2015-02-16", "2016-02-29"], ["2015-02-16T00:00:00", "2016-02-29T00:00:00"]),
        (["31/12/2019", "01/02/2020"], ["2019-12-31T00:00:00", "2020-02-01T00:00:00"]),
        (["12/31/2019", "01/02/2020"], ["2019-12-31T00:00:00", "2020-01-02T00:00:00"]),
        (["31.12.2019 23:59", "1.2.2020 7:05"], ["2019-12-31T23:59:00", "2020-02-01T07:05:00"]),
        (["3 Jan 2020", "14 May 2021"], ["2020-01-03T00:00:00", "2021-05-14T00:00:00"]),
        (["January 3, 2020 1:05 PM"], ["2020-01-03T13:05:00"]),
        (["12/31/99", "1/13/05"], ["1999-12-31T00:00:00", "2005-01-13T00:00:00"]),
        (["Fri, 03 Jan 2020 10:00:00 +0000"], ["2020-01-03T10:00:00"]),
        (["2020-01-01T09:00:00+09:00", "2020-01-01T00:00:00Z"], ["2020-01-01T00:00:00"] * 2),
        ([dt.date(2020, 1, 2), "2020-01-03"], ["2020-01-02T00:00:00", "2020-01-03T00:00:00"]),
        ([pd.Timestamp("2020-01-02"), None], ["2020-01-02T00:00:00", None]),
    ],
)
def test_dates_in_text_are_read(cells, moments):
    reader, read = learn_and_read("x", column(*cells))
    assert (reader.kind, shown(read)) == ("moment", moments)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["01/02/2020", "03/04/2020"], "cannot be told apart"),
        (["13/02/2020", "02/13/2020"], "more than one way"),
    ],
)
def test_dates_that_would_be_guesses_stay_categories_and_say_so(cells, told):
    reader = learn_reader("x", column(*cells))
    assert reader.kind == "category"
    assert any(told in sentence for sentence in reader.found)


def test_one_day_above_12_outside_the_sample_settles_day_and_month():
    cells = [f"{1 + n % 12:02}/{1 + n % 7:02}/{1950 + n % 60}" for n in range(20_001)]
    cells[7] = "25/01/2020"
    reader, read = learn_and_read("x", column(*cells))
    assert reader.kind == "moment"
    assert shown(read)[7] == "2020-01-25T00:00:00"
    assert shown(read)[1] == "1951-02-02T00:00:00"


def test_plain_numbers_such_as_2019_are_never_dates():
    assert learn_reader("x", column("2019", "2020")).kind == "number"
    assert learn_reader("x", column("20190101", "20200101")).kind == "number"


def test_a_date_that_no_calendar_has_is_refused_and_shown():
    cells = ["2021-02-28"] * 30 + ["2021-02-30"]
    reader, read = learn_and_read("x", column(*cells))
    assert read.refused.tolist() == [False] * 30 + [True]
    assert "mixed: 1 cells of 31 are no dates: '2021-02-30'" in reader.found


def test_words_for_the_present_are_no_dates():
    reader = learn_reader("x", column("2020-01-01", "2020-01-02"))
    assert reader.read(column("now", "today", "2020-01-01")).refused.tolist() == [True, True, False]


def test_the_cells_of_a_number_column_that_are_none_become_missing_and_are_shown():
    cells = [str(n) for n in range(96)] + ["abc", "x y", "12 kg", "abc"]
    reader, read = learn_and_read("x", column(*cells))
    assert reader.kind == "number"
    assert read.refused.tolist() == [False] * 96 + [True] * 4
    assert read.column.missing().tolist() == read.refused.tolist()
    assert reader.found[0] == "mixed: 4 cells of 100 are no numbers: 'abc', 'x y', '12 kg', ..."


def test_a_column_of_which_less_than_95_in_100_are_numbers_is_a_category():
    cells = [str(n) for n in range(90)] + [f"code {n}" for n in range(10)]
    reader, read = learn_and_read("x", column(*cells))
    assert reader.kind == "category"
    assert shown(read) == cells


def test_numbers_outside_the_sample_decide_too():
    """Every second cell is text, but none that the sample meets."""
    cells = ["5" if row % 2 == 0 else "five" for row in range(20_000)]
    reader, read = learn_and_read("x", column(*cells))
    assert reader.kind == "category"
    assert not read.refused.any()


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("Caf\u00c3\u00a9", "Caf\u00e9"),
        ("\u00c3\u00a0 la carte", "\u00e0 la carte"),
        ("\u00e2\u201a\u00ac 5 up", "\u20ac 5 up"),
        ("\u00ec\u201e\u0153\u00ec\u0161\u00b8", "\uc11c\uc6b8"),
    ],
)
def test_broken_encodings_are_repaired(broken, whole):
    reader, read = learn_and_read("x", column(broken, "tea"))
    assert shown(read)[0] == whole
    assert read.changed.tolist() == [True, False]
    assert "broken text encoding repaired in 1 cells" in reader.found


@pytest.mark.parametrize("text", ["Caf\u00e9", "\u00c5ngstr\u00f6m", "\uc11c\uc6b8", "\u00c3o"])
def test_text_that_is_right_is_left_alone(text):
    read = learn_and_read("x", column(text, "tea"))[1]
    assert shown(read)[0] == text
    assert not read.changed.any()


def test_white_space_is_taken_away_and_equal_levels_fall_together():
    read = learn_and_read("x", column(" fish", "fish\u00a0", "fish", "red  fish", "red fish"))[1]
    assert read.column.levels == ("fish", "red fish")
    assert read.changed.tolist() == [True, True, False, True, False]


def test_levels_stand_by_frequency_then_by_the_alphabet():
    assert learn_reader("x", column("b", "c", "c", "a")).levels == ("c", "a", "b")


def test_a_category_unseen_at_learning_has_the_code_after_the_last():
    reader = learn_reader("x", column("a", "b", None))
    assert reader.read(column("b", "z", None)).column.values.tolist() == [1, 2, -1]


def test_free_text_is_told_from_categories():
    sentences = [f"the order number {n} came late and was cold when it came" for n in range(200)]
    assert learn_reader("x", column(*sentences)).kind == "text"
    assert learn_reader("x", column(*sentences[:3] * 100)).kind == "category"
    assert learn_reader("x", column(*[f"id{n}" for n in range(200)])).kind == "category"


def test_lists_and_mappings_become_their_json_text():
    read = learn_and_read("x", column([1, 2], {"b": 1, "a": "\u00e9"}, "a"))[1]
    assert sorted(read.column.levels) == ["[1, 2]", "a", '{"a": "\u00e9", "b": 1}']
    assert json.loads(shown(read)[1]) == {"b": 1, "a": "\u00e9"}
    assert read.changed.tolist() == [True, True, False]


def test_one_and_true_and_text_of_one_are_kept_apart():
    read = learn_and_read("x", column(1, True, "1", "a"))[1]
    assert shown(read) == ["1", True, "1", "a"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1, None, 3], dtype="UInt8"),
        pd.Series([1, None, 3], dtype="Float32"),
        pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.int16())),
        pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.float64())),
        pd.Series([Decimal(1), None, Decimal(3)], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        pd.Series([1.0, NAN, 3.0], dtype="float16"),
        pd.Series(["1", None, "3"], dtype="string"),
        pd.Series(["1", None, "3"], dtype=pd.ArrowDtype(pa.string())),
        pd.Series(pd.arrays.SparseArray([1.0, NAN, 3.0])),
        pd.Series(pd.to_timedelta([1, None, 3], unit="s")),
    ],
    ids=lambda values: str(values.dtype),
)
def test_nullable_and_arrow_numbers_are_read_as_any_others(values):
    """Nullable integers with gaps made the original raise a TypeError."""
    reader, read = learn_and_read("x", values)
    assert (reader.kind, shown(read), reader.integers) == ("number", [1.0, None, 3.0], True)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.Series([True, None], dtype="boolean"), "flag"),
        (pd.Series([True, None], dtype=pd.ArrowDtype(pa.bool_())), "flag"),
        (pd.Series(["a", None], dtype="category"), "category"),
        (pd.Series([3, None, 5], dtype="category"), "category"),
        (
            pd.Series(["a", None], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
            "category",
        ),
        (pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), "category"),
        (pd.Series([dt.date(2020, 1, 1), None], dtype=pd.ArrowDtype(pa.date32())), "moment"),
        (pd.Series(pd.to_datetime(["2020-01-01", None])), "moment"),
        (
            pd.Series([pd.Timestamp(2020, 1, 1), None], dtype=pd.ArrowDtype(pa.timestamp("ms"))),
            "moment",
        ),
        (pd.Series(pd.PeriodIndex(["2020-01", None], freq="M")), "moment"),
        (pd.Series(pd.arrays.IntervalArray.from_breaks([1, 2, 3])), "category"),
        (pd.Series([1 + 2j, 3j]), "category"),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
def test_every_type_of_pandas_has_its_kind(values, kind):
    reader, read = learn_and_read("x", values)
    assert reader.kind == kind
    assert read.column.missing().tolist() == values.isna().tolist()
    assert not read.refused.any()


def test_levels_of_numbers_stay_numbers_and_meet_the_same_number_of_another_type():
    reader = learn_reader("x", pd.Series([3, 3, 5], dtype="category"))
    assert reader.levels == (3, 5)
    assert reader.read(pd.Series([5.0, 3.0])).column.values.tolist() == [1, 0]
    assert reader.read(column("5", "4")).column.values.tolist() == [1, 2]


@pytest.mark.parametrize(
    "dtype", ["datetime64[ns, Asia/Seoul]", pd.ArrowDtype(pa.timestamp("us", "Asia/Seoul"))]
)
def test_moments_with_a_zone_are_taken_to_utc(dtype):
    values = pd.Series([pd.Timestamp("2020-01-01 09:00", tz="Asia/Seoul"), None]).astype(dtype)
    reader, read = learn_and_read("x", values)
    assert shown(read) == ["2020-01-01T00:00:00", None]
    assert reader.zoned
    assert reader.found == (
        "moments of 1 time zones (Asia/Seoul) taken to UTC",
        "constant: every known value is the same",
    )


def test_mixed_time_zones_are_taken_to_utc_and_told():
    reader, read = learn_and_read(
        "x", column("2020-01-01 09:00+09:00", "2020-01-01 02:00+01:00", "2020-01-01 05:00")
    )
    assert shown(read) == ["2020-01-01T00:00:00", "2020-01-01T01:00:00", "2020-01-01T05:00:00"]
    assert "moments of 2 time zones (+01:00, +09:00) taken to UTC" in reader.found
    assert "1 moments without a zone taken as UTC's" in reader.found


def test_moments_finer_than_a_microsecond_are_cut_and_marked():
    values = pd.Series([pd.Timestamp(1577836800000000001), pd.Timestamp("2020-01-01"), pd.NaT])
    for cells in (values, values.astype(object)):
        read = learn_and_read("x", cells)[1]
        assert shown(read) == ["2020-01-01T00:00:00", "2020-01-01T00:00:00", None]
        assert read.changed.tolist() == [True, False, False]


def test_the_first_cells_do_not_speak_for_the_column():
    cells = ["x"] * 10 + [str(n) for n in range(9_990)]
    assert learn_reader("x", column(*cells)).kind == "number"


def test_infinities_become_missing_and_the_largest_numbers_stay():
    reader, read = learn_and_read("x", pd.Series([np.inf, 1e308, -np.inf, NAN]))
    assert shown(read) == [None, 1e308, None, None]
    assert read.changed.tolist() == [True, False, True, False]
    assert "infinities read as missing in 2 cells" in reader.found


def test_integers_that_a_float_cannot_tell_apart_are_categories():
    big = 2**53
    for values in (pd.Series([big, big + 1]), pd.Series([big, big + 1], dtype="Int64")):
        read = learn_and_read("x", values)[1]
        assert shown(read) == [big, big + 1]


@pytest.mark.parametrize(
    ("values", "integers", "decimals"),
    [
        ([1.0, 2.0, NAN], True, 0),
        ([0.1, 2.25], False, 2),
        ([1e-05, 2e-06], False, 6),
        ([1 / 3], False, None),
        ([1e308, 0.5], False, 1),
        ([NAN], False, None),
    ],
)
def test_decimals_are_measured_on_the_numbers(values, integers, decimals):
    """Small numbers survive; to take the decimals from the text '1e-05' made it zero."""
    reader, read = learn_and_read("x", pd.Series(values))
    assert (reader.integers, reader.decimals) == (integers, decimals)
    assert read.column.values.tolist()[0] == values[0] or np.isnan(values[0])


@pytest.mark.parametrize("values", [column(None, NAN), column(NAN, dtype=float), column("", "NA")])
def test_a_column_without_a_value_is_a_number_and_says_so(values):
    reader, read = learn_and_read("x", values)
    assert reader.kind == "number"
    assert read.column.missing().all()
    assert reader.found[-1] == "no value at all"
    assert reader.read(column("5")).column.values.tolist() == [5.0]


@pytest.mark.parametrize("dtype", [object, float, "Int64", "string", "category", "M8[ns]", "bool"])
def test_an_empty_column_is_read(dtype):
    read = learn_and_read("x", pd.Series([], dtype=dtype))[1]
    assert (len(read.column.values), len(read.changed), len(read.refused)) == (0, 0, 0)


@pytest.mark.parametrize(
    "cells", [[5, 5, None], ["a", "a", ""], [True, True, None], ["2020-01-01"]]
)
def test_a_constant_column_says_so(cells):
    reader = learn_reader("x", column(*cells))
    assert reader.constant
    assert "constant: every known value is the same" in reader.found


def test_text_that_comes_where_numbers_were_learnt_is_read_or_refused():
    reader = learn_reader("x", pd.Series([1.0, 2.0]))
    read = reader.read(column("3", "1,000", "abc", pd.Timestamp("2020-01-01")))
    assert shown(read) == [3.0, 1000.0, None, None]
    assert read.refused.tolist() == [False, False, True, True]


def test_dates_in_text_are_read_where_moments_were_learnt():
    reader = learn_reader("x", pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"])))
    assert shown(reader.read(column("2020-01-03T10:00:00"))) == ["2020-01-03T10:00:00"]


def test_the_input_is_neither_changed_nor_shared():
    values = pd.Series([1.0, np.inf, 3.0])
    read = learn_and_read("x", values)[1]
    read.column.values[:] = 0
    assert values.tolist() == [1.0, np.inf, 3.0]


def test_the_receipt_counts_what_was_found():
    cells = [f"{n} %" for n in range(40)] + ["$1,000", " 5", "n/a"]
    reader = learn_reader("x", column(*cells))
    assert reader.found == (
        "white space taken away in 1 cells",
        "words for no value read as missing in 1 cells",
        (
            "numbers stored as text, 42 cells; per cent signs (12.5 % is kept as 12.5); "
            "thousands separators; currency signs"
        ),
    )
    assert learn_reader("x", column("yes", "no", "NO", "true")).found == (
        "3 spellings of true and false: 'no', 'true', 'yes'",
    )


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.sampled_from(
        ["1,5", "1.234,5", "$5", "7 %", "007", "NA", " yes", "2020-02-30", "inf", "1e999"]
    ),
    st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)),
    st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),  # noqa: DTZ001 - without a zone
    st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)).map(str),  # noqa: DTZ001
    st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)),
    st.decimals(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)

READERS = [
    Reader("x", "number"),
    Reader("x", "number", comma=True),
    Reader("x", "flag"),
    Reader("x", "moment"),
    Reader("x", "text"),
    learn_reader("x", column("a", "b", 5, "[1]")),
    learn_reader(
        "x", column("2020-01-01 10:00:00.123456+09:00", "2021-01-01 10:00:00.123456+01:00")
    ),
    learn_reader("x", column("31.12.2019 10:00", "01.02.2020 11:00")),
]


def same(one, other):
    if one.kind == "text":
        return one.values.tolist() == other.values.tolist()
    return one.values.dtype == other.values.dtype and np.array_equal(
        one.values, other.values, equal_nan=one.kind != "category"
    )


@given(cell=CELLS, reader=st.sampled_from(READERS))
def test_one_cell_is_read_as_a_column_of_one_row_is(cell, reader):
    one = reader.read_one(cell)
    assert same(one, reader.read(pd.Series([cell], dtype=object)).column)
    assert same(one, reader.read(pd.Series([cell])).column)


@given(cells=st.lists(CELLS, max_size=12))
def test_any_mixture_is_read_and_every_cell_that_is_lost_is_told(cells):
    values = column(*cells)
    before = repr(values.tolist())
    reader, read = learn_and_read("x", values)
    assert repr(values.tolist()) == before
    assert same(reader.read(values).column, read.column)
    assert same(pickle.loads(pickle.dumps(reader)).read(values).column, read.column)
    lost = read.column.missing() & ~np.array([_is_missing(cell) for cell in cells], bool)
    assert not (lost & ~read.changed & ~read.refused).any()
    for row, cell in enumerate(cells):
        assert same(reader.read_one(cell), read.column.take(np.array([row])))


def _is_missing(cell):
    if isinstance(cell, Decimal):
        return cell.is_nan()
    return cell is None or (isinstance(cell, float) and np.isnan(cell))


@given(
    st.sampled_from(READERS[-2:]),
    st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)),  # noqa: DTZ001 - without a zone
    st.integers(0, 25),
    st.sampled_from("0123456789 :-+.Z\u0660\u0130"),
)
def test_dates_of_the_usual_width_are_read_as_one_by_one(reader, moment, place, other):
    """A whole date, and the same with one character that may spoil it."""
    text = moment.strftime("%d.%m.%Y %H:%M")
    if reader.dates.order == "ymd":
        text = moment.isoformat(sep=" ", timespec="microseconds") + "-03:30"
    spoilt = text[:place] + other + text[place + 1 :]
    values, wide = reader.dates.read_wide(np.array([text, spoilt, None], object))
    for row, written in enumerate((text, spoilt)):
        if wide[row]:
            assert values[row] == reader.dates.read(written)
    assert wide[0] or len(text) != len(reader.dates.sketch)
    assert not wide[2]
