"""A lock is one process's, and free when that has ended in whatever way."""

import subprocess
import sys

from ml_platform.kernel.locks import try_lock

HOLDER = """
import sys
from ml_platform.kernel.locks import try_lock
file = open(sys.argv[1], "w")
print(try_lock(file), flush=True)
input()
"""


def test_a_lock_is_free_once_its_holder_is_killed(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"True\n"
        with path.open("w") as file:
            assert not try_lock(file)
            holder.kill()
            holder.wait()
            assert try_lock(file.fileno())
