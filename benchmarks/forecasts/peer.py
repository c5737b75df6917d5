"""Prophet in a folder of its own, on the platform's own NumPy and pandas, and which versions."""

import functools
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions

import bench

HOME = bench.FIGURES / "peers" / "prophet"
PINS = ("prophet==1.5.0", "cmdstanpy==1.3.2", "stanio==0.5.1", "tqdm==4.70.1")


@functools.cache
def folder() -> str:
    """Where Prophet lies; it is installed at the first call, without what it shares with us."""
    packages, stamp = HOME / "packages", HOME / "installed.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(PINS):
        print(f"installing {PINS[0]} into {packages}", file=sys.stderr, flush=True)
        shutil.rmtree(packages, ignore_errors=True)
        packages.mkdir(parents=True)
        _run([*_installer(), "--quiet", "--no-deps", "--target", str(packages), *PINS])
        stamp.write_text("\n".join(PINS))
    return str(packages)


def _installer() -> list[str]:
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", sys.executable]
    tools = HOME / "tools"
    _run([sys.executable, "-m", "venv", "--clear", str(tools)])
    return [str(tools / "bin" / "python"), "-m", "pip", "install"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def environ() -> dict[str, str]:
    """For a process that finds Prophet, with one thread for every method."""
    path = os.pathsep.join(filter(None, [folder(), os.environ.get("PYTHONPATH")]))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {"PYTHONPATH": path, **threads}


def versions() -> dict[str, str]:
    """Prophet's and its optimiser's, as installed."""
    found = {one.metadata["Name"]: one.version for one in distributions(path=[folder()])}
    return {name: found[name] for name in ("prophet", "cmdstanpy")}
