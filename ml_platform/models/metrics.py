"""The figures by which models are judged, each a plain function on arrays, and their short names.

What belongs here: one number from actual and predicted values. What does not: cutting data into
training and test rows (`backtest`, `tabular`) or comparing models (`tracking.gate`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ml_platform.kernel.errors import DataError, DeclarationError, closest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Better = Literal["higher", "lower"]
Needs = Literal["values", "labels", "probabilities", "scale", "interval"]


def _pair(
    name: str, actual: "ArrayLike", other: "ArrayLike"
) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Both as flat float arrays of one length, refused when empty or with missing values."""
    one, two = _flat(name, actual), _flat(name, other)
    if len(one) != len(two):
        raise DataError(
            f"metric {name}",
            f"{len(one)} actual values and {len(two)} predicted ones",
            allowed="one prediction for each actual value",
        )
    return one, two


def _flat(name: str, values: "ArrayLike") -> "NDArray[Any]":
    flat = np.asarray(values, dtype=float).ravel()
    if flat.size == 0:
        raise DataError(
            f"metric {name}", "no values", fix="check that the hold-out has rows with a target"
        )
    bad = int((~np.isfinite(flat)).sum())
    if bad:
        raise DataError(
            f"metric {name}",
            f"{bad} of {flat.size} values are missing or infinite",
            allowed="finite numbers",
            fix="leave rows without a target or a prediction out first",
        )
    return flat


def _positive(name: str, what: str, value: float) -> float:
    """A denominator, refused when it is zero."""
    if value > 0:
        return value
    raise DataError(
        f"metric {name}",
        f"{what} is zero, so that nothing can be divided by it",
        fix="use an absolute metric such as mae, or leave these rows out",
    )


def wape(actual: "ArrayLike", forecast: "ArrayLike") -> float:
    """Weighted absolute percentage error: sum of absolute errors / sum of absolute actual values.

    A share (0.05 is five per cent). Hyndman and Athanasopoulos, Forecasting: Principles and
    Practice, 3rd ed., 5.8.

    Raises:
        DataError: nothing to judge, missing values, or actual values that are all zero.
    """
    a, f = _pair("wape", actual, forecast)
    return float(np.abs(a - f).sum() / _positive("wape", "the sum of the actual values", _mass(a)))


def _mass(values: "NDArray[Any]") -> float:
    return float(np.abs(values).sum())


def mae(actual: "ArrayLike", forecast: "ArrayLike") -> float:
    """Mean absolute error, in the target's unit."""
    a, f = _pair("mae", actual, forecast)
    return float(np.abs(a - f).mean())


def rmse(actual: "ArrayLike", forecast: "ArrayLike") -> float:
    """Root of the mean squared error, in the target's unit."""
    a, f = _pair("rmse", actual, forecast)
    return float(np.sqrt(np.square(a - f).mean()))


def r2(actual: "ArrayLike", forecast: "ArrayLike") -> float:
    """Share of the variance explained: 1 is perfect, 0 is as good as the mean.

    Raises:
        DataError: the actual values do not vary.
    """
    a, f = _pair("r2", actual, forecast)
    total = _positive("r2", "the actual values' variance", float(np.square(a - a.mean()).sum()))
    return float(1 - np.square(a - f).sum() / total)


def naive_scale(history: "ArrayLike", season_length: int) -> float:
    """Mean absolute difference between a series and itself one season earlier.

    Args:
        history: one series in order of time, regular steps, NaN where a step has no value.
        season_length: steps in a season; with less history than that the lag is one step.

    Raises:
        DataError: no two values are a lag apart, or they never differ.
    """
    y = np.asarray(history, dtype=float).ravel()
    for lag in (season_length, 1):
        gaps = np.abs(y[lag:] - y[:-lag])
        gaps = gaps[np.isfinite(gaps)]
        if gaps.size:
            return _positive("mase", "the error of the naive forecast", float(gaps.mean()))
    raise DataError(
        "metric mase",
        f"no two values lie {season_length} steps or one step apart",
        fix="give at least two values of history",
    )


