"""The demand project's data: made up by default, or read from a file of the same layout.

The sample is made up. It resembles public weekly sales of 45 stores of a retail chain in level,
spread, season and noise, and it is drawn from a fixed seed, so everybody has the same numbers. What
holidays and temperature do to sales in it is known: the constants below say it, and a test finds
them again in the data.

Sales are a product, so their logarithm is a sum:

    level and growth of the store + season + days to Christmas, times the store's own strength
    + week of the month + holiday + temperature + slow drift of the store + noise
"""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

STORES: Final = 45
WEEKS: Final = 143
FIRST_WEEK: Final = date(2010, 2, 5)
SEED: Final = 20100205

COLUMNS: Final = MappingProxyType(
    {
        "Store": "integer",
        "Date": "string",
        "Weekly_Sales": "float",
        "Holiday_Flag": "integer",
        "Temperature": "float",
        "Fuel_Price": "float",
        "CPI": "float",
        "Unemployment": "float",
    }
)
"""The layout: one row a store and week, weeks named by a Friday as DD-MM-YYYY, sales in USD,
temperature in degrees Fahrenheit, fuel in USD a gallon, unemployment in per cent."""

DATE_FORMAT: Final = "%d-%m-%Y"

HOLIDAY_EFFECTS: Final = MappingProxyType(
    {"super_bowl": 0.06, "labor_day": 0.04, "thanksgiving": 0.38, "christmas": 0.03}
)
"""What each holiday adds to the logarithm of sales in the week that it lies in."""

TEMPERATURE_EFFECT_PER_F: Final = -0.002
"""What a degree Fahrenheit adds to the logarithm of sales."""

NOISE: Final = 0.025
"""The standard deviation of one store's weekly noise, in the logarithm."""

_COMMON_NOISE = 0.010
_DRIFT_PER_WEEK = 0.003
_CHRISTMAS_SHOPPING = ((0, 6, 0.54), (7, 13, 0.30), (14, 20, 0.20), (21, 27, 0.08))
_MONTH = ((1, 7, 0.03), (8, 21, 0.0), (22, 31, -0.02))
_SEASON = ((-0.003, -0.074), (-0.001, -0.006), (-0.008, -0.021))
_OWN_SEASON = 0.02
_REGIONS = 10
_CPI_OF_REGION = (126.4, 210.8, 131.5, 189.4, 214.4, 126.4, 135.4, 181.9, 204.2, 131.5)
_FUEL_YEARS = (2010.10, 2010.70, 2011.05, 2011.36, 2011.95, 2012.27, 2012.52, 2012.80)
_FUEL_USD = (2.69, 2.71, 3.08, 3.89, 3.35, 3.92, 3.46, 3.84)


def weeks_from(first: date, count: int) -> list[date]:
    """`count` dates, a week apart."""
    return [first + timedelta(weeks=week) for week in range(count)]


def holiday_in(week: date) -> str | None:
    """The holiday within the seven days that end with `week`, by its name in HOLIDAY_EFFECTS."""
    for back in range(7):
        day = week - timedelta(days=back)
        for name, falls_on in _HOLIDAYS.items():
            if falls_on(day):
                return name
    return None


_HOLIDAYS: dict[str, Callable[[date], bool]] = {
    "super_bowl": lambda day: (day.month, day.weekday()) == (2, 6) and day.day <= 7,  # noqa: PLR2004 - first Sunday
    "labor_day": lambda day: (day.month, day.weekday()) == (9, 0) and day.day <= 7,  # noqa: PLR2004 - first Monday
    "thanksgiving": lambda day: (day.month, day.weekday()) == (11, 3) and 22 <= day.day <= 28,  # noqa: PLR2004 - fourth Thursday
    "christmas": lambda day: (day.month, day.day) == (12, 25),
}


