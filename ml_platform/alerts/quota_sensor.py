"""The sensor of a quota: it measures now and then, says so in its ticks, and tells what is near."""

from datetime import datetime

import dagster as dg

from ml_platform.alerts.installed import outbox_here
from ml_platform.alerts.listening.known import Known
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.quota import QuotaWords, Use, tell_of
from ml_platform.execution.usage import usage
from ml_platform.kernel.clock import system_clock
from ml_platform.storage.resource import Tables
from ml_platform.storage.tables import TableStore

INTERVAL_S = 900
"""A month's materialisations are read for the CPU hours: that is nothing for every few seconds."""

_PAGE = 500
_GB, _HOUR_S = 1e9, 3600.0


def quota_sensor(project: str, quota: QuotaWords) -> dg.SensorDefinition:
    """The sensor that measures what a project has used of its quota."""

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now, outbox = system_clock(), outbox_here()
        found = uses(project, quota, context.instance, Tables().store(), outbox, now)
        told = tell_of(project, quota, found, now, outbox)
        for one in told:
            context.log.warning("told: %s", one)
        return dg.SkipReason("; ".join(one.sentence for one in found))

    return dg.SensorDefinition(
        name=f"quota_{quota.name}",
        evaluation_fn=evaluate,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Measures what the project has used of its limits, and tells when one is near.",
    )


def uses(
    project: str,
    quota: QuotaWords,
    instance: dg.DagsterInstance,
    store: TableStore,
    outbox: Outbox,
    now: datetime,
) -> list[Use]:
    """How much of each limit of a quota is used."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    measured = {
        "storage_gb": lambda: store.stored_bytes(project) / _GB,
        "cpu_hours_a_month": lambda: cpu_hours(instance, project, day.replace(day=1)),
        "runs_a_day": lambda: float(runs_since(instance, project, day)),
        "undelivered_messages": lambda: float(_undelivered(outbox, project)),
    }
    return [Use(name, measured[name](), limit) for name, limit in quota.limits().items()]


def cpu_hours(instance: dg.DagsterInstance, project: str, since: datetime) -> float:
    """The CPU time of all that a project has made since then, as its materialisations tell it."""
    found = [one.cpu_seconds for one in usage(instance, since) if one.project == project]
    return sum(found) / _HOUR_S


def runs_since(instance: dg.DagsterInstance, project: str, since: datetime) -> int:
    """How many runs of a project were made since then."""
    known, count, cursor = Known(instance, project, since), 0, None
    while True:
        records = instance.get_run_records(
            dg.RunsFilter(created_after=since), limit=_PAGE, cursor=cursor
        )
        runs = [one.dagster_run for one in records]
        count += sum(known.project_of(run, "") == project for run in runs)
        if len(runs) < _PAGE:
            return count
        cursor = runs[-1].run_id


def _undelivered(outbox: Outbox, project: str) -> int:
    with outbox.book() as book:
        return book.undelivered(project)
