"""From an order to a registered model: train, judge against baseline and champion, keep.

What belongs here: the way from a table and an order to a verdict. What does not: how a model learns
(`tabular`, `forecast`), is judged (`backtest`, `metrics`) or kept (`tracking`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ml_platform.kernel.errors import DataError, DeclarationError, NotFoundError, closest
from ml_platform.models.algorithms import make_algorithm
from ml_platform.models.backtest import Backtest, backtest
from ml_platform.models.metrics import metric
from ml_platform.models.tabular import USUAL_METRICS, Plan, Split, train
from ml_platform.models.tracking import (
    Champion,
    Recorded,
    Training,
    Verdict,
    find_champion,
    gate,
    record,
)

if TYPE_CHECKING:
    import pandas as pd

    from ml_platform.preparation.receipt import Receipt

Tell = Callable[[str], None]

USUAL_ALGORITHM = {"forecast": "global_forecaster"}
USUAL_JUDGE = {"forecast": "wape", "classification": "log_loss", "regression": "rmse"}
FORECAST_METRICS = ("wape", "mase", "mae", "rmse", "interval_coverage")
EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Order:
    """What to train; the fields are those of the component `Model`."""

    task: str
    target: str
    features: tuple[str, ...] = ()
    forecast: Mapping[str, Any] | None = None
    split: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    judge_by: str | None = None
    random_state: int = 0
    prepare: Mapping[str, Any] | None = None

    @property
    def judge(self) -> str:
        """The figure that decides."""
        return self.judge_by or USUAL_JUDGE[self.task]

    @property
    def estimator_name(self) -> str:
        """The algorithm's short name or path."""
        return self.algorithm or USUAL_ALGORITHM.get(self.task, "hist_gradient_boosting")

    def told(self) -> list[str]:
        """The figures to compute: those asked for, or the task's usual ones, and the judge."""
        usual = FORECAST_METRICS if self.task == "forecast" else USUAL_METRICS[self.task]
        return list(dict.fromkeys([*(self.metrics or usual), self.judge]))


@dataclass(frozen=True)
class Result:
    """A trained model and what it is worth.

    Attributes:
        model: fitted on all rows whose target is known.
        metrics: the model's figures on rows that it had not seen.
        baseline_metrics: the baseline's on the same rows.
        held_out: what both said of these rows, one row each.
        example: a few rows of the model's input.
        output: what it says of them.
        notes: what was done differently than usual, as sentences.
        receipt: of the model's own preparation, where it has one.
        by_series: for a forecast, the errors of each series.
        over_time: for a forecast, the sums over all series of each time step.
    """

    model: Any
    metrics: dict[str, float]
    baseline_metrics: dict[str, float]
    held_out: "pd.DataFrame"
    example: "pd.DataFrame"
    output: Any
    notes: tuple[str, ...] = ()
    receipt: "Receipt | None" = None
    by_series: "pd.DataFrame | None" = None
    over_time: "pd.DataFrame | None" = None


def train_and_judge(
    frame: "pd.DataFrame",
    order: Order,
    name: str,
    tracking_uri: str,
    tags: Mapping[str, str],
    tell: Tell,
) -> tuple[Result, Verdict, Recorded]:
    """Train, compare with the baseline and today's champion, and register.

    Raises:
        DeclarationError: the order names something that does not exist or fit, or is to be judged
            by a figure of which neither more nor less is better.
        DataError: the table cannot be learnt from as the order says.
        SettingsError, UnavailableError: MLflow's store cannot be used.
    """
    for figure in order.told():
        metric(figure, order.task)
    better = metric(order.judge, order.task).direction
    result = _forecast(frame, order, tell) if order.forecast else _tabular(frame, order)
    champion = find_champion(name, tracking_uri)
    today = _score_of(champion, frame, order, result, tell) if champion else None
    verdict = gate(
        result.metrics[order.judge],
        today,
        result.baseline_metrics.get(order.judge, float("nan")),
        better=better,
    )
    tell(verdict.sentence)
    training = Training(
        name=name,
        model=result.model,
        example=result.example,
        output=result.output,
        parameters=_parameters(order),
        metrics=result.metrics,
        baseline_metrics=result.baseline_metrics,
        tags=tags,
    )
    recorded = record(
        training, verdict, tracking_uri=tracking_uri, experiment=tags.get("project", name)
    )
    return result, verdict, recorded


