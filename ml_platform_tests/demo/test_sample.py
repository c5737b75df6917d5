"""The made-up data: like the real file, and with effects that can be found again."""

import os
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml_platform.demo import sample
from ml_platform.demo.sample import (
    COLUMNS,
    HOLIDAY_EFFECTS,
    TEMPERATURE_EFFECT_PER_F,
    days_to_christmas,
    holiday_in,
    make_sample,
    read_sales,
    weeks_from,
)
from ml_platform.kernel.errors import DataError, NotFoundError

ROW = "1,05-02-2010,1643690.9,0,42.31,2.572,211.0963582,8.106"
HEADER = ",".join(COLUMNS)


@pytest.fixture(scope="module")
def made():
    return make_sample()


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("ML_PLATFORM_DATA_DIR")
    if not folder:
        pytest.skip("ML_PLATFORM_DATA_DIR is not set")
    return read_sales(Path(folder) / "store_sales.csv")


def wide(frame, column):
    """A column as weeks x stores."""
    days = pd.to_datetime(frame["Date"], format=sample.DATE_FORMAT)
    return frame.assign(day=days).set_index(["day", "Store"])[column].unstack("Store")  # noqa: PD010 - no means


def naive_wape(frame):
    """The error of last year's same week, on the last 13 weeks."""
    sales = wide(frame, "Weekly_Sales")
    last = sales.iloc[-13:]
    return (last - sales.shift(52).iloc[-13:]).abs().to_numpy().sum() / last.to_numpy().sum()


def test_the_sample_has_the_layout_and_size_of_the_real_file(made):
    assert list(made) == list(COLUMNS)
    assert made.shape == (45 * 143, 8)
    kinds = {"integer": "int64", "float": "float64", "string": "object"}
    assert {name: str(kind) for name, kind in made.dtypes.items()} == {
        name: kinds[word] for name, word in COLUMNS.items()
    }
    assert not made.isna().any(axis=None)
    assert made["Date"].iloc[[0, 142]].tolist() == ["05-02-2010", "26-10-2012"]


def test_everybody_has_the_same_sample_and_another_seed_another_one(made):
    pd.testing.assert_frame_equal(make_sample(), made)
    assert not make_sample(seed=1)["Weekly_Sales"].equals(made["Weekly_Sales"])
    # So would a change of the recipe be seen, which every figure in the documentation stands on.
    assert round(made["Weekly_Sales"].mean()) == 1_053_036


def test_the_sample_is_as_hard_to_forecast_as_life(made):
    assert 0.04 < naive_wape(made) < 0.06
    december = wide(made, "Weekly_Sales").mean(axis=1)["2011-12-23"]
    assert 1.4 < december / wide(made, "Weekly_Sales").mean(axis=1).mean() < 1.8


def columns_of_season(days):
    """What else moves sales, written without the recipe: harmonics, weeks, shopping weeks."""
    at = np.array([day.timetuple().tm_yday / 365.25 for day in days])
    waves = [f(2 * np.pi * k * at) for k in (1, 2, 3) for f in (np.sin, np.cos)]
    month = [np.array([float(day.day <= 7) for day in days])]
    month += [np.array([float(day.day >= 22) for day in days])]
    to_go = np.array([days_to_christmas(day) for day in days])
    shopping = [((to_go >= low) & (to_go < low + 7)).astype(float) for low in (0, 7, 14, 21)]
    return [np.ones(len(days)), np.arange(len(days)) / 52, *waves, *month, *shopping]


def estimate(frame):
    """Each store's least-squares effects of holidays and temperature, then their mean."""
    sales, warmth = np.log(wide(frame, "Weekly_Sales")), wide(frame, "Temperature")
    days = [moment.date() for moment in sales.index]
    holidays = [
        np.array([float(holiday_in(day) == name) for day in days]) for name in HOLIDAY_EFFECTS
    ]
    found = []
    for store in sales:
        design = np.array([*holidays, warmth[store].to_numpy(), *columns_of_season(days)]).T
        found.append(np.linalg.lstsq(design, sales[store].to_numpy(), rcond=None)[0])
    return np.mean(found, axis=0)[: len(holidays) + 1]


