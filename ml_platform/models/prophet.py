"""Prophet by its name, for those who ask for it: a model a series, here or wherever a plan says.

What belongs here: saying a panel in Prophet's words, and sending the series out in lots. What does
not: Prophet itself, which the platform does without and imports where it is used.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_platform.execution.engines.choice import engine_of
from ml_platform.execution.profile import Execution, Plan, planned
from ml_platform.execution.work import Ended, Made, Order, Step, Work
from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    SettingsError,
    UnavailableError,
    closest,
)
from ml_platform.kernel.names import TableKey
from ml_platform.models.forecast import PanelForecaster
from ml_platform.models.panel import joined
from ml_platform.storage.tables import TableStore

if TYPE_CHECKING:
    from ml_platform.models.panel import Floats, Grid

LOTS = 8
"""Into how many lots each worker's series are cut: the last to end waits for no more than one."""

FEWEST = 2
"""Values without which Prophet refuses a series."""


class ProphetForecaster(PanelForecaster):
    """Prophet (Taylor and Letham, Forecasting at scale, 2018), one model for each series.

    It is fitted when a forecast is asked for, on all that is known by then: fitting takes no longer
    than forecasting, and what is kept of the model in between is the history. Known columns are its
    regressors, `level` its `interval_width`, and all else is Prophet's own default.

    Args:
        options: what `Prophet(...)` takes, such as `{seasonality_mode: multiplicative}`.
        execution: where series are fitted, in the words of a table's `execution:`, such as
            `{engine: ray, max_parallel: 8}`; in this process without it.
        **parameters: as `PanelForecaster`; `observed` columns are not used.
    """

    def __init__(  # noqa: PLR0913 - scikit-learn reads an estimator's parameters from here
        self,
        *,
        series: str = "series",
        time: str = "time",
        target: str = "target",
        known: Sequence[str] = (),
        observed: Sequence[str] = (),
        horizon: int = 13,
        season_length: int = 52,
        level: float = 0.8,
        random_state: int = 0,
        options: Mapping[str, Any] | None = None,
        execution: Mapping[str, Any] | str | None = None,
    ) -> None:
        super().__init__(
            series=series,
            time=time,
            target=target,
            known=known,
            observed=observed,
            horizon=horizon,
            season_length=season_length,
            level=level,
            random_state=random_state,
        )
        self.options, self.execution = options, execution

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_options(self.options or {})
        plan_of(self.execution)

    def _learn(self, grid: "Grid") -> None:
        if not hasattr(self.calendar_.anchor, "year"):
            raise DataError(
                "forecast panel",
                f"column '{self.time}' holds numbers",
                allowed="dates, where the algorithm is prophet",
            )
        short = int((np.isfinite(grid.target).sum(axis=1) < FEWEST).sum())
        if short:
            self.notes_.append(f"{short} series have less than two values: the last one stands in.")

    def _forecast(self, grid: "Grid") -> "tuple[Floats, Floats, Floats]":
        whole = joined(self.grid_, grid)
        tasks = [self._task(whole, row) for row in range(len(whole.names))]
        settings = {"interval_width": self.level, **(self.options or {})}
        forecast = functools.partial(
            forecast_series, settings=settings, seed=self.random_state, known=tuple(self.known)
        )
        answer = np.full((3, *whole.target.shape), np.nan)
        plan = plan_of(self.execution)
        for row, (task, said) in enumerate(zip(tasks, spread(forecast, tasks, plan), strict=True)):
            answer[:, row, task.ahead] = said
        forecast, lower, upper = answer[:, :, grid.part_of(whole)]
        return forecast, lower, upper

    def _task(self, grid: "Grid", row: int) -> "Task":
        """One series in Prophet's words; steps without a row and known columns are not asked."""
        past = np.flatnonzero(np.isfinite(grid.target[row]))
        ahead = np.arange(int(grid.last[row]) + 1, grid.target.shape[1])
        ahead = ahead[np.isfinite(grid.known[row, ahead]).all(axis=1)]
        dates = self.calendar_.dates(grid.steps)
        return Task(
            str(grid.names[row]),
            dates[past],
            grid.target[row, past],
            grid.known[row, past],
            ahead,
            dates[ahead],
            grid.known[row, ahead],
        )