def predict_rows(
    name: str, tracking_uri: str, frame: "pd.DataFrame", keep: Sequence[str]
) -> "tuple[pd.DataFrame, Champion]":
    """What the champion says of these rows, with the columns to keep and its version.

    Raises:
        NotFoundError: there is no champion.
        DataError: a column that it needs, or that is to be kept, is missing.
    """
    champion = find_champion(name, tracking_uri)
    if champion is None:
        raise NotFoundError(
            f"model {name}",
            "it has no champion",
            fix="train it; the first version that beats the baseline becomes champion",
        )
    have = [str(column) for column in frame.columns]
    for column in keep:
        if column not in have:
            raise DataError("keep", f"no column '{column}'", allowed=closest(column, have))
    said = _said_of(champion.model, frame, list(keep))
    return said.assign(model_version=champion.version), champion


def _said_of(model: Any, frame: "pd.DataFrame", keep: list[str]) -> "pd.DataFrame":
    if hasattr(model, "horizon"):
        return _with_kept(model.predict(frame), frame, keep, [model.series, model.time])
    said = (frame[keep] if keep else frame).copy()
    said["predicted"] = model.predict(frame)
    if hasattr(model, "predict_proba"):
        shares = model.predict_proba(frame)
        for place, label in enumerate(model.classes_):
            said[f"probability_{label}"] = shares[:, place]
    return said


def _with_kept(
    said: "pd.DataFrame", frame: "pd.DataFrame", keep: list[str], on: list[str]
) -> "pd.DataFrame":
    extra = [column for column in keep if column not in said]
    return said.merge(frame[[*on, *extra]], on=on, how="left")


# --- Forecasts ------------------------------------------------------------------------------------


def _forecaster(order: Order) -> Any:
    """The estimator that a forecast's order names, told which column is what."""
    declared = dict(order.forecast or {})
    declared.pop("origins", None)
    parameters = {"target": order.target, **declared, **order.parameters}
    return make_algorithm(
        order.estimator_name, "forecast", parameters, random_state=order.random_state
    )


def _forecast(frame: "pd.DataFrame", order: Order, tell: Tell) -> Result:
    estimator = _forecaster(order)
    judged = _judged(estimator, frame, order, tell)
    known = frame[frame[order.target].notna()]
    model = estimator.fit(known)
    future = frame[frame[order.target].isna()]
    example = _example(known, future, model)
    notes = tuple(dict.fromkeys([*judged.notes, *model.notes_]))
    return Result(
        model=model,
        metrics=_figures(judged, order.told()),
        baseline_metrics=_figures(judged, order.told(), "baseline_"),
        held_out=judged.frame,
        example=example,
        output=model.predict(example),
        notes=notes,
        by_series=judged.by_series,
        over_time=judged.frame.groupby("time", as_index=False)[["actual", "forecast"]].sum(),
    )


def _judged(estimator: Any, frame: "pd.DataFrame", order: Order, tell: Tell) -> Backtest:
    origins = int((order.forecast or {}).get("origins", 4))
    return backtest(
        estimator, frame, n_origins=origins, progress=lambda _done, _of, said: tell(said)
    )


def _figures(judged: Backtest, names: Sequence[str], prefix: str = "") -> dict[str, float]:
    return {n: judged.overall[prefix + n] for n in names if prefix + n in judged.overall}