def test_the_true_effects_of_holidays_and_temperature_are_found_again(made):
    *holidays, warmth = estimate(made)
    for name, found in zip(HOLIDAY_EFFECTS, holidays, strict=True):
        assert found == pytest.approx(HOLIDAY_EFFECTS[name], abs=0.02), name
    assert warmth == pytest.approx(TEMPERATURE_EFFECT_PER_F, rel=0.25)


@pytest.mark.real_data
def test_the_sample_is_like_the_real_file(made, real):
    assert made["Date"].equals(real["Date"])
    assert made["Holiday_Flag"].equals(real["Holiday_Flag"])
    for column in ["Weekly_Sales", "Temperature", "Fuel_Price", "CPI", "Unemployment"]:
        assert made[column].mean() == pytest.approx(real[column].mean(), rel=0.1), column
        assert made[column].std() == pytest.approx(real[column].std(), rel=0.3), column
    assert naive_wape(made) == pytest.approx(naive_wape(real), abs=0.01)


@pytest.mark.parametrize(
    ("week", "holiday"),
    [
        ("2010-02-12", "super_bowl"),
        ("2010-02-05", None),
        ("2011-09-09", "labor_day"),
        ("2010-11-26", "thanksgiving"),
        ("2011-11-25", "thanksgiving"),
        ("2012-11-23", "thanksgiving"),
        ("2012-11-30", None),
        ("2010-12-24", None),
        ("2010-12-31", "christmas"),
        ("2011-12-30", "christmas"),
        ("2012-12-28", "christmas"),
    ],
)
def test_a_holiday_counts_in_the_week_that_ends_after_it(week, holiday):
    assert holiday_in(date.fromisoformat(week)) == holiday


def test_each_year_has_each_holiday_once():
    found = [holiday_in(week) for week in weeks_from(date(2010, 1, 1), 52 * 30)]
    for name in HOLIDAY_EFFECTS:
        assert found.count(name) in (29, 30, 31), name


def test_a_small_sample_is_one_too():
    small = make_sample(stores=1, weeks=2)
    assert small[["Store", "Date"]].to_numpy().tolist() == [[1, "05-02-2010"], [1, "12-02-2010"]]


def written(tmp_path, *lines):
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_what_was_written_is_read_again(tmp_path, made):
    made.to_csv(tmp_path / "sales.csv", index=False)
    pd.testing.assert_frame_equal(read_sales(tmp_path / "sales.csv"), made)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Store,Date", "1,05-02-2010"], "columns 'Weekly_Sales', .* are missing"),
        ([HEADER, ROW, ROW.replace("42.31", "warm")], "line 3, column 'Temperature': 'warm'"),
        ([HEADER, ROW.replace("05-02-2010", "2010-02-05")], "row 1 .* date is none .*2010-02-05"),
        ([HEADER, ROW.replace("05-02-2010", "31-02-2010")], "row 1 .* the date is none"),
        ([HEADER, ROW, ROW], "row 2 .* the store has this week already"),
        ([HEADER, ROW.replace("1643690.9,0", "1643690.9,2")], "row 1 .* a holiday flag is wrong"),
        ([HEADER, ROW.replace("1643690.9", "")], "row 1 .* a value is missing"),
        ([HEADER], "it has no rows"),
        ([HEADER, "1,2,3"], "line 2 has 3 fields, the header 8"),
    ],
)
def test_a_file_that_is_no_such_file_is_told(tmp_path, lines, message):
    with pytest.raises(DataError, match=message) as caught:
        read_sales(written(tmp_path, *lines))
    assert "sales.csv" in caught.value.subject


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(NotFoundError):
        read_sales(tmp_path / "sales.csv")


def test_dates_are_written_as_the_real_file_writes_them(made):
    assert datetime.strptime(made["Date"][0], sample.DATE_FORMAT).weekday() == 4  # noqa: DTZ007 - a day