@dataclass(frozen=True)
class Task:
    """One series: what is known of n steps of it, and the m steps `ahead` to be forecast."""

    name: str
    dates: Any
    target: "Floats"
    known: "Floats"
    ahead: Any
    dates_ahead: Any
    known_ahead: "Floats"


def forecast_series(
    task: Task, *, settings: Mapping[str, Any], seed: int, known: Sequence[str]
) -> "Floats":
    """Forecast, lower and upper bound by Prophet, 3 x m."""
    if len(task.target) < FEWEST or not len(task.ahead):
        return np.full((3, len(task.ahead)), task.target[-1:].sum())
    kind = prophet_class()
    # Prophet draws its intervals from NumPy's global generator, and takes no other.
    np.random.seed(seed)  # noqa: NPY002
    model = kind(**settings)
    for column in known:
        model.add_regressor(column)
    model.fit(_frame(task.dates, task.known, known).assign(y=task.target))
    said = model.predict(_frame(task.dates_ahead, task.known_ahead, known))
    found: Floats = said[["yhat", "yhat_lower", "yhat_upper"]].to_numpy(dtype=float).T
    return np.maximum(found, 0.0) if task.target.min() >= 0 else found


def _frame(dates: Any, known: "Floats", names: Sequence[str]) -> Any:
    import pandas as pd

    return pd.DataFrame({"ds": dates, **{name: known[:, k] for k, name in enumerate(names)}})


def prophet_class() -> Any:
    """Prophet's class, which is silent about each of its fits.

    Raises:
        SettingsError: it is not installed.
    """
    import importlib
    import logging

    for name in ("prophet", "prophet.plot", "cmdstanpy"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL)
        # Without a handler of its own cmdstanpy gives itself one, and tells of every fit.
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    try:
        return importlib.import_module("prophet").Prophet
    except ImportError as error:
        raise SettingsError(
            "algorithm 'prophet'",
            f"Prophet cannot be imported: {error}",
            fix="pip install 'ml-platform[prophet]' where the platform runs, workers included; or "
            "use harmonic_regression, which needs no other package",
        ) from error


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what Prophet does not take, while the model is declared and not in a worker."""
    import inspect

    allowed = [name for name in inspect.signature(prophet_class()).parameters if name != "holidays"]
    for name in options:
        if name not in allowed:
            raise DeclarationError(
                "algorithm 'prophet'",
                f"Prophet has no option '{name}'",
                allowed=closest(str(name), allowed),
            )


def plan_of(execution: Mapping[str, Any] | str | None) -> Plan:
    """The plan of an `execution` parameter.

    Raises:
        DeclarationError: a word that there is not, or a profile.
    """
    from pydantic import ValidationError

    if execution is None or isinstance(execution, str):
        return planned(execution)
    try:
        return planned(Execution(**execution))
    except ValidationError as error:
        first = error.errors()[0]
        raise DeclarationError(
            "execution of the algorithm 'prophet'",
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            allowed=", ".join(Execution.model_fields),
        ) from error


def spread(
    function: Callable[[Task], "Floats"], tasks: Sequence[Task], plan: Plan
) -> "list[Floats]":
    """The function's answers for all tasks, in their order, made in lots by the plan's engine.

    Raises:
        DataError, UnavailableError: a lot failed; the class says whether trying again can help.
    """
    # A lot a worker's eighth share, so that sending costs little and nobody waits long at the end.
    size = max(math.ceil(len(tasks) / (LOTS * plan.max_parallel)), 1)
    lots = {str(n): list(tasks[n : n + size]) for n in range(0, len(tasks), size)}

    def make(step: Step) -> Made:
        return Made(None, {"answers": [function(task) for task in lots[str(step.partition)]]})

    work = Work("models", TableKey("models", "prophet"), TableStore(""), "", "", make)
    found: dict[str, list[Floats]] = {}
    for ended in engine_of(plan, lambda _said: None).run(work, [Order(lot) for lot in lots]):
        found[str(ended.order)] = _answers(ended, lots[str(ended.order)])
    return [answer for lot in lots for answer in found[lot]]


def _answers(ended: Ended, tasks: Sequence[Task]) -> "list[Floats]":
    if ended.made is not None:
        answers: list[Floats] = ended.made.metadata["answers"]
        return answers
    trouble = ended.trouble
    names = ", ".join(task.name for task in tasks)
    kind = UnavailableError if trouble and trouble.retryable else DataError
    raise kind(f"forecasts of series {names}", trouble.text if trouble else "no answer")
