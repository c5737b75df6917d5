"""Names and parameters become estimators, or a message that says what is allowed."""

import pytest
from sklearn.base import clone

from ml_platform.kernel.errors import DeclarationError
from ml_platform.models.algorithms import TASKS, make_algorithm, make_baseline, short_names


@pytest.mark.parametrize(
    ("task", "name"), [(task, name) for task in TASKS for name in short_names(task)]
)
def test_every_short_name_makes_an_estimator_that_can_be_cloned(task, name):
    made = make_algorithm(name, task)
    assert clone(made).get_params() == made.get_params()


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_baseline(task):
    name = type(make_baseline(task)).__name__
    assert (
        name
        == {
            "classification": "DummyClassifier",
            "regression": "DummyRegressor",
            "forecast": "SeasonalNaive",
        }[task]
    )


def test_an_import_path_makes_the_class_with_its_parameters_and_the_seed():
    made = make_algorithm(
        "sklearn.linear_model.SGDRegressor", "regression", {"alpha": 0.5}, random_state=9
    )
    assert type(made).__name__ == "SGDRegressor"
    assert (made.alpha, made.random_state) == (0.5, 9)


def test_a_seed_among_the_parameters_wins():
    made = make_algorithm("random_forest", "regression", {"random_state": 1}, random_state=9)
    assert made.random_state == 1


def test_parameters_win_over_what_a_short_name_brings():
    assert make_algorithm("logistic_regression", "classification").max_iter == 1000
    given = make_algorithm("logistic_regression", "classification", {"max_iter": 7})
    assert given.max_iter == 7


WRONG = [
    ("random_forrest", "regression", {}, r"random_forest \(did you mean this\?\)"),
    ("ridge", "classification", {}, "no such short name for classification"),
    ("ridge", "ranking", {}, "allowed: classification, regression, forecast"),
    ("ridge", "regression", {"alfa": 1}, r"no parameter 'alfa'\n  allowed: alpha \(did you mean"),
    ("nowhere.to.be.Found", "regression", {}, "No module named 'nowhere'"),
    ("sklearn.linear_model.Rigde", "regression", {}, r"Ridge \(did you mean this\?\)"),
    ("sklearn.linear_model.ridge_regression", "regression", {}, "has no class"),
    ("collections.Counter", "regression", {}, "no fit and no predict and no get_params"),
    ("sklearn.linear_model.Lasso", "classification", {}, "it is made for regression"),
    ("sklearn.svm.SVC", "forecast", {}, "it is made for classification"),
    ("ml_platform.models.forecast.SeasonalNaive", "regression", {}, "it is made for forecast"),
]


@pytest.mark.parametrize(("algorithm", "task", "parameters", "said"), WRONG)
def test_what_does_not_exist_or_fit_is_refused_with_what_is_allowed(
    algorithm, task, parameters, said
):
    with pytest.raises(DeclarationError, match=said):
        make_algorithm(algorithm, task, parameters)
