"""Clusters of this machine, seen from outside: start, hold, scale, stop, sweep.

A cluster that a step asks for is started by the first and held by all that use it; when nobody has
held it for as long as its lease says, it ends by itself. The sweep is for what cannot end by itself
any more.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from ml_platform.execution.clusters.keeper import MARK
from ml_platform.execution.clusters.lease import Lease, Place, place_of, places
from ml_platform.execution.modules import module_path
from ml_platform.execution.profile import Cluster
from ml_platform.kernel.errors import ConflictError, NotFoundError, UnavailableError, closest
from ml_platform.kernel.marks import RUN_VARIABLE

START_S = 120.0
"""How long a cluster may take until its head answers; some ten seconds are usual."""

HELD_S = 60.0
"""How long a step holds a cluster that somebody else has started, from each heartbeat on."""

GRACE_S = 20.0
"""How long after the end of its lease a keeper may take before it is killed."""

_LOOK_S = 0.2
_LINES = 15
# What a run has started is ended with it; a cluster is not the run's.
_NOT_FOR_IT = (RUN_VARIABLE, "RAY_AUTH_TOKEN", "RAY_ADDRESS")


@dataclass(frozen=True)
class Swept:
    """A cluster of which something was left, and what was done about it.

    Attributes:
        ended: how many processes had to be killed.
        was_wanted: whether it still had a lease.
    """

    name: str
    why: str
    ended: int
    was_wanted: bool = True


def started(name: str, nodes: int, cpus: float, for_s: float, owner: str = "") -> Lease:
    """Start a cluster, or hold the one that is there; back when its head can be used.

    Raises:
        UnavailableError: it did not start; the message has what it said.
        ConflictError: one that is there is of another kind.
    """
    place = place_of(name)
    place.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with place.alone():
        lease = place.lease()
        if lease and lease.cpus != cpus:
            raise _of_another_kind(name, lease, cpus)
        if lease is None:
            _await_end_of_the_last(place)
            place.made()
            lease = Lease(nodes, cpus, 0.0, "")
        if not place.is_kept():
            lease = replace(lease, state="starting", address="")
        if lease.state == "starting":
            lease = lease.held_until(time.time() + START_S, owner or who())
        place.write(lease)
    if not place.is_kept():
        _keep(place)
    lease = _ready(place)
    return place.renew(for_s, owner or who()) or lease


def who() -> str:
    """Who this process is to others: the run that it executes, else itself."""
    run = os.environ.get(RUN_VARIABLE, "")
    return f"run {run[:8]}" if run else f"process {os.getpid()}"


@contextlib.contextmanager
def held(cluster: Cluster | str, log: Callable[[str], None]) -> Iterator[tuple[Lease, Place]]:
    """A cluster for as long as the block lasts, and for `idle_s` after the last holder's block.

    Args:
        cluster: one that is started if it is not there, or the name of one that is.
        log: hears that one is started.

    Raises:
        NotFoundError: there is none of this name.
        UnavailableError: it did not start, or its keeper is gone.
        ConflictError: one of this name is of another kind.
    """
    name, idle_s = (cluster, HELD_S) if isinstance(cluster, str) else (cluster.name, cluster.idle_s)
    place = place_of(name)
    if isinstance(cluster, str):
        known(name)
        lease = _ready(place)
    else:
        if place.lease() is None:
            log(f"starting cluster {name}: {cluster.nodes} nodes of {cluster.cpus:g} cores")
        lease = started(name, cluster.nodes, cluster.cpus, idle_s)
    with place.heartbeat(idle_s, who()):
        yield lease, place


def known(name: str) -> tuple[Place, Lease]:
    """A cluster that is wanted, and its lease.

    Raises:
        NotFoundError: there is none of this name.
    """
    place = place_of(name)
    if lease := place.lease():
        return place, lease
    there = [one.name for one in places() if one.lease()]
    raise NotFoundError(
        f"cluster {name}",
        "there is none of this name on this machine",
        allowed=closest(name, there),
        fix=f"start it: ml-platform clusters start {name}",
    )


def scaled(name: str, nodes: int) -> Lease:
    """Let a cluster have so many nodes; the keeper starts and ends them in a moment.

    Raises:
        NotFoundError: there is none.
    """
    place, lease = known(name)
    return place.change(nodes=nodes) or lease


def stopped(name: str, grace_s: float = GRACE_S) -> Swept:
    """End a cluster now, whoever holds it; back when nothing of it runs.

    Raises:
        NotFoundError: there is none.
    """
    place, lease = known(name)
    with place.alone():
        place.give_up()
    deadline = time.monotonic() + grace_s
    while place.is_kept() and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return _cleared(place, lease, "it was stopped")


def swept(grace_s: float = GRACE_S) -> list[Swept]:
    """End what is left of clusters that nobody holds, or whose keeper is gone or hangs."""
    found = []
    for place in places():
        with place.alone():
            lease = place.lease()
            if why := _why_swept(place, lease, grace_s):
                found.append(_cleared(place, lease, why))
    return [one for one in found if one.ended or one.was_wanted]


def _why_swept(place: Place, lease: Lease | None, grace_s: float) -> str:
    """Why there is something to sweep; empty when all is well, or somebody is still at it."""
    is_kept, is_settled = place.is_kept(), time.time() - place.changed_at >= grace_s
    if lease and lease.is_over(time.time() - grace_s):
        return "nobody held it any more"
    if lease and not is_kept and (is_settled or lease.state == "ready"):
        return "its keeper was gone"
    if not lease and (is_settled or not is_kept):
        return "nobody wanted it any more"
    return ""


def _cleared(place: Place, lease: Lease | None, why: str) -> Swept:
    """Kill what is left of a cluster, and take its folders away."""
    left = _processes(place)
    deadline = time.monotonic() + GRACE_S
    while (living := _processes(place)) and time.monotonic() < deadline:
        for process in living:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(_LOOK_S)
    if lease and Path(lease.scratch).name.startswith("ray-"):
        shutil.rmtree(lease.scratch, ignore_errors=True)
    shutil.rmtree(place.folder, ignore_errors=True)
    return Swept(place.name, why, len(left), was_wanted=lease is not None)


def _processes(place: Place) -> list[psutil.Process]:
    """The living processes of a cluster, by the mark that all inherit from its keeper."""
    found = []
    for process in psutil.process_iter():
        # One that ends meanwhile is no matter; one of another user is not of this cluster.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if (
                process.environ().get(MARK) == str(place.folder)
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


def _await_end_of_the_last(place: Place) -> None:
    """A cluster that was just given up may still be ending; the next one waits for it."""
    deadline = time.monotonic() + START_S
    while place.is_kept():
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"cluster {place.name}",
                "the one before it has not ended yet",
                fix=f"ml-platform clusters sweep, or look into {place.log}",
            )
        time.sleep(_LOOK_S)


def _keep(place: Place) -> None:
    """Start a keeper, which leaves this process at once."""
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_IT}
    environ["PYTHONPATH"] = module_path()
    with place.log.open("w") as log:
        subprocess.run(  # noqa: S603 - this program, with a folder of ours
            [sys.executable, "-m", "ml_platform.execution.clusters.keeper", str(place.folder)],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )


def _ready(place: Place) -> Lease:
    """The lease, once the head is there."""
    deadline = time.monotonic() + START_S
    while place.is_kept() and time.monotonic() < deadline:
        lease = place.lease()
        if lease is None or lease.state == "ready":
            break
        time.sleep(_LOOK_S)
    lease = place.lease()
    if lease and lease.state == "ready" and place.is_kept():
        return lease
    said = place.log.read_text(encoding="utf-8", errors="replace") if place.log.exists() else ""
    raise UnavailableError(
        f"cluster {place.name}",
        "it did not start, or ended"
        + "".join(f"\n    {one}" for one in said.splitlines()[-_LINES:]),
        fix=f"look into {place.log}; `ml-platform clusters sweep` clears what is left",
    )


def _of_another_kind(name: str, lease: Lease, cpus: float) -> ConflictError:
    return ConflictError(
        f"cluster {name}",
        f"it is there with {lease.cpus:g} cores a node, and {cpus:g} are asked for",
        fix=f"give yours another name, or end it: ml-platform clusters stop {name}",
    )
