"""Prophet is told each series in its own words; a small one stands for it where it is not there."""

import sys

import numpy as np
import pandas as pd
import pytest

from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    SettingsError,
    UnavailableError,
)
from ml_platform.models.prophet import ProphetForecaster

SMALL = '''
"""The last value, and a hundred more where the regressor is one; keeps to Prophet's own words."""


class Prophet:
    def __init__(self, growth="linear", interval_width=0.8):
        self.width, self.columns = interval_width, []

    def add_regressor(self, name):
        self.columns.append(name)

    def fit(self, df):
        assert list(df.columns) == ["ds", *self.columns, "y"] and df.notna().all(axis=None)
        if (df["y"] < 0).any():
            raise RuntimeError("Optimization terminated abnormally.")
        self.last = df["y"].iloc[-1]

    def predict(self, df):
        assert list(df.columns) == ["ds", *self.columns]
        said = self.last + 100 * df[self.columns].sum(axis=1)
        bounds = {"yhat_lower": said - self.width, "yhat_upper": said + self.width}
        return df[["ds"]].assign(yhat=said, **bounds)
'''


@pytest.fixture
def small(tmp_path, monkeypatch):
    (tmp_path / "prophet.py").write_text(SMALL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "prophet", raising=False)
    yield
    sys.modules.pop("prophet", None)


def panel(count=3, days=10, ahead=4):
    day = np.arange(days + ahead)
    parts = [
        pd.DataFrame(
            {
                "series": f"s{number}",
                "time": pd.date_range("2024-01-01", periods=len(day)),
                "target": np.where(day < days, 10.0 * (number + 1) + day, np.nan),
                "promo": (day % 4 == 0).astype(float),
            }
        )
        for number in range(count)
    ]
    return pd.concat(parts, ignore_index=True)


def forecast(rows, **parameters):
    model = ProphetForecaster(known=["promo"], horizon=4, season_length=7, **parameters)
    return model.fit(rows).predict(rows)


@pytest.mark.usefixtures("small")
def test_each_series_is_learnt_from_its_known_steps_and_asked_for_those_to_come():
    rows = panel()
    rows = rows.drop(index=3)
    rows.loc[9, "target"] = np.nan
    said = forecast(rows, level=0.5)
    assert said["forecast"].tolist() == [
        *(18, 18, 18, 118, 18),  # its last day is not known, and forecast too
        *(29, 29, 129, 29),
        *(39, 39, 139, 39),
    ]
    np.testing.assert_allclose(said["upper"] - said["lower"], 1.0)


@pytest.mark.usefixtures("small")
def test_in_processes_the_forecasts_are_the_same():
    rows = panel(count=20)
    pd.testing.assert_frame_equal(forecast(rows, execution={"max_parallel": 2}), forecast(rows))


@pytest.mark.usefixtures("small")
def test_values_that_came_after_fitting_are_learnt_from():
    rows = panel()
    late = rows["time"] == "2024-01-10"
    model = ProphetForecaster(known=["promo"], horizon=5, season_length=7)
    model.fit(rows.assign(target=rows["target"].mask(late)))
    assert model.predict(rows)["forecast"].tolist() == forecast(rows)["forecast"].tolist()


@pytest.mark.usefixtures("small")
def test_a_series_of_one_value_is_forecast_at_it():
    rows = panel()
    few = (rows["series"] == "s1") & (rows["time"] < "2024-01-10")
    rows.loc[few, "target"] = np.nan
    said = forecast(rows).set_index("series")
    assert (said.loc["s1", ["forecast", "lower", "upper"]] == 29).all(axis=None)
    assert "less than two values" in ProphetForecaster(known=["promo"]).fit(rows).notes_[0]


@pytest.mark.usefixtures("small")
def test_a_series_on_which_prophet_fails_is_named_with_what_it_says():
    rows = panel()
    rows.loc[rows["series"] == "s2", "target"] *= -1
    with pytest.raises(UnavailableError, match=r"series s2: (?s:.*)terminated abnormally"):
        forecast(rows)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"options": {"grow": "flat"}}, r"no option 'grow'\n  allowed: growth \(did you mean"),
        ({"execution": {"engin": "ray"}}, r"engin: (?s:.*)allowed: profile, engine, "),
        ({"execution": {"memory": "much"}}, "memory: "),
    ],
)
def test_a_word_that_there_is_not_is_refused_before_anything_is_fitted(parameters, said):
    with pytest.raises(DeclarationError, match=said):
        ProphetForecaster(known=["promo"], **parameters).fit(panel())


@pytest.mark.usefixtures("small")
def test_prophet_takes_dates_and_no_numbers():
    rows = panel()
    with pytest.raises(DataError, match="holds numbers"):
        forecast(rows.assign(time=rows["time"].dt.day))


def test_without_prophet_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "prophet", None)
    with pytest.raises(SettingsError, match="Prophet cannot be imported") as caught:
        ProphetForecaster().fit(panel())
    assert "pip install 'ml-platform[prophet]'" in caught.value.fix


def test_prophet_itself_takes_what_it_is_given():
    said = forecast(panel(days=60), options={"uncertainty_samples": 100})
    trend = [71.0, 72, 73, 74]
    assert said["forecast"].tolist() == pytest.approx(
        [start + one for start in (-1, 9, 19) for one in trend], rel=0.1
    )
