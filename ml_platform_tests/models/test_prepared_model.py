"""A model with `prepare`: raw columns in, one pipeline that is judged, registered and asked."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ml_platform.kernel.names import TableKey
from ml_platform.models.algorithms import make_algorithm
from ml_platform.models.tabular import Plan, Split, make_prepared_pipeline, train
from ml_platform.models.tracking import find_champion

RAW = TableKey("raw", "orders")
FIELDS = {"table": "raw/orders", "task": "regression", "target": "minutes"}


def orders(rows=240, seed=0):
    """What a model cannot take as it is: texts, dates, gaps, amounts with their currency."""
    rng = np.random.default_rng(seed)
    shop = rng.integers(0, 5, rows)
    placed = pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 14 * 86400, rows), "s")
    minutes = 20 + 6 * shop + 0.8 * placed.hour + rng.normal(0, 1, rows)
    frame = pd.DataFrame(
        {
            "shop": pd.Series([f"shop {one}" for one in shop], dtype=object),
            "placed_at": placed.strftime("%Y-%m-%d %H:%M:%S"),
            "amount": [f"{value:.2f} €" for value in rng.uniform(5, 50, rows)],
            "load": rng.normal(10, 1, rows) + 5 * shop,
            "items": rng.integers(1, 9, rows).astype(float),
            "minutes": minutes,
        }
    )
    frame.loc[rng.random(rows) < 0.15, ["load", "items"]] = np.nan
    frame.loc[rng.random(rows) < 0.1, "shop"] = None
    return frame


@pytest.fixture
def tracking(workshop, monkeypatch):
    uri = f"sqlite:///{workshop.root}/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    workshop.store.write("shop", RAW, orders())
    return uri


def declare(workshop, **fields):
    workshop.declare("Model", "model", **{"key": "models/minutes", **FIELDS, **fields})


IN_A_FRESH_PROCESS = """
import json, sys
import pandas as pd
from ml_platform.models.tracking import find_champion
uri, rows = sys.argv[1:]
model = find_champion("shop-minutes", uri).model
frames = [pd.DataFrame([row]) for row in json.loads(rows)]
print(json.dumps([float(model.predict(frame)[0]) for frame in frames]))
"""


def test_a_registered_model_predicts_single_raw_rows_alike_in_a_fresh_process(workshop, tracking):
    declare(workshop, prepare="auto")
    assert workshop.run().success
    (needs,) = workshop.root.rglob("requirements.txt")
    assert {line.partition("==")[0] for line in needs.read_text().splitlines()} >= {
        "scikit-learn",
        "lightgbm",
        "skrub",
    }
    new = orders(20, seed=9).drop(columns="minutes")
    new.loc[0, "shop"] = "a shop that was not there"
    rows = json.loads(new.to_json(orient="records"))
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, tracking, json.dumps(rows)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    here = find_champion("shop-minutes", tracking).model.predict(new)
    assert json.loads(done.stdout.splitlines()[-1]) == here.tolist()
    assert len(set(here)) > 10


def test_the_asset_shows_the_receipt_of_the_models_own_preparation(workshop, tracking):
    declare(workshop, prepare="auto")
    workshop.run()
    shown = workshop.metadata("models/minutes")
    assert shown["rmse"] < shown["baseline_rmse"] / 2
    assert "240 rows came, 240 left." in shown["receipt"]
    assert "| placed_at | moment |" in shown["receipt"]


def test_options_of_the_preparation_are_heard_and_kept_with_the_run(workshop, tracking):
    import mlflow

    declare(workshop, prepare={"missing_num": "mean", "columns": {"shop": {"encode": False}}})
    assert workshop.run().success
    champion = find_champion("shop-minutes", tracking)
    first = champion.model[0]
    assert first.missing_num == "mean"
    assert first.receipt_.column("load").method == "mean"
    client = mlflow.MlflowClient(tracking)
    parameters = client.get_run(champion.run_id).data.params
    assert parameters["prepare"] == "auto"
    assert parameters["prepare.missing_num"] == "mean"
    # What is not encoded is no number; it is not learnt from, and that is told.
    assert "no numbers: shop" in workshop.metadata("models/minutes")["notes"]


def test_predictions_are_made_of_raw_rows(workshop, tracking):
    declare(workshop, prepare="auto")
    workshop.declare(
        "Predictions", "said", key="predictions/minutes", champion_of="models/minutes",
        table="raw/orders", keep=["shop", "minutes"],
    )  # fmt: skip
    assert workshop.run().success
    said = pd.DataFrame(workshop.rows("predictions/minutes"))
    assert len(said) == 240
    assert (said["predicted"] - said["minutes"]).abs().mean() < 3


def test_a_champion_is_judged_again_with_its_own_preparation(workshop, tracking):
    declare(workshop, prepare="auto")
    workshop.run()
    first = workshop.metadata("models/minutes")["rmse"]
    declare(workshop, prepare={"missing_num": "constant", "extract_datetime": "Y"})
    workshop.run()
    verdict = workshop.metadata("models/minutes")["verdict"]
    assert f"is worse than today's champion's {first:.4g}" in verdict


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prepare": {"outlier": "iqr"}}, "outliers (did you mean this?)"),
        ({"prepare": {"outliers": "iq"}}, "'iqr'"),
        ({"prepare": {"columns": {"shop": {"encod": "onehot"}}}}, "encode (did you mean this?)"),
        ({"prepare": "automatic"}, "'auto'"),
        (
            {"prepare": "auto", "task": "forecast", "forecast": {"series": "shop", "time": "day"}},
            "`prepare` is not for a forecast",
        ),
    ],
)
def test_a_preparation_that_cannot_be_is_a_broken_declaration(workshop, fields, said):
    declare(workshop, **fields)
    (broken,) = workshop.load().broken
    assert said in str(broken)
    assert "valid dictionary" not in str(broken) or fields["prepare"] == "automatic"


def split_frame():
    """A time by which rows are split, and a level that is wholly other in the held-out ones."""
    frame = orders(200)
    frame["day"] = range(200)
    frame["load"] = np.where(frame["day"] < 160, 10.0, 1e6)
    frame.loc[[3, 5, 170, 180], "load"] = np.nan
    return frame


def test_what_is_held_out_teaches_the_preparation_nothing():
    plan = Plan(
        "regression", "minutes", ("load", "items", "shop"), "ridge",
        split=Split("time", "day", 0.2), prepare={"missing_num": "mean", "outliers": "off"},
    )  # fmt: skip
    frame = split_frame()
    first = train(frame, plan).model[0]
    assert first.receipt_.rows == 160
    filled = first.transform(frame.loc[[170], ["load", "items", "shop"]])
    assert filled["load"].tolist() == [10.0]


def test_the_labels_fill_no_gap():
    frame = orders()
    features = frame.drop(columns="minutes")
    prepared = []
    for labels in (frame["minutes"], frame["minutes"].iloc[::-1]):
        pipeline = make_prepared_pipeline(make_algorithm("ridge", "regression"), {})
        pipeline.fit(features, labels.to_numpy())
        prepared.append(pipeline[0].transform(features))
    pd.testing.assert_frame_equal(*prepared)


def test_a_class_is_told_from_raw_columns_too():
    frame = orders().assign(late=lambda rows: np.where(rows["minutes"] > 40, "late", "in time"))
    plan = Plan("classification", "late", prepare={"encode_categ": "target"})
    trained = train(frame.drop(columns="minutes"), plan)
    assert trained.metrics["accuracy"] > trained.baseline_metrics["accuracy"] + 0.2


def test_gaps_that_the_preparation_leaves_get_the_median_and_a_column_that_says_so():
    frame = orders().drop(columns="minutes")
    pipeline = make_prepared_pipeline(make_algorithm("ridge", "regression"), {"mode": "manual"})
    pipeline.fit(frame, np.arange(len(frame)))
    assert pipeline["prepare"].transform(frame)["load"].isna().any()
    assert np.isfinite(pipeline.predict(frame)).all()
    assert pipeline["fill"].indicator_ is not None


def test_a_preparation_that_leaves_no_numbers_is_told_with_what_to_do():
    frame = pd.DataFrame({"word": ["a", "b"] * 10, "n": range(20)})
    plan = Plan("regression", "n", prepare={"encode_categ": "off"})
    with pytest.raises(Exception, match="leaves no numbers, only word") as caught:
        train(frame, plan)
    assert "encode categories" in str(caught.value)
