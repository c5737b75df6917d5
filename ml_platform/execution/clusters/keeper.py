"""The process that is a cluster of this machine: it starts its nodes, replaces them, ends them.

    python -m ml_platform.execution.clusters.keeper FOLDER

leaves whoever started it and does what the lease in the folder says, until that has run out. Every
node is processes of its own, as on machines of their own, and listens on 127.0.0.1 alone; the
system ends them with the keeper, however that ends. A node that is lost is replaced.

`ray start` would not do: it joins no second node on 127.0.0.1, and listens to the whole network on
any other address. The nodes are those of `ray.cluster_utils`.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_platform.execution.clusters.lease import Lease, Place

MARK = "ML_PLATFORM_CLUSTER"
"""In the environment of every process of a cluster: the cluster's folder."""

OBJECT_STORE_BYTES = 200 * 2**20
"""No table goes through Ray's object store, only orders and reports."""

UNTIL_HELD_S = 30.0
"""How long a new cluster waits for who asked for it; a start may take longer than a short lease."""

_LOOK_S = 0.5
_PATIENCE_S = 2.0  # who only asks whether a keeper lives has the lock for a moment
_CORE = ("raylet", "gcs_server")


def main(folder: str) -> int:
    """Keep the cluster of a folder; nothing when another keeper does."""
    place = Place(Path(folder))
    lock = place.keeper_lock(patience_s=_PATIENCE_S)
    if lock is None:
        return 0
    _leave()
    # Where it fails the lock is not closed here, but when Python has said why and ends: who finds
    # the lock free reads what was said.
    with _scratch() as scratch:
        _prepare(place, scratch)
        keep(place, scratch)
    lock.close()
    return 0


def keep(place: Place, scratch: Path) -> None:
    """Start the cluster and do what its lease says, until nobody holds it."""
    lease = place.change(keeper=os.getpid(), scratch=str(scratch))
    if lease is None:
        return
    nodes = _Nodes(lease)
    try:
        # A node takes seconds to start; what waits for the cluster need not wait for all of them.
        place.change(state="ready", address=nodes.address, expires_at=time.time() + UNTIL_HELD_S)
        while (held := _wanted(place)) and nodes.fit(held):
            time.sleep(_LOOK_S)
        place.give_up()
    finally:
        nodes.end()


def _wanted(place: Place) -> Lease | None:
    """The lease, while it lasts; one that has run out is given up before anybody renews it."""
    with place.alone():
        lease = place.lease()
        if lease is None or not lease.is_over(time.time()):
            return lease
        place.give_up()
    return None


class _Nodes:
    """The nodes of a cluster: a head without work, and those that work."""

    def __init__(self, lease: Lease) -> None:
        from ray.cluster_utils import Cluster

        self._cpus = lease.cpus
        self._cluster: Any = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, **_COMMON},
            shutdown_at_exit=True,
        )
        self.address = str(self._cluster.address)

    def fit(self, lease: Lease) -> bool:
        """Have as many nodes as are wanted, and none that is lost; False when the head is."""
        if _is_lost(self._cluster.head_node):
            return False
        for node in list(self._cluster.worker_nodes):
            if _is_lost(node) or len(self._cluster.worker_nodes) > lease.nodes:
                self._cluster.remove_node(node, allow_graceful=not _is_lost(node))
        while len(self._cluster.worker_nodes) < lease.nodes:
            self._cluster.add_node(wait=False, num_cpus=self._cpus, **_COMMON)
        return True

    def end(self) -> None:
        """End all of them."""
        self._cluster.shutdown()


_COMMON: dict[str, Any] = {
    "node_ip_address": "127.0.0.1",
    "object_store_memory": OBJECT_STORE_BYTES,
    "include_log_monitor": False,
}


def _is_lost(node: Any) -> bool:
    return any(name in _CORE for name, _ in node.dead_processes())


def _leave() -> None:
    """Go on as a process that belongs to nobody, with a session of its own."""
    if os.fork():
        os._exit(0)
    os.setsid()


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for Ray: short, for the paths of its sockets may have 107 letters at most."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        (Path(folder) / "ray").mkdir()
        yield Path(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(place: Place, scratch: Path) -> None:
    """What Ray reads when it is imported; nothing of the run that asked for the cluster."""
    os.environ.update(
        {
            MARK: str(place.folder),
            "RAY_TMPDIR": str(scratch),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(place.token),
            # Off, its processes listen on an address of this machine alone.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
    )
    os.environ.pop("RAY_AUTH_TOKEN", None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
