"""py-AutoClean in an environment of its own, and what it made of the frames it was given.

AutoClean fails or fills wrongly on today's pandas, so the benchmark makes an environment with the
last versions on which it works. A run on the full table takes a quarter of an hour: results are
kept by what went in (cells, versions, threads) and printed with the time at which they were taken.
"""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import bench
import pandas as pd

HOME = bench.FIGURES / "peers" / "autoclean"
RUNNER = Path(__file__).with_name("autoclean.py")
STAGE = "mode manual; missing_num auto, missing_categ auto; all else off"
PINS = (
    "py-AutoClean==1.1.3",
    "pandas==1.5.3",
    "scikit-learn==1.2.2",
    "numpy==1.23.5",
    "scipy==1.15.3",
    "pyarrow==14.0.2",  # the last that takes this numpy
    "python-dateutil==2.9.0.post0",
)


@dataclass(frozen=True)
class Cleaned:
    """What AutoClean made of a frame; `frame` is None and `failure` says why when it failed."""

    frame: pd.DataFrame | None
    cpu_s: float
    peak_mb: float
    taken: str
    failure: str = ""


def environment() -> Path:
    """The interpreter of AutoClean's environment, which is made at the first call."""
    python = HOME / "venv" / "bin" / "python"
    stamp = HOME / "venv" / "installed.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(PINS):
        print(f"installing {PINS[0]} into {HOME / 'venv'}", file=sys.stderr, flush=True)
        _install(python)
        stamp.write_text("\n".join(PINS))
    return python


def _install(python: Path) -> None:
    home = python.parent.parent
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "--quiet", "--clear", "--python", "3.11", str(home)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), *PINS])
        return
    base = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if base is None:
        raise SystemExit("pandas 1.5 needs Python 3.11: install it, or uv, which brings it")
    _run([base, "-m", "venv", "--clear", str(home)])
    _run([str(python), "-m", "pip", "install", "--quiet", *PINS])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@functools.cache
def peer_versions() -> dict[str, str]:
    """AutoClean's and those of what it stands on, as installed."""
    return json.loads(_run([str(environment()), "-P", str(RUNNER)]).splitlines()[-1])


def clean(frame: pd.DataFrame, threads: dict[str, str], *, again: bool = False) -> Cleaned:
    """AutoClean's missing stage on `frame`, in a process of its own or as kept from before."""
    kept = HOME / "results" / _fingerprint(frame, threads)
    record = kept.with_suffix(".json")
    if again or not record.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(_measure(frame, kept, threads), indent=2) + "\n")
    found = json.loads(record.read_text())
    found.pop("versions", None)
    done = None if found.get("failure") else pd.read_parquet(kept.with_suffix(".parquet"))
    return Cleaned(frame=done, **found)


def _measure(frame: pd.DataFrame, kept: Path, threads: dict[str, str]) -> dict[str, object]:
    source, target = kept.with_suffix(".in.parquet"), kept.with_suffix(".parquet")
    frame.to_parquet(source, index=False)
    print(f"AutoClean on {len(frame):,} rows", file=sys.stderr, flush=True)
    command = [str(environment()), "-P", str(RUNNER), str(source), str(target)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **threads}, check=False
    )
    source.unlink()
    if done.returncode < 0:
        raise SystemExit(f"AutoClean was ended by signal {-done.returncode}: is memory short?")
    taken = datetime.now(tz=UTC).isoformat(timespec="seconds")
    if done.returncode != 0:
        failure = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"cpu_s": float("nan"), "peak_mb": float("nan"), "taken": taken, "failure": failure}
    return {**json.loads(done.stdout.splitlines()[-1]), "taken": taken}


def _fingerprint(frame: pd.DataFrame, threads: dict[str, str]) -> str:
    """A name for the cells, the versions, the threads and the way of calling, all together."""
    digest = hashlib.sha256(STAGE.encode())
    digest.update(json.dumps([peer_versions(), threads], sort_keys=True).encode())
    digest.update(json.dumps([(str(name), str(frame[name].dtype)) for name in frame]).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:24]