def mase(actual: "ArrayLike", forecast: "ArrayLike", scale: "ArrayLike") -> float:
    """Mean absolute scaled error: below 1 is better than last season's values were in training.

    Args:
        actual: what happened.
        forecast: what was said.
        scale: `naive_scale` of the training data; one number, or one for each value.

    Hyndman and Koehler, Another look at measures of forecast accuracy, 2006.

    Raises:
        DataError: a scale is zero.
    """
    a, f = _pair("mase", actual, forecast)
    s = np.broadcast_to(np.asarray(scale, dtype=float), a.shape)
    _positive("mase", "a scale", float(np.nanmin(s)))
    return float((np.abs(a - f) / s).mean())


def pinball(actual: "ArrayLike", quantile_forecast: "ArrayLike", *, quantile: float) -> float:
    """Mean pinball loss of a forecast of one quantile, in the target's unit.

    Koenker and Bassett, Regression quantiles, 1978.

    Raises:
        DeclarationError: `quantile` does not lie between 0 and 1.
    """
    if not 0 < quantile < 1:
        raise DeclarationError("metric pinball", f"quantile {quantile}", allowed="between 0 and 1")
    a, q = _pair("pinball", actual, quantile_forecast)
    return float(np.maximum(quantile * (a - q), (quantile - 1) * (a - q)).mean())


def interval_coverage(actual: "ArrayLike", lower: "ArrayLike", upper: "ArrayLike") -> float:
    """Share of the actual values that lie in their interval, bounds included."""
    a, low = _pair("interval_coverage", actual, lower)
    _, high = _pair("interval_coverage", actual, upper)
    return float(((a >= low) & (a <= high)).mean())


def accuracy(actual: "ArrayLike", predicted: "ArrayLike") -> float:
    """Share of labels that are right."""
    one, two = _labels("accuracy", actual, predicted)
    return float(np.mean(one == two))


def f1(actual: "ArrayLike", predicted: "ArrayLike") -> float:
    """F1 of each class that occurs, averaged with equal weight (macro)."""
    from sklearn.metrics import f1_score

    one, two = _labels("f1", actual, predicted)
    return float(f1_score(one, two, average="macro", zero_division=0))


