"""From a name in YAML to an estimator: short names, import paths, parameters, and baselines.

What belongs here: which algorithms have a short name, and saying clearly what is wrong with a name
or a parameter. What does not: preparing columns and fitting (`tabular`, `forecast`).
"""

import importlib
from collections.abc import Mapping
from typing import Any, Literal

from ml_platform.kernel.errors import DeclarationError, closest

Task = Literal["classification", "regression", "forecast"]
TASKS: tuple[Task, ...] = ("classification", "regression", "forecast")

_OWN = "ml_platform.models.forecast"
_PATHS: Mapping[str, Mapping[str, str]] = {
    "classification": {
        "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
        "random_forest": "sklearn.ensemble.RandomForestClassifier",
        "extra_trees": "sklearn.ensemble.ExtraTreesClassifier",
        "decision_tree": "sklearn.tree.DecisionTreeClassifier",
        "logistic_regression": "sklearn.linear_model.LogisticRegression",
        "k_nearest_neighbors": "sklearn.neighbors.KNeighborsClassifier",
        "dummy": "sklearn.dummy.DummyClassifier",
    },
    "regression": {
        "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingRegressor",
        "random_forest": "sklearn.ensemble.RandomForestRegressor",
        "extra_trees": "sklearn.ensemble.ExtraTreesRegressor",
        "decision_tree": "sklearn.tree.DecisionTreeRegressor",
        "linear_regression": "sklearn.linear_model.LinearRegression",
        "ridge": "sklearn.linear_model.Ridge",
        "k_nearest_neighbors": "sklearn.neighbors.KNeighborsRegressor",
        "dummy": "sklearn.dummy.DummyRegressor",
    },
    "forecast": {
        "global_forecaster": f"{_OWN}.GlobalForecaster",
        "boosted_forecaster": "ml_platform.models.boosted.BoostedForecaster",
        "harmonic_regression": "ml_platform.models.harmonic.HarmonicRegression",
        "prophet": "ml_platform.models.prophet.ProphetForecaster",
        "seasonal_naive": f"{_OWN}.SeasonalNaive",
    },
}
_USUAL: Mapping[str, Mapping[str, Any]] = {
    # scikit-learn's 100 iterations end too early on tables with many one-hot columns.
    "logistic_regression": {"max_iter": 1000},
}
_BASELINES: Mapping[str, str] = {
    "classification": "dummy",
    "regression": "dummy",
    "forecast": "seasonal_naive",
}


def short_names(task: str) -> list[str]:
    """The short names that `task` knows.

    Raises:
        DeclarationError: there is no such task.
    """
    if task not in _PATHS:
        raise DeclarationError(
            f"task '{task}'", "there is no such task", allowed=closest(task, list(TASKS))
        )
    return sorted(_PATHS[task])


def make_algorithm(
    algorithm: str,
    task: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    random_state: int = 0,
) -> Any:
    """An estimator, not fitted yet.

    Args:
        algorithm: a short name, or the import path of a class of scikit-learn's shape.
        task: `classification`, `regression` or `forecast`.
        parameters: what its constructor takes; the rest has the estimator's own defaults.
        random_state: the seed, where the estimator takes one and `parameters` gives none.

    Raises:
        DeclarationError: an unknown name, task or parameter, or a class that does not fit.
    """
    known = short_names(task)
    path = _PATHS[task].get(algorithm, algorithm)
    if "." not in path:
        raise DeclarationError(
            f"algorithm '{algorithm}'",
            f"there is no such short name for {task}",
            allowed=closest(algorithm, known),
            fix="use one of these, or an import path such as sklearn.linear_model.Lasso",
        )
    kind = _class_at(path)
    _check_kind(kind, path, task)
    given = {**_USUAL.get(algorithm, {}), **(parameters or {})}
    allowed = _allowed(kind)
    for name in given:
        if name not in allowed:
            raise DeclarationError(
                f"algorithm '{algorithm}'",
                f"it has no parameter '{name}'",
                allowed=closest(str(name), allowed) or "no parameters at all",
            )
    seed = {"random_state": random_state} if "random_state" in allowed else {}
    return kind(**{**seed, **given})


def make_baseline(task: str, **parameters: Any) -> Any:
    """What a model has to beat: the commonest class, the mean, or the same step last season."""
    short_names(task)
    return make_algorithm(_BASELINES[task], task, parameters)


def _class_at(path: str) -> type[Any]:
    """The class that an import path names."""
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise DeclarationError(
            f"algorithm '{path}'",
            f"importing {module_name} says: {error}",
            fix="install the package that has it, or correct the path",
        ) from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise DeclarationError(
            f"algorithm '{path}'",
            f"{module_name} has no class '{name}'",
            allowed=closest(name, sorted(one for one in classes if not one.startswith("_"))),
        )
    return found


def _check_kind(kind: type[Any], path: str, task: str) -> None:
    """Refuse what has not scikit-learn's shape or is made for another task."""
    lacking = [one for one in ("fit", "predict", "get_params") if not hasattr(kind, one)]
    if lacking:
        raise DeclarationError(
            f"algorithm '{path}'",
            f"the class has no {' and no '.join(lacking)}",
            allowed="a class of scikit-learn's shape",
        )
    made_for = _task_of(kind)
    if made_for not in {task, None}:
        raise DeclarationError(
            f"algorithm '{path}'", f"it is made for {made_for}", allowed=f"one made for {task}"
        )


def _task_of(kind: type[Any]) -> str | None:
    """The task that a class is made for, by its mixins or its parameters; None when unknown."""
    from sklearn.base import ClassifierMixin, RegressorMixin

    if issubclass(kind, ClassifierMixin):
        return "classification"
    if issubclass(kind, RegressorMixin):
        return "regression"
    return "forecast" if {"series", "time", "horizon"} <= set(_allowed(kind)) else None


def _allowed(kind: type[Any]) -> list[str]:
    """The names of a class's constructor parameters."""
    import inspect

    signature = inspect.signature(kind.__init__)
    named = (
        p.name
        for p in signature.parameters.values()
        if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}
    )
    return sorted(name for name in named if name != "self")
