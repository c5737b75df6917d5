"""Guess a missing category by a classifier, where one is asked for by name.

What it sees of a row are the log odds that `evidence` gives each category, the row's numbers, and
the words of its texts where it is one that reads them.
The evidence is learnt from rows that are not hidden, the classifier from rows that are, so what it
learns to trust is worth as much later.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ml_platform.preparation.design import Matrix
from ml_platform.preparation.evidence import Evidence
from ml_platform.preparation.roles import Codes, Numbers, Rows
from ml_platform.preparation.words import said_in

TREES = 400
"""Of all categories together: one is grown for each category in each round."""

_LAYERS = (64,)
_PENALTY = 1.0
"""Of squared weights, beside the loss of all rows: few rows must not learn words by heart."""
_NEIGHBOURS = 15


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier of a category's codes, and what it needs to see a row."""

    evidence: Evidence
    usual: Mapping[str, float]
    texts: tuple[str, ...]
    model: Any

    def predict(self, rows: Rows) -> Codes:
        """The likeliest category of each row."""
        matrix = _matrix(self.evidence, self.usual, self.texts, rows)
        found: Codes = self.model.predict(matrix).astype(np.int64)
        return found


def _matrix(
    evidence: Evidence, usual: Mapping[str, float], texts: tuple[str, ...], rows: Rows
) -> Matrix:
    numbers = [
        np.where(np.isnan(rows.numbers[name]), value, rows.numbers[name])
        for name, value in usual.items()
    ]
    words = said_in({name: rows.texts[name] for name in texts}, rows.count)
    return np.column_stack([evidence.scores(rows), *numbers, words])


class Lesson(NamedTuple):
    """Rows with a hidden category, their true codes, and evidence that was learnt without them."""

    evidence: Evidence
    rows: Rows
    target: Codes


def learn_classifier(method: str, lessons: Sequence[Lesson], seed: int) -> Classifier:
    """Learn from hidden rows.

    Args:
        method: logistic, knn, boosted or neural.
        lessons: of which the evidence of the first is what later rows are told by; what texts say
            is learnt of too, where rows have some.
        seed: of what is random in it.
    """
    rows = lessons[0].rows
    usual = {name: _usual(values) for name, values in rows.numbers.items()}
    texts = tuple(rows.texts)
    matrix = np.concatenate([_matrix(one.evidence, usual, texts, one.rows) for one in lessons])
    target = np.concatenate([one.target for one in lessons])
    model = MODELS[method](target, seed)
    with warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning

        # It is stopped early on purpose; whether it is good enough is measured afterwards.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        model.fit(matrix, target)
    return Classifier(lessons[0].evidence, usual, texts, model)


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
    return _scaled(MLPClassifier(_LAYERS, max_iter=60, random_state=seed, alpha=_PENALTY))


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
