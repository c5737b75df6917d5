"""Guess a missing category by a classifier, where one is asked for by name.

What it sees of a row are the log odds that `evidence` gives each category, and the row's numbers.
The evidence is learnt from rows that are not hidden, the classifier from rows that are, so what it
learns to trust is worth as much later.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_platform.preparation.design import Matrix
from ml_platform.preparation.evidence import Evidence
from ml_platform.preparation.roles import Codes, Numbers, Rows

TREES = 400
"""Of all categories together: one is grown for each category in each round."""

_LAYERS = (64,)
_NEIGHBOURS = 15


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier of a category's codes, and what it needs to see a row."""

    evidence: Evidence
    usual: Mapping[str, float]
    model: Any

    def predict(self, rows: Rows) -> Codes:
        """The likeliest category of each row."""
        found: Codes = self.model.predict(_matrix(self.evidence, self.usual, rows)).astype(np.int64)
        return found


def _matrix(evidence: Evidence, usual: Mapping[str, float], rows: Rows) -> Matrix:
    numbers = [
        np.where(np.isnan(rows.numbers[name]), value, rows.numbers[name])
        for name, value in usual.items()
    ]
    return np.column_stack([evidence.scores(rows), *numbers])


def learn_classifier(
    method: str, evidence: Evidence, rows: Rows, target: Codes, seed: int
) -> Classifier:
    """Learn from hidden rows; `evidence` was learnt without them.

    Args:
        method: logistic, knn, boosted or neural.
        evidence: of the keys that were chosen.
        rows: the hidden rows.
        target: their true codes.
        seed: of what is random in it.
    """
    usual = {name: _usual(values) for name, values in rows.numbers.items()}
    model = MODELS[method](target, seed)
    with warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning

        # It is stopped early on purpose; whether it is good enough is measured afterwards.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        model.fit(_matrix(evidence, usual, rows), target)
    return Classifier(evidence, usual, model)


def _usual(values: Numbers) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def _logistic(target: Codes, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    del target
    return _scaled(LogisticRegression(max_iter=200, random_state=seed))


def _nearest(target: Codes, seed: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    del seed
    return _scaled(KNeighborsClassifier(min(_NEIGHBOURS, len(target)), weights="distance"))


def _boosted(target: Codes, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rounds = min(max(TREES // len(np.unique(target)), 4), 60)
    return HistGradientBoostingClassifier(
        max_iter=rounds, max_leaf_nodes=15, early_stopping=False, random_state=seed
    )


def _neural(target: Codes, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    del target
    # Not stopped early: that sets rows of each level aside, and rare levels have none to spare.
    return _scaled(MLPClassifier(_LAYERS, max_iter=60, random_state=seed))


def _scaled(model: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model)


MODELS: Mapping[str, Callable[[Codes, int], Any]] = {
    "logistic": _logistic,
    "knn": _nearest,
    "boosted": _boosted,
    "neural": _neural,
}
"""The classifiers by the name that a declaration gives them."""
