"""Backtests see no future, count what they say they count, and the champion beats the baseline."""

import numpy as np
import pandas as pd
import pytest

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.models import metrics
from ml_platform.models.backtest import backtest
from ml_platform.models.forecast import GlobalForecaster, SeasonalNaive


class Peeking(SeasonalNaive):
    """Remembers every frame that it is shown, and forecasts from the future when it can."""

    shown: list[pd.DataFrame] = []  # noqa: RUF012 - shared on purpose: clones are made inside

    def fit(self, panel):
        self.shown.append(panel)
        return super().fit(panel)

    def predict(self, panel):
        self.shown.append(panel)
        said = super().predict(panel)
        truth = said.merge(panel, on=["series", "time"], how="left")["target"].to_numpy()
        return said.assign(forecast=np.where(np.isnan(truth), said["forecast"], truth))


@pytest.fixture
def peeking():
    Peeking.shown = []
    return Peeking(known=["promo"], observed=["heat"], horizon=8)


def small(kind=SeasonalNaive, **parameters):
    return kind(**{"known": ["promo"], "observed": ["heat"], "horizon": 8, **parameters})


def test_an_estimator_that_looks_ahead_finds_nothing(peeking, made_panel):
    panel = made_panel().assign(answer=lambda one: one["target"])
    result = backtest(peeking, panel)
    assert result.frame["forecast"].tolist() == result.frame["baseline"].tolist()
    ends = [end for end in sorted(set(result.frame["origin"])) for _ in range(2)]
    assert len(peeking.shown) == 8
    for seen, end in zip(peeking.shown, ends, strict=True):
        later = seen[seen["time"] > end]
        assert "answer" not in seen
        assert later["promo"].notna().all()
        assert later[["target", "heat"]].isna().all(axis=None)
        assert (later["time"] - end).max() == pd.Timedelta(weeks=8)


@pytest.mark.parametrize("kind", [SeasonalNaive, GlobalForecaster])
def test_changing_the_future_leaves_an_origins_forecast_as_it_was(kind, made_panel):
    panel = made_panel(weather=0.03)
    before = backtest(small(kind), panel).frame
    origin = before["origin"].unique()[1]
    changed = panel.copy()
    late = changed["time"] > origin
    changed.loc[late, "target"] *= 9
    changed.loc[late, "heat"] = -1e6
    after = backtest(small(kind), changed).frame
    columns = ["series", "time", "forecast", "lower", "upper", "baseline", "scale"]
    same = [one[one["origin"] <= origin][columns] for one in (before, after)]
    pd.testing.assert_frame_equal(*same)
    assert len(same[0]) == 2 * 4 * 8


def test_the_panel_that_was_given_is_left_as_it_was(made_panel):
    panel = made_panel()
    copy = panel.copy(deep=True)
    backtest(small(), panel)
    pd.testing.assert_frame_equal(panel, copy)


def test_origins_follow_each_other_and_end_with_the_data(made_panel):
    panel = made_panel(ahead=5)
    frame = backtest(small(), panel, n_origins=3).frame
    assert frame["origin"].nunique() == 3
    assert frame.groupby("series")["time"].nunique().tolist() == [24] * 4
    assert not frame.duplicated(["series", "time"]).any()
    assert frame["time"].max() == panel.loc[panel["target"].notna(), "time"].max()
    assert frame.groupby("origin")["ahead"].agg(["min", "max"]).to_numpy().tolist() == [[1, 8]] * 3


def test_the_figures_are_those_of_the_metrics(made_panel):
    result = backtest(small(GlobalForecaster), made_panel())
    frame = result.frame
    assert result.overall["wape"] == pytest.approx(metrics.wape(frame["actual"], frame["forecast"]))
    assert result.overall["rmse"] == pytest.approx(metrics.rmse(frame["actual"], frame["forecast"]))
    one = frame[frame["series"] == "s2"]
    row = result.by_series.set_index("series").loc["s2"]
    assert row["mase"] == pytest.approx(metrics.mase(one["actual"], one["forecast"], one["scale"]))
    assert row["baseline_wape"] == pytest.approx(metrics.wape(one["actual"], one["baseline"]))
    first = result.by_origin.iloc[0]
    one = frame[frame["origin"] == first["origin"]]
    assert first["interval_coverage"] == pytest.approx(
        metrics.interval_coverage(one["actual"], one["lower"], one["upper"])
    )
    assert result.overall["mean_gain"] == pytest.approx(
        np.mean(1 - result.by_origin["wape"] / result.by_origin["baseline_wape"])
    )


