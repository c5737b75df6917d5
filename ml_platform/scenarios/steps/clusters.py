"""`start_cluster` and `stop_cluster`: a Ray cluster of this machine, for the steps between.

Those on Kubernetes are started by the first table that asks for them, and end by themselves.
"""

from typing import Any

from ml_platform.execution.clusters import local
from ml_platform.kernel.errors import NotFoundError
from ml_platform.scenarios.course import Outcome, Result
from ml_platform.scenarios.step_words import StartCluster
from ml_platform.scenarios.steps.place import Place


def start_cluster(words: StartCluster, place: Place) -> Result:
    """Start it, or hold the one that is there and let it have as many nodes.

    Raises:
        UnavailableError: it did not start.
        ConflictError: one that is there has nodes of another size.
    """
    lease = local.started(words.name, words.nodes, words.cpus, float(words.hold))
    if lease.nodes != words.nodes:
        lease = local.scaled(words.name, words.nodes)
    place.say(f"cluster {words.name} is at {lease.address}")
    output: dict[str, Any] = {"address": lease.address, "nodes": lease.nodes}
    return Result(Outcome.success, output)


def stop_cluster(name: str) -> Result:
    """End it, whoever holds it; one that has ended by itself is none the worse."""
    try:
        swept = local.stopped(name)
    except NotFoundError:
        return Result(Outcome.success, {"stopped": False}, "there was none")
    return Result(Outcome.success, {"stopped": True, "killed": swept.ended})