def _labels(
    name: str, actual: "ArrayLike", other: "ArrayLike"
) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Two label arrays of one length; any type that can be compared."""
    one, two = np.asarray(actual).ravel(), np.asarray(other).ravel()
    if one.size == 0 or one.size != two.size:
        raise DataError(
            f"metric {name}",
            f"{one.size} actual labels and {two.size} predicted ones",
            allowed="at least one label, and one prediction for each",
        )
    return one, two


def roc_auc(actual: "ArrayLike", probabilities: "ArrayLike", classes: "ArrayLike") -> float:
    """Area under the ROC curve; with more than two classes one against the rest, macro average.

    Args:
        actual: labels, n of them.
        probabilities: n x number of classes, columns in the order of `classes`.
        classes: the labels that the columns stand for.

    Raises:
        DataError: the hold-out lacks one of the classes, so that there is no curve.
    """
    from sklearn.metrics import roc_auc_score

    one, shares, names = _judged("roc_auc", actual, probabilities, classes)
    missing = [str(c) for c in names if c not in set(one.tolist())]
    if missing:
        raise DataError(
            "metric roc_auc",
            f"no row of class {', '.join(missing)} in the hold-out",
            fix="hold out more rows, split at random (stratified), or judge by log_loss",
        )
    hits = one[:, None] == names[None, :]
    if len(names) == 2:  # noqa: PLR2004 - two classes have one curve
        return float(roc_auc_score(hits[:, 1], shares[:, 1]))
    return float(np.mean([roc_auc_score(hits[:, k], shares[:, k]) for k in range(len(names))]))


def log_loss(actual: "ArrayLike", probabilities: "ArrayLike", classes: "ArrayLike") -> float:
    """Mean negative logarithm of the probability that the right class was given (natural log).

    Probabilities are kept 1e-15 away from zero, so that one sure mistake is dear but finite.

    Raises:
        DataError: a label that the model has never seen.
    """
    one, shares, names = _judged("log_loss", actual, probabilities, classes)
    hits = one[:, None] == names[None, :]
    if not hits.any(axis=1).all():
        unseen = sorted({str(c) for c in one[~hits.any(axis=1)]})
        raise DataError(
            "metric log_loss",
            f"labels that were not in the training rows: {', '.join(unseen)}",
            allowed=", ".join(map(str, names)),
        )
    return float(-np.log(np.clip(shares[hits], 1e-15, 1.0)).mean())


def _judged(
    name: str, actual: "ArrayLike", probabilities: "ArrayLike", classes: "ArrayLike"
) -> "tuple[NDArray[Any], NDArray[Any], NDArray[Any]]":
    one, names = np.asarray(actual).ravel(), np.asarray(classes).ravel()
    shares = np.asarray(probabilities, dtype=float)
    if one.size == 0 or shares.shape != (one.size, names.size):
        raise DataError(
            f"metric {name}",
            f"{one.size} labels and probabilities of shape {shares.shape}",
            allowed=f"one row a label and {names.size} columns",
        )
    return one, shares, names


@dataclass(frozen=True)
class Metric:
    """A metric by its short name.

    Attributes:
        name: as YAML says it.
        function: its arguments depend on `needs`.
        better: whether a higher or a lower figure is better; None when neither is, so that it can
            be told and cannot judge.
        needs: `values` (actual, forecast), `labels` (actual, predicted), `probabilities` (actual,
            probabilities, classes), `scale` (actual, forecast, scale) or `interval` (actual, lower,
            upper).
        tasks: for which tasks it makes sense.
    """

    name: str
    function: Callable[..., float]
    better: Better | None
    needs: Needs
    tasks: tuple[str, ...]

    @property
    def direction(self) -> Better:
        """Which way is better, of a metric that is to judge.

        Raises:
            DeclarationError: neither way is.
        """
        if self.better is None:
            judges = (
                one.name
                for one in METRICS.values()
                if one.better and set(one.tasks) >= {*self.tasks}
            )
            raise DeclarationError(
                f"metric '{self.name}'",
                "it cannot judge: neither a higher nor a lower figure is better",
                allowed=", ".join(judges),
                fix="judge by one of these, and name it under metrics to be told it",
            )
        return self.better


_NUMBERS, _CLASSES = ("regression", "forecast"), ("classification",)
METRICS: Mapping[str, Metric] = {
    one.name: one
    for one in (
        Metric("wape", wape, "lower", "values", _NUMBERS),
        Metric("mae", mae, "lower", "values", _NUMBERS),
        Metric("rmse", rmse, "lower", "values", _NUMBERS),
        Metric("r2", r2, "higher", "values", ("regression",)),
        Metric("mase", mase, "lower", "scale", ("forecast",)),
        # Wide enough intervals cover everything: the best coverage is the level that was promised.
        Metric("interval_coverage", interval_coverage, None, "interval", ("forecast",)),
        Metric("accuracy", accuracy, "higher", "labels", _CLASSES),
        Metric("f1", f1, "higher", "labels", _CLASSES),
        Metric("roc_auc", roc_auc, "higher", "probabilities", _CLASSES),
        Metric("log_loss", log_loss, "lower", "probabilities", _CLASSES),
    )
}
"""Every metric that a declaration may name; `pinball` is not here as it needs a quantile too."""


def metric(name: str, task: str | None = None) -> Metric:
    """The metric called `name`.

    Raises:
        DeclarationError: there is none of that name, or it does not fit `task`.
    """
    fitting = [one.name for one in METRICS.values() if task is None or task in one.tasks]
    if name in fitting:
        return METRICS[name]
    given = f"it does not fit the task {task}" if name in METRICS else "there is no such metric"
    raise DeclarationError(f"metric '{name}'", given, allowed=closest(name, fitting))
