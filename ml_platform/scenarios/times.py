"""When a `time` trigger is due: cron expressions, and the friendlier words for the same.

What belongs here: from a declaration and two moments to the moments between. No Dagster, no clock.

Daylight saving: a time of day that a day does not have comes as much later as the clocks were put
forward; one that a day has twice comes the first time only. What goes by the hours that pass (every
N minutes or hours, a cron expression with `*` for the hour) takes no notice of the clocks.
"""

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ml_platform.kernel.days import WEEKDAYS, TimeOfDay, Weekday
from ml_platform.kernel.errors import DeclarationError
from ml_platform.scenarios.cron import cron_of

Unit = Literal["minutes", "hours", "days", "weeks", "months"]

_NTH = ("first", "second", "third", "fourth", "last")
_SECONDS = {"minutes": 60, "hours": 3600}
_EPOCH_MONDAY = date(1970, 1, 5)


def _as_text(value: Any) -> Any:
    """YAML reads 2026-01-31 without quotes as a date."""
    return value.isoformat() if isinstance(value, date) else value


Day = Annotated[str, BeforeValidator(_as_text)]


class Time(BaseModel):
    """When: a cron expression, or `every` so many units `at` a time of day."""

    model_config = ConfigDict(extra="forbid")

    cron: str | None = Field(default=None, description="A cron expression, like 30 6 * * 1-5.")
    every: int = Field(default=1, ge=1, description="Every so many units.")
    unit: Unit | None = Field(
        default=None, description="minutes, hours, days, weeks or months; instead of `cron`."
    )
    at: TimeOfDay = Field(default="00:00", description="At which time of day, like 06:30.")
    weekdays: list[Weekday] = Field(
        default=[], description="On which weekdays; for days and weeks. A week's default is Monday."
    )
    monthly_on: str = Field(
        default="day 1",
        description="For months: day 15, last day, third tuesday or last monday.",
    )
    starting_from: Day = Field(
        default=_EPOCH_MONDAY.isoformat(),
        description="Nothing is due before this day, and every Nth unit is counted from it.",
    )
    timezone: str = Field(default="UTC", description="Of all these, like Europe/Zurich.")
    missed: Literal["skip", "one", "all"] = Field(
        default="one",
        description="What came due while nobody looked: no run, one for all, or one for each.",
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if (self.cron is None) == (self.unit is None):
            raise ValueError("give either `cron`, or `unit` with `every`")
        given = self.model_fields_set
        if self.cron is not None:
            cron_of(self.cron)
            if more := given & {"every", "at", "weekdays", "monthly_on"}:
                raise ValueError(f"`{min(more)}` goes with `unit`, not with `cron`")
        if self.weekdays and self.unit not in {"days", "weeks"}:
            raise ValueError("`weekdays` goes with `unit: days` or `unit: weeks`")
        if "monthly_on" in given and self.unit != "months":
            raise ValueError("`monthly_on` goes with `unit: months`")
        return self

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            return ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise DeclarationError(
                f"timezone '{value}'", "there is none of this name",
                allowed="names like UTC, Europe/Zurich, America/New_York",
            ) from error  # fmt: skip

    @field_validator("starting_from")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        return date.fromisoformat(value).isoformat()

    @field_validator("monthly_on")
    @classmethod
    def _is_in_a_month(cls, value: str) -> str:
        _rank_and_day(value)
        return value


def due(spec: Time, after: datetime, until: datetime) -> Iterator[datetime]:
    """The moments later than `after` and not later than `until`, in order, in UTC.

    Both need a time zone. A clock that goes back (`until` before `after`) brings none.
    """
    start = _moment(date.fromisoformat(spec.starting_from), time(), ZoneInfo(spec.timezone))
    after = max(after.astimezone(UTC), start - timedelta(microseconds=1))
    found = _steady(spec, after, until) if spec.unit in _SECONDS else _on_days(spec, after, until)
    return (moment for moment in found if after < moment <= until)


def _steady(spec: Time, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every N minutes or hours, counted from the first."""
    day = date.fromisoformat(spec.starting_from)
    first = _moment(day, time.fromisoformat(str(spec.at)), ZoneInfo(spec.timezone))
    step = timedelta(seconds=spec.every * _SECONDS[str(spec.unit)])
    moment = first + max(0, (after - first) // step) * step
    while moment <= until:
        yield moment
        moment += step


def _on_days(spec: Time, after: datetime, until: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(spec.timezone)
    cron = cron_of(spec.cron) if spec.cron else None
    times = cron.times() if cron else [time.fromisoformat(str(spec.at))]
    # A time that a day does not have may fall after midnight, and so belong to the day before.
    day = after.astimezone(zone).date() - timedelta(days=1)
    while day <= until.astimezone(zone).date():
        if cron.falls_on(day) if cron else _falls_on(spec, day):
            both = cron is not None and cron.every_hour
            yield from sorted({m for one in times for m in _moments(day, one, zone, both=both)})
        day += timedelta(days=1)


def _moments(day: date, at: time, zone: ZoneInfo, *, both: bool) -> Iterator[datetime]:
    first = _moment(day, at, zone)
    yield first
    if both and (second := _moment(day, at.replace(fold=1), zone)) > first:
        yield second


def _moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def _falls_on(spec: Time, day: date) -> bool:
    start = date.fromisoformat(spec.starting_from)
    if spec.unit == "months":
        months = (day.year - start.year) * 12 + day.month - start.month
        return months % spec.every == 0 and day == _day_of_month(spec.monthly_on, day)
    weekday = WEEKDAYS[day.weekday()]
    if spec.unit == "weeks":
        weeks = (day - start + timedelta(days=start.weekday())).days // 7
        return weeks % spec.every == 0 and weekday in (spec.weekdays or ["monday"])
    return (day - start).days % spec.every == 0 and (not spec.weekdays or weekday in spec.weekdays)


def _rank_and_day(text: str) -> tuple[str, str]:
    rank, _, day = text.lower().partition(" ")
    is_number = rank == "day" and day.isdecimal() and 1 <= int(day) <= 31  # noqa: PLR2004 - days
    if not is_number and not (rank in _NTH and day in WEEKDAYS) and text.lower() != "last day":
        raise DeclarationError(
            f"monthly_on '{text}'", "this is no day of a month",
            allowed=f"day 1 to day 31, last day, or {', '.join(_NTH)} with a weekday",
        )  # fmt: skip
    return rank, day


def _day_of_month(text: str, month: date) -> date | None:
    """The day that the words mean in a month; the last one where it has not so many."""
    rank, day = _rank_and_day(text)
    last = calendar.monthrange(month.year, month.month)[1]
    if rank == "day":
        return month.replace(day=min(int(day), last))
    if day == "day":
        return month.replace(day=last)
    names: tuple[str, ...] = WEEKDAYS
    wanted = names.index(day)
    found = [d for d in range(1, last + 1) if month.replace(day=d).weekday() == wanted]
    return month.replace(day=found[-1] if rank == "last" else found[_NTH.index(rank)])
