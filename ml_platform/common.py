"""What holds for every project: its resources, how its steps run, who sweeps after them."""

import os

import dagster as dg

from ml_platform.alerts.resource import Alerts
from ml_platform.execution.clusters.sensor import cluster_definitions
from ml_platform.kernel.errors import SettingsError
from ml_platform.storage.io_manager import TableIOManager
from ml_platform.storage.resource import Tables

_EXECUTORS = {
    "in_process": dg.in_process_executor,
    "multiprocess": dg.multiprocess_executor,
}


def common_definitions() -> dg.Definitions:
    """The resources by their names, the executor, and the sensors of clusters where there are some.

    Steps run in the run's own process unless `ML_PLATFORM_EXECUTOR` says `multiprocess`: a process
    a step costs seconds each for its imports (docs/decisions/0003-steps-in-process.md).
    """
    chosen = os.environ.get("ML_PLATFORM_EXECUTOR", "in_process")
    if chosen not in _EXECUTORS:
        raise SettingsError(
            "ML_PLATFORM_EXECUTOR", f"'{chosen}'", allowed=", ".join(sorted(_EXECUTORS))
        )
    tables = Tables()
    common = dg.Definitions(
        resources={
            "tables": tables,
            "io_manager": TableIOManager(tables=tables),
            "alerts": Alerts(),
        },
        executor=_EXECUTORS[chosen],
    )
    return dg.Definitions.merge(common, cluster_definitions())
