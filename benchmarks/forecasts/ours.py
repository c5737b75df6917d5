"""One of the platform's forecasters on a Parquet file, in a process of its own.

Arguments: the algorithm's name in YAML, the horizon, the season, how often to measure, the file
with the panel, the file to write, and the known columns. The last line printed is JSON: the median
CPU seconds of `fit` and `predict` together. Three series are forecast before, so that what is
loaded late is loaded.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import pandas as pd

from ml_platform.models.algorithms import make_algorithm


def forecast(name: str, numbers: list[int], files: list[Path], known: list[str]) -> dict:
    horizon, season, runs = numbers
    panel = pd.read_parquet(files[0])
    model = make_algorithm(
        name, "forecast", {"known": known, "horizon": horizon, "season_length": season}
    )
    few = panel[panel["series"].isin(panel["series"].unique()[:3])]
    model.fit(few).predict(few)
    past, ahead = panel[panel["target"].notna()], panel[panel["target"].isna()]
    taken = []
    for _ in range(runs):
        begun = time.process_time()
        said = model.fit(past).predict(ahead)
        taken.append(time.process_time() - begun)
    said.to_parquet(files[1])
    return {"cpu_s": statistics.median(taken)}


if __name__ == "__main__":
    counts, paths = [int(one) for one in sys.argv[2:5]], [Path(one) for one in sys.argv[5:7]]
    print(json.dumps(forecast(sys.argv[1], counts, paths, sys.argv[7:])))
