"""`Model` and `Predictions` in a project, with a real MLflow store."""

import dagster as dg
import numpy as np
import pytest

from ml_platform.models.tracking import find_champion

IRIS = """
    SELECT
        range % 3 AS kind,
        sin(range) + 3 * (range % 3) AS a,
        cos(range) - 2 * (range % 3) AS b,
        if(range % 3 = 0, 'red', if(range % 3 = 1, 'green', 'blue')) AS colour
    FROM range(120)
"""
SERIES = """
    SELECT
        's' || s AS shop,
        (DATE '2020-01-03' + (7 * w)::INTEGER)::DATE AS week,
        100 + 10 * s + 0.4 * w + 20 * sin(2 * pi() * w / 52) + 3 * sin(w * 7 + s) AS usual,
        if(w < 140, usual, NULL) AS sold,
        if(w < {known}, w % 5, {unknown}) AS weather
    FROM range(4) AS series(s), range(144) AS weeks(w)
"""


@pytest.fixture(autouse=True)
def tracking(workshop, monkeypatch):
    uri = f"sqlite:///{workshop.root}/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def classifier(workshop, algorithm="logistic_regression", **fields):
    workshop.table("flowers", IRIS)
    workshop.declare(
        "Model", "model", key="models/flowers", table="features/flowers",
        task="classification", target="colour", features=["a", "b"], algorithm=algorithm, **fields,
    )  # fmt: skip
    workshop.declare(
        "Predictions", "said", key="predictions/flowers", champion_of="models/flowers",
        table="features/flowers", keep=["kind"],
    )  # fmt: skip


def test_a_classifier_is_judged_registered_and_asked(workshop, tracking):
    classifier(workshop)
    assert workshop.run().success
    shown = workshop.metadata("models/flowers")
    assert shown["log_loss"] < shown["baseline_log_loss"]
    for name in ("log_loss", "baseline_log_loss"):
        assert shown[name] == float(f"{shown[name]:.6g}")
    assert shown["is_champion"]
    champion = find_champion("shop-flowers", tracking)
    assert champion.version == shown["model_version"] == 1
    said = workshop.rows("predictions/flowers")
    assert len(said) == 120
    assert set(said[0]) == {
        "kind", "predicted", "model_version",
        "probability_blue", "probability_green", "probability_red",
    }  # fmt: skip
    right = [row["predicted"] == ["red", "green", "blue"][row["kind"]] for row in said]
    assert np.mean(right) > 0.95


def test_a_worse_model_stays_challenger_and_the_champion_goes_on_predicting(workshop, tracking):
    classifier(workshop)
    workshop.run()
    classifier(workshop, algorithm="dummy")
    workshop.run("models/flowers", "predictions/flowers")
    shown = workshop.metadata("models/flowers")
    assert not shown["is_champion"]
    assert "does not beat the baseline" in shown["verdict"]
    assert find_champion("shop-flowers", tracking).version == 1
    assert workshop.rows("predictions/flowers")[0]["model_version"] == 1


def test_predictions_without_a_champion_say_what_to_do(workshop):
    classifier(workshop, algorithm="dummy")
    outcome = workshop.run()
    assert "it has no champion" in outcome.failures[0].message


def forecaster(workshop, known=140, unknown="NULL", **fields):
    workshop.table("weeks", SERIES.format(known=known, unknown=unknown))
    workshop.declare(
        "Model", "model", key="models/sold", table="features/weeks", task="forecast",
        target="sold",
        forecast={
            "series": "shop", "time": "week", "horizon": 4, "origins": 2, "observed": ["weather"],
        },
        **fields,
    )  # fmt: skip
    workshop.declare(
        "Predictions", "said", key="predictions/sold", champion_of="models/sold",
        table="features/weeks",
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["global_forecaster", "harmonic_regression"])
def test_a_forecast_is_made_for_the_steps_to_come_with_its_interval(workshop, algorithm):
    forecaster(workshop, algorithm=algorithm)
    assert workshop.run().success
    said = workshop.rows("predictions/sold")
    assert len(said) == 4 * 4
    assert all(row["lower"] <= row["forecast"] <= row["upper"] for row in said)
    shown = workshop.metadata("models/sold")
    assert shown["wape"] < shown["baseline_wape"]
    assert "data:image/png" in shown["forecast_against_actual"]
    assert len(workshop.rows("models/sold")) == 2 * 4 * 4


def test_changing_the_future_leaves_the_forecast_as_it_was(workshop):
    forecaster(workshop)
    workshop.run()
    before = workshop.rows("predictions/sold")
    forecaster(workshop, unknown="1e9")
    workshop.run("features/weeks", "predictions/sold")
    assert workshop.rows("predictions/sold") == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"algorithm": "logistic_regresion"}, "logistic_regression (did you mean this?)"),
        ({"parameters": {"CC": 1}}, "CC"),
        ({"metrics": ["acuracy"]}, "accuracy (did you mean this?)"),
    ],
)
def test_what_is_misspelt_in_a_model_is_told_with_what_is_allowed(workshop, fields, said):
    classifier(workshop, **fields)
    outcome = workshop.run()
    assert said in outcome.failures[0].message


def test_a_figure_that_a_forecast_does_not_have_is_refused(workshop):
    forecaster(workshop)
    file = workshop.shop / "model" / "defs.yaml"
    file.write_text(file.read_text() + "  metrics: [wapee]\n")
    assert "wape (did you mean this?)" in workshop.run().failures[0].message


def test_a_forecast_without_its_columns_is_a_broken_declaration(workshop):
    workshop.declare("Model", "m", key="models/m", table="features/t", task="forecast", target="y")
    (broken,) = workshop.load().broken
    assert "`task: forecast` and `forecast:` go together" in str(broken)


def test_predictions_wait_for_the_model_and_for_the_table(workshop):
    classifier(workshop)
    graph = workshop.load().definitions.resolve_asset_graph()
    parents = graph.get(dg.AssetKey(["predictions", "flowers"])).parent_keys
    assert {key.to_user_string() for key in parents} == {"features/flowers", "models/flowers"}
