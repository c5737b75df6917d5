"""Two made-up tables with a known answer: where no real file is at hand, and beside the real one.

`deliveries` has the shape and the gaps of the delivery table (stores in six markets, loads of a
market that change with the time, three columns of load missing together, mostly in one market,
times as text). `stations` is an hourly sensor series of four stations whose sensors fail together,
for hours. Both are the same for a seed. They show that code runs and that the ordering of methods
does not hang on one table; they say nothing about real data.
"""

import numpy as np
import pandas as pd

ROWS = 197_428
STORES = 5_754
CUISINES = 73
DAYS = 28
HALF_HOURS = 48 * DAYS
LOAD = ("total_onshift_dashers", "total_busy_dashers", "total_outstanding_orders")
MARKET_SIZE = (0.19, 0.277, 0.12, 0.237, 0.10, 0.076)
LOAD_MISSING = (0.005, 0.006, 0.065, 0.004, 0.006, 0.9)
DINNER = 2  # o'clock, in UTC, of a country whose evening is then

STATIONS = ("hill", "harbour", "field", "town")
HOURS = 24 * 182
SENSORS = ("temperature", "humidity", "pressure", "wind")
FAILING = (0.02, 0.05, 0.1, 0.2)
"""The share of hours in which a station's sensors are silent."""


