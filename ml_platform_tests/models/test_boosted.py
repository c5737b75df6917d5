"""Trees learn from all series what a regression of each has no words for."""

import pickle

import numpy as np
import pandas as pd
import pytest

from ml_platform.models.boosted import BoostedForecaster, Look, boosted
from ml_platform.models.harmonic import HarmonicRegression
from ml_platform.models.panel import Calendar, Columns, joined, read_grid
from ml_platform.models.past import History

AHEAD = 14


def shops(count=24, days=220, seed=0):
    """Promotions that work at the weekend alone, which no sum of effects says."""
    draw = np.random.default_rng(seed)
    time = pd.date_range("2024-01-01", periods=days)
    parts = []
    for number in range(count):
        promo = (draw.random(days) < 0.3).astype(float)
        log = 3 + draw.uniform(0, 3) + 0.8 * promo * (time.dayofweek >= 5)
        sold = np.exp(log + draw.normal(0, 0.05, days))
        parts.append(
            pd.DataFrame({"series": f"s{number}", "time": time, "target": sold, "promo": promo})
        )
    return pd.concat(parts, ignore_index=True)


def asked(truth):
    cut = truth["time"].max() - pd.Timedelta(days=AHEAD)
    return truth.assign(target=truth["target"].where(truth["time"] <= cut))


def error(model, truth):
    said = model.fit(asked(truth)).predict(asked(truth))
    both = said.merge(truth, on=["series", "time"])
    return (both["forecast"] - both["target"]).abs().sum() / both["target"].sum()


def test_an_effect_that_depends_on_another_is_learnt_by_trees_and_by_them_alone():
    truth, options = shops(), {"known": ["promo"], "horizon": AHEAD, "season_length": 7}
    model = BoostedForecaster(**options)
    assert error(model, truth) < 0.6 * error(HarmonicRegression(**options), truth)
    assert model.share_ > 0.5
    assert model.notes_ == []
    again = pickle.loads(pickle.dumps(model))
    panel = asked(truth)
    pd.testing.assert_frame_equal(again.predict(panel), model.predict(panel))
    both = model.predict(panel).merge(truth, on=["series", "time"])
    covered = both["target"].between(both["lower"], both["upper"]).mean()
    assert covered == pytest.approx(0.8, abs=0.12)


def test_trees_that_find_nothing_but_chance_are_left_out():
    draw = np.random.default_rng(4)
    looks = [
        Look(np.zeros((40, 14)), draw.normal(size=(40, 14)), np.ones(40), draw.random((40, 14, 5)))
        for _ in range(6)
    ]
    booster, share, widths = boosted(looks, 14, 0.8, 0)
    assert booster is not None
    assert share == 0
    assert widths == pytest.approx(np.full(14, 1.28), abs=0.15)


def test_a_history_too_short_for_trees_is_said():
    truth = shops()
    short = truth[truth["time"] >= truth["time"].max() - pd.Timedelta(days=40)]
    model = BoostedForecaster(horizon=AHEAD, season_length=7).fit(asked(short))
    assert model.booster_ is None
    assert "regressions alone" in model.notes_[0]


def history(truth):
    columns = Columns("series", "time", "target", ("promo",))
    grid = read_grid(truth, columns, Calendar.of(truth["time"]))
    return History.of(grid, (7.0, 365.25))


def test_what_trees_look_at_knows_no_value_after_the_origin():
    clean, spoilt = history(shops(count=3)), history(shops(count=3))
    spoilt.heights[:, 151:] = 99.0
    places = np.arange(151, 165)
    one, other = (Look.of(each, 150, places) for each in (clean, spoilt))
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.base, other.base)
    assert np.abs(one.rest - other.rest).min() > 50
    spoilt.heights[:, 150] = 99.0
    assert not np.array_equal(one.features, Look.of(spoilt, 150, places).features)


def test_an_earlier_grid_fills_what_a_later_one_does_not_tell():
    columns = Columns("series", "time", "target", ("promo",))
    panel = pd.DataFrame(
        {
            "series": ["a"] * 5 + ["b"] * 5,
            "time": [*range(5)] * 2,
            "target": [1.0, 2, 3, 4, np.nan, 10, 20, 30, np.nan, np.nan],
            "promo": 0.0,
        }
    )
    calendar = Calendar.of(panel["time"])
    later = pd.DataFrame(
        {"series": "a", "time": [2, 3, 4, 5], "target": [9.0, np.nan, 5, np.nan], "promo": 1.0}
    )
    whole = joined(read_grid(panel, columns, calendar), read_grid(later, columns, calendar))
    assert whole.names == ["a"]
    np.testing.assert_array_equal(whole.target, [[1, 2, 9, 4, 5, np.nan]])
    np.testing.assert_array_equal(whole.known[0, :, 0], [0, 0, 1, 1, 1, 1])
