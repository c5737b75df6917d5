# ruff: noqa: PD011 - a Column is no frame of pandas
"""Dates in text are read one way, and their parts are those of the calendar."""

import datetime as dt
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.preparation.columns import Column
from ml_platform.preparation.dates import DateFormat, durations, learn_format, learn_parts

NAN = float("nan")


def moments(*texts):
    return Column("moment", np.array(texts, "datetime64[us]"))


def shown(columns):
    return {name: column.values.tolist() for name, column in columns.items()}


@pytest.mark.parametrize(
    ("written", "text", "iso"),
    [
        (DateFormat("ymd", "-"), "2020-1-5", "2020-01-05T00:00:00"),
        (DateFormat("ymd", "-"), "2020-01-05T06:07", "2020-01-05T06:07:00"),
        (DateFormat("ymd", "-"), "2020-01-05 06:07:08.5", "2020-01-05T06:07:08.500000"),
        (DateFormat("ymd", "-"), "2020-01-05 06:07:08.123456789", "2020-01-05T06:07:08.123456"),
        (DateFormat("ymd", "-"), "2020-01-05T06:07:08+0530", "2020-01-05T00:37:08"),
        (DateFormat("ymd", "-"), "2020-01-05 06:07:08 -03", "2020-01-05T09:07:08"),
        (DateFormat("ymd", "/"), "2020/01/05", "2020-01-05T00:00:00"),
        (DateFormat("mdy", "/"), "1/5/68 12:30 am", "2068-01-05T00:30:00"),
        (DateFormat("dmy", "/"), "1/5/69 12:30 p.m.", "1969-05-01T12:30:00"),
        (DateFormat("dmy", ""), "3-Sept-2020", "2020-09-03T00:00:00"),
        (DateFormat("mdy", ""), "Tuesday, may 5, 2020", "2020-05-05T00:00:00"),
        (DateFormat("ymd", ""), "2020-May-05", "2020-05-05T00:00:00"),
    ],
)
def test_a_date_is_read_as_it_is_written(written, text, iso):
    found = written.read(text)
    assert np.datetime64(found, "us") == np.datetime64(iso)


@pytest.mark.parametrize(
    "text",
    [
        "2019", "2021-02-29", "2020-13-01", "2020-00-10", "0000-01-01", "2020-01-01 24:00",
        "2020-01-01 10:60", "2020-01-01 13:00 pm", "2020-01-01 10:00+24:00", "2020-01-01 x",
        "now", "2020-01-0\u0661", "2020-01-01 10:00:60",
    ],
)  # fmt: skip
def test_what_no_calendar_and_no_clock_has_is_no_date(text):
    written = DateFormat("ymd", "-", text if len(text) > 8 else "2020-01-01")
    assert written.read(text) is None
    usual = DateFormat("ymd", "-", "2020-01-01 10:00:00"[: len(text)])
    assert not usual.read_wide(np.array([text], object))[1].any()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2020-01-02", "2020-01-03 10:00"], DateFormat("ymd", "-", "2020-01-02")),
        (["1.2.2020", "13.02.2020"], DateFormat("dmy", ".", "1.2.2020")),
        (["1/2/2020", "2/13/2020"], DateFormat("mdy", "/", "1/2/2020")),
        (["5 Mar 2020"], DateFormat("dmy", "", "5 Mar 2020")),
        (["fish", "2020-01-01"], ()),
        (["1.2.10", "1.2.11"], ()),
        ([], ()),
    ],
)
def test_a_column_has_one_way_to_write_dates_or_none(texts, expected):
    assert learn_format(texts) == expected


def test_one_slip_does_not_hide_a_clear_order_of_day_and_month():
    texts = [f"{day}/01/2020" for day in range(13, 32)] * 10 + ["01/13/2020"]
    assert learn_format(texts).order == "dmy"
    few = [*["05/05/2020"] * 100, *["13/01/2020"] * 10, *["01/13/2020"] * 3]
    assert "more than one way" in learn_format(few)[0]


MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))  # noqa: DTZ001 - no zone


@given(MOMENTS)
def test_parts_are_those_of_the_calendar(moment):
    column = moments(moment.isoformat())
    found = {
        name: column.values[0]
        for name, column in learn_parts("t", column, "s").apply(column).items()
    }
    assert found == {
        "t_year": moment.year,
        "t_month": moment.month,
        "t_day": moment.day,
        "t_weekday": moment.weekday(),
        "t_hour": moment.hour,
        "t_minute": moment.minute,
        "t_second": moment.second,
    }


@pytest.mark.parametrize(
    ("down_to", "parts"),
    [
        ("Y", ["year"]),
        ("M", ["year", "month"]),
        ("D", ["year", "month", "day", "weekday"]),
        ("h", ["year", "month", "day", "weekday", "hour"]),
        ("m", ["year", "month", "day", "weekday", "hour", "minute"]),
        ("s", ["year", "month", "day", "weekday", "hour", "minute", "second"]),
        ("auto", ["day", "weekday", "minute"]),
    ],
)
def test_parts_go_down_to_what_was_asked_and_auto_leaves_out_what_never_changes(down_to, parts):
    column = moments("2020-05-04T10:30", "2020-05-05T10:31", "NaT")
    found = shown(learn_parts("t", column, down_to).apply(column))
    assert list(found) == [f"t_{part}" for part in parts]
    assert all(np.isnan(values[2]) for values in found.values())


