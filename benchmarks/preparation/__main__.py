"""Automatic preparation beside py-AutoClean, skrub and scikit-learn: CPU seconds and errors.

**Time**: the missing stage of each on one table, and the whole automatic pipeline beside skrub's.
**Alone**: one row that comes by itself.
**Large**: a table of 20 million rows within a budget of memory.
**Errors**: what each method puts in cells that were known and hidden, on genuine rows and on a
made-up table of another structure, so that nothing rests on one table.

The tables are the real deliveries in the folder that ML_PLATFORM_DATA_DIR names; one of your own by
`--data FILE`; else made-up deliveries of the same shape. All run on `--threads` threads, peers too.
AutoClean takes minutes: its results are kept, and told with their time, unless `--again`.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import bench

from preparation import alone, error, large, peer, timing
from preparation.run import Run
from preparation.tables import tables


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a table of yours, .parquet or .csv")
    parser.add_argument("--peer-rows", type=int, help="compare times on so many rows only")
    parser.add_argument("--again", action="store_true", help="do not use AutoClean's kept results")
    parser.add_argument("--runs", type=int, default=3, help="of each timing, default 3")
    parser.add_argument("--seeds", type=int, default=3, help="masks of each protocol, default 3")
    parser.add_argument("--rows", type=int, default=20_000_000, help="of the large table; 0: none")
    parser.add_argument("--budget-mb", type=float, default=2048.0, help="for it, default 2048")
    parser.add_argument("--threads", type=int, default=1, help="for everybody, default 1")
    return parser.parse_args()


def stack_of() -> dict[str, str]:
    """Our libraries, and AutoClean's in its own environment."""
    own = bench.versions("pandas", "scikit-learn", "lightgbm", "skrub", "numpy")
    theirs = peer.peer_versions()
    return own | {f"{name} (AutoClean's)": version for name, version in theirs.items()}


def main() -> int:
    asked = options()
    timed, scored = tables(asked.data)
    stack = stack_of()
    with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as folder:
        on = Run(Path(folder), asked.threads, asked.again)
        scores, codes = [], []
        for table in scored:
            scores.append(error.take(on, table, asked.seeds))
            codes.append(error.report(scores[-1], stack))
        times = timing.take(on, timed, asked.runs, asked.peer_rows)
        codes.append(alone.report(alone.take(timed), stack))
        if asked.rows:
            codes.append(large.report(large.take(on, timed, asked.rows, asked.budget_mb), stack))
    codes.append(timing.report(times, stack))
    keep(scores, times, stack)
    return max(codes)


def keep(scores: list[error.Scores], times: timing.Times, stack: dict[str, str]) -> None:
    """Every figure of the run in one file, beside the tables."""
    cleaned = replace(times.peer, frame=None)
    found = {
        "versions": stack,
        "time": {**asdict(replace(times, peer=cleaned)), "peer": asdict(cleaned)},
        "error": {one.table.name: error.record(one) for one in scores},
    }
    (bench.FIGURES / "preparation.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
