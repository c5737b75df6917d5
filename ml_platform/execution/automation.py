"""`automation`: a table that is made by itself, as Dagster's automation conditions say it.

What belongs here: the few conditions that a declaration names. What waits for quiet outside of the
platform, or has to do several things in order, is a scenario.
"""

from typing import Any, Literal

import dagster as dg
from pydantic import Field, field_validator

from ml_platform.execution.words import Declared

Word = Literal["on_upstream_change", "on_missing"]
SENSOR = "automation"


class OnCron(Declared):
    """At these times, once what it is made from was made since the last one."""

    on_cron: str = Field(description="When, as cron says it, like 0 6 * * *.")
    timezone: str = Field(default="UTC", description="The time zone of that.")

    @field_validator("timezone")
    @classmethod
    def _is_there(cls, value: str) -> str:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"'{value}' is no time zone; write it like Europe/Zurich") from None
        return value


def condition_of(automation: "OnCron | Word") -> "dg.AutomationCondition[Any]":
    """The condition.

    None of them makes a table whose upstream tables are missing, on the way, or did not pass their
    blocking checks; a table that failed is not made again until something has changed.
    """
    can = dg.AutomationCondition
    if isinstance(automation, OnCron):
        return can.on_cron(automation.on_cron, automation.timezone)
    ready = (
        can.all_deps_blocking_checks_passed()
        & ~can.any_deps_missing()
        & ~can.any_deps_in_progress()
        & ~can.in_progress()
    )
    if automation == "on_upstream_change":
        return can.any_deps_updated().since_last_handled() & ready
    # Dagster's own on_missing() passes over what was missing when it first looked.
    return can.missing() & ~can.execution_failed() & ready


def automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """What looks at the conditions; Dagster's own would have to be switched on by hand."""
    return dg.AutomationConditionSensorDefinition(
        SENSOR,
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes tables by their `automation`.",
    )