def make_sample(stores: int = STORES, weeks: int = WEEKS, seed: int = SEED) -> "pd.DataFrame":
    """Made-up sales of `stores` x `weeks` rows in the layout of COLUMNS; the same for a seed."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    dates = weeks_from(FIRST_WEEK, weeks)
    region = np.arange(stores) % _REGIONS
    temperature = _temperature(rng, dates, region)
    columns = {
        "Weekly_Sales": _sales(rng, dates, temperature).round(2),
        "Holiday_Flag": np.tile([int(holiday_in(day) is not None) for day in dates], (stores, 1)),
        "Temperature": temperature,
        "Fuel_Price": _fuel(rng, dates)[region].round(3),
        "CPI": _cpi(rng, dates)[region].round(7),
        "Unemployment": _unemployment(rng, dates, stores).round(3),
    }
    labels = [day.strftime(DATE_FORMAT) for day in dates]
    keys = {"Store": np.repeat(np.arange(1, stores + 1), weeks), "Date": labels * stores}
    return pd.DataFrame(keys | {name: values.ravel() for name, values in columns.items()})


def _sales(rng: np.random.Generator, dates: list[date], temperature: Floats) -> Floats:
    """Weekly sales in USD, stores x weeks."""
    stores, weeks = temperature.shape
    years = np.arange(weeks) / 52
    level = 13.66 + 0.58 * _standardised(rng.normal(0.0, 1.0, (stores, 1)))
    growth = rng.normal(0.015, 0.035, (stores, 1)) * (years - years.mean())
    strength = rng.normal(1.0, 0.2, (stores, 1)).clip(0.4, 1.6)
    drift = rng.normal(0.0, _DRIFT_PER_WEEK, (stores, weeks)).cumsum(axis=1)
    noise = rng.normal(0.0, NOISE, (stores, weeks)) + rng.normal(0.0, _COMMON_NOISE, (1, weeks))
    holiday = np.array([HOLIDAY_EFFECTS.get(holiday_in(day) or "", 0.0) for day in dates])
    shopping = np.array([_step(_CHRISTMAS_SHOPPING, days_to_christmas(day)) for day in dates])
    month = np.array([_step(_MONTH, day.day) for day in dates])
    season = _season(rng, dates, stores)
    warmth = TEMPERATURE_EFFECT_PER_F * (temperature - 60)
    usual = level + growth + season + strength * shopping + month + holiday + warmth
    return np.asarray(np.exp(usual + drift + noise))


def _season(rng: np.random.Generator, dates: list[date], stores: int) -> Floats:
    """The harmonics of the year, stores x weeks: those of all stores and each store's own."""
    waves = np.array([wave(angle) for angle in _angles(dates) for wave in (np.sin, np.cos)])
    weights = np.array(_SEASON).ravel() + rng.normal(0.0, _OWN_SEASON, (stores, len(waves)))
    return np.asarray(weights @ waves)


def _standardised(drawn: Floats) -> Floats:
    """Mean 0 and spread 1 exactly, so that few stores are as different as many."""
    return np.asarray((drawn - drawn.mean()) / (drawn.std() or 1.0))


def _temperature(rng: np.random.Generator, dates: list[date], region: NDArray[np.int64]) -> Floats:
    """Degrees Fahrenheit, stores x weeks: a region's year and weather, and the store's place."""
    mean = np.linspace(42, 76, _REGIONS)[:, None]
    swing = np.linspace(26, 17, _REGIONS)[:, None]
    day_of_year = np.array([day.timetuple().tm_yday for day in dates])
    year = mean - swing * np.cos(2 * np.pi * (day_of_year - 20) / 365.25)
    weather = _autoregressive(rng, (_REGIONS, len(dates)), keep=0.4, spread=4.0)
    place = rng.normal(0.0, 1.0, (len(region), 1))
    return np.asarray(((year + weather)[region] + place).round(2))


def _fuel(rng: np.random.Generator, dates: list[date]) -> Floats:
    """USD a gallon, regions x weeks: the country's path, a region's mark-up, and noise."""
    years = [day.year + day.timetuple().tm_yday / 366 for day in dates]
    markup = np.linspace(-0.08, 0.30, _REGIONS)[rng.permutation(_REGIONS)][:, None]
    noise = _autoregressive(rng, (_REGIONS, len(dates)), keep=0.8, spread=0.03)
    return np.asarray(np.interp(years, _FUEL_YEARS, _FUEL_USD) + markup + noise)


