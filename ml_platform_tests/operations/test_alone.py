"""Who may be the daemon; two real ones are in ml_platform_tests/scenarios/test_daemon.py."""

import subprocess
import sys

import pytest

from ml_platform.kernel.errors import ConflictError
from ml_platform.operations.alone import be_the_only_one

HOLDER = """
import sys, time
from pathlib import Path
from ml_platform.operations.alone import be_the_only_one
be_the_only_one(Path(sys.argv[1]))
print("mine", flush=True)
time.sleep(600)
"""


def test_one_process_has_the_right_until_it_dies(tmp_path):
    folder = tmp_path / "dagster"
    words = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(ConflictError, match=f"process {other.pid}"):
            be_the_only_one(folder, patience_s=0.3)
        other.kill()
    be_the_only_one(folder)
    be_the_only_one(folder, patience_s=0)  # as each thread of a daemon does
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(
            [sys.executable, "-c", HOLDER.replace("(Path(sys.argv[1]))", "(Path(sys.argv[1]), 0)"),
             str(folder)],
            check=True, capture_output=True,
        )  # fmt: skip
