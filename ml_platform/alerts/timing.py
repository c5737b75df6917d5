"""When something may be told: digests, quiet hours, maintenance, and when to try again.

Pure: the present moment is an argument, and always has a time zone.
"""

import random
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ml_platform.alerts.message import Severity
from ml_platform.kernel.days import WEEKDAYS, TimeOfDay, Weekday, zone

ATTEMPTS_AFTER_S = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Seconds between an attempt and the next, after Standard Webhooks 1.0; then it is given up."""

JITTER = 0.1
LONGEST_WISH_S = 86400.0
"""A receiver that asks to be left alone for longer than a day is asked again after one."""


class Part(BaseModel):
    """A part of a rule: a word that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class Digest(Part):
    """Gathering: what happened since the last one is told in one message."""

    every: Literal["hour", "day", "week"] = Field(description="How often it is sent.")
    at: TimeOfDay = Field(
        default="08:00", description="At which time of day; not for `every: hour`."
    )
    weekday: Weekday = Field(default="monday", description="On which day, for `every: week`.")
    timezone: str = Field(default="UTC", description="The time zone of `at`, like Europe/Zurich.")

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        return zone(value).key

    def next_after(self, now: datetime) -> datetime:
        """The first time of sending after `now`."""
        if self.every == "hour":
            return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        local = now.astimezone(zone(self.timezone))
        day = local.date()
        if self.every == "week":
            day += timedelta(days=(WEEKDAYS.index(self.weekday) - day.weekday()) % 7)
        slot = _at(day, self.at, zone(self.timezone))
        if slot <= now:
            step = timedelta(days=7 if self.every == "week" else 1)
            slot = _at(day + step, self.at, zone(self.timezone))
        return slot.astimezone(UTC)


class QuietHours(Part):
    """Hours in which nobody is disturbed; what happens is told when they are over."""

    start: TimeOfDay = Field(description="From when, like 22:00.")
    end: TimeOfDay = Field(
        description="Until when, like 07:00, of the next day where it is earlier."
    )
    timezone: str = Field(default="UTC", description="The time zone, like Europe/Zurich.")
    weekdays: list[Weekday] = Field(
        default=list(WEEKDAYS), description="On which days they begin.", min_length=1
    )
    except_from: Severity = Field(
        default=Severity.critical, description="What is this bad, or worse, is told all the same."
    )

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        return zone(value).key

    @model_validator(mode="after")
    def _last_some_time(self) -> "QuietHours":
        if self.start == self.end:
            raise ValueError("`start` and `end` of quiet hours are the same")
        return self

    def end_at(self, now: datetime) -> datetime | None:
        """When the quiet hours end in which `now` lies; None outside of them."""
        there = zone(self.timezone)
        today = now.astimezone(there).date()
        for day in (today - timedelta(days=1), today):
            begins = _at(day, self.start, there)
            over = day if str(self.end) > str(self.start) else day + timedelta(days=1)
            ends = _at(over, self.end, there)
            if WEEKDAYS[day.weekday()] in self.weekdays and begins <= now < ends:
                return ends.astimezone(UTC)
        return None


class Window(Part):
    """A time of maintenance: what happens in it is not told."""

    start: str = Field(description="From when, like 2026-03-01T22:00:00+01:00; UTC without a zone.")
    end: str = Field(description="Until when.")

    @field_validator("start", "end")
    @classmethod
    def _is_a_moment(cls, value: str) -> str:
        _moment(value)
        return value

    @model_validator(mode="after")
    def _ends_later(self) -> "Window":
        if _moment(self.end) <= _moment(self.start):
            raise ValueError("a maintenance window ends after its start")
        return self

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it."""
        return _moment(self.start) <= moment < _moment(self.end)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _at(day: date, at: str | int, there: ZoneInfo) -> datetime:
    # A time that the clocks leap over is read as if they had not, so it comes an hour later.
    return datetime.combine(day, time.fromisoformat(str(at)), tzinfo=there).astimezone(UTC)


def in_maintenance(windows: Iterable[Window], moment: datetime) -> bool:
    """Whether any window holds the moment."""
    return any(window.holds(moment) for window in windows)


def next_attempt(
    attempts: int,
    now: datetime,
    wish_s: float | None = None,
    chance: Callable[[], float] = random.random,
) -> datetime | None:
    """When to try again after this many attempts; None when it is time to give up.

    Args:
        attempts: how many there were, from one.
        now: the present moment.
        wish_s: how long the receiver asks to wait; it is kept, up to a day.
        chance: a number from 0 to 1, so that many messages do not come back at once.
    """
    if attempts >= len(ATTEMPTS_AFTER_S):
        return None
    wait = ATTEMPTS_AFTER_S[attempts] * (1 + JITTER * (2 * chance() - 1))
    if wish_s is not None:
        wait = max(wait, min(wish_s, LONGEST_WISH_S))
    return now + timedelta(seconds=wait)