def _cpi(rng: np.random.Generator, dates: list[date]) -> Floats:
    """Index points, regions x weeks: from 1.4 to 2.1 per cent more a year."""
    years = np.arange(len(dates)) / 52
    rate = rng.uniform(0.014, 0.021, (_REGIONS, 1))
    noise = _autoregressive(rng, (_REGIONS, len(dates)), keep=0.9, spread=0.1)
    return np.asarray(np.array(_CPI_OF_REGION)[:, None] * (1 + rate) ** years + noise)


def _unemployment(rng: np.random.Generator, dates: list[date], stores: int) -> Floats:
    """Per cent, stores x weeks: a new figure each quarter, falling slowly."""
    quarters = np.array([4 * day.year + (day.month - 1) // 3 for day in dates])
    since = quarters - quarters[0]
    start = np.clip(rng.normal(8.6, 1.8, (stores, 1)), 5.5, 14.0)
    news = rng.normal(0.0, 0.12, (stores, since.max() + 1))
    return np.asarray(start - 0.15 * since + news[:, since])


def _autoregressive(
    rng: np.random.Generator, shape: tuple[int, int], keep: float, spread: float
) -> Floats:
    """Series that keep a part of their last value, with a standard deviation of `spread`."""
    shocks = rng.normal(0.0, spread * np.sqrt(1 - keep**2), shape)
    series = np.empty(shape)
    series[:, 0] = rng.normal(0.0, spread, shape[0])
    for week in range(1, shape[1]):
        series[:, week] = keep * series[:, week - 1] + shocks[:, week]
    return series


def days_to_christmas(day: date) -> int:
    """The days from `day` to the 25th of December of its year, negative after it."""
    return (date(day.year, 12, 25) - day).days


def _angles(dates: list[date]) -> list[Floats]:
    """The day of the year as an angle, and its multiples for the harmonics of the season."""
    share = np.array([day.timetuple().tm_yday / 365.25 for day in dates])
    return [2 * np.pi * harmonic * share for harmonic in range(1, len(_SEASON) + 1)]


def _step(steps: tuple[tuple[int, int, float], ...], at: int) -> float:
    return next((value for first, last, value in steps if first <= at <= last), 0.0)


def read_sales(path: str | Path) -> "pd.DataFrame":
    """A CSV in the layout of COLUMNS, checked.

    Raises:
        NotFoundError: there is no such file.
        DataError: it is not in that layout, has a missing value, or a store has a week twice; it
            names the line.
    """
    import pandas as pd

    from ml_platform.sources.files import FileSource, read_files
    from ml_platform.sources.shape import Shape

    shape = Shape(tuple(COLUMNS), dtypes=dict(COLUMNS))
    frame = read_files(FileSource(str(path), format="csv", shape=shape), environ={}).read_all()
    sales: pd.DataFrame = frame.to_pandas()
    days = pd.to_datetime(sales["Date"], format=DATE_FORMAT, errors="coerce")
    _refuse(path, sales, sales.isna().any(axis=1), "a value is missing", "a value in each column")
    _refuse(path, sales, days.isna(), "the date is none", "DD-MM-YYYY, such as 05-02-2010")
    _refuse(path, sales, ~sales["Holiday_Flag"].isin([0, 1]), "a holiday flag is wrong", "0 or 1")
    twice = sales.duplicated(["Store", "Date"])
    _refuse(path, sales, twice, "the store has this week already", "one row a store and week")
    if sales.empty:
        raise DataError(f"file {path}", "it has no rows", fix="give a file with sales in it")
    return sales


def _refuse(
    path: str | Path, sales: "pd.DataFrame", wrong: "pd.Series[bool]", given: str, allowed: str
) -> None:
    if not wrong.any():
        return
    row = int(np.argmax(wrong.to_numpy()))
    values = ", ".join(f"{name}={value}" for name, value in sales.iloc[row].items())
    raise DataError(
        f"file {path}",
        f"row {row + 1} below the header: {given} ({values})",
        allowed=allowed,
        fix="correct the row",
    )
