"""Estimators of one number from its design's matrix: linear, boosted, nearest, neural.

Each is learnt by `learn(matrix, target, clues, seed)` and answers `predict(matrix)`. The heavier
ones stand on the linear one: they learn what it leaves, which needs a fraction of the trees.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ml_platform.preparation.closed_form import ClosedForm, learn_closed_form
from ml_platform.preparation.design import Matrix
from ml_platform.preparation.masks import Masks, masks_of
from ml_platform.preparation.roles import Numbers

TREES = 80
_BOOSTING: Mapping[str, Any] = {
    "objective": "regression",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.4,
    "lambda_l2": 1.0,
    "max_bin": 127,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_NEIGHBOURS = 5
_LAYERS = (64, 32)
_ROWS_TO_STOP_BY = 100
_FEW_ROWS = 1_000


class Estimator(Protocol):
    """What has learnt to estimate a target."""

    def predict(self, matrix: Matrix) -> Numbers:
        """The estimate of each row of a design's matrix."""
        ...


@dataclass(frozen=True)
class OnTopOfLinear:
    """The linear estimate, and what `rest` learnt of its errors."""

    linear: ClosedForm
    rest: Any
    plain: Callable[[Matrix], Matrix]

    def predict(self, matrix: Matrix) -> Numbers:
        """The estimate of each row of a design's matrix."""
        first = self.linear.predict(matrix)
        more = self.rest.predict(self.plain(_beside(matrix, first)))
        found: Numbers = np.minimum(np.maximum(first + more, self.linear.low), self.linear.high)
        return found


@dataclass(frozen=True)
class Trees:
    """LightGBM's trees; a row alone is scored by their masks, to the same sum."""

    booster: Any

    def predict(self, matrix: Matrix) -> Numbers:
        """The estimate of each row."""
        if len(matrix) == 1:
            return self._masks.of_row(matrix[0])
        # To wake other threads takes as long as eight rows do.
        threads = {"num_threads": 1} if len(matrix) < _FEW_ROWS else {}
        found: Numbers = self.booster.predict(matrix, **threads)
        return found

    def __getstate__(self) -> dict[str, Any]:
        """The booster alone: masks are made again where a row comes alone."""
        return {"booster": self.booster}

    @cached_property
    def _masks(self) -> Masks:
        return masks_of(self.booster)


def _beside(matrix: Matrix, first: Numbers) -> Matrix:
    """The matrix with one more column, each in one piece."""
    if len(matrix) == 1:
        return np.append(matrix[0], first)[None]
    found = np.empty((matrix.shape[1] + 1, len(matrix))).T
    found[:, :-1], found[:, -1] = matrix, first
    return found


def _as_it_is(matrix: Matrix) -> Matrix:
    return matrix


def _without_gaps(matrix: Matrix) -> Matrix:
    """A missing clue says nothing: no deviation."""
    return np.nan_to_num(matrix, nan=0.0)


def learn_boosted(
    matrix: Matrix, target: Numbers, clues: int, seed: int, trees: int = TREES
) -> OnTopOfLinear:
    """Gradient-boosted trees (LightGBM) on what the linear estimate leaves."""
    import lightgbm

    linear = learn_closed_form(matrix, target, clues)
    first = linear.predict(matrix)
    data = lightgbm.Dataset(
        _beside(matrix, first), target - first, params={"max_bin": _BOOSTING["max_bin"]}
    )
    options = {**_BOOSTING, "seed": seed, "min_data_in_leaf": min(20, max(len(target) // 50, 2))}
    return OnTopOfLinear(linear, Trees(lightgbm.train(options, data, trees)), _as_it_is)


def learn_nearest(matrix: Matrix, target: Numbers, clues: int, seed: int) -> OnTopOfLinear:
    """The mean error of the linear estimate at the five rows most alike (scikit-learn)."""
    from sklearn.neighbors import KNeighborsRegressor

    del seed
    near = KNeighborsRegressor(n_neighbors=min(_NEIGHBOURS, len(target)), weights="distance")
    return _scaled_on_top(near, matrix, target, clues)


def learn_neural(matrix: Matrix, target: Numbers, clues: int, seed: int) -> OnTopOfLinear:
    """A network of two layers (scikit-learn) on what the linear estimate leaves."""
    from sklearn.neural_network import MLPRegressor

    network = MLPRegressor(
        hidden_layer_sizes=_LAYERS,
        early_stopping=len(target) >= _ROWS_TO_STOP_BY,
        max_iter=60,
        random_state=seed,
        alpha=1e-3,
    )
    return _scaled_on_top(network, matrix, target, clues)


def _scaled_on_top(model: Any, matrix: Matrix, target: Numbers, clues: int) -> OnTopOfLinear:
    """Learn on columns of one scale, and a target of scale 1, which networks need."""
    import warnings

    from sklearn.compose import TransformedTargetRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear = learn_closed_form(matrix, target, clues)
    first = linear.predict(matrix)
    pipeline = make_pipeline(
        StandardScaler(), TransformedTargetRegressor(model, transformer=StandardScaler())
    )
    with warnings.catch_warnings():
        # It is stopped early on purpose; whether it is good enough is measured afterwards.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(_without_gaps(_beside(matrix, first)), target - first)
    return OnTopOfLinear(linear, pipeline, _without_gaps)


def _learn_linear(matrix: Matrix, target: Numbers, clues: int, seed: int) -> ClosedForm:
    del seed
    return learn_closed_form(matrix, target, clues)


LEARN: Mapping[str, Callable[[Matrix, Numbers, int, int], Estimator]] = {
    "linear": _learn_linear,
    "boosted": learn_boosted,
    "knn": learn_nearest,
    "neural": learn_neural,
}
"""The estimators by the name that a declaration gives them."""
