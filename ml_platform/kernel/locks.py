"""Locks on files: the right of one process, which the system takes back when that process dies."""

import fcntl
from typing import IO


def try_lock(file: IO[str] | int) -> bool:
    """Take the only right to an open file, for as long as it is open; whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
