"""What the forecasters promise: nothing of the future is seen and odd panels are survived."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.models.boosted import BoostedForecaster
from ml_platform.models.forecast import GlobalForecaster, SeasonalNaive, conformal_quantile
from ml_platform.models.harmonic import HarmonicRegression

BOTH = pytest.mark.parametrize("kind", [SeasonalNaive, GlobalForecaster])
EVERY = pytest.mark.parametrize(
    "kind", [SeasonalNaive, GlobalForecaster, HarmonicRegression, BoostedForecaster]
)


def forecast(kind, panel, **parameters):
    parameters = {"known": ["promo"], "observed": ["heat"], "horizon": 8, **parameters}
    return kind(**parameters).fit(panel).predict(panel)


@EVERY
def test_every_future_row_gets_a_forecast_inside_its_interval(kind, made_panel):
    panel = made_panel(ahead=8)
    said = forecast(kind, panel)
    future = panel[panel["target"].isna()]
    assert said[["series", "time"]].equals(future[["series", "time"]].reset_index(drop=True))
    assert (said["lower"] > 0).all()
    assert (said["lower"] < said["forecast"]).all()
    assert (said["forecast"] < said["upper"]).all()


@EVERY
def test_rows_beyond_the_horizon_get_none(kind, made_panel):
    said = forecast(kind, made_panel(ahead=8), horizon=3)
    assert said.groupby("series").size().tolist() == [3, 3, 3, 3]


@EVERY
@pytest.mark.parametrize("garbage", [np.nan, 1e12, -5.0])
def test_observed_values_of_the_future_are_never_looked_at(kind, garbage, made_panel):
    panel = made_panel(ahead=8, weather=0.02)
    changed = panel.copy()
    changed.loc[panel["target"].isna(), "heat"] = garbage
    pd.testing.assert_frame_equal(forecast(kind, panel), forecast(kind, changed))


def test_observed_values_of_the_past_are_used_where_they_help(made_panel):
    panel = made_panel(count=6, ahead=8, weather=0.05, noise=0.01)
    fitted = GlobalForecaster(known=["promo"], observed=["heat"], horizon=8).fit(panel)
    assert any(one.observed for one in fitted.tunings_)
    past = panel.copy()
    last = past["target"].notna() & (past["time"] > past["time"].max() - pd.Timedelta("70D"))
    past.loc[last, "heat"] += 20
    said, moved = fitted.predict(panel), fitted.predict(past)
    assert (moved["forecast"] < said["forecast"]).all()


@EVERY
def test_a_forecaster_is_cloned_and_pickled_whole(kind, made_panel):
    panel = made_panel(ahead=8)
    first = kind(known=["promo"], horizon=8, random_state=3).fit(panel)
    assert clone(first).get_params() == first.get_params()
    again = pickle.loads(pickle.dumps(first))
    pd.testing.assert_frame_equal(again.predict(panel), first.predict(panel))
    pd.testing.assert_frame_equal(clone(first).fit(panel).predict(panel), first.predict(panel))


@EVERY
def test_the_order_of_rows_does_not_matter(kind, made_panel):
    panel = made_panel(ahead=8)
    said = forecast(kind, panel.sample(frac=1, random_state=0))
    said = said.sort_values(["series", "time"], ignore_index=True)
    pd.testing.assert_frame_equal(said, forecast(kind, panel))


@EVERY
def test_future_rows_alone_go_on_from_where_fitting_ended(kind, made_panel):
    panel = made_panel(ahead=8)
    fitted = kind(known=["promo"], observed=["heat"], horizon=8).fit(panel)
    future = panel[panel["target"].isna()]
    pd.testing.assert_frame_equal(fitted.predict(future), fitted.predict(panel))


@EVERY
def test_columns_have_the_names_that_the_table_gives_them(kind, made_panel):
    panel = made_panel(ahead=8)
    names = {"series": "shop", "time": "week", "target": "units", "promo": "p", "heat": "h"}
    said = forecast(
        kind,
        panel.rename(columns=names),
        series="shop",
        time="week",
        target="units",
        known=["p"],
        observed=["h"],
    )
    expected = forecast(kind, panel).rename(columns={"series": "shop", "time": "week"})
    pd.testing.assert_frame_equal(said, expected)


def test_seasonal_naive_repeats_last_season_over_gaps_and_more_than_a_season_ahead():
    target = [1.0, 2.0, 3.0, 4.0, 5.0, np.nan, 7.0] + [np.nan] * 6
    panel = pd.DataFrame({"series": "a", "time": range(13), "target": target})
    said = SeasonalNaive(season_length=4, horizon=6).fit(panel).predict(panel)
    # Step 5 has no value: step 9 falls back on step 1, two seasons earlier.
    assert said["forecast"].tolist() == [4.0, 5.0, 2.0, 7.0, 4.0, 5.0]


def test_a_gap_in_the_middle_is_no_future_row(made_panel):
    panel = made_panel(count=2, ahead=4)
    panel.loc[30:40, "target"] = np.nan
    said = forecast(SeasonalNaive, panel)
    assert len(said) == 8


def test_the_champion_finds_the_effect_of_a_known_column(made_panel):
    panel = made_panel(count=6, ahead=8, noise=0.02, promotion=0.4)
    without, with_promo = panel.copy(), panel.copy()
    future = panel["target"].isna()
    without.loc[future, "promo"], with_promo.loc[future, "promo"] = 0.0, 1.0
    lift = np.log(forecast(GlobalForecaster, with_promo)["forecast"]) - np.log(
        forecast(GlobalForecaster, without)["forecast"]
    )
    assert lift.mean() == pytest.approx(0.4, abs=0.03)


def test_a_firm_rise_of_the_level_is_carried_on(made_panel):
    panel = made_panel(count=5, ahead=8)
    weeks = panel.groupby("series").cumcount()
    raised = panel.assign(target=panel["target"] * np.where(weeks >= 120, 1.5, 1.0))
    ratio = (
        forecast(GlobalForecaster, raised)["forecast"].mean()
        / forecast(GlobalForecaster, panel)["forecast"].mean()
    )
    assert ratio > 1.3


def test_intervals_cover_about_what_they_promise(made_panel):
    truth = made_panel(count=30, weeks=156, noise=0.1)
    panel = truth.assign(target=truth["target"].where(truth["time"] < "2022-11-01"))
    for level in (0.5, 0.9):
        said = forecast(GlobalForecaster, panel, level=level)
        both = said.merge(truth, on=["series", "time"])
        covered = both["target"].between(both["lower"], both["upper"]).mean()
        assert covered == pytest.approx(level, abs=0.12)


class Watched(GlobalForecaster):
    """Keeps what inner validation found and said at each inner origin."""

    def _trial(self, grid, values, origin):
        trial = super()._trial(grid, values, origin)
        ahead = values[:, origin + 1 : origin + 1 + self.horizon]
        found = {tuning: (error, ahead - missed) for tuning, (error, missed) in trial.items()}
        self.trials_ = {**getattr(self, "trials_", {}), origin: found}
        return trial


def _tried(panel):
    return Watched(known=["promo"], observed=["heat"], horizon=8).fit(panel).trials_


def _spoilt_from(panel, week):
    """Other targets and weather from a week on; targets stay positive, as the scale is common."""
    late = panel.groupby("series").cumcount() >= week
    weeks = np.arange(len(panel)) % 5
    return panel.assign(
        target=panel["target"] * np.where(late, 2.0 + weeks, 1.0),
        heat=panel["heat"].mask(late, -1e6),
    )


def test_what_is_said_at_an_inner_origin_knows_nothing_of_what_came_after_it(made_panel):
    panel = made_panel(weather=0.03)
    clean = _tried(panel)
    assert sorted(clean) == [115, 123, 131]
    for origin in clean:
        spoilt = _tried(_spoilt_from(panel, origin + 1))[origin]
        for tuning, (error, said) in clean[origin].items():
            np.testing.assert_allclose(spoilt[tuning][1], said, rtol=1e-9)
            assert spoilt[tuning][0] > error


def test_the_scores_of_an_inner_origin_end_with_its_horizon(made_panel):
    panel = made_panel(weather=0.03)
    clean, spoilt = _tried(panel), _tried(_spoilt_from(panel, 124))
    same, moved = (
        {t: one[at][t][0] for t in one[at]} for one, at in ((spoilt, 115), (spoilt, 131))
    )
    assert same == {tuning: error for tuning, (error, _) in clean[115].items()}
    assert all(moved[tuning] != error for tuning, (error, _) in clean[131].items())


def _short(panel):
    return panel[panel["time"] >= "2022-06-01"]


def _different_starts(panel):
    start = panel["series"].map({"s0": "2020-01-01", "s1": "2021-03-01", "s2": "2022-08-01"})
    return panel[panel["time"] >= pd.to_datetime(start.fillna("2020-01-01"))]


def _gaps(panel):
    drop = np.random.default_rng(0).random(len(panel)) < 0.3
    return panel[~drop | panel["target"].isna()]


def _zeros(panel):
    weeks = panel.groupby("series").cumcount()
    return panel.assign(target=panel["target"].where((weeks % 9 > 0) | panel["target"].isna(), 0))


def _all_zero(panel):
    return panel.assign(target=panel["target"] * (panel["series"] != "s1"))


def _negative(panel):
    return panel.assign(target=panel["target"] - 20)


def _constant(panel):
    return panel.assign(target=panel["target"] * 0 + 5)


def _late(panel):
    last = panel.loc[panel["target"].notna(), "time"].max()
    return panel.assign(
        target=panel["target"].mask((panel["series"] == "s1") & (panel["time"] == last))
    )


def _two_values(panel):
    return panel[
        panel["time"] >= panel.loc[panel["target"].notna(), "time"].max() - pd.Timedelta("7D")
    ]


SHAPES = (
    _short,
    _different_starts,
    _gaps,
    _zeros,
    _all_zero,
    _negative,
    _constant,
    _late,
    _two_values,
)


@EVERY
@pytest.mark.parametrize("shape", SHAPES, ids=lambda one: one.__name__.strip("_"))
def test_odd_panels_get_finite_forecasts_of_the_right_size(kind, shape, made_panel):
    panel = shape(made_panel(ahead=8))
    said = forecast(kind, panel)
    assert len(said) == (panel["target"].isna() & (panel["time"] >= "2022-09-02")).sum()
    assert np.isfinite(said[["forecast", "lower", "upper"]].to_numpy()).all()
    size = panel.groupby("series")["target"].agg(lambda one: one.abs().max())
    assert (said["forecast"].abs() <= 3 * said["series"].map(size) + 1e-9).all()
    assert ((said["lower"] <= said["forecast"]) & (said["forecast"] <= said["upper"])).all()


@EVERY
def test_one_series_is_enough(kind, made_panel):
    panel = made_panel(count=1, ahead=8)
    truth = made_panel(count=1, weeks=148)["target"].to_numpy()[140:]
    said = forecast(kind, panel)["forecast"].to_numpy()
    assert np.abs(np.log(said / truth)).mean() < 0.2


@BOTH
def test_what_is_done_for_want_of_a_season_is_said(kind, made_panel):
    panel = _short(made_panel(ahead=8))
    notes = kind(known=["promo"], horizon=8).fit(panel).notes_
    assert any("one season of 52 steps" in note for note in notes)
    assert kind(known=["promo"], horizon=8).fit(made_panel(ahead=8)).notes_ == []


def test_a_series_that_came_after_fitting_is_forecast_from_its_own_history(made_panel):
    panel = made_panel(count=4, ahead=8)
    fitted = GlobalForecaster(known=["promo"], horizon=8).fit(panel[panel["series"] != "s3"])
    said = fitted.predict(panel[panel["series"] == "s3"])["forecast"]
    assert said.mean() == pytest.approx(np.exp(6) * 0.8, rel=0.35)


@EVERY
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(factor=st.floats(0.01, 1e4))
def test_forecasts_follow_the_unit_of_the_target(kind, factor, made_panel):
    panel = made_panel(count=2, weeks=80, ahead=4)
    scaled = panel.assign(target=panel["target"] * factor)
    said, expected = forecast(kind, scaled, horizon=4), forecast(kind, panel, horizon=4)
    for column in ("forecast", "lower", "upper"):
        np.testing.assert_allclose(said[column], expected[column] * factor, rtol=1e-6)


@EVERY
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda panel: panel.drop(columns="promo"), "no column 'promo'"),
        (lambda panel: panel.assign(target=np.nan), "no row has a value of 'target'"),
        (lambda panel: panel[panel["target"].notna()], "no row without 'target'"),
    ],
)
def test_a_panel_to_learn_nothing_from_or_to_forecast_is_refused(kind, spoil, said, made_panel):
    with pytest.raises(DataError, match=said):
        forecast(kind, spoil(made_panel(ahead=4)))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"horizon": 0}, "horizon: 0"),
        ({"horizon": 2.5}, "horizon: 2.5"),
        ({"season_length": True}, "season_length: True"),
        ({"level": 1.0}, "between 0 and 1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters, said, made_panel):
    with pytest.raises(DeclarationError, match=said):
        forecast(SeasonalNaive, made_panel(ahead=4), **parameters)


def test_a_series_without_any_history_is_refused(made_panel):
    panel = made_panel(ahead=4)
    fitted = SeasonalNaive(horizon=4).fit(panel)
    one = panel["series"] == panel["series"].iloc[0]
    new = panel[panel["target"].isna() & one].assign(series="new")
    with pytest.raises(DataError, match="without any history: new"):
        fitted.predict(new)


@EVERY
def test_rows_that_training_knows_of_are_not_forecast_again(kind, made_panel):
    panel = made_panel(ahead=8)
    fitted = kind(known=["promo"], observed=["heat"], horizon=8).fit(panel)
    asked = panel.assign(target=np.nan)
    future = panel[panel["target"].isna()]
    pd.testing.assert_frame_equal(fitted.predict(asked), fitted.predict(future))


@EVERY
@pytest.mark.parametrize("weeks", [0, 30, 500])
def test_rows_before_the_end_of_training_alone_are_refused(kind, weeks, made_panel):
    panel = made_panel(ahead=8)
    known = panel["target"].notna()
    hole = known & (panel["time"] == panel.loc[known, "time"].unique()[-20])
    fitted = kind(known=["promo"], observed=["heat"], horizon=8).fit(panel[~hole])
    early = panel[hole].assign(target=np.nan, time=lambda f: f["time"] - pd.Timedelta(weeks=weeks))
    with pytest.raises(DataError, match="no row without 'target'"):
        fitted.predict(early)


@given(scores=st.lists(st.floats(0, 100), min_size=1, max_size=60), level=st.floats(0.05, 0.95))
def test_a_conformal_quantile_is_one_of_the_scores_and_covers_its_share(scores, level):
    found = conformal_quantile(np.array(scores), level)
    assert found in scores
    assert np.mean(np.array(scores) <= found) >= min(level, 1.0)
