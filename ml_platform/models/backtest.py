"""Judging forecasters as they will be used: from several origins in the past, one after another.

What belongs here: cutting a panel at an origin and blanking everything that was not known then,
and the figures of an estimator beside a baseline. What does not: the estimators (`forecast`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.models import metrics
from ml_platform.models.forecast import SeasonalNaive
from ml_platform.models.panel import Calendar, Columns, clean_panel

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

Progress = Callable[[int, int, str], None]
"""Called with how many origins are done, of how many, and a sentence."""


@dataclass(frozen=True)
class Backtest:
    """What a backtest found.

    Attributes:
        frame: out-of-sample rows: `series`, `time`, `origin` (the last time that was known),
            `ahead` (steps), `actual`, `forecast`, `lower`, `upper`, `baseline`, `scale` (of MASE).
        overall: `wape`, `mase`, `mae`, `rmse`, `baseline_wape`, `baseline_mase`, `gain` (the share
            by which WAPE is below the baseline's), `mean_gain` (its mean over origins) and
            `interval_coverage`; NaN where a denominator is zero.
        by_origin: a row an origin with the same figures.
        by_series: a row a series with the same figures.
        notes: what the estimators said that they did differently than usual.
    """

    frame: "pd.DataFrame"
    overall: dict[str, float]
    by_origin: "pd.DataFrame"
    by_series: "pd.DataFrame"
    notes: tuple[str, ...]


def backtest(
    estimator: Any,
    panel: "pd.DataFrame",
    *,
    baseline: Any = None,
    n_origins: int = 4,
    progress: Progress | None = None,
) -> Backtest:
    """Fit and forecast from the last `n_origins` origins, a horizon apart, that end with the data.

    Each origin gets fresh clones, which see a copy of the panel's declared columns up to the
    origin, and after it only series, time and known columns for one horizon.

    Args:
        estimator: a `PanelForecaster` or anything with its parameters, `fit` and `predict`.
        panel: the history; rows without a target after the last known one are left out.
        baseline: compared with; seasonal naive with the estimator's columns by default.
        n_origins: how many origins; forecasts of different origins never overlap.
        progress: told after each origin.

    Raises:
        DataError: too little history for so many origins, or a forecast that lacks rows.
        DeclarationError: `n_origins` is not a whole number from one.
    """
    import pandas as pd
    from sklearn.base import clone

    if isinstance(n_origins, bool) or not isinstance(n_origins, int) or n_origins < 1:
        raise DeclarationError("backtest origins", repr(n_origins), allowed="a whole number from 1")
    columns, horizon = _columns(estimator), int(estimator.horizon)
    baseline = _baseline(estimator) if baseline is None else baseline
    frame, steps = _stepped(panel, columns)
    parts, notes = [], []
    for number, origin in enumerate(_origins(steps, horizon, n_origins), start=1):
        fitted = [
            clone(one).fit(_seen(frame, steps, columns, origin, horizon))
            for one in (estimator, baseline)
        ]
        parts.append(_joined(frame, steps, columns, origin, fitted))
        notes += [note for one in fitted for note in getattr(one, "notes_", [])]
        if progress:
            progress(number, n_origins, f"origin {parts[-1]['origin'].iloc[0]} forecast and judged")
    return _summary(pd.concat(parts, ignore_index=True), tuple(dict.fromkeys(notes)))


def _columns(estimator: Any) -> Columns:
    p = estimator.get_params()
    known, observed = tuple(p["known"]), tuple(p["observed"])
    return Columns(p["series"], p["time"], p["target"], known, observed)


def _baseline(estimator: Any) -> SeasonalNaive:
    mine, given = SeasonalNaive().get_params(), estimator.get_params()
    return SeasonalNaive(**{name: given.get(name, value) for name, value in mine.items()})


def _stepped(panel: "pd.DataFrame", columns: Columns) -> "tuple[pd.DataFrame, Ints]":
    """The declared columns up to the last known target, and each row's step number."""
    frame = clean_panel(panel, columns)
    steps = Calendar.of(frame[columns.time]).number(frame[columns.time])
    known = frame[columns.target].notna().to_numpy()
    if not known.any():
        raise DataError("backtest panel", f"no row has a value of '{columns.target}'")
    kept = steps <= steps[known].max()
    return frame[kept].reset_index(drop=True), steps[kept]


def _origins(steps: "Ints", horizon: int, count: int) -> Iterator[int]:
    """Step numbers of the origins, earliest first; the last horizon ends with the data."""
    last, first = int(steps.max()), int(steps.min())
    if last - horizon * count < first + 1:
        raise DataError(
            "backtest panel",
            f"{last - first + 1} steps of history",
            allowed=f"at least {horizon * count + 2} for {count} origins {horizon} steps apart",
            fix="ask for fewer origins or a shorter horizon",
        )
    yield from range(last - horizon * count, last, horizon)


def _seen(
    frame: "pd.DataFrame", steps: "Ints", columns: Columns, origin: int, horizon: int
) -> "pd.DataFrame":
    """A copy of what is known at `origin`: nothing later but series, time and known columns.

    Series that have no value yet are left out: nobody could have asked for their forecast.
    """
    past = steps <= origin
    started = frame.loc[past & frame[columns.target].notna().to_numpy(), columns.series].unique()
    copy = frame[columns.all].copy()
    for name in (columns.target, *columns.observed):
        copy[name] = copy[name].where(past, np.nan)
    return copy[(steps <= origin + horizon) & copy[columns.series].isin(started).to_numpy()]


def _judged_rows(
    frame: "pd.DataFrame", steps: "Ints", columns: Columns, origin: int, horizon: int
) -> "pd.DataFrame":
    """The rows whose truth is known within the horizon, under the result's own column names."""
    ahead = steps - origin
    names = {columns.series: "series", columns.time: "time", columns.target: "actual"}
    rows = frame[[*names]].rename(columns=names).assign(ahead=ahead)
    wanted = (ahead > 0) & (ahead <= horizon) & rows["actual"].notna().to_numpy()
    rows = rows[wanted]
    started = frame.loc[(ahead <= 0) & frame[columns.target].notna(), columns.series].unique()
    origin_time = frame.loc[ahead <= 0, columns.time].max()
    rows.insert(2, "origin", origin_time)
    return rows[rows["series"].isin(started)]


def _joined(
    frame: "pd.DataFrame",
    steps: "Ints",
    columns: Columns,
    origin: int,
    fitted: "list[Any]",
) -> "pd.DataFrame":
    """The judged rows with the model's and the baseline's forecasts and MASE's scale beside."""
    model, _ = fitted
    rows = _judged_rows(frame, steps, columns, origin, int(model.horizon))
    seen = (_seen(frame, steps, columns, origin, int(model.horizon)) for _ in fitted)
    said, naive = (
        one.predict(panel).rename(columns={columns.series: "series", columns.time: "time"})
        for one, panel in zip(fitted, seen, strict=True)
    )
    naive = naive[["series", "time", "forecast"]].rename(columns={"forecast": "baseline"})
    rows = rows.merge(said, on=["series", "time"], how="left", validate="one_to_one")
    rows = rows.merge(naive, on=["series", "time"], how="left", validate="one_to_one")
    lacking = int(rows[["forecast", "baseline"]].isna().any(axis=1).sum())
    if lacking:
        raise DataError(
            "backtest",
            f"{lacking} of {len(rows)} rows after {rows['origin'].iloc[0]} got no forecast",
        )
    past = steps <= origin
    scales = _scales(frame[past], steps[past], columns, int(model.season_length))
    return rows.assign(scale=rows["series"].map(scales).to_numpy(dtype=float))


def _scales(
    frame: "pd.DataFrame", steps: "Ints", columns: Columns, season: int
) -> dict[Any, float]:
    """MASE's denominator of each series; NaN for one that never changes or has one value."""
    numbers = frame.assign(_step=steps - steps.min())
    return {
        name: _scale(one, columns.target, season) for name, one in numbers.groupby(columns.series)
    }


def _scale(rows: "pd.DataFrame", target: str, season: int) -> float:
    history = np.full(int(rows["_step"].max()) + 1, np.nan)
    history[rows["_step"].to_numpy()] = rows[target].to_numpy(dtype=float)
    try:
        return metrics.naive_scale(history, season)
    except DataError:  # nothing to scale by: this series counts in WAPE and not in MASE
        return float("nan")


def _summary(frame: "pd.DataFrame", notes: tuple[str, ...]) -> Backtest:
    by_origin = _figures(frame, "origin")
    whole = _figures(frame.assign(all="all"), "all").drop(columns="all").iloc[0]
    overall = {str(name): float(value) for name, value in whole.items()}
    overall["mean_gain"] = float(by_origin["gain"].mean())
    return Backtest(frame, overall, by_origin, _figures(frame, "series"), notes)


def _figures(frame: "pd.DataFrame", key: str) -> "pd.DataFrame":
    """The figures of each value of `key`, as sums over its rows so that many series stay quick."""
    actual, scale = frame["actual"], frame["scale"]
    miss, naive = (actual - frame["forecast"]).abs(), (actual - frame["baseline"]).abs()
    parts = frame[[key]].assign(
        size=actual.abs(),
        miss=miss,
        naive=naive,
        square=miss**2,
        mase=miss / scale,
        baseline_mase=naive / scale,
        hit=actual.between(frame["lower"], frame["upper"]).astype(float),
    )
    mean = parts.groupby(key, sort=True).mean().reset_index()
    size, naive_mean = mean["size"].where(mean["size"] > 0), mean["naive"].where(mean["naive"] > 0)
    return mean[[key]].assign(
        wape=mean["miss"] / size,
        mase=mean["mase"],
        mae=mean["miss"],
        rmse=np.sqrt(mean["square"]),
        interval_coverage=mean["hit"],
        baseline_wape=mean["naive"] / size,
        baseline_mase=mean["baseline_mase"],
        gain=1 - mean["miss"] / naive_mean,
    )
