"""Processes of this machine that belong to runs: naming one for good, seeing it live, ending it.

A process id alone is no name, for the system gives it to another process later. Here a process is
called by its id, the tick of its start, the boot of its machine and its pid namespace; no other
process ever has the same name. What a run starts is known by an environment variable that every
child inherits, so it is found after its parent is gone. Nothing here knows Dagster.
"""

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Self

import psutil

from ml_platform.kernel.marks import RUN_VARIABLE

GRACE_S = 3.0
"""Between the request to stop and the kill; a step needs about a second to report its end."""

_LOOK_S = 0.05
_FIELDS = 6
_UNKNOWN = "-"


class Life(Enum):
    """What can be said of a process from here."""

    ALIVE = "alive"
    GONE = "gone"
    OUT_OF_SIGHT = "out of sight"


@dataclass(frozen=True)
class Place:
    """Where process ids mean something: one boot of one machine, seen from one pid namespace.

    Attributes:
        host: the machine's name.
        machine: its id where it has one, else `-`: two machines may have one name.
        boot: changes with every start of the machine.
        namespace: of process ids; containers of one machine have one each, under the same boot.
    """

    host: str
    machine: str
    boot: str
    namespace: str

    @classmethod
    @cache
    def here(cls) -> Self:
        """The place of this process."""
        machine = _text("/etc/machine-id") or _UNKNOWN
        boot = _text("/proc/sys/kernel/random/boot_id") or str(int(psutil.boot_time()))
        host = platform.node().replace(" ", "-") or "localhost"
        return cls(host, machine, boot, _namespace())

    def is_rebooted(self, now: Self) -> bool:
        """Whether `now` is the same machine after a new start; never so without a machine id."""
        same = (self.host, self.machine) == (now.host, now.machine)
        return same and self.machine != _UNKNOWN and self.boot != now.boot


@dataclass(frozen=True)
class ProcessName:
    """The name of one process for all time.

    Attributes:
        pid: its process id in `place`.
        started: ticks of the system's clock since boot on Linux, which no change of the time of day
            moves; hundredths of a second since 1970 elsewhere.
    """

    pid: int
    started: int
    place: Place

    @classmethod
    def own(cls) -> Self:
        """The name of the process that asks."""
        return cls(os.getpid(), _started(os.getpid()), Place.here())

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what `str` wrote; None for anything else."""
        parts = text.split(" ")
        if len(parts) != _FIELDS or not (parts[0].isdecimal() and parts[1].isdecimal()):
            return None
        return cls(int(parts[0]), int(parts[1]), Place(*parts[2:]))

    def __str__(self) -> str:
        where = self.place
        return " ".join(
            (
                str(self.pid),
                str(self.started),
                where.host,
                where.machine,
                where.boot,
                where.namespace,
            )
        )

    def life(self, seen_from: Place | None = None) -> Life:
        """Whether the process still runs, as far as it can be seen from a place (this one).

        A process of another machine or container is out of sight. One of an earlier boot of this
        machine is gone. A zombie, dead but not yet buried by its parent, is gone too.
        """
        seen_from = seen_from or Place.here()
        if self.place.is_rebooted(seen_from):
            return Life.GONE
        if self.place != seen_from:
            return Life.OUT_OF_SIGHT
        return Life.ALIVE if self._is_running() else Life.GONE

    def _is_running(self) -> bool:
        try:
            return _lives(psutil.Process(self.pid)) and _started(self.pid) == self.started
        except psutil.NoSuchProcess:
            return False


def started_by(run_id: str, not_before: int) -> list[psutil.Process]:
    """The living processes that run `run_id` started, directly or through others.

    Args:
        run_id: what `RUN_VARIABLE` said when they were started.
        not_before: the start of the run's own process, as in `ProcessName.started`; none of its
            children can be older.
    """
    return [p for p in psutil.process_iter() if _is_of(p, run_id, not_before)]


def end(processes: list[psutil.Process], grace_s: float = GRACE_S) -> list[psutil.Process]:
    """Ask the processes to stop, kill those that do not within `grace_s`; returns who survives.

    Only a process of another user, or one that the system holds in a device, survives.
    """
    for process in processes:
        _signal(process, psutil.Process.terminate)
    living = _living_after(grace_s, processes)
    for process in living:
        _signal(process, psutil.Process.kill)
    return _living_after(grace_s, living)


def _is_of(process: psutil.Process, run_id: str, not_before: int) -> bool:
    try:
        if process.environ().get(RUN_VARIABLE) != run_id:
            return False
        return _started(process.pid) >= not_before and _lives(process)
    # One that ends meanwhile is no matter; one of another user was not started by this run.
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def _living_after(wait_s: float, processes: list[psutil.Process]) -> list[psutil.Process]:
    # psutil's own wait_procs takes a zombie for living, and a container may have nobody to bury
    # an orphan; it also takes the exit code of a child away from who started it.
    deadline = time.monotonic() + wait_s
    while (living := [p for p in processes if _lives(p)]) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return living


def _signal(process: psutil.Process, send: Callable[[psutil.Process], None]) -> None:
    # psutil compares the start again before it sends: a process id that was given anew is safe.
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        send(process)


def _started(pid: int) -> int:
    """The start of a process, see `ProcessName.started`.

    psutil's own answer on Linux is reckoned from the time of day, so after a correction of the
    clock a healthy process would seem to be another one.
    """
    if sys.platform != "linux":
        return round(psutil.Process(pid).create_time() * 100)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    # The program's name may hold spaces and brackets; field 22 of proc(5) is 20th after it.
    return int(stat.rpartition(")")[2].split()[19])


def _text(path: str) -> str:
    """The file's text; empty where a system has no such file."""
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _UNKNOWN
