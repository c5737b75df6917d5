"""Splits keep their promise, odd tables are prepared or refused, and models are judged fairly."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.models import metrics
from ml_platform.models.tabular import MISSING, Plan, Split, TidyColumns, train


@pytest.fixture
def table():
    draw = np.random.default_rng(5)
    n = 400
    x, group = draw.normal(size=n), draw.integers(0, 20, n)
    kind = draw.choice(["tea", "coffee", "water"], n)
    value = 3 * x + 2.0 * (kind == "tea") + draw.normal(0, 0.3, n)
    return pd.DataFrame(
        {
            "x": np.where(draw.random(n) < 0.1, np.nan, x),
            "kind": np.where(draw.random(n) < 0.05, None, kind),
            "is_new": draw.random(n) < 0.5,
            "group": group,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 90, n), "D"),
            "value": value,
            "label": np.where(value > 0, "high", "low"),
        },
        index=range(1000, 1000 + n),
    )


FEATURES = ("x", "kind", "is_new")
CLASSES = Plan("classification", "label", FEATURES)
NUMBERS = Plan("regression", "value", FEATURES)


def held_out(table, split, task="regression", target="value", seed=0):
    return split.held_out(table, table[target], task, seed)


@given(share=st.floats(0.05, 0.9), seed=st.integers(0, 50))
def test_no_group_is_ever_on_both_sides(share, seed):
    groups = np.random.default_rng(seed).integers(0, 12, 200)
    frame = pd.DataFrame({"group": groups, "value": 1.0})
    mask = held_out(frame, Split("group", "group", share), seed=seed)
    assert not set(groups[mask]) & set(groups[~mask])
    assert 0 < mask.mean() <= share + np.bincount(groups).max() / 200


@given(share=st.floats(0.05, 0.9), days=st.lists(st.integers(0, 30), min_size=5, max_size=80))
def test_every_held_out_row_is_later_than_every_row_learnt_from(share, days):
    assume(len(set(days)) > 1)
    frame = pd.DataFrame({"day": days, "value": 1.0})
    mask = held_out(frame, Split("time", "day", share))
    assert max(np.array(days)[~mask]) < min(np.array(days)[mask])


def test_a_cut_in_time_is_the_first_time_held_out(table):
    mask = held_out(table, Split("time", "day", cut="2024-03-01"))
    assert table["day"][mask].min() == pd.Timestamp("2024-03-01")
    assert table["day"][~mask].max() == pd.Timestamp("2024-02-29")


def test_a_cut_without_a_time_zone_is_read_in_the_columns(table):
    zoned = table.assign(day=table["day"].dt.tz_localize("Europe/Berlin"))
    assert (
        held_out(zoned, Split("time", "day", cut="2024-03-01")).tolist()
        == held_out(table, Split("time", "day", cut="2024-03-01")).tolist()
    )


def test_a_random_split_keeps_the_share_of_each_class(table):
    rare = table.assign(label=["rare"] * 20 + ["usual"] * 380)
    mask = held_out(rare, Split(share=0.25), "classification", "label")
    assert (rare["label"][mask] == "rare").sum() == 5
    assert mask.sum() == 100


def test_the_same_seed_splits_in_the_same_way_and_another_does_not(table):
    one, same, other = (held_out(table, Split(), seed=seed) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (Split("chance"), "allowed: time, group, random"),
        (Split("time"), "a column for time and group"),
        (Split("random", "day"), "none for random"),
        (Split(share=1.0), "between 0 and 1"),
        (Split("group", "group", cut=3), "only by time"),
    ],
)
def test_a_split_that_says_nothing_possible_is_refused(split, said, table):
    with pytest.raises(DeclarationError, match=said):
        held_out(table, split)


@pytest.mark.parametrize(
    ("split", "spoil", "said"),
    [
        (Split("time", "dya"), {}, r"day \(did you mean this\?\)"),
        (Split("group", "group"), {"group": None}, "no value in 400 rows"),
        (Split("group", "group"), {"group": 1}, "0 of 400 rows would be held out"),
        (Split("time", "group"), {"group": 1}, "400 of 400 rows would be held out"),
        (Split("time", "day", cut="2023-01-01"), {}, "400 of 400 rows"),
        (Split("time", "day", cut="2025-01-01"), {}, "0 of 400 rows"),
    ],
)
def test_a_table_that_cannot_be_split_so_is_refused(split, spoil, said, table):
    with pytest.raises(DataError, match=said):
        held_out(table.assign(**spoil), split)


def test_a_class_of_one_row_cannot_be_split_at_random(table):
    table.loc[1000, "label"] = "only once"
    with pytest.raises(DataError, match="'only once' has 1 of 400 rows"):
        train(table, CLASSES)


@pytest.mark.parametrize(
    "algorithm", ["hist_gradient_boosting", "random_forest", "logistic_regression"]
)
def test_a_classifier_beats_the_commonest_class(algorithm, table):
    done = train(table, Plan("classification", "label", FEATURES, algorithm))
    assert done.metrics["accuracy"] > done.baseline_metrics["accuracy"] + 0.2
    assert done.metrics["roc_auc"] > 0.9
    assert done.baseline_metrics["roc_auc"] == 0.5
    assert done.metrics["log_loss"] < done.baseline_metrics["log_loss"]


@pytest.mark.parametrize(
    "algorithm",
    [
        "hist_gradient_boosting",
        "random_forest",
        "ridge",
        "linear_regression",
        "k_nearest_neighbors",
    ],
)
def test_a_regressor_beats_the_mean(algorithm, table):
    done = train(table, Plan("regression", "value", FEATURES, algorithm))
    assert done.metrics["rmse"] < 0.7 * done.baseline_metrics["rmse"]
    assert done.metrics["r2"] > 0.5


def test_the_figures_are_those_of_the_predictions_on_the_held_out_rows(table):
    plan = Plan("regression", "value", FEATURES, "ridge", split=Split("time", "day", 0.25))
    done = train(table, plan)
    said = done.predictions
    assert said["actual"].tolist() == table.loc[said.index, "value"].tolist()
    assert done.metrics["mae"] == pytest.approx(metrics.mae(said["actual"], said["predicted"]))
    assert done.baseline_metrics["mae"] == pytest.approx(
        metrics.mae(said["actual"], said["baseline"])
    )
    assert done.train_rows + len(said) == len(table)
    later = table.loc[said.index, "day"].min()
    assert table.drop(said.index)["day"].max() < later
    assert done.model.predict(table.loc[said.index, list(FEATURES)]).tolist() == (
        said["predicted"].tolist()
    )


def test_nothing_is_learnt_from_the_held_out_rows(table):
    plan = Plan("regression", "value", FEATURES, "ridge", split=Split("time", "day", 0.25))
    before = train(table, plan)
    held = before.predictions.index
    changed = table.copy()
    changed.loc[held, "value"] *= 100
    after = train(changed, plan)
    assert after.predictions["predicted"].tolist() == before.predictions["predicted"].tolist()
    assert after.predictions["baseline"].tolist() == before.predictions["baseline"].tolist()


def test_probabilities_are_named_by_class_and_sum_to_one(table):
    said = train(table, CLASSES).predictions
    both = said[["probability_high", "probability_low"]]
    assert both.sum(axis=1).to_numpy() == pytest.approx(1.0)
    right = np.where(both["probability_high"] > 0.5, "high", "low")
    assert right.tolist() == said["predicted"].tolist()


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0], [False, True], ["no", "yes"]])
def test_labels_of_every_type_are_learnt(labels, table):
    table["label"] = pd.Series([labels[int(v > 0)] for v in table["value"]], index=table.index)
    done = train(table, CLASSES)
    assert done.metrics["accuracy"] > 0.8
    assert set(done.predictions["actual"]) == set(labels)


def test_three_classes_are_told_apart(table):
    table["label"] = pd.cut(table["value"], [-99, -1.5, 1.5, 99], labels=["low", "mid", "high"])
    done = train(table, CLASSES)
    assert done.metrics["roc_auc"] > 0.8


def test_without_a_list_all_other_columns_are_features(table):
    plan = Plan("regression", "value", algorithm="ridge", split=Split("time", "day"))
    assert train(table.drop(columns="label"), plan).features == ["x", "kind", "is_new", "group"]


def test_rows_without_a_target_are_left_out_and_it_is_said(table):
    table.loc[table.index[:7], "value"] = np.nan
    done = train(table, NUMBERS)
    assert done.train_rows + len(done.predictions) == 393
    assert done.notes == ("7 rows without 'value' were left out.",)


def test_new_and_missing_categories_can_be_predicted(table):
    done = train(table, NUMBERS)
    rows = pd.DataFrame({"x": [0.5, np.nan], "kind": ["cocoa", None], "is_new": [True, False]})
    assert np.isfinite(done.model.predict(rows)).all()


def test_a_column_with_hundreds_of_categories_stays_narrow(table):
    table["kind"] = [f"k{n % 300}" for n in range(len(table))]
    done = train(table, Plan("regression", "value", FEATURES, "ridge"))
    assert done.model[:-1].transform(table[list(FEATURES)]).shape[1] <= 3 + 50


def test_a_column_that_is_always_missing_does_no_harm(table):
    table["x"] = np.nan
    assert np.isfinite(train(table, Plan("regression", "value", FEATURES, "ridge")).metrics["mae"])


def test_a_metric_that_was_not_asked_for_is_left_out_with_a_note(table):
    done = train(table, Plan("classification", "label", FEATURES, "sklearn.svm.LinearSVC"))
    assert set(done.metrics) == {"accuracy", "f1"}
    assert "roc_auc was left out: the algorithm gives no probabilities." in done.notes


def test_a_metric_that_was_asked_for_and_cannot_be_had_is_an_error(table):
    plan = Plan("classification", "label", FEATURES, "sklearn.svm.LinearSVC", metrics=("roc_auc",))
    with pytest.raises(DataError, match="no probabilities"):
        train(table, plan)


WRONG_PLANS = [
    (Plan("forecast", "value", FEATURES), "allowed: classification, regression"),
    (Plan("regression", "value", ("x", "value")), "'value' is the target"),
    (Plan("regression", "value", FEATURES, metrics=("f1",)), "does not fit the task regression"),
    (Plan("regression", "value", FEATURES, "ridge", {"alpha": "lots"}), "'alpha' parameter"),
]


@pytest.mark.parametrize(("plan", "said"), WRONG_PLANS)
def test_a_plan_that_cannot_be_is_refused(plan, said, table):
    with pytest.raises(DeclarationError, match=said):
        train(table, plan)


def test_what_an_algorithm_says_of_the_data_is_not_taken_for_a_wrong_parameter(table):
    plan = Plan("regression", "value", FEATURES, "sklearn.linear_model.PoissonRegressor")
    with pytest.raises(ValueError, match="out of the valid range") as refused:
        train(table, plan)
    assert not isinstance(refused.value, DeclarationError)


WRONG_TABLES = [
    (Plan("regression", "price", FEATURES), {}, "no column 'price'"),
    (Plan("regression", "value", ("z",)), {}, "no column 'z'"),
    (Plan("regression", "value", ("day",)), {}, "it is a time"),
    (NUMBERS, {"value": None}, "0 rows with a value of 'value'"),
    (NUMBERS, {"value": "dear"}, "Unable to parse"),
    (NUMBERS, {"x": np.inf}, "infinite values"),
    (Plan("classification", "value", FEATURES), {}, "use task regression"),
    (CLASSES, {"label": "high"}, "1 different values in 400 rows"),
]


@pytest.mark.parametrize(("plan", "spoil", "said"), WRONG_TABLES)
def test_a_table_that_cannot_be_learnt_from_is_refused(plan, spoil, said, table):
    with pytest.raises(DataError, match=said):
        train(table.assign(**spoil), plan)


def test_one_class_alone_on_the_side_to_learn_from_is_refused(table):
    table["label"] = np.where(table["day"] >= "2024-03-15", "late", "early")
    plan = Plan("classification", "label", FEATURES, split=Split("time", "day", cut="2024-03-15"))
    with pytest.raises(DataError, match="only the class 'early'"):
        train(table, plan)


def test_tidy_columns_turn_mixed_types_into_text_and_numbers():
    frame = pd.DataFrame({"n": ["1", 2, None], "c": [1, "a", None], "left": 0})
    tidy = TidyColumns(["n"], ["c"]).fit_transform(frame)
    assert tidy["n"].tolist()[:2] == [1.0, 2.0]
    assert np.isnan(tidy["n"].iloc[2])
    assert tidy["c"].tolist() == ["1", "a", MISSING]
    with pytest.raises(DataError, match="no column 'n'"):
        TidyColumns(["n"], ["c"]).transform(frame[["c"]])
