"""The metrics against figures worked out by hand and the properties that they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.models import metrics

ACTUAL, FORECAST = [10.0, 20.0, 30.0, 40.0], [12.0, 18.0, 33.0, 40.0]

positive = hnp.arrays(float, 12, elements=st.floats(0.1, 1e6))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("wape", 7 / 100), ("mae", 7 / 4), ("rmse", np.sqrt(17 / 4)), ("r2", 1 - 17 / 500)],
)
def test_figures_worked_out_by_hand(name, expected):
    assert metrics.metric(name).function(ACTUAL, FORECAST) == pytest.approx(expected)


def test_mase_divides_by_the_seasonal_naive_error_of_the_history():
    history = [1.0, 5.0, 2.0, 7.0, 4.0, 6.0]  # two steps apart: 1, 2, 2, 1
    assert metrics.naive_scale(history, 2) == pytest.approx(1.5)
    assert metrics.mase(ACTUAL, FORECAST, 1.5) == pytest.approx(1.75 / 1.5)


def test_the_scale_of_less_than_a_season_is_the_error_of_the_last_value():
    assert metrics.naive_scale([1.0, 4.0, 2.0], 52) == pytest.approx(2.5)


def test_gaps_in_the_history_are_left_out_of_the_scale():
    assert metrics.naive_scale([1.0, np.nan, 4.0, 9.0], 2) == pytest.approx(3.0)


@pytest.mark.parametrize("history", [[3.0, 3.0, 3.0], [3.0], [np.nan, 2.0, np.nan]])
def test_a_history_without_changes_has_no_scale(history):
    with pytest.raises(DataError, match="mase"):
        metrics.naive_scale(history, 1)


def test_mase_with_a_scale_of_zero_is_refused():
    with pytest.raises(DataError, match="a scale is zero"):
        metrics.mase(ACTUAL, FORECAST, [1.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("name", ["wape", "mae", "rmse", "r2"])
@pytest.mark.parametrize(
    ("actual", "forecast", "said"),
    [
        ([], [], "no values"),
        ([1.0, 2.0], [1.0], "2 actual values and 1 predicted"),
        ([1.0, np.nan], [1.0, 2.0], "1 of 2 values are missing"),
        ([1.0, 2.0], [1.0, np.inf], "1 of 2 values are missing or infinite"),
    ],
)
def test_what_cannot_be_judged_is_named(name, actual, forecast, said):
    with pytest.raises(DataError, match=said):
        metrics.metric(name).function(actual, forecast)


@pytest.mark.parametrize(
    ("name", "actual", "said"),
    [("wape", [0.0, 0.0], "sum of the actual values is zero"), ("r2", [4.0, 4.0], "variance")],
)
def test_a_zero_denominator_is_an_error_and_no_infinity(name, actual, said):
    with pytest.raises(DataError, match=said):
        metrics.metric(name).function(actual, [1.0, 2.0])


@given(actual=positive, forecast=positive, factor=st.floats(0.01, 100))
def test_wape_does_not_depend_on_the_unit(actual, forecast, factor):
    scaled = metrics.wape(actual * factor, forecast * factor)
    assert scaled == pytest.approx(metrics.wape(actual, forecast), rel=1e-6)


@given(actual=positive, forecast=positive)
def test_rmse_is_never_below_mae(actual, forecast):
    assert metrics.rmse(actual, forecast) >= metrics.mae(actual, forecast) * (1 - 1e-9)


@given(actual=positive, forecast=positive)
def test_pinball_at_the_median_is_half_the_absolute_error(actual, forecast):
    half = metrics.mae(actual, forecast) / 2
    assert metrics.pinball(actual, forecast, quantile=0.5) == pytest.approx(half)


def test_pinball_weighs_a_shortfall_by_the_quantile():
    assert metrics.pinball([10.0], [8.0], quantile=0.9) == pytest.approx(1.8)
    assert metrics.pinball([8.0], [10.0], quantile=0.9) == pytest.approx(0.2)
    with pytest.raises(DeclarationError, match="between 0 and 1"):
        metrics.pinball([1.0], [1.0], quantile=1.0)


def test_coverage_counts_the_bounds_as_inside():
    covered = metrics.interval_coverage([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 3.5, 0.0], [9, 2, 9, 3])
    assert covered == 0.5


def test_labels_are_judged_whatever_their_type():
    actual, said = ["a", "a", "b", "b"], ["a", "b", "b", "b"]
    assert metrics.accuracy(actual, said) == 0.75
    assert metrics.f1(actual, said) == pytest.approx((2 / 3 + 4 / 5) / 2)


@pytest.mark.parametrize("judge", [metrics.accuracy, metrics.f1])
@pytest.mark.parametrize(("actual", "said"), [([], []), (["a"], ["a", "b"])])
def test_labels_that_do_not_pair_up_are_refused(judge, actual, said):
    with pytest.raises(DataError, match="one prediction for each"):
        judge(actual, said)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    shares = np.array([0.1, 0.4, 0.35, 0.8])
    both = np.column_stack([1 - shares, shares])
    assert metrics.roc_auc(["n", "n", "y", "y"], both, ["n", "y"]) == 0.75


def test_auc_of_three_classes_is_the_mean_of_one_against_the_rest():
    sure = np.eye(3)[[0, 1, 2, 0]]
    assert metrics.roc_auc([0, 1, 2, 0], sure, [0, 1, 2]) == 1.0
    assert metrics.roc_auc([1, 2, 0, 1], sure, [0, 1, 2]) < 0.5


def test_auc_names_the_class_that_the_hold_out_lacks():
    with pytest.raises(DataError, match="no row of class y"):
        metrics.roc_auc(["n", "n"], [[0.4, 0.6], [0.5, 0.5]], ["n", "y"])


def test_log_loss_is_dear_but_finite_for_a_sure_mistake():
    assert metrics.log_loss([1, 0], [[0.2, 0.8], [0.5, 0.5]], [0, 1]) == pytest.approx(
        -(np.log(0.8) + np.log(0.5)) / 2
    )
    assert metrics.log_loss([0], [[0.0, 1.0]], [0, 1]) == pytest.approx(-np.log(1e-15))


def test_log_loss_names_labels_that_were_never_seen():
    with pytest.raises(DataError, match="not in the training rows: maybe"):
        metrics.log_loss(["maybe"], [[0.5, 0.5]], ["no", "yes"])


def test_probabilities_of_another_shape_are_refused():
    with pytest.raises(DataError, match="2 columns"):
        metrics.log_loss([0, 1], [[0.5, 0.25, 0.25]] * 2, [0, 1])


@pytest.mark.parametrize(("name", "better"), [("wape", "lower"), ("r2", "higher")])
def test_each_metric_knows_which_way_is_better(name, better):
    assert metrics.metric(name).direction == better


def test_coverage_can_be_told_and_not_judge_as_wide_enough_intervals_cover_all():
    coverage = metrics.metric("interval_coverage", "forecast")
    with pytest.raises(DeclarationError, match="allowed: wape, mae, rmse, mase"):
        _ = coverage.direction


def test_an_unknown_metric_gets_the_likeliest_spelling():
    with pytest.raises(DeclarationError, match=r"wape \(did you mean this\?\)"):
        metrics.metric("wap")


def test_a_metric_of_another_task_is_refused():
    with pytest.raises(DeclarationError, match="does not fit the task classification"):
        metrics.metric("wape", "classification")


def test_every_metric_is_registered_under_its_functions_own_name():
    for name, one in metrics.METRICS.items():
        assert (name, one.function.__name__) == (one.name, name)
