"""One daemon at a time: a second one, started by mistake, ends before it does anything.

Two daemons would look at the same sensors at the same moments, and each would start a run of what
both have seen. The right to be the one is a locked file beside the history: the system takes it
from a process that dies, so the next one may go on at once. Hosts that share a database and no disk
do not see each other's.
"""

import os
import threading
import time
from pathlib import Path

from ml_platform.kernel.errors import ConflictError
from ml_platform.kernel.locks import try_lock

PATIENCE_S = 10.0
"""So long the daemon before may take to end."""

_LOOK_S = 0.2
_mine: dict[Path, int] = {}
_guard = threading.Lock()


def be_the_only_one(folder: Path, patience_s: float = PATIENCE_S) -> None:
    """Take the right for this process, or see that it has it already.

    Raises:
        ConflictError: another process has it, and goes on having it.
    """
    with _guard:
        if folder in _mine:
            return
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / ".daemon.lock", os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + patience_s
        while not try_lock(file):
            if time.monotonic() > deadline:
                other = os.pread(file, 20, 0).decode(errors="replace").strip()
                os.close(file)
                raise ConflictError(
                    f"daemon of {folder}", f"another one is at work: process {other or 'unknown'}",
                    allowed="one daemon; `dagster dev` and `make dev` bring their own",
                    fix="end one of the two",
                )  # fmt: skip
            time.sleep(_LOOK_S)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        _mine[folder] = file
