"""Forecasts of many series beside Prophet's: CPU seconds and errors, side by side in one run.

500 made-up daily series of a year, 90 days ahead (`made`), once with nothing known but the date and
once with promotions, holidays and closed days; and weekly sales of 45 real stores, 13 weeks ahead
from two origins, where ML_PLATFORM_DATA_DIR names their folder. Prophet has its defaults, and the
known columns as regressors. One thread for everybody; fitting and forecasting count, reading files
and importing do not.

Then Prophet by the platform on Ray: which share of the time two workers had work.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bench
import numpy as np
import pandas as pd

from forecasts import made, peer, stores

HERE = Path(__file__).parent
PROPHET = "Prophet"
OURS = ("harmonic_regression", "boosted_forecaster", "seasonal_naive")
RAY_SERIES = 48


@dataclass(frozen=True)
class Case:
    """A panel with its truth, cut at an origin.

    Attributes:
        name: what the table calls it.
        truth: `series`, `time`, `target` and extras, to the end of the horizon.
        horizon: in steps.
        season: steps in the season of MASE and of the seasonal naive forecast.
        extras: the known columns.
    """

    name: str
    truth: pd.DataFrame
    horizon: int
    season: int
    extras: tuple[str, ...]

    @property
    def asked(self) -> pd.DataFrame:
        """What a method sees: the last steps without their target."""
        last = np.sort(self.truth["time"].unique())[-self.horizon - 1]
        target = self.truth["target"].where(self.truth["time"] <= last)
        columns = ["series", "time", "target", *self.extras]
        return self.truth.assign(target=target)[columns]


def cases(series: int) -> Iterator[list[Case]]:
    """Each table's origins; the figures of one table are over all of them."""
    truth = made.panel(series)
    yield [Case(f"{series} made-up series", truth, 90, 7, ())]
    yield [Case(f"{series} made-up series, extras", truth, 90, 7, made.EXTRAS)]
    real = stores.panel()
    if real is None:
        return
    weeks = np.sort(real["time"].unique())
    # From a third origin there would be less than two years, and Prophet would leave the year out.
    cut = [real[real["time"] <= weeks[len(weeks) - 1 - late]] for late in (0, 13)]
    yield [Case("45 stores", one, 13, 52, ()) for one in cut]
    yield [Case("45 stores, extras", one, 13, 52, stores.EXTRAS) for one in cut]


def taken(case: Case, method: str, runs: int, folder: Path) -> tuple[float, pd.DataFrame]:
    """CPU seconds of a method on a case, and its forecasts."""
    source, target = folder / "asked.parquet", folder / "said.parquet"
    case.asked.to_parquet(source, index=False)
    print(f"{case.name}: {method}", file=sys.stderr, flush=True)
    if method == PROPHET:
        arguments = [HERE / "serial.py", source, target, *case.extras]
    else:
        numbers = [case.horizon, case.season, 1 if method == OURS[1] else runs]
        arguments = [HERE / "ours.py", method, *numbers, source, target, *case.extras]
    found = bench.in_fresh_process(*map(str, arguments), **peer.environ())
    return found["cpu_s"], pd.read_parquet(target)


def errors(case: Case, said: pd.DataFrame) -> pd.DataFrame:
    """A row a forecast: its miss, the size of what came, MASE's scale, whether it was covered."""
    known = case.asked
    known = known[known["target"].notna()]
    # Days that are missing shift the season of a few pairs; it is the same for every method.
    scales = known.groupby("series")["target"].agg(
        lambda one: np.abs(one.to_numpy()[case.season :] - one.to_numpy()[: -case.season]).mean()
    )
    both = case.truth[["series", "time", "target"]].merge(said, on=["series", "time"])
    if len(both) != int(case.asked["target"].isna().sum()):
        raise SystemExit(f"{case.name}: {len(both)} forecasts")
    return both.assign(
        miss=(both["target"] - both["forecast"]).abs(),
        scale=both["series"].map(scales),
        hit=both["target"].between(both["lower"], both["upper"]),
    )


