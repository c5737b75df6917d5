"""Prophet as people write it, a loop over the series of a Parquet file; nothing of the platform.

Arguments: the file with the panel, the file to write, and the known columns. The last line printed
is JSON with the CPU seconds of the loop, those of the optimiser's own processes included. One
series is forecast before, so that what is loaded late is loaded.
"""

import json
import logging
import resource
import sys
import time
from pathlib import Path

import pandas as pd

for noisy in ("cmdstanpy", "prophet", "prophet.plot"):
    logging.getLogger(noisy).addHandler(logging.NullHandler())
    logging.getLogger(noisy).setLevel(logging.CRITICAL)


def forecast(source: Path, target: Path, known: list[str]) -> dict[str, float]:
    panel = pd.read_parquet(source).rename(columns={"time": "ds", "target": "y"})
    groups = list(panel.groupby("series"))
    one_series(groups[0][1], known)
    begun = cpu_seconds()
    parts = [one_series(rows, known).assign(series=name) for name, rows in groups]
    cpu_s = cpu_seconds() - begun
    names = {"ds": "time", "yhat": "forecast", "yhat_lower": "lower", "yhat_upper": "upper"}
    pd.concat(parts).rename(columns=names)[["series", *names.values()]].to_parquet(target)
    return {"cpu_s": cpu_s}


def one_series(rows: pd.DataFrame, known: list[str]) -> pd.DataFrame:
    from prophet import Prophet

    model = Prophet()
    for column in known:
        model.add_regressor(column)
    past = rows["y"].notna()
    model.fit(rows.loc[past, ["ds", "y", *known]])
    return model.predict(rows.loc[~past, ["ds", *known]])


def cpu_seconds() -> float:
    """Of this process and of those that it has ended: Prophet may start one for each fit."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


if __name__ == "__main__":
    files = [Path(name) for name in sys.argv[1:3]]
    print(json.dumps(forecast(*files, sys.argv[3:])))
