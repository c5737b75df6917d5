"""Panels for the tests of models: the real stores with their calendar, and small made-up ones.

The known columns are facts about the seven days that end on a row's date, for shops in the United
States; a share is days / 7.
"""

import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


def easter(year: int) -> date:
    """Easter Sunday in the Gregorian calendar (Meeus, Astronomical Algorithms, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 19 * m) // 433
    month = (h + m - 7 * n + 90) // 25
    return date(year, month, (h + m - 7 * n + 33 * month + 19) % 32)


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    """The nth (1 is the first) such day of a month; Monday is 0."""
    first = date(year, month, 1)
    return first + timedelta((weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _between(low: tuple[int, int], high: tuple[int, int]):
    return lambda day: low <= (day.month, day.day) <= high


def _holy(first: int, last: int):
    """Days counted from Easter Sunday, which is 0."""
    return lambda day: first <= (day - easter(day.year)).days <= last


SHARES = {
    "share_dec_11_17": _between((12, 11), (12, 17)),
    "share_dec_18_24": _between((12, 18), (12, 24)),
    "share_dec_25_31": _between((12, 25), (12, 31)),
    "share_before_easter": _holy(-7, -1),
    "share_after_easter": _holy(0, 6),
    "share_jun_28_jul_04": _between((6, 28), (7, 4)),
    "share_feb_08_14": _between((2, 8), (2, 14)),
    "share_month_days_1_7": lambda day: day.day <= 7,
    "is_super_bowl": lambda day: 7 * (day == nth_weekday(day.year, 2, 6, 1)),
    "is_labor_day": lambda day: 7 * (day == nth_weekday(day.year, 9, 0, 1)),
    "is_thanksgiving": lambda day: 7 * (day == nth_weekday(day.year, 11, 3, 4)),
}
KNOWN = list(SHARES)


def with_calendar(frame: pd.DataFrame, time: str) -> pd.DataFrame:
    """`frame` with the columns `KNOWN` for the week that ends on its column `time`."""
    weeks = pd.Index(frame[time].unique())
    days = [[week.date() - timedelta(n) for n in range(7)] for week in weeks]
    facts = {name: [sum(map(rule, week)) / 7 for week in days] for name, rule in SHARES.items()}
    return frame.join(pd.DataFrame(facts, index=weeks), on=time)


@pytest.fixture(scope="session")
def stores() -> tuple[pd.DataFrame, list[str]]:
    """Weekly sales of 45 real stores with the calendar's columns, and these columns' names."""
    folder = os.environ.get("ML_PLATFORM_DATA_DIR")
    if not folder:
        pytest.skip("ML_PLATFORM_DATA_DIR is not set")
    frame = pd.read_csv(Path(folder) / "store_sales.csv")
    frame["Date"] = pd.to_datetime(frame["Date"], format="%d-%m-%Y")
    return with_calendar(frame, "Date"), KNOWN


@pytest.fixture
def made_panel():
    """A function that makes a weekly panel with a season, a promotion and weather, from a seed."""

    def make(count=4, weeks=140, ahead=0, noise=0.03, seed=7, promotion=0.3, weather=0.0):
        draw = np.random.default_rng(seed)
        time = pd.date_range("2020-01-03", periods=weeks + ahead, freq="7D")
        step = np.arange(weeks + ahead)
        parts = []
        for number in range(count):
            promo = (draw.random(len(step)) < 0.15).astype(float)
            heat = 15 + 10 * np.sin(2 * np.pi * step / 52) + draw.normal(0, 3, len(step))
            usual = 15 + 10 * np.sin(2 * np.pi * step / 52)
            season = 0.3 * np.cos(2 * np.pi * (step - 5) / 52)
            log = 3 + number + season + promotion * promo + weather * (heat - usual)
            units = np.exp(log + draw.normal(0, noise, len(step)))
            units[weeks:] = np.nan
            parts.append(
                pd.DataFrame(
                    {
                        "series": f"s{number}",
                        "time": time,
                        "target": units,
                        "promo": promo,
                        "heat": heat,
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    return make
