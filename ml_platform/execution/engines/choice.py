"""Which engine a plan asks for. A heavy one is loaded only then."""

from collections.abc import Callable

from ml_platform.execution.engines.inline import Engine, InThisProcess
from ml_platform.execution.profile import Plan


def engine_of(plan: Plan, log: Callable[[str], None]) -> Engine:
    """The engine that makes partitions as the plan says; `log` hears what they say meanwhile."""
    if plan.is_in_process:
        return InThisProcess(log)
    if plan.engine == "ray":
        from ml_platform.execution.engines.ray import OnRay

        return OnRay(plan, log)
    from ml_platform.execution.engines.pool import LocalPool

    return LocalPool(plan, log)
