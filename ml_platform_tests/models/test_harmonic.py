"""A model of its own for each series: what other series are there makes no difference."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError
from ml_platform.models.backtest import backtest
from ml_platform.models.harmonic import HarmonicRegression, seasons_of
from ml_platform.models.panel import Calendar

DAYS, AHEAD = 200, 21


def days(count=5, seed=0, noise=0.05, start="2024-01-01"):
    """Daily series with a week, a slope, promotions, missing days and a later start each.

    All end on the same day: what is asked for begins after the last value that any of them has.
    """
    draw = np.random.default_rng(seed)
    day = np.arange(DAYS + AHEAD)
    parts = []
    for number in range(count):
        kind, promo = number % 5, (draw.random(len(day)) < 0.1).astype(float)
        log = 2 + kind + 0.3 * np.sin(2 * np.pi * day / 7) + draw.uniform(-1, 1) * day / 365
        frame = pd.DataFrame(
            {
                "series": f"s{number}",
                "time": pd.date_range(start, periods=len(day)),
                "target": np.exp(log + 0.4 * promo + draw.normal(0, noise, len(day))),
                "promo": promo,
            }
        )
        kept = (draw.random(len(day)) >= 0.05 * kind) & (day >= 20 * kind) | (day >= DAYS - 1)
        parts.append(frame[kept])
    return pd.concat(parts, ignore_index=True)


def asked(truth):
    """The same with the last steps to be forecast."""
    last = truth["time"].max() - pd.Timedelta(days=AHEAD)
    return truth.assign(target=truth["target"].where(truth["time"] <= last))


def forecast(panel, **parameters):
    model = HarmonicRegression(known=["promo"], horizon=AHEAD, season_length=7, **parameters)
    return model.fit(panel).predict(panel)


@settings(max_examples=10, deadline=None)
@given(others=st.sets(st.integers(0, 4), min_size=1, max_size=4), seed=st.integers(0, 50))
def test_a_forecast_does_not_depend_on_which_other_series_are_solved_with_it(others, seed):
    panel = asked(days(seed=seed))
    chosen = {f"s{number}" for number in others}
    some = panel[panel["series"].isin(chosen)]
    together = forecast(panel)
    together = together[together["series"].isin(chosen)].reset_index(drop=True)
    pd.testing.assert_frame_equal(forecast(some), together, rtol=1e-8, atol=1e-8)


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(1e-4, 1e6), zeros=st.booleans())
def test_scaling_one_series_scales_its_forecast_and_no_other(factor, zeros):
    panel = asked(days(count=3))
    panel.loc[panel.index[::9], "target"] *= not zeros
    mine = panel["series"] == "s1"
    scaled = panel.assign(target=panel["target"].where(~mine, panel["target"] * factor))
    said, expected = forecast(scaled), forecast(panel)
    share = np.where(expected["series"] == "s1", factor, 1.0)
    for column in ("forecast", "lower", "upper"):
        np.testing.assert_allclose(said[column], expected[column] * share, rtol=1e-7, atol=1e-12)


def test_a_season_that_was_seen_once_comes_again_but_not_with_every_wrinkle():
    day = np.arange(365 + 90)
    wave = np.sin(2 * np.pi * day / 365.25)
    draw = np.random.default_rng(5)
    wrinkles = np.repeat(draw.normal(0, 0.3, len(day) // 5), 5)[: len(day)]
    truth = pd.DataFrame(
        {
            "series": "s0",
            "time": pd.date_range("2023-01-01", periods=len(day)),
            "target": np.exp(4 + 0.3 * wave + wrinkles),
        }
    )
    history = truth.assign(target=truth["target"].where(day < 365))
    model = HarmonicRegression(horizon=90, season_length=7)
    said = np.log(model.fit(history).predict(history)["forecast"].to_numpy())
    rise = np.polyfit(day[365:], said, 1)[0] * 90
    assert 0.1 < rise < 0.3  # the wave's own is 0.3; without it, it would be a slope near zero
    again = np.corrcoef(said - said.mean(), wrinkles[:90])[0, 1]
    assert abs(again) < 0.5


def test_week_trend_and_promotions_are_found_and_the_interval_keeps_what_it_promises():
    truth = days(count=40, noise=0.1)
    both = forecast(asked(truth)).merge(truth, on=["series", "time"])
    error = np.abs(np.log(both["forecast"] / both["target"]))
    assert error.mean() < 0.12  # the noise alone makes 0.08
    covered = both["target"].between(both["lower"], both["upper"]).mean()
    assert covered == pytest.approx(0.8, abs=0.08)


def test_a_constant_series_stays_and_one_of_zeros_stays_zero():
    panel = asked(days(count=3))
    known = panel["target"].notna()
    panel.loc[known & (panel["series"] == "s0"), "target"] = 7.0
    panel.loc[known & (panel["series"] == "s1"), "target"] = 0.0
    said = forecast(panel).set_index("series")
    for name, value in (("s0", 7.0), ("s1", 0.0)):
        for column in ("forecast", "lower", "upper"):
            assert said.loc[name, column].to_numpy() == pytest.approx(value, abs=1e-6)


def test_a_series_with_one_value_is_forecast_at_it():
    panel = asked(days(count=3))
    new = panel["series"] == "s2"
    first = panel[new & panel["target"].notna()].tail(1)
    panel = pd.concat([panel[~new | panel["target"].isna()], first])
    said = forecast(panel)
    last = said[said["series"] == "s2"]
    assert last["forecast"].to_numpy() == pytest.approx(first["target"].item())
    model = HarmonicRegression(known=["promo"], horizon=AHEAD).fit(panel)
    assert any("too short" in note for note in model.notes_)


def test_a_series_that_came_after_fitting_is_learnt_from_its_own_history():
    panel = asked(days(count=4))
    fitted = HarmonicRegression(known=["promo"], horizon=AHEAD, season_length=7).fit(
        panel[panel["series"] != "s3"]
    )
    expected = forecast(panel)
    expected = expected[expected["series"] == "s3"].reset_index(drop=True)
    said = fitted.predict(panel[panel["series"] == "s3"])
    pd.testing.assert_frame_equal(said, expected, rtol=1e-8)


def test_a_known_column_without_a_value_in_the_future_is_refused():
    panel = asked(days(count=2))
    panel.loc[panel.index[-3], "promo"] = np.nan
    with pytest.raises(DataError, match="known column 'promo' has no value in 1 rows") as caught:
        forecast(panel)
    assert "observed" in caught.value.fix


def test_days_that_are_missing_at_the_end_are_part_of_the_forecast():
    panel = asked(days(count=3))
    late = panel["time"] > panel.loc[panel["target"].notna(), "time"].max() - pd.Timedelta(days=5)
    late &= panel["target"].notna() & (panel["series"] == "s1")
    panel.loc[late, "target"] = np.nan
    said = forecast(panel)
    expected = {"s0": AHEAD, "s1": AHEAD + late.sum(), "s2": AHEAD}
    assert said.groupby("series").size().to_dict() == expected
    near = said[said["series"] == "s1"]["forecast"] / np.exp(3)
    assert near.between(0.3, 3).all()


def test_later_values_than_those_learnt_from_move_the_level():
    truth = days(count=2)
    cut = truth["time"].max() - pd.Timedelta(days=AHEAD + 10)
    model = HarmonicRegression(known=["promo"], horizon=AHEAD, season_length=7)
    model.fit(truth[truth["time"] <= cut])
    plain = model.predict(asked(truth))
    raised = asked(truth)
    raised.loc[raised["time"] > cut, "target"] *= 1.3
    assert (model.predict(raised)["forecast"] > 1.02 * plain["forecast"]).all()


@pytest.mark.parametrize(
    ("step", "season_length", "seasons"),
    [
        ("D", 7, (7.0, 365.25)),
        ("D", 28, (7.0, 28, 365.25)),
        ("7D", 52, (365.25 / 7,)),
        ("MS", 12, (12.0,)),
        ("h", 24, (24.0, 168.0, 8766.0)),
        (None, 10, (10,)),
        (None, 1, ()),
    ],
)
def test_seasons_are_those_of_the_calendar_and_the_declared_one(step, season_length, seasons):
    times = pd.Series(pd.date_range("2024-01-01", periods=50, freq=step) if step else range(50))
    assert seasons_of(Calendar.of(times), season_length) == pytest.approx(seasons)


@pytest.mark.real_data
def test_the_real_stores_are_forecast_better_than_by_last_year(stores):
    frame, _ = stores
    model = HarmonicRegression(series="Store", time="Date", target="Weekly_Sales")
    found = backtest(model, frame, n_origins=3).overall
    assert found["wape"] < 0.8 * found["baseline_wape"]
