"""How much of what a project may use it has used, and what is told of that. Pure but for `tell`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ml_platform.alerts.message import Severity
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.tell import About, tell
from ml_platform.storage.shown import shown

Period = Literal["day", "month"]


class QuotaWords(BaseModel):
    """What a project may use; what is left out has no limit."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="What it is called, like budget.", pattern=r"^[a-z][a-z0-9_]*$")
    storage_gb: float | None = Field(
        default=None,
        gt=0,
        description="What its tables and their kept versions take, in 1e9 bytes.",
    )
    cpu_hours_a_month: float | None = Field(
        default=None, gt=0, description="What making its tables takes in a calendar month, in UTC."
    )
    runs_a_day: int | None = Field(
        default=None, gt=0, description="How many runs are made in a day, in UTC."
    )
    undelivered_messages: int | None = Field(
        default=None,
        gt=0,
        description="How many messages of its rules wait for a channel, or are dead.",
    )
    tell_at: list[float] = Field(
        default=[0.8, 1.0], min_length=1, description="At which shares of a limit it is told."
    )

    @field_validator("tell_at")
    @classmethod
    def _are_shares(cls, value: list[float]) -> list[float]:
        if any(not 0 < one <= 10 for one in value):  # noqa: PLR2004 - ten times the limit
            raise ValueError("a share of a limit is a number like 0.8, greater than 0 and up to 10")
        return sorted(set(value))

    @model_validator(mode="after")
    def _limits_something(self) -> "QuotaWords":
        if not self.limits():
            raise ValueError(f"give at least one limit: {', '.join(MEASURES)}")
        return self

    def limits(self) -> dict[str, float]:
        """The limits that are set, by their names."""
        found = {name: getattr(self, name) for name in MEASURES}
        return {name: float(value) for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Measure:
    """What is measured: in words, its unit, and for how long something told is not told again."""

    words: str
    unit: str
    period: Period


MEASURES = {
    "storage_gb": Measure("storage", "GB", "month"),
    "cpu_hours_a_month": Measure("CPU time of the month", "hours", "month"),
    "runs_a_day": Measure("runs of the day", "runs", "day"),
    "undelivered_messages": Measure("undelivered messages", "messages", "day"),
}


@dataclass(frozen=True)
class Use:
    """How much of one limit is used."""

    name: str
    used: float
    limit: float

    @property
    def share(self) -> float:
        """The share of the limit; over 1 when more is used than may be."""
        return self.used / self.limit

    @property
    def sentence(self) -> str:
        """In words."""
        measure = MEASURES[self.name]
        used, limit = shown(self.used), shown(self.limit)
        return f"{measure.words}: {used} of {limit} {measure.unit} ({self.share:.0%})"


def reached(use: Use, levels: Sequence[float]) -> float | None:
    """The highest level that is reached."""
    return max((one for one in levels if use.share >= one), default=None)


def tell_of(
    project: str, quota: QuotaWords, uses: Sequence[Use], now: datetime, outbox: Outbox
) -> list[str]:
    """Tell of each limit that is near or reached, once a level and period; what was told.

    Raises:
        UnavailableError: the outbox's database does not answer.
    """
    told = []
    for use in uses:
        level = reached(use, quota.tell_at)
        if level is not None and _tell(project, quota.name, use, level, now, outbox):
            told.append(use.sentence)
    return told


def _tell(project: str, quota: str, use: Use, level: float, now: datetime, outbox: Outbox) -> bool:
    measure = MEASURES[use.name]
    day = f"{now:%Y-%m}" if measure.period == "month" else f"{now:%Y-%m-%d}"
    return tell(
        f"{measure.words} at {use.share:.0%}",
        project=project,
        key=f"{day}/quota/{quota}/{use.name}/{level:g}",
        kind="quota.near",
        summary=f"Quota {quota}, {use.sentence}.",
        severity=Severity.error if level >= 1 else Severity.warning,
        about=About(
            observed=f"{shown(use.used)} {measure.unit}",
            expected=f"up to {shown(use.limit)} {measure.unit}",
            facts={"quota": quota, "measure": use.name, "share": round(use.share, 4)},
            at=now,
        ),
        outbox=outbox,
    )
