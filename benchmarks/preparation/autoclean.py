"""AutoClean's missing-value stage on one Parquet file; runs in AutoClean's own environment.

Two arguments, the file with the gaps and the file to write. The last line printed is JSON: the CPU
seconds of the call alone (imports, reading and writing are outside), the most resident memory, the
versions. Nothing of this project is imported here: these libraries are years older than its own.
"""

import json
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("py-AutoClean", "pandas", "scikit-learn", "numpy", "pyarrow")


def clean(source: Path, target: Path) -> dict[str, object]:
    import pandas as pd
    from AutoClean import AutoClean

    frame = pd.read_parquet(source)
    start = time.process_time()
    done = AutoClean(
        frame,
        mode="manual",
        duplicates=False,
        missing_num="auto",
        missing_categ="auto",
        encode_categ=False,
        extract_datetime=False,
        outliers=False,
        logfile=False,
    )
    cpu_s = time.process_time() - start
    done.output.to_parquet(target)
    return {"cpu_s": cpu_s, "peak_mb": peak_mb(), "versions": found_versions()}


def peak_mb() -> float:
    """The most resident memory; what `resource` tells begins with that of the parent process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def found_versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(json.dumps(found_versions()))
    else:
        files = [Path(name).resolve() for name in sys.argv[1:]]
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # AutoClean writes where it stands
            print(json.dumps(clean(*files)))
