"""One method on Parquet files, in this process: what it gives back and the CPU seconds it takes.

Arguments: the method, a JSON file with the parts of the columns, then pairs of files, the one to
read and the one to write ("-": none). Before the clock starts the method runs on the first
rows, so that imports are outside for everybody; the CPU seconds of the whole process stand beside.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import bench
import numpy as np
import pandas as pd
import psutil

from preparation.by_hand import by_hand, lightgbm, ridge
from preparation.tables import Parts

WARM_UP = 2_000
NOTHING = "-"
DONORS = 10_000
"""Rows among which KNNImputer looks: with all of them a table takes it minutes."""


def ours(**options: str) -> Callable[[pd.DataFrame, Parts], pd.DataFrame]:
    """The platform's own, which is told nothing about the columns."""

    def fill(frame: pd.DataFrame, _: Parts) -> pd.DataFrame:
        from ml_platform.preparation.transformer import AutoPrepare

        return AutoPrepare(**options).fit_transform(frame)

    return fill


def everything(frame: pd.DataFrame, _: Parts) -> pd.DataFrame:
    """Every step as `auto` has it, duplicates dropped, with the receipt and the marks of cells."""
    from ml_platform.preparation.transformer import AutoPrepare

    return AutoPrepare().prepare(frame).frame


def simple(strategy: str) -> Callable[[pd.DataFrame, Parts], pd.DataFrame]:
    """scikit-learn's SimpleImputer, told which columns are categories."""

    def fill(frame: pd.DataFrame, parts: Parts) -> pd.DataFrame:
        from sklearn.impute import SimpleImputer

        done = frame.copy()
        for names, way in ((parts.numbers, strategy), (parts.categories, "most_frequent")):
            gappy = [name for name in names if name in frame and frame[name].isna().any()]
            for name in gappy:
                cells = frame[[name]].astype(object if way == "most_frequent" else float)
                cells = cells.where(cells.notna(), np.nan)
                done[name] = SimpleImputer(strategy=way).fit_transform(cells)[:, 0]
        return done

    return fill


def matrix(frame: pd.DataFrame, parts: Parts) -> pd.DataFrame:
    """The table as standardised numbers: seconds of times, codes of keys and categories."""
    columns = {}
    for name in frame:
        if name in parts.numbers:
            columns[name] = frame[name].astype(float)
        elif name in parts.times:
            moments = pd.to_datetime(frame[name], errors="coerce")
            seconds = (moments - moments.min()).dt.total_seconds()
            columns[name] = seconds
        elif name in (*parts.keys, *parts.categories):
            codes = pd.Series(pd.factorize(frame[name], sort=True)[0], index=frame.index)
            columns[name] = codes.astype(float).where(codes >= 0)
    table = pd.DataFrame(columns)
    return (table - table.mean()) / table.std().replace(0, 1)


def by_matrix(make: Callable[[], object], donors: int | None = None):
    """A scikit-learn imputer for the numbers; the most frequent for categories."""

    def fill(frame: pd.DataFrame, parts: Parts) -> pd.DataFrame:
        done = simple("median")(frame, parts)
        table = matrix(frame, parts)
        known = table if donors is None else table.sample(min(donors, len(table)), random_state=0)
        given = pd.DataFrame(
            make().fit(known).transform(table), columns=table.columns, index=table.index
        )
        for name in parts.numbers:
            if name in frame:
                values = frame[name].astype(float)
                done[name] = values.fillna(given[name] * values.std() + values.mean())
        return done

    return fill


def _iterative() -> object:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - switches it on
    from sklearn.impute import IterativeImputer
    from sklearn.linear_model import BayesianRidge

    return IterativeImputer(BayesianRidge(), random_state=0)


def _neighbours() -> object:
    from sklearn.impute import KNNImputer

    return KNNImputer(n_neighbors=5)


def skrub(frame: pd.DataFrame, _: Parts) -> pd.DataFrame:
    """What skrub does to a raw table by itself, one after the other."""
    from skrub import Cleaner, TableVectorizer

    return TableVectorizer().fit_transform(Cleaner().fit_transform(frame))


METHODS: dict[str, Callable[[pd.DataFrame, Parts], pd.DataFrame]] = {
    "ours, closed form": ours(mode="manual", missing_num="linear", missing_categ="evidence"),
    "ours, boosted": ours(mode="manual", missing_num="boosted", missing_categ="evidence"),
    "ours, auto": ours(mode="manual", missing_num="auto", missing_categ="auto"),
    "ours, everything": everything,
    "ours, everything, rows kept": ours(mode="auto"),
    "skrub Cleaner + TableVectorizer": skrub,
    "median, most frequent": simple("median"),
    "mean, most frequent": simple("mean"),
    "IterativeImputer(BayesianRidge)": by_matrix(_iterative),
    "KNNImputer(5)": by_matrix(_neighbours, DONORS),
    "ridge by hand": by_hand(ridge),
    "LightGBM by hand": by_hand(lightgbm),
}


def cpu_seconds() -> float:
    """CPU seconds of this process and of all that it started, ended or still running."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = psutil.Process().children(recursive=True)
    live = sum(sum(child.cpu_times()[:4]) for child in running)
    return time.process_time() + ended.ru_utime + ended.ru_stime + live


def peak_mb() -> float:
    """The most resident memory; what `resource` tells begins with that of the parent process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run(method: str, parts: Parts, pairs: list[tuple[str, str]]) -> dict[str, object]:
    """The method on each file; the seconds of the whole process are those up to the last."""
    fill = METHODS[method]
    fill(pd.read_parquet(pairs[0][0]).head(WARM_UP), parts)
    costs, gaps = [], []
    for source, target in pairs:
        frame = pd.read_parquet(source)
        start = cpu_seconds()
        done = fill(frame, parts)
        costs.append(cpu_seconds() - start)
        gaps.append(int(done.isna().to_numpy().sum()))
        if target != NOTHING:
            done.to_parquet(target)
    return {
        "cpu_s": costs[0],
        "each_cpu_s": costs,
        "gaps": gaps[0],
        "process_cpu_s": cpu_seconds(),
        "peak_mb": peak_mb(),
    }


def in_fresh_process(
    method: str, parts: Parts, pairs: list[tuple[Path, Path | None]], environ: dict[str, str]
) -> dict[str, float]:
    """`run` in a process of its own; the parts are written beside the first file."""
    written = pairs[0][0].with_suffix(".json")
    written.write_text(json.dumps(asdict(parts)))
    flat = [path or NOTHING for pair in pairs for path in pair]
    return bench.in_fresh_process(__file__, method, written, *flat, **environ)


if __name__ == "__main__":
    which, written, *files = sys.argv[1:]
    told = Parts(**json.loads(Path(written).read_text()))
    print(json.dumps(run(which, told, list(zip(files[::2], files[1::2], strict=True)))))