@pytest.mark.parametrize("column", [moments(), moments("NaT"), moments("2020-01-01")])
def test_auto_has_no_parts_where_nothing_changes(column):
    assert learn_parts("t", column).apply(column) == {}


def test_two_date_columns_and_a_users_own_never_overwrite_each_other():
    """Two date columns once wrote the same Month, and a column named Day was lost."""
    column = moments("2020-01-01", "2021-02-03")
    first = learn_parts("a", column, "M", taken=["a", "b", "a_month"])
    second = learn_parts("b", column, "M", taken=["a", "b", "a_month", *first.parts])
    assert list(first.apply(column)) == ["a_year", "a_month_2"]
    assert list(second.apply(column)) == ["b_year", "b_month"]


@pytest.mark.parametrize(
    ("part", "near", "far"),
    [
        ("month", ("2020-12-01", "2020-01-01"), "2020-06-01"),
        ("day", ("2020-01-31", "2020-01-01"), "2020-01-16"),
        ("weekday", ("2020-01-05", "2020-01-06"), "2020-01-09"),
        ("hour", ("2020-01-01T23:00", "2020-01-01T00:00"), "2020-01-01T12:00"),
    ],
)
def test_what_comes_round_again_is_near_its_beginning(part, near, far):
    column = moments(*near, far)
    found = shown(learn_parts("t", column, "h", cyclical=True).apply(column))
    places = np.column_stack([found[f"t_{part}_sin"], found[f"t_{part}_cos"]])
    assert np.linalg.norm(places[0] - places[1]) < np.linalg.norm(places[0] - places[2]) / 2
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1.0)
    assert f"t_{part}" not in found
    assert found["t_year"] == [2020, 2020, 2020]


@pytest.mark.parametrize(
    ("country", "holiday"), [("KR", "2025-10-06"), ("us", "2025-07-04"), ("DE", "2025-10-03")]
)
def test_holidays_are_those_of_the_country_in_years_after_the_last_too(country, holiday):
    learnt = moments("2019-05-01", "2020-05-01")
    parts = pickle.loads(pickle.dumps(learn_parts("t", learnt, "Y", holidays=country)))
    asked = moments(holiday, "2025-11-12", "NaT", "1950-01-01", "2090-01-01")
    column = parts.apply(asked)["t_is_holiday"]
    assert column.kind == "flag"
    np.testing.assert_array_equal(column.values, [1, 0, NAN, NAN, NAN])


def test_holidays_of_no_dates_are_missing():
    column = moments("NaT")
    assert np.isnan(learn_parts("t", column, holidays="US").apply(column)["t_is_holiday"].values[0])


@given(st.lists(MOMENTS, min_size=1, max_size=5), st.booleans())
def test_one_row_has_the_parts_that_many_have(many, cyclical):
    column = moments(*[moment.isoformat() for moment in many])
    parts = learn_parts("t", column, cyclical=cyclical)
    whole = parts.apply(column)
    for row in range(len(many)):
        one = parts.apply(column.take(np.array([row])))
        for name, column_of_one in one.items():
            assert column_of_one.values.tolist() == whole[name].values[[row]].tolist()


@pytest.mark.parametrize("moment", ["NaT", "-0044-03-15", "12025-11-22T10:11:12", "0001-01-01"])
def test_a_date_that_python_has_not_is_taken_apart_alone_as_among_others(moment):
    parts = learn_parts("t", moments("2020-01-01", "2021-02-02T03:04:05"), "s", holidays="KR")
    among = parts.apply(moments("2020-01-01", moment))
    for name, alone in parts.apply(moments(moment)).items():
        np.testing.assert_array_equal(alone.values, among[name].values[1:])


def test_durations_are_seconds_and_missing_where_a_date_is():
    start = moments("2020-01-01T00:00:00", "NaT", "2020-01-02", "2020-01-01")
    end = moments("2020-01-01T00:00:01.5", "2020-01-01", "2020-01-01", "NaT")
    np.testing.assert_array_equal(durations(start, end).values, [1.5, NAN, -86_400, NAN])


@pytest.mark.parametrize("kind", ["number", "text", "category"])
def test_a_column_without_dates_has_no_parts(kind):
    with pytest.raises(DataError, match=f"column t: it is a {kind} column"):
        learn_parts("t", Column(kind, np.zeros(1)))


@pytest.mark.parametrize(
    ("options", "told"),
    [({"down_to": "week"}, "allowed: auto, Y, M"), ({"holidays": "XX"}, "country 'XX'")],
)
def test_depths_and_countries_that_do_not_exist_are_refused(options, told):
    with pytest.raises(DeclarationError, match=told):
        learn_parts("t", moments("2020-01-01"), **options)


@pytest.mark.parametrize("written", ["%Y-%m-%d %H:%M:%S", "%d/%m/%Y", "%m-%d-%Y %H:%M", "%d %b %Y"])
def test_dates_of_a_whole_column_are_those_that_pandas_reads(written):
    stamps = pd.date_range("1960-01-01", "2060-12-31", periods=700).floor("s")
    texts = stamps.strftime(written).to_numpy(dtype=object)
    found = learn_format(texts.tolist())
    values, wide = found.read_wide(texts)
    one_by_one = np.array([found.read(text) for text in texts])
    expected = pd.to_datetime(texts, format=written).to_numpy("datetime64[us]").astype(np.int64)
    np.testing.assert_array_equal(one_by_one, expected)
    np.testing.assert_array_equal(values[wide], expected[wide])
    assert wide.all() == ("%b" not in written)
