"""Classification and regression on a table: splitting, preparing columns, fitting and judging.

What belongs here: one row an example, features and target in columns. What does not: time series
(`forecast`), naming algorithms (`algorithms`) and keeping what came out (`tracking`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.base import (  # noqa: TID253 - base classes are needed while defining
    BaseEstimator,
    TransformerMixin,
)

from ml_platform.kernel.errors import DataError, DeclarationError, closest
from ml_platform.models import metrics as figures
from ml_platform.models.algorithms import make_algorithm, make_baseline

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

MISSING = "(missing)"
"""What stands for a category that is missing."""

USUAL_METRICS: Mapping[str, tuple[str, ...]] = {
    "classification": ("accuracy", "f1", "roc_auc", "log_loss"),
    "regression": ("mae", "rmse", "r2", "wape"),
}


@dataclass(frozen=True)
class Split:
    """Which rows are held out to judge by.

    Attributes:
        by: `time` (the latest rows), `group` (no group on both sides) or `random` (with each
            class in proportion, for classification).
        column: the column of the time or the group; empty for `random`.
        share: about which share of the rows is held out, between 0 and 1.
        cut: for `time`, the first time that is held out, in place of a share.
    """

    by: Literal["time", "group", "random"] = "random"
    column: str = ""
    share: float = 0.2
    cut: Any = None

    def check(self) -> None:
        """Refuse a split that says nothing possible.

        Raises:
            DeclarationError: see the message.
        """
        if self.by not in {"time", "group", "random"}:
            raise DeclarationError("split", f"by '{self.by}'", allowed="time, group, random")
        if (self.by == "random") == bool(self.column):
            raise DeclarationError(
                "split",
                f"by {self.by} with column '{self.column}'",
                allowed="a column for time and group, none for random",
            )
        if not 0 < self.share < 1:
            raise DeclarationError("split", f"share {self.share}", allowed="between 0 and 1")
        if self.cut is not None and self.by != "time":
            raise DeclarationError("split", f"cut {self.cut} by {self.by}", allowed="only by time")

    def held_out(
        self, frame: "pd.DataFrame", target: "pd.Series[Any]", task: str, random_state: int
    ) -> "Mask":
        """A mask of the rows of `frame` that are held out.

        Raises:
            DataError: one side would be empty, or a class has too few rows for both sides.
        """
        self.check()
        if self.by == "time":
            mask = self._latest(_column(frame, self.column))
        elif self.by == "group":
            mask = self._groups(_column(frame, self.column), random_state)
        else:
            mask = self._random(target, task, random_state)
        if mask.all() or not mask.any():
            raise DataError(
                f"split by {self.by}",
                f"{int(mask.sum())} of {len(mask)} rows would be held out",
                allowed="some rows to learn from and some to judge by",
                fix="change share or cut",
            )
        return mask

    def _latest(self, times: "pd.Series[Any]") -> "Mask":
        """Rows from the cut on; rows of one time are never torn apart."""
        import pandas as pd

        cut = self.cut
        if cut is None:
            ordered = times.sort_values()
            place = min(int(np.ceil(len(ordered) * (1 - self.share))), len(ordered) - 1)
            later = ordered[ordered > ordered.iloc[0]]
            # The first time can be most of the table; something has to be left to learn from.
            cut = max(ordered.iloc[place], later.iloc[0]) if len(later) else ordered.iloc[0]
        elif times.dtype.kind == "M":
            cut = pd.Timestamp(cut)
            cut = cut.tz_localize(times.dt.tz) if cut.tz is None and times.dt.tz else cut
        return np.asarray(times >= cut, dtype=bool)

    def _groups(self, groups: "pd.Series[Any]", random_state: int) -> "Mask":
        """Groups in random order until their rows make up the share; one is left to learn from."""
        sizes = groups.value_counts().sort_index()
        order = np.random.default_rng(random_state).permutation(len(sizes))
        before = sizes.to_numpy()[order].cumsum() - sizes.to_numpy()[order]
        taken = order[: max(1, int((before < self.share * len(groups)).sum()))][: len(sizes) - 1]
        return np.asarray(groups.isin(sizes.index[taken]), dtype=bool)

    def _random(self, target: "pd.Series[Any]", task: str, random_state: int) -> "Mask":
        from sklearn.model_selection import train_test_split

        classes = target if task == "classification" else None
        if classes is not None:
            self._check_classes(classes)
        places = np.arange(len(target))
        _, held = train_test_split(
            places, test_size=self.share, random_state=random_state, stratify=classes
        )
        return np.isin(places, held)

    def _check_classes(self, classes: "pd.Series[Any]") -> None:
        sizes = classes.value_counts()
        room = min(int(len(classes) * self.share), int(len(classes) * (1 - self.share)))
        if sizes.min() < 2 or room < len(sizes):  # noqa: PLR2004 - one row for each side
            raise DataError(
                "split by random",
                f"class '{sizes.index[-1]}' has {sizes.min()} of {len(classes)} rows and "
                f"there are {len(sizes)} classes",
                allowed="at least two rows a class and a row of each on both sides",
                fix="merge rare classes, or split by time or group",
            )


def _column(frame: "pd.DataFrame", name: str) -> "pd.Series[Any]":
    """A column whose every row has a value."""
    if name not in frame:
        raise DataError(
            "split", f"no column '{name}'", allowed=closest(name, [str(c) for c in frame.columns])
        )
    missing = int(frame[name].isna().sum())
    if missing:
        raise DataError("split", f"column '{name}' has no value in {missing} rows")
    return frame[name]


class TidyColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """The first step of every pipeline: the declared columns, as floats and as text.

    Args:
        numeric: columns of numbers or true/false; missing values become NaN.
        categorical: columns that become text; missing values become `MISSING`.
    """

    def __init__(self, numeric: Sequence[str] = (), categorical: Sequence[str] = ()) -> None:
        self.numeric, self.categorical = numeric, categorical

    def fit(self, frame: "pd.DataFrame", _target: Any = None) -> Self:
        """Nothing is learnt; the columns are looked for."""
        self.transform(frame)
        self.n_features_in_ = len(self.numeric) + len(self.categorical)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Nothing is learnt, so it can always transform."""
        return True

    def transform(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Rows x (numeric, then categorical).

        Raises:
            DataError: a column is missing, or one of numbers holds something else.
        """
        have = [str(name) for name in frame.columns]
        for name in (*self.numeric, *self.categorical):
            if name not in have:
                raise DataError("features", f"no column '{name}'", allowed=closest(name, have))
        tidy: dict[str, Any] = {name: _floats(frame[name]) for name in self.numeric}
        tidy |= {name: _texts(frame[name]) for name in self.categorical}
        import pandas as pd

        return pd.DataFrame(tidy, index=frame.index)


def _floats(column: "pd.Series[Any]") -> "NDArray[np.float64]":
    import pandas as pd

    try:
        values = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise DataError(f"feature '{column.name}'", str(error), allowed="numbers") from error
    if np.isinf(values).any():
        raise DataError(f"feature '{column.name}'", "infinite values", allowed="numbers")
    return np.asarray(values, dtype=float)


def _texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column.astype(object).where(column.notna(), MISSING).map(str)


def make_pipeline(frame: "pd.DataFrame", features: Sequence[str], estimator: Any) -> Any:
    """The default preparation before `estimator`, as one scikit-learn Pipeline.

    Numbers: the median for what is missing, a column that says so, mean 0 and deviation 1.
    Categories: one column each, those rarer than the 50 commonest together, unknown ones like them.

    Args:
        frame: decides by its types which features are numbers.
        features: the columns to use.
        estimator: the last step.

    Raises:
        DataError: a feature is missing from the frame or is a time.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric, categorical = _kinds(frame, features)
    numbers = Pipeline(
        [
            (
                "fill",
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            ),
            ("scale", StandardScaler()),
        ]
    )
    categories = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False
    )
    parts = [("numbers", numbers, numeric), ("categories", categories, categorical)]
    used = [part for part in parts if part[2]]
    return Pipeline(
        [
            ("tidy", TidyColumns(numeric, categorical)),
            ("prepare", ColumnTransformer(used)),
            ("model", estimator),
        ]
    )


