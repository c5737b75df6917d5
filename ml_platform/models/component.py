"""`Model` and `Predictions`: train, judge and register; ask today's champion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import dagster as dg
from pydantic import Field, field_validator, model_validator

from ml_platform.execution.component import AssetComponent, Declared, Made, Step
from ml_platform.execution.picture import Chart, markdown_image, png
from ml_platform.execution.preparing import PreparationOptions, options_of
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.kernel.names import TableKey
from ml_platform.storage.shown import rounded
from ml_platform.storage.syntax import TableName

if TYPE_CHECKING:
    import pandas as pd

    from ml_platform.models.tracking import Recorded, Verdict
    from ml_platform.models.training import Result


class ForecastFields(Declared):
    """What the columns of a table of series are, and how far to look ahead."""

    series: str = Field(description="The column that tells one series from another.")
    time: str = Field(description="The column of the time step.")
    known: list[str] = Field(
        default=[], description="Columns known in advance, such as the calendar."
    )
    observed: list[str] = Field(
        default=[], description="Columns known only up to today, such as the weather."
    )
    horizon: int = Field(default=13, ge=1, description="How many steps ahead.")
    season_length: int = Field(default=52, ge=1, description="Steps in a season.")
    level: float = Field(
        default=0.8, gt=0, lt=1, description="The share of outcomes that an interval should hold."
    )
    origins: int = Field(default=4, ge=1, description="How many rolling origins judge the model.")


class SplitFields(Declared):
    """Which rows judge the model."""

    by: Literal["time", "group", "random"] = Field(
        default="random", description="The latest rows, whole groups, or any."
    )
    column: str = Field(default="", description="The column of the time or the group.")
    share: float = Field(default=0.2, gt=0, lt=1, description="About which share is held out.")
    cut: str | None = Field(default=None, description="By time: the first moment held out.")


@dg.scaffold_with(ExampleScaffolder)
class Model(AssetComponent):
    """A model trained on a table, judged on rows that it has not seen, and registered in MLflow.

    Its own table holds what it said of the held-out rows. A new version is `challenger`; it becomes
    `champion` when it beats the baseline and is not worse than today's champion on the same rows.
    """

    scaffold_example: ClassVar[dict[str, Any]] = {
        "key": "models/NAME",
        "table": "features/NAME",
        "task": "classification",
        "target": "label",
    }
    scaffold_files: ClassVar[dict[str, str]] = {}

    table: str = Field(description="The table to learn from, like features/demand.")
    task: Literal["classification", "regression", "forecast"] = Field(
        description="What kind of answer is learnt."
    )
    target: str = Field(description="The column to predict.")
    features: list[str] = Field(
        default=[], description="The columns to predict from; none named means all others."
    )
    forecast: ForecastFields | None = Field(default=None, description="For the task forecast.")
    split: SplitFields = Field(
        default=SplitFields(), description="For the other tasks: which rows judge."
    )
    algorithm: str | None = Field(
        default=None, description="A short name, or the import path of a class like scikit-learn's."
    )
    parameters: dict[str, Any] = Field(default={}, description="The algorithm's own.")
    metrics: list[str] = Field(default=[], description="Figures to tell; none named: the usual.")
    judge_by: str | None = Field(
        default=None, description="The figure that decides about the champion."
    )
    random_state: int = Field(default=0, description="The seed of all that is drawn.")
    prepare: Literal["auto"] | PreparationOptions | None = Field(
        default=None,
        description="Let an automatic preparation of the raw columns be the model's first step: "
        "auto, or its options.",
    )

    @field_validator("table")
    @classmethod
    def _reads_a_table(cls, value: str) -> str:
        TableKey.parse(value)
        return value

    @model_validator(mode="after")
    def _forecast_fits_the_task(self) -> "Model":
        if (self.task == "forecast") != (self.forecast is not None):
            raise ValueError("`task: forecast` and `forecast:` go together")
        if self.forecast and self.prepare:
            raise ValueError("`prepare` is not for a forecast, which knows its own columns")
        return self

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset."""
        reads = [TableName(None, TableKey.parse(self.table))]
        kinds = ["scikitlearn", "mlflow"]
        return dg.Definitions(assets=[self.asset(context, self._train, reads=reads, kinds=kinds)])

    def _train(self, step: Step) -> Made:
        from ml_platform.models.training import train_and_judge

        frame = _frame(step, self.table)
        name = registered_name(step.project, self.table_key.name)
        result, verdict, recorded = train_and_judge(
            frame, self._order(), name, step.settings.tracking_uri, _tags(step), step.log
        )
        written = step.store.write(
            step.project, step.key, result.held_out, how=self.write_mode(step)
        )
        return Made(written, _shown(result, verdict, recorded, name))

    def _order(self) -> Any:
        from ml_platform.models.training import Order

        return Order(
            task=self.task,
            target=self.target,
            features=tuple(self.features),
            forecast=self.forecast.model_dump() if self.forecast else None,
            split=self.split.model_dump(),
            algorithm=self.algorithm,
            parameters=self.parameters,
            metrics=tuple(self.metrics),
            judge_by=self.judge_by,
            random_state=self.random_state,
            prepare=self._preparation(),
        )

    def _preparation(self) -> dict[str, Any] | None:
        if self.prepare is None or self.prepare == "auto":
            return {} if self.prepare else None
        return options_of(self.prepare)


