"""Who holds a lease: one process of one host, by a name that no other process ever gets."""

import functools
import os
import platform

import psutil


@functools.cache
def _name(pid: int) -> str:
    return f"{platform.node()}|{pid}|{psutil.Process(pid).create_time():.2f}"


def own_name() -> str:
    """The name of this process."""
    return _name(os.getpid())


def is_gone(name: str) -> bool:
    """Whether the process of this name has surely ended: it was of this host and is not there."""
    host, _, rest = name.partition("|")
    pid, _, started = rest.partition("|")
    if host != platform.node() or not pid.isdecimal():
        return False
    try:
        process = psutil.Process(int(pid))
        is_same = f"{process.create_time():.2f}" == started
        return not is_same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