def figures(rows: pd.DataFrame, cpu_s: float) -> dict[str, float]:
    scaled = (rows["miss"] / rows["scale"].where(rows["scale"] > 0)).groupby(rows["series"]).mean()
    return {
        "cpu_s": cpu_s,
        "wape": float(rows["miss"].sum() / rows["target"].sum()),
        "mase": float(scaled.median()),
        "hit": float(rows["hit"].mean()),
    }


def measured(origins: list[Case], runs: int, folder: Path) -> dict[str, dict[str, float]]:
    """The figures of each method over all origins of a table; CPU seconds are their mean."""
    found = {}
    for method in (PROPHET, *OURS):
        each = [(case, *taken(case, method, runs, folder)) for case in origins]
        rows = pd.concat([errors(case, said) for case, _, said in each])
        found[method] = figures(rows, sum(cpu_s for _, cpu_s, _ in each) / len(each))
    return found


def promises(name: str, found: dict[str, dict[str, float]]) -> Iterator[bench.Promise]:
    theirs, fast, boosted = (found[one] for one in (PROPHET, *OURS[:2]))
    yield bench.AtLeast(f"{name}: CPU of Prophet / {OURS[0]}", theirs["cpu_s"] / fast["cpu_s"], 150)
    yield bench.Promise(f"{name}: WAPE of {OURS[0]} / Prophet", fast["wape"] / theirs["wape"], 1)
    if name.endswith("extras"):
        share = boosted["cpu_s"] / theirs["cpu_s"]
        yield bench.Promise(f"{name}: CPU of {OURS[1]} / Prophet", share, 1)
        share = boosted["wape"] / theirs["wape"]
        yield bench.Promise(f"{name}: WAPE of {OURS[1]} / Prophet", share, 0.75)


def on_ray(series: int, folder: Path) -> dict[str, float]:
    """The share of the time in which two workers had work, and that of a bare pool."""
    case = Case("ray", made.panel(series), 90, 7, ())
    source = folder / "ray.parquet"
    case.asked.to_parquet(source, index=False)
    print("Prophet on Ray", file=sys.stderr, flush=True)
    environ = {**peer.environ(), "RAY_AUTH_MODE": "token", "ML_PLATFORM_HOME": str(folder)}
    return bench.in_fresh_process(str(HERE / "rays.py"), source, case.horizon, **environ)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=500, help="made-up ones, default 500")
    parser.add_argument("--runs", type=int, default=5, help="of each quick method, default 5")
    parser.add_argument("--no-ray", action="store_true", help="leave the part on Ray out")
    return parser.parse_args()


def main() -> int:
    asked = options()
    rows, kept = [], []
    with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as name:
        folder = Path(name)
        for origins in cases(asked.series):
            found = measured(origins, asked.runs, folder)
            kept += promises(origins[0].name, found)
            rows += [
                (
                    origins[0].name,
                    method,
                    one["cpu_s"],
                    found[PROPHET]["cpu_s"] / one["cpu_s"],
                    one["wape"],
                    one["mase"],
                    one["hit"],
                )
                for method, one in found.items()
            ]
        if not asked.no_ray:
            busy = on_ray(min(RAY_SERIES, asked.series), folder)
            rows += [("Prophet on two workers", f"{k}, share", *[v] * 1) for k, v in busy.items()]
            text = "two workers had work, on Ray / in a bare pool"
            kept.append(bench.AtLeast(text, busy["ray"] / busy["bare"], 0.95))
    header = ("series", "method", "CPU s", "Prophet's / its", "WAPE", "median MASE", "in interval")
    filled = [(*row, *[""] * (len(header) - len(row))) for row in rows]
    stack = bench.versions("numpy", "pandas", "lightgbm", "ray") | peer.versions()
    return bench.finish("forecasts", header, filled, kept, stack)


if __name__ == "__main__":
    sys.exit(main())