def _example(known: "pd.DataFrame", future: "pd.DataFrame", model: Any) -> "pd.DataFrame":
    """The last season of one series and the steps after it; where there are none, made of it."""
    import pandas as pd

    one = known[model.series].iloc[0]
    past = known[known[model.series] == one].tail(model.season_length)
    ahead = future[future[model.series] == one].head(model.horizon)
    if ahead.empty:
        ahead = past.tail(1).assign(**{model.target: float("nan")})
        past = past.iloc[:-1]
    rows: pd.DataFrame = pd.concat([past, ahead])[list(model.columns.all)]
    return rows.reset_index(drop=True)


# --- Classification and regression ----------------------------------------------------------------


def _plan(order: Order) -> Plan:
    return Plan(
        task=cast("Any", order.task),
        target=order.target,
        features=order.features,
        algorithm=order.estimator_name,
        parameters=order.parameters,
        split=Split(**order.split),
        metrics=tuple(order.told()),
        random_state=order.random_state,
        prepare=order.prepare,
    )


def _tabular(frame: "pd.DataFrame", order: Order) -> Result:
    """Judge on the held-out rows, then learn from all of them for use."""
    from sklearn.base import clone

    trained = train(frame, _plan(order))
    rows = frame[frame[order.target].notna()]
    model = clone(trained.model).fit(rows[trained.features], rows[order.target].to_numpy())
    example = rows[trained.features].head(EXAMPLE_ROWS)
    return Result(
        model=model,
        metrics=trained.metrics,
        baseline_metrics=trained.baseline_metrics,
        held_out=trained.predictions.reset_index(names="row"),
        example=example,
        output=model.predict(example),
        notes=trained.notes,
        receipt=model[0].receipt_ if order.prepare is not None else None,
    )


# --- Today's champion -----------------------------------------------------------------------------


def _score_of(
    champion: Champion, frame: "pd.DataFrame", order: Order, result: Result, tell: Tell
) -> float | None:
    """The champion's recipe judged on the same rows; nothing where it does not fit the table."""
    from sklearn.base import clone

    if _recipe(champion.model) == _recipe(result.model):
        return result.metrics[order.judge]
    try:
        if order.forecast:
            return _judged(clone(champion.model), frame, order, tell).overall[order.judge]
        return _retrained(champion, frame, order)
    except (DataError, DeclarationError) as error:
        tell(f"version {champion.version}, today's champion, does not fit the table: {error}")
        return None


def _retrained(champion: Champion, frame: "pd.DataFrame", order: Order) -> float:
    """The champion's algorithm learns from the same side of the split, as the new one did."""
    estimator = champion.model[-1]
    path = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    order = Order(
        task=order.task,
        target=order.target,
        features=order.features,
        split=order.split,
        algorithm=path,
        parameters=estimator.get_params(deep=False),
        judge_by=order.judge,
        random_state=order.random_state,
        prepare=_preparation_of(champion.model),
    )
    return train(frame, _plan(order)).metrics[order.judge]


def _preparation_of(model: Any) -> dict[str, Any] | None:
    """The options of a pipeline's own automatic preparation."""
    from ml_platform.preparation.transformer import AutoPrepare

    first = model[0]
    return dict(first.get_params(deep=False)) if isinstance(first, AutoPrepare) else None


def _recipe(model: Any) -> tuple[str, str]:
    """What an estimator is made of, without what it has learnt."""
    return type(model).__qualname__, repr(sorted(model.get_params().items(), key=lambda p: p[0]))


def _parameters(order: Order) -> dict[str, Any]:
    chosen = {
        "task": order.task,
        "target": order.target,
        "algorithm": order.estimator_name,
        "judge_by": order.judge,
        "random_state": order.random_state,
        **{f"algorithm.{key}": value for key, value in order.parameters.items()},
    }
    if order.prepare is not None:
        chosen |= {"prepare": "auto", **{f"prepare.{k}": v for k, v in order.prepare.items()}}
    nested = order.forecast or order.split
    prefix = "forecast" if order.forecast else "split"
    return chosen | {f"{prefix}.{key}": value for key, value in nested.items()}
