"""What the benchmarks share: fresh processes, medians, the table, the file of figures, the verdict.

Figures are CPU seconds and ratios: other processes load the machine on which they are taken, and
the clock on the wall would measure those too.
"""

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "var" / "benchmarks"


@dataclass(frozen=True)
class Promise:
    """A figure that has to stay at or under its limit."""

    text: str
    value: float
    limit: float

    @property
    def kept(self) -> bool:
        """Whether it is so."""
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "kept" if self.kept else "NOT KEPT"
        return f"{verdict}: {self.text}: {self.value:.3g}, at most {self.limit:g}"


class AtLeast(Promise):
    """A figure that has to stay at or over its limit."""

    @property
    def kept(self) -> bool:
        """Whether it is so."""
        return self.value >= self.limit

    def __str__(self) -> str:
        return super().__str__().replace("at most", "at least")


@dataclass
class Spent:
    """CPU seconds of this process, all its threads together."""

    cpu_s: float = 0.0


@contextmanager
def spent():
    """Measure a block; what earlier blocks left to collect is collected before."""
    gc.collect()
    found = Spent()
    start = time.process_time()
    yield found
    found.cpu_s = time.process_time() - start


def in_fresh_process(script: str, *arguments: object, **environment: str) -> dict[str, float]:
    """Run `script` again with these arguments; it prints its figures as JSON on its last line.

    Byte code is written and read as in an installation, whatever the caller's environment says.
    """
    environ = {**os.environ, **environment}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    here = str(Path(__file__).parent)
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, environ.get("PYTHONPATH")]))
    # -P: the modules beside the script are found by their package, never in a library's place.
    command = [sys.executable, "-P", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def medians(
    variants: Mapping[str, Callable[[], dict[str, float]]], runs: int
) -> dict[str, dict[str, float]]:
    """The median of each figure of each variant.

    The variants take turns, so that a load that comes and goes meets all of them.
    """
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for number in range(runs):
        for name, run in variants.items():
            print(f"run {number + 1} of {runs}: {name}", file=sys.stderr, flush=True)
            taken[name].append(run())
    return {
        name: {figure: statistics.median(one[figure] for one in many) for figure in many[0]}
        for name, many in taken.items()
    }


def arguments(charter: str | None, **options: int) -> argparse.Namespace:
    """The command line: each option with its default, all of them whole numbers."""
    parser = argparse.ArgumentParser(description=(charter or "").splitlines()[0])
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    return parser.parse_args()


def versions(*packages: str) -> dict[str, str]:
    """What is measured, and on what."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **found}


def finish(
    name: str,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    promises: Sequence[Promise],
    stack: Mapping[str, str],
) -> int:
    """Print the table and the promises, keep them as JSON; 1 if a promise is not kept."""
    table = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    print()
    for promise in promises:
        print(promise)
    print(", ".join(f"{package} {version}" for package, version in stack.items()))
    FIGURES.mkdir(parents=True, exist_ok=True)
    record = {
        "taken": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "versions": dict(stack),
        "table": [dict(zip(header, line, strict=True)) for line in table[1:]],
        "promises": [{**asdict(promise), "kept": promise.kept} for promise in promises],
    }
    (FIGURES / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    return 0 if all(promise.kept for promise in promises) else 1


def _cell(value: object) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else str(value)
