"""Daily series of several true shapes, made from a seed: what happened, and what was known of it.

Series number i is of shape i modulo 6. All have a level between 20 and 2,000, a slope of up to 30 %
a year either way, a week (one draw a weekday) and a year (two waves), together additive in half of
the series and multiplicative in the others, and noise of 4 to 12 % of the level that hangs on for
some days in a third of them. Beside that:

- `smooth`: nothing more;
- `breaks`: the slope changes at two to four moments, by up to 100 % a year;
- `shifts`: the level jumps once or twice by up to 40 %, and stays;
- `holidays`: ten days of the year raise or lower it, each by its own share, the days before too;
- `intermittent`: sold in whole pieces, on a third of the days or so;
- `patchy`: days are missing, 8 % of them one by one and one stretch of two to six weeks.

Promotions come in spells of three to ten days, about one in nine days, and raise sales by a share
of the series' own, more at the weekend and less in a spell's later days. Some shops close on
announced days. Both are columns, as are holidays: whoever forecasts may know them, or not.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

SHAPES = ("smooth", "breaks", "shifts", "holidays", "intermittent", "patchy")
EXTRAS = ("promotion", "holiday", "eve", "closed")
START = "2023-01-01"
HOLIDAYS = ((1, 1), (2, 14), (4, 9), (5, 1), (5, 29), (7, 4), (9, 4), (10, 31), (11, 23), (12, 25))


@dataclass(frozen=True)
class Days:
    """The calendar that all series share; T days."""

    time: pd.DatetimeIndex
    holiday: np.ndarray  # which of the ten days it is, -1 on all others
    eve: np.ndarray  # which of them comes within two days

    @classmethod
    def of(cls, count: int) -> "Days":
        """So many days from the start, with the holidays of each year on the same dates."""
        time = pd.date_range(START, periods=count + 2, freq="D")
        places = {date: k for k, date in enumerate(HOLIDAYS)}
        found = np.array([places.get((day.month, day.day), -1) for day in time])
        eve = np.where(found[1:-1] >= 0, found[1:-1], found[2:])
        return cls(time[:count], found[:count], np.where(found[:count] >= 0, -1, eve))


def panel(series: int, history: int = 365, ahead: int = 90, seed: int = 20) -> pd.DataFrame:
    """One row a series and day: `series`, `time`, `target`, `shape` and the columns of EXTRAS.

    The last `ahead` days of each series are there with their target, for whoever judges.
    """
    days = Days.of(history + ahead)
    draws = np.random.default_rng(seed).spawn(series)
    parts = [_one(number, draw, days, history) for number, draw in enumerate(draws)]
    return pd.concat(parts, ignore_index=True)


def _one(number: int, draw: np.random.Generator, days: Days, history: int) -> pd.DataFrame:
    shape = SHAPES[number % len(SHAPES)]
    base = _trend(shape, draw, len(days.time), history) + _season(draw, days.time)
    promotion, lift = _promotion(draw, days.time)
    effects = lift + _noise(draw, len(base))
    if shape == "holidays":
        effects = effects + _holidays(draw, days)
    share = np.exp(base + effects) if draw.random() < 0.5 else np.maximum(1 + base + effects, 0.02)
    level = float(np.exp(draw.uniform(np.log(20), np.log(2000))))
    closed = _closed(draw, days.time)
    sold = np.round(level * share * (1 - closed), 2)
    if shape == "intermittent":
        sold = draw.poisson(draw.uniform(0.2, 0.6) * share * (1 - closed)).astype(float)
    frame = pd.DataFrame(
        {
            "series": f"s{number:04d}",
            "time": days.time,
            "target": sold,
            "shape": shape,
            "promotion": promotion,
            "holiday": (days.holiday >= 0).astype(float),
            "eve": (days.eve >= 0).astype(float),
            "closed": closed,
        }
    )
    return frame[_kept(shape, draw, len(base), history)]


def _trend(shape: str, draw: np.random.Generator, count: int, history: int) -> np.ndarray:
    """In shares of the level; what breaks or jumps does so within the history."""
    day = np.arange(count)
    trend = draw.uniform(-0.3, 0.3) * day / 365
    if shape == "breaks":
        for moment in draw.integers(30, history, draw.integers(2, 5)):
            trend = trend + draw.uniform(-1.0, 1.0) * np.maximum(day - moment, 0) / 365
        # What would fall to nothing or grow threefold stays there.
        trend = np.clip(trend, -0.8, 1.5)
    if shape == "shifts":
        for moment in draw.integers(60, history - 10, draw.integers(1, 3)):
            trend = trend + draw.uniform(-0.4, 0.4) * (day >= moment)
    return trend


def _season(draw: np.random.Generator, time: pd.DatetimeIndex) -> np.ndarray:
    week = draw.normal(0, 0.12, 7)[time.dayofweek] + 0.15 * (time.dayofweek >= 5)
    angle = 2 * np.pi * (time.dayofyear.to_numpy() / 365.25 - draw.random())
    return (
        week + draw.uniform(0.02, 0.15) * np.cos(angle) + 0.04 * draw.random() * np.cos(2 * angle)
    )


def _noise(draw: np.random.Generator, count: int) -> np.ndarray:
    raw = draw.normal(0, draw.uniform(0.04, 0.12), count)
    if draw.random() < 2 / 3:
        return raw
    kept = np.zeros(count)
    for t in range(1, count):
        kept[t] = 0.7 * kept[t - 1] + 0.7 * raw[t]
    return kept


def _promotion(draw: np.random.Generator, time: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
    """Which days have one, and what it adds in shares."""
    spell = np.zeros(len(time))  # the day of the spell, from one
    t = int(draw.integers(0, 60))
    while t < len(time):
        length = int(draw.integers(3, 11))
        stretch = slice(t, min(t + length, len(time)))
        spell[stretch] = 1 + np.arange(stretch.stop - stretch.start)
        t += length + int(draw.integers(20, 90))
    own = draw.uniform(0.1, 0.7)
    fading = np.where(spell > 0, 0.9 ** (spell - 1), 0.0)
    return (spell > 0).astype(float), own * fading * np.where(time.dayofweek >= 5, 1.4, 1.0)


def _holidays(draw: np.random.Generator, days: Days) -> np.ndarray:
    own = np.append(draw.uniform(-0.6, 0.9, len(HOLIDAYS)), 0.0)
    before = np.append(draw.uniform(0.0, 0.3, len(HOLIDAYS)), 0.0)
    return own[days.holiday] + before[days.eve]


def _closed(draw: np.random.Generator, time: pd.DatetimeIndex) -> np.ndarray:
    """A fifth of the shops closes on Sundays, another fifth on some announced days."""
    kind = draw.random()
    if kind < 0.2:
        return (time.dayofweek == 6).astype(float)
    return (draw.random(len(time)) < (0.03 if kind < 0.4 else 0.0)).astype(float)


def _kept(shape: str, draw: np.random.Generator, count: int, history: int) -> np.ndarray:
    kept = np.ones(count, dtype=bool)
    if shape == "patchy":
        kept[:history] = draw.random(history) >= 0.08
        begin = int(draw.integers(30, history - 60))
        kept[begin : begin + int(draw.integers(14, 43))] = False
    return kept
