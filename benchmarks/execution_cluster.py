"""Two Ray nodes on this machine against the bare function in a process pool.

Both make the same CPU-bound partitions, the nodes as a step on a cluster of ours does: through the
engine, with a report for each. Told is the share of the time in which the two workers of each side
had work, for that is what an engine decides; how fast they are then is a matter of the machine. The
sides take turns. Starting is left out on both, and told beside it.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor

import bench
from workers import busy, share

PARTITIONS = 16
ROUNDS = 3
WORK = 10_000_000


def shares(partitions: int) -> dict[str, float]:
    """Which share of the time the workers of each side had work."""
    from ml_platform.execution.clusters.local import started, stopped
    from ml_platform.execution.engines.ray import OnRay, connected
    from ml_platform.execution.profile import Cluster, Plan
    from ml_platform.execution.work import Made, Order, Work
    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore

    def make(_step):
        return Made(None, {"seconds": busy(WORK)})

    def by_nodes() -> list[float]:
        return [one.made.metadata["seconds"] for one in engine.run(work, orders)]

    # Two that run and two that wait: Ray gives a node its next partition without asking back.
    plan = Plan(engine="ray", cluster=Cluster(name="bench", nodes=2, cpus=1), max_parallel=4)
    engine = OnRay(plan, print)
    work = Work("shop", TableKey("raw", "a"), TableStore("nowhere"), "run", "run", make)
    orders = [Order(f"{number}") for number in range(partitions)]
    by_ray, bare = [], []
    begun = time.perf_counter()
    started("bench", nodes=2, cpus=1, for_s=60)
    try:
        with connected(plan), ProcessPoolExecutor(2) as executor:
            _two_nodes()
            start = time.perf_counter() - begun
            by_nodes()
            list(executor.map(busy, [WORK] * 2))
            for _ in range(ROUNDS):
                by_ray.append(share(by_nodes))
                bare.append(share(lambda: list(executor.map(busy, [WORK] * len(orders)))))
    finally:
        stopped("bench")
    return {
        "ray": statistics.median(by_ray),
        "bare": statistics.median(bare),
        "start_s": start,
        "load": os.getloadavg()[0],
    }


def _two_nodes() -> None:
    """Wait until both nodes have joined."""
    import ray

    while ray.cluster_resources().get("CPU", 0) < 2:
        time.sleep(0.2)


def main() -> int:
    options = bench.arguments(__doc__, partitions=PARTITIONS)
    with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as folder:
        found = bench.in_fresh_process(
            __file__, "shares", options.partitions, ML_PLATFORM_HOME=folder
        )
    promise = bench.Promise(
        "a bare pool's share of time with work by that of two Ray nodes",
        found["bare"] / found["ray"],
        1 / 0.95,
    )
    rows = [
        ("two Ray nodes", found["ray"], found["start_s"], found["load"]),
        ("a bare pool of two", found["bare"], "", found["load"]),
    ]
    header = ["CPU-bound partitions by", "share of the time with work", "start, s", "load"]
    return bench.finish("execution_cluster", header, rows, [promise], bench.versions("ray"))


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "shares":
        print(json.dumps(shares(int(sys.argv[2]))))
    else:
        sys.exit(main())
