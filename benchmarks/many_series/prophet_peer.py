"""Prophet on each series of a Parquet file, one after the other; runs in an environment of its own.

Arguments: the file with the panel, the file to write, and the known columns. Nothing of this
project is imported here.
"""

import json
import logging
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("prophet", "cmdstanpy", "pandas", "numpy")


def forecast(source: Path, target: Path, known: list[str]) -> dict[str, object]:
    import pandas as pd
    from prophet import Prophet

    panel = pd.read_parquet(source)
    groups = list(panel.rename(columns={"time": "ds", "target": "y"}).groupby("series"))
    parts = []
    start = time.process_time()
    children = _children()
    for name, rows in groups:
        model = Prophet()
        for column in known:
            model.add_regressor(column)
        past = rows["y"].notna()
        model.fit(rows.loc[past, ["ds", "y", *known]])
        said = model.predict(rows.loc[~past, ["ds", *known]])
        parts.append(said[["ds", "yhat", "yhat_lower", "yhat_upper"]].assign(series=name))
    cpu_s = time.process_time() - start + _children() - children
    pd.concat(parts).to_parquet(target)
    return {"cpu_s": cpu_s, "series": len(groups), "versions": found_versions()}


def _children() -> float:
    """CPU seconds of the optimiser's processes that have ended: Prophet starts one a fit."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def found_versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


if __name__ == "__main__":
    for noisy in ("cmdstanpy", "prophet"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if len(sys.argv) == 1:
        print(json.dumps(found_versions()))
    else:
        files = [Path(name) for name in sys.argv[1:3]]
        print(json.dumps(forecast(*files, sys.argv[3:])))