class NumbersOnly(TransformerMixin, BaseEstimator):  # type: ignore[misc] # as above
    """What a preparation leaves that no model can use: texts and times go, numbers stay.

    Attributes:
        left_out_: the columns that went.
    """

    def fit(self, frame: "pd.DataFrame", _target: Any = None) -> Self:
        """Note which columns are numbers.

        Raises:
            DataError: none is.
        """
        self.numbers_ = [str(name) for name in frame if frame[name].dtype.kind in "biuf"]
        self.left_out_ = [str(name) for name in frame if name not in self.numbers_]
        if not self.numbers_:
            raise DataError(
                "features",
                f"the preparation leaves no numbers, only {', '.join(self.left_out_) or 'nothing'}",
                fix="let it encode categories, take dates apart, or make numbers of texts",
            )
        return self

    def transform(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Rows x the columns of numbers."""
        return frame[self.numbers_]


def make_prepared_pipeline(estimator: Any, options: Mapping[str, Any]) -> Any:
    """An automatic preparation before `estimator`, as one scikit-learn Pipeline.

    The preparation learns from the rows that the pipeline is fitted on. Gaps that it is told to
    leave get the median and a column that says so; all is scaled to mean 0 and deviation 1.

    Args:
        estimator: the last step.
        options: of `AutoPrepare`.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from ml_platform.preparation.transformer import AutoPrepare

    fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return Pipeline(
        [
            ("prepare", AutoPrepare(**options)),
            ("numbers", NumbersOnly()),
            ("fill", fill),
            ("scale", StandardScaler()),
            ("model", estimator),
        ]
    )


def _kinds(frame: "pd.DataFrame", features: Sequence[str]) -> tuple[list[str], list[str]]:
    """The features that are numbers, and those that are categories."""
    _check_there(frame, features)
    numeric: list[str] = []
    categorical: list[str] = []
    for name in features:
        kind = frame[name].dtype.kind
        if kind in "mM":
            raise DataError(
                f"feature '{name}'",
                f"it is a time ({frame[name].dtype})",
                allowed="numbers, true/false or categories",
                fix="make numbers of it in the features table, such as hour or age in days, or "
                "let `prepare: auto` take it apart",
            )
        (numeric if kind in "biuf" else categorical).append(name)
    return numeric, categorical


def _check_there(frame: "pd.DataFrame", features: Sequence[str]) -> None:
    have = [str(name) for name in frame.columns]
    if not features:
        raise DeclarationError("features", "none", allowed="at least one column")
    for name in features:
        if name not in have:
            raise DataError("features", f"no column '{name}'", allowed=closest(name, have))


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes:
        model: the fitted pipeline, from raw feature columns to predictions.
        baseline: the fitted baseline, a pipeline of the same shape.
        metrics: the model's figures on the held-out rows.
        baseline_metrics: the baseline's on the same rows.
        predictions: the held-out rows' `actual`, `predicted`, `baseline` and, for classes, a
            column `probability_<class>` each; the index is the table's.
        train_rows: how many rows were learnt from.
        features: the columns, in the order in which the model was given them.
        notes: what was left out and why, as sentences.
    """

    model: Any
    baseline: Any
    metrics: dict[str, float]
    baseline_metrics: dict[str, float]
    predictions: "pd.DataFrame"
    train_rows: int
    features: list[str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What to train.

    Attributes:
        task: `classification` or `regression`.
        target: the column to predict.
        features: the columns to predict from; empty for all but the target and the split's column.
        algorithm: see `algorithms.make_algorithm`.
        parameters: the algorithm's.
        split: which rows judge.
        metrics: by short name; empty for the task's usual ones.
        random_state: the seed of the split and the algorithm.
        prepare: options of `AutoPrepare`, which then is the first step of the pipeline; None for
            the plain preparation of `make_pipeline`.
    """

    task: Literal["classification", "regression"]
    target: str
    features: tuple[str, ...] = ()
    algorithm: str = "hist_gradient_boosting"
    parameters: Mapping[str, Any] | None = None
    split: Split = Split()
    metrics: tuple[str, ...] = ()
    random_state: int = 0
    prepare: Mapping[str, Any] | None = None

    def pipeline(self, rows: "pd.DataFrame", features: list[str], estimator: Any) -> Any:
        """The estimator behind the preparation that is asked for, not fitted yet."""
        if self.prepare is None:
            return make_pipeline(rows, features, estimator)
        _check_there(rows, features)
        options = {"random_state": self.random_state, **self.prepare}
        return make_prepared_pipeline(estimator, options)

    def baseline(self, rows: "pd.DataFrame", features: list[str]) -> Any:
        """What the model has to beat; it looks at no feature, so none is prepared at length."""
        from sklearn.pipeline import Pipeline

        baseline = make_baseline(self.task)
        if self.prepare is None:
            return make_pipeline(rows, features, baseline)
        return Pipeline([("model", baseline)])

    def columns(self, frame: "pd.DataFrame") -> list[str]:
        """The features' names."""
        if self.target in self.features:
            raise DeclarationError("features", f"'{self.target}' is the target", fix="take it out")
        rest = (str(c) for c in frame.columns if c not in {self.target, self.split.column})
        return list(self.features or rest)


def train(frame: "pd.DataFrame", plan: Plan) -> Trained:
    """Fit the plan's algorithm and the baseline on one side of the split, judge on the other.

    Raises:
        DeclarationError: the plan names something that does not exist or does not fit.
        DataError: the table cannot be learnt from as the plan says.
    """
    if plan.task not in USUAL_METRICS:
        raise DeclarationError("task", f"'{plan.task}'", allowed="classification, regression")
    judges = [figures.metric(name, plan.task) for name in plan.metrics]
    seed = plan.random_state
    estimator = make_algorithm(plan.algorithm, plan.task, plan.parameters, random_state=seed)
    rows, notes = _with_target(frame, plan)
    held = plan.split.held_out(rows, rows[plan.target], plan.task, seed)
    features = plan.columns(rows)
    learning = rows[~held]
    both = (plan.pipeline(learning, features, estimator), plan.baseline(learning, features))
    fitted = [_fit(one, learning, features, plan) for one in both]
    said = [_say(one, rows.loc[held, features], plan) for one in fitted]
    actual = rows.loc[held, plan.target].to_numpy()
    judged = [_judge(one, actual, judges, plan.task) for one in said]
    notes += [*_left_out(fitted[0]), *(note for _, some in judged for note in some)]
    return Trained(
        model=fitted[0],
        baseline=fitted[1],
        metrics=judged[0][0],
        baseline_metrics=judged[1][0],
        predictions=_table(rows.index[held], actual, *said),
        train_rows=int((~held).sum()),
        features=features,
        notes=tuple(dict.fromkeys(notes)),
    )


def _left_out(pipeline: Any) -> list[str]:
    """What the preparation left that no model can use, as a sentence."""
    names = pipeline["numbers"].left_out_ if "numbers" in pipeline.named_steps else []
    return [f"Not learnt from, for they are no numbers: {', '.join(names)}."] if names else []


@dataclass(frozen=True)
class Said:
    """A fitted pipeline's predictions; probabilities (rows x classes) where it gives them."""

    predicted: "NDArray[Any]"
    probabilities: "NDArray[np.float64] | None" = None
    classes: "NDArray[Any] | None" = None


def _with_target(frame: "pd.DataFrame", plan: Plan) -> "tuple[pd.DataFrame, list[str]]":
    """The rows whose target is known, the target as numbers or as classes."""
    have = [str(name) for name in frame.columns]
    if plan.target not in have:
        raise DataError("target", f"no column '{plan.target}'", allowed=closest(plan.target, have))
    rows = frame[frame[plan.target].notna()]
    if len(rows) < 2:  # noqa: PLR2004 - one for each side
        raise DataError(
            "target", f"{len(rows)} rows with a value of '{plan.target}'", allowed="at least two"
        )
    left_out = len(frame) - len(rows)
    notes = [f"{left_out} rows without '{plan.target}' were left out."] if left_out else []
    tidy = _classes if plan.task == "classification" else _floats
    return rows.assign(**{plan.target: tidy(rows[plan.target])}), notes


def _classes(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Labels as whole numbers, true/false or text."""
    count = column.nunique()
    if count < 2 or count > len(column) / 2:  # noqa: PLR2004 - two classes to tell apart
        raise DataError(
            f"target '{column.name}'",
            f"{count} different values in {len(column)} rows",
            allowed="at least two classes, and two rows a class on average",
            fix="use task regression for a quantity",
        )
    if column.dtype.kind == "f" and (column % 1 == 0).all():
        return column.astype("int64")
    return column.astype(column.dtype.type) if column.dtype.kind in "biu" else column.map(str)


def _fit(pipeline: Any, rows: "pd.DataFrame", features: list[str], plan: Plan) -> Any:
    target = rows[plan.target]
    if plan.task == "classification" and target.nunique() < 2:  # noqa: PLR2004 - as in _classes
        raise DataError(
            f"target '{plan.target}'",
            f"the rows to learn from have only the class '{target.iloc[0]}'",
            fix="split in another way, or hold out fewer rows",
        )
    try:
        return pipeline.fit(rows[features], target.to_numpy())
    except ValueError as error:
        # scikit-learn's class for a wrong parameter has no public place to import it from.
        if type(error).__name__ != "InvalidParameterError":
            raise
        raise DeclarationError(f"algorithm '{plan.algorithm}'", str(error)) from error


def _say(pipeline: Any, rows: "pd.DataFrame", plan: Plan) -> Said:
    predicted = np.asarray(pipeline.predict(rows))
    if plan.task != "classification" or not hasattr(pipeline, "predict_proba"):
        return Said(predicted)
    return Said(predicted, np.asarray(pipeline.predict_proba(rows)), np.asarray(pipeline.classes_))


def _judge(
    said: Said, actual: "NDArray[Any]", judges: Sequence[figures.Metric], task: str
) -> tuple[dict[str, float], list[str]]:
    """The figures, and what could not be judged: an error when it was asked for, else a note."""
    found, notes = {}, []
    for judge in judges or [figures.metric(name, task) for name in USUAL_METRICS[task]]:
        try:
            found[judge.name] = _figure(judge, said, actual)
        except DataError as error:
            if judges:
                raise
            notes.append(f"{judge.name} was left out: {error.given}.")
    return found, notes


def _figure(judge: figures.Metric, said: Said, actual: "NDArray[Any]") -> float:
    if judge.needs != "probabilities":
        return judge.function(actual, said.predicted)
    if said.probabilities is None:
        raise DataError(f"metric {judge.name}", "the algorithm gives no probabilities")
    return judge.function(actual, said.probabilities, said.classes)


def _table(
    index: "pd.Index[Any]", actual: "NDArray[Any]", said: Said, naive: Said
) -> "pd.DataFrame":
    import pandas as pd

    columns: dict[str, Any] = {
        "actual": actual,
        "predicted": said.predicted,
        "baseline": naive.predicted,
    }
    if said.probabilities is not None and said.classes is not None:
        names = (f"probability_{one}" for one in said.classes)
        columns |= dict(zip(names, said.probabilities.T, strict=True))
    return pd.DataFrame(columns, index=index)