def deliveries(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Orders with gaps where, and as many as, the real ones have."""
    rng = np.random.default_rng(seed)
    made = _orders(rng, rows - rows // 6000)
    made = pd.concat([made, made.sample(rows - len(made), random_state=seed)])
    made = made.sample(frac=1, random_state=seed).reset_index(drop=True)
    return _with_order_gaps(rng, made)


def _stores(rng: np.random.Generator) -> pd.DataFrame:
    share = 1 / np.arange(1, CUISINES + 1)
    return pd.DataFrame(
        {
            "market_id": rng.choice(6, STORES, p=MARKET_SIZE) + 1.0,
            "category": rng.choice(CUISINES, STORES, p=share / share.sum()),
            "protocol": rng.choice(7, STORES, p=(0.28, 0.12, 0.27, 0.1, 0.22, 0.007, 0.003)) + 1.0,
            "price": rng.lognormal(6.7, 0.35, STORES),
            "slow": rng.random(STORES) < 0.3,
        }
    )


def _orders(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    liked = rng.lognormal(0, 1.2, STORES)
    store = rng.choice(STORES, rows, p=liked / liked.sum())
    at = _stores(rng).iloc[store].reset_index(drop=True)
    moved = rng.random(rows) < 0.05
    market = np.where(moved, rng.choice(6, rows, p=MARKET_SIZE) + 1.0, at["market_id"])
    slot, created = _created(rng, rows)
    load = _loads(rng)[market.astype(int) - 1, slot] * rng.lognormal(0, 0.06, (rows, 3))
    items = rng.geometric(0.35, rows)
    prices = at["price"].to_numpy()[:, None] * rng.lognormal(0, 0.3, (rows, 2))
    driving = np.round(rng.gamma(6, 91, rows))
    wait = 1500 + driving + 900 * load[:, 2] / (load[:, 0] + 1) + rng.lognormal(6, 0.8, rows)
    protocol = np.where(moved, rng.integers(1, 8, rows), at["protocol"])
    return pd.DataFrame(
        {
            "market_id": market,
            "created_at": _text(created),
            "actual_delivery_time": _text(created + np.round(wait).astype("timedelta64[s]")),
            "store_id": store + 1,
            "store_primary_category": "cuisine " + at["category"].astype(str),
            "order_protocol": protocol,
            "total_items": items,
            "subtotal": np.round(items * prices.mean(axis=1)).astype(int),
            "num_distinct_items": np.maximum(1, rng.binomial(items, 0.8)),
            "min_item_price": np.round(prices.min(axis=1)).astype(int),
            "max_item_price": np.round(prices.max(axis=1)).astype(int),
            **dict(zip(LOAD, np.round(load).T, strict=True)),
            "estimated_order_place_duration": np.where(at["slow"], 446, 251),
            "estimated_store_to_consumer_driving_duration": driving,
        }
    )


def _created(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The half hour of each order, and its second."""
    busy = _daily(np.arange(HALF_HOURS))
    slot = rng.choice(HALF_HOURS, rows, p=busy / busy.sum())
    second = slot * 1800 + rng.integers(0, 1800, rows)
    return slot, np.datetime64("2015-01-21T00:00:00") + second.astype("timedelta64[s]")


def _daily(half_hour: np.ndarray) -> np.ndarray:
    away = (half_hour / 2 - DINNER + 12) % 24 - 12
    return 0.03 + np.exp(-((away / 3.0) ** 2)) + 0.5 * np.exp(-(((away + 6) / 2.0) ** 2))


def _loads(rng: np.random.Generator) -> np.ndarray:
    """Couriers on shift, busy ones and open orders, by market and half hour."""
    size = 400 * np.array(MARKET_SIZE)[:, None]
    day = np.repeat(rng.lognormal(0, 0.2, (6, DAYS)), 48, axis=1)
    onshift = size * day * _daily(np.arange(HALF_HOURS)) * np.exp(_wander(rng, 6, HALF_HOURS, 0.15))
    used = 1 / (1 + np.exp(-1.5 - _wander(rng, 6, HALF_HOURS, 0.8)))
    waiting = 1.3 * np.exp(_wander(rng, 6, HALF_HOURS, 0.3))
    return np.stack([onshift, onshift * used, onshift * used * waiting], axis=2)


def _wander(rng: np.random.Generator, series: int, length: int, spread: float) -> np.ndarray:
    """Noise that remembers: nine tenths of each value are the one before."""
    noise = rng.normal(0, spread * np.sqrt(1 - 0.81), (series, length))
    for step in range(1, length):
        noise[:, step] += 0.9 * noise[:, step - 1]
    return noise


def _text(moments: np.ndarray) -> np.ndarray:
    return np.char.replace(np.datetime_as_string(moments, unit="s"), "T", " ").astype(object)


def _with_order_gaps(rng: np.random.Generator, made: pd.DataFrame) -> pd.DataFrame:
    """Gaps as often as in the real table; loads go missing together, by market."""
    silent = rng.random(len(made)) < np.array(LOAD_MISSING)[made["market_id"].astype(int) - 1]
    made.loc[silent, list(LOAD)] = np.nan
    shares = {
        "market_id": 0.005,
        "store_primary_category": 0.024,
        "order_protocol": 0.005,
        "estimated_store_to_consumer_driving_duration": 0.0027,
        "actual_delivery_time": 0.00004,
    }
    for name, share in shares.items():
        made.loc[rng.random(len(made)) < share, name] = None
    return made


def stations(seed: int = 0) -> pd.DataFrame:
    """Four stations under one weather, hour by hour; a station's sensors are silent for hours."""
    rng = np.random.default_rng(seed)
    hour = np.arange(HOURS)
    year, day = 2 * np.pi * hour / (24 * 365), 2 * np.pi * hour / 24
    front = 4 * _wander(rng, 1, HOURS, 1.0)[0]
    made = [
        _station(rng, name, number, -10 * np.cos(year) - 4 * np.cos(day) + front, front)
        for number, name in enumerate(STATIONS)
    ]
    table = pd.concat([pd.DataFrame({"time": _hours(), **one}) for one in made])
    return table.sort_values(["time", "station"], kind="stable").reset_index(drop=True)


def _hours() -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=HOURS, freq="h")


def _station(
    rng: np.random.Generator, name: str, number: int, warmth: np.ndarray, front: np.ndarray
) -> dict[str, object]:
    own = _wander(rng, 4, HOURS, 1.0)
    temperature = 12 - 2 * number + warmth + own[0]
    humidity = np.clip(70 - 1.5 * warmth + 4 * own[1] + 3 * number, 5, 100)
    pressure = 1013 - 12 * number - 1.5 * front + own[2]
    wind = np.exp(1 + 0.1 * front + 0.3 * own[3])
    sky = np.where(humidity > 80, "rain", np.where(humidity > 65, "cloud", "clear")).astype(object)
    read = np.round(np.stack([temperature, humidity, pressure, wind]), 1)
    read[:, _silent(rng, FAILING[number])] = np.nan
    sky[rng.random(HOURS) < 0.02] = None
    return {"station": name, **dict(zip(SENSORS, read, strict=True)), "sky": sky}


def _silent(rng: np.random.Generator, share: float) -> np.ndarray:
    """Hours without a reading, in blocks of 6 to 24."""
    silent = np.zeros(HOURS, dtype=bool)
    while silent.mean() < share:
        start = rng.integers(0, HOURS)
        silent[start : start + rng.integers(6, 25)] = True
    return silent
