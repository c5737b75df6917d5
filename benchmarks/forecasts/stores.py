"""Weekly sales of real stores, with what is known of each week in advance."""

import os
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
from dateutil.easter import easter

EXTRAS = ("is_holiday", "dec_18_24", "dec_25_31", "thanksgiving", "before_easter", "days_1_7")


def panel() -> pd.DataFrame | None:
    """`series`, `time`, `target` and EXTRAS, the shares of a week's days; None without the file."""
    folder = os.environ.get("ML_PLATFORM_DATA_DIR")
    if not folder:
        return None
    frame = pd.read_csv(Path(folder) / "store_sales.csv")
    names = {"Store": "series", "Weekly_Sales": "target", "Holiday_Flag": "is_holiday"}
    frame = frame.rename(columns=names)
    frame["time"] = pd.to_datetime(frame["Date"], format="%d-%m-%Y")
    weeks = pd.Index(frame["time"].unique())
    shares = pd.DataFrame([_shares(week.date()) for week in weeks], index=weeks)
    return frame[["series", "time", "target", "is_holiday"]].join(shares, on="time")


def _shares(last: date) -> dict[str, float]:
    """Of the seven days that end on `last`."""
    days = [last - timedelta(n) for n in range(7)]
    rules = {
        "dec_18_24": lambda day: day.month == 12 and 18 <= day.day <= 24,
        "dec_25_31": lambda day: day.month == 12 and day.day >= 25,
        "thanksgiving": lambda day: day.month == 11 and day.weekday() == 3 and 22 <= day.day <= 28,
        "before_easter": lambda day: 0 < (easter(day.year) - day).days <= 7,
        "days_1_7": lambda day: day.day <= 7,
    }
    return {name: sum(map(rule, days)) / 7 for name, rule in rules.items()}
