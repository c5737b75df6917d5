"""Prophet by the platform on Ray: which share of the time two workers had work.

Arguments: the file with the panel and the horizon. The peer is the bare function in a
`concurrent.futures` pool, whose workers have started too; the two take turns. Starting Ray and
importing Prophet in its workers are outside. The last line printed is JSON.
"""

import functools
import json
import logging
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

from ml_platform.execution.engines.ray import connected
from ml_platform.execution.profile import Plan
from ml_platform.models.prophet import ProphetForecaster, forecast_series, spread

WORKERS = 2


def seconds(task) -> np.ndarray:
    """On the clock, of one series."""
    logging.getLogger("cmdstanpy").addHandler(logging.NullHandler())
    begun = time.perf_counter()
    forecast_series(task, settings={}, seed=0, known=())
    return np.array([time.perf_counter() - begun])


def tasks_of(path: str, horizon: int) -> list:
    """The series as the forecaster sends them out."""
    panel = pd.read_parquet(path)
    model = ProphetForecaster(horizon=horizon, season_length=7).fit(panel)
    return [model._task(model.grid_, row) for row in range(len(model.grid_.names))]  # noqa: SLF001


def shared(work) -> float:
    begun = time.perf_counter()
    had_work = float(np.sum(work()))
    return had_work / (WORKERS * (time.perf_counter() - begun))


def main(path: str, horizon: int) -> dict[str, float]:
    tasks, plan = tasks_of(path, horizon), Plan(engine="ray", max_parallel=WORKERS)
    on_ray = functools.partial(spread, seconds, tasks, plan)
    with connected(plan), ProcessPoolExecutor(WORKERS) as pool:
        spread(seconds, tasks[: 4 * WORKERS], plan)
        list(pool.map(seconds, tasks[: 4 * WORKERS]))
        found = {"ray": [], "bare": []}
        for _ in range(3):
            found["ray"].append(shared(on_ray))
            found["bare"].append(shared(lambda: list(pool.map(seconds, tasks))))
    return {name: statistics.median(many) for name, many in found.items()}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