@dg.scaffold_with(ExampleScaffolder)
class Predictions(AssetComponent):
    """What today's champion of a model says of a table's rows, with the version that said it.

    For a forecast these are the rows whose target is missing: the steps to come.
    """

    scaffold_example: ClassVar[dict[str, Any]] = {
        "key": "predictions/NAME",
        "champion_of": "models/NAME",
        "table": "features/NAME",
    }
    scaffold_files: ClassVar[dict[str, str]] = {}

    champion_of: str = Field(description="The model, like models/demand.")
    table: str = Field(description="The table whose rows to predict, like features/demand.")
    keep: list[str] = Field(
        default=[], description="Columns of the table to keep beside a prediction; none: all."
    )

    @field_validator("table", "champion_of")
    @classmethod
    def _are_keys(cls, value: str) -> str:
        TableKey.parse(value)
        return value

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset."""
        reads = [TableName(None, TableKey.parse(one)) for one in (self.table, self.champion_of)]
        return dg.Definitions(
            assets=[self.asset(context, self._predict, reads=reads, kinds=["scikitlearn"])]
        )

    def _predict(self, step: Step) -> Made:
        from ml_platform.models.training import predict_rows

        name = registered_name(step.project, TableKey.parse(self.champion_of).name)
        uri = step.settings.tracking_uri
        rows, champion = predict_rows(name, uri, _frame(step, self.table), self.keep)
        written = step.store.write(
            step.project, step.key, rows, partition=step.partition, how=self.write_mode(step)
        )
        shown = {"model": name, "model_version": champion.version, "mlflow_run": champion.run_id}
        return Made(written, shown)


def registered_name(project: str, name: str) -> str:
    """What a model is called in MLflow's registry."""
    return f"{project}-{name}"


def _frame(step: Step, key: str) -> "pd.DataFrame":
    """A table as pandas wants it for learning: dates as times, not as objects."""
    partitions = [step.partition] if step.partition is not None else []
    table = step.store.read(step.project, TableKey.parse(key), partitions=partitions)
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    return frame


def _tags(step: Step) -> dict[str, str]:
    return {"dagster_run_id": step.run_id, "project": step.project, "asset": str(step.key)}


def _shown(
    result: "Result", verdict: "Verdict", recorded: "Recorded", name: str
) -> Mapping[str, Any]:
    """The figures beside the baseline's, the verdict, where the run is, and pictures."""
    metadata: dict[str, Any] = {
        **{key: rounded(float(value)) for key, value in result.metrics.items()},
        **{f"baseline_{k}": rounded(float(v)) for k, v in result.baseline_metrics.items()},
        "verdict": verdict.sentence,
        "is_champion": verdict.is_champion,
        "model": name,
        "model_version": recorded.version,
        "mlflow_run": recorded.run_id,
        "mlflow_experiment": recorded.experiment_id,
    }
    if result.notes:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in result.notes))
    if result.receipt:
        metadata["receipt"] = dg.MetadataValue.md(result.receipt.to_markdown())
    for picture in _pictures(result):
        image = markdown_image(png(picture.chart, picture.frame), picture.chart.title)
        metadata[picture.name] = dg.MetadataValue.md(image)
    return metadata


@dataclass(frozen=True)
class _Picture:
    name: str
    chart: Chart
    frame: "pd.DataFrame"


def _pictures(result: "Result") -> list[_Picture]:
    if result.by_series is None or result.over_time is None:
        return []
    return [
        _Picture(
            "error_by_series",
            Chart("bar", "series", ("wape", "baseline_wape"), title="WAPE by series"),
            result.by_series,
        ),
        _Picture(
            "forecast_against_actual",
            Chart("line", "time", ("actual", "forecast"), title="All series, out of sample"),
            result.over_time,
        ),
    ]