def test_the_scale_of_mase_comes_from_before_the_origin(made_panel):
    panel = made_panel()
    frame = backtest(small(), panel).frame
    row = frame[frame["series"] == "s1"].iloc[0]
    past = panel[(panel["series"] == "s1") & (panel["time"] <= row["origin"])]
    assert row["scale"] == pytest.approx(metrics.naive_scale(past["target"], 52))


def test_progress_is_told_after_each_origin(made_panel):
    told = []
    backtest(small(), made_panel(), progress=lambda *args: told.append(args))
    assert [(done, total) for done, total, _ in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert "2022-01-21" in told[0][2]


def test_a_series_is_judged_only_from_origins_at_which_it_had_begun(made_panel):
    panel = made_panel()
    late = panel[(panel["series"] != "s0") | (panel["time"] >= "2022-05-01")]
    frame = backtest(small(), late).frame
    assert frame[frame["series"] == "s0"]["origin"].nunique() == 2
    assert frame[frame["series"] == "s1"]["origin"].nunique() == 4


def test_a_series_that_never_changes_counts_in_wape_and_not_in_mase(made_panel):
    panel = made_panel()
    flat = panel.assign(target=panel["target"].mask(panel["series"] == "s0", 5.0))
    result = backtest(small(), flat)
    row = result.by_series.set_index("series").loc["s0"]
    assert row["wape"] == 0
    assert np.isnan(row["mase"])
    assert np.isfinite(result.overall["mase"])


def test_all_zero_truth_has_no_wape_and_is_no_error(made_panel):
    panel = made_panel().assign(target=0.0)
    result = backtest(small(), panel)
    assert np.isnan(result.overall["wape"])
    assert result.overall["mae"] == 0


def test_notes_of_the_estimators_are_handed_on(made_panel):
    panel = made_panel()
    notes = backtest(small(), panel[panel["time"] > "2022-01-01"], n_origins=2).notes
    assert len(notes) == 1
    assert "less than one season" in notes[0]


def test_a_forecast_that_lacks_rows_is_an_error(made_panel):
    class Lazy(SeasonalNaive):
        def predict(self, panel):
            return super().predict(panel).iloc[3:]

    with pytest.raises(DataError, match=r"3 of 32 rows after .* got no forecast"):
        backtest(Lazy(horizon=8), made_panel())


@pytest.mark.parametrize("count", [0, 2.0, True])
def test_the_number_of_origins_is_a_whole_number(count, made_panel):
    with pytest.raises(DeclarationError, match="whole number from 1"):
        backtest(small(), made_panel(), n_origins=count)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda one: one[one["time"] < "2020-06-01"], "22 steps of history"),
        (lambda one: one.assign(target=np.nan), "no row has a value"),
    ],
)
def test_a_panel_without_enough_history_is_refused(spoil, said, made_panel):
    with pytest.raises(DataError, match=said):
        backtest(small(), spoil(made_panel()))


@pytest.mark.real_data
def test_the_champion_beats_seasonal_naive_on_the_real_stores(stores):
    panel, known = stores
    champion = GlobalForecaster(
        series="Store",
        time="Date",
        target="Weekly_Sales",
        known=known,
        observed=["Temperature", "Fuel_Price", "CPI", "Unemployment"],
    )
    result = backtest(champion, panel)
    assert len(result.frame) == 4 * 13 * 45
    assert result.by_origin["baseline_wape"].iloc[-1] == pytest.approx(0.0513, abs=5e-5)
    assert result.overall["wape"] < 0.04
    assert result.overall["mean_gain"] > 0.18
    assert (result.by_origin["gain"] > 0).all()
    assert 0.7 < result.overall["interval_coverage"] < 0.95
