"""A cron expression as sets of numbers: which days it falls on, and at which times of them.

Five fields, as crontab(5) has them: minute, hour, day of the month, month, weekday. Where both a
day and a weekday are given, one of the two is enough; `*/2` counts as given, as in Dagster's own
schedules. Those are private to Dagster, or they would be used here; a test compares the two.
"""

import re
from dataclasses import dataclass
from datetime import date, time

from ml_platform.kernel.errors import DeclarationError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _WEEKDAYS),
)
_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class Cron:
    """A cron expression that was read; `cron_of` makes it."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    @property
    def every_hour(self) -> bool:
        """Whether it goes by the hours that pass, and not by what the clock on the wall shows."""
        return len(self.hours) == 24  # noqa: PLR2004 - hours of a day

    def falls_on(self, day: date) -> bool:
        """Whether a day is one of its days."""
        if day.month not in self.months:
            return False
        is_day, is_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return is_day and is_weekday
        return is_day or is_weekday

    def times(self) -> list[time]:
        """Its times of a day, in order."""
        return [
            time(hour, minute) for hour in sorted(self.hours) for minute in sorted(self.minutes)
        ]


def cron_of(text: str) -> Cron:
    """Read a cron expression.

    Raises:
        DeclarationError: it cannot be read, or names a day that no month has.
    """
    words = _NICKNAMES.get(text.strip(), text).lower().split()
    if len(words) != len(_FIELDS):
        raise _wrong(text, f"{len(words)} fields", "five fields, or @hourly, @daily, @weekly, ...")
    found = [_field(text, word, *field) for word, field in zip(words, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = found
    if not any(min(days) <= _LONGEST[month - 1] for month in months) and words[4] == "*":
        raise _wrong(text, "no year has such a day", "a day that one of the months has")
    weekdays = frozenset(day % 7 for day in weekdays)
    return Cron(minutes, hours, days, months, weekdays, words[2] == "*", words[4] == "*")


def _field(
    text: str, word: str, name: str, low: int, high: int, names: tuple[str, ...]
) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _wrong(text, f"{name} '{part}' cannot be read", "*, 5, 1-5, */10, 1-31/2, 1,15")
        star, first, last, step = match.groups()
        start = low if star else _number(text, first, name, low, high, names)
        end = high if star or (step and not last) else start
        end = _number(text, last, name, low, high, names) if last else end
        if end < start or step == "0":
            raise _wrong(text, f"{name} '{part}' holds nothing", f"{low} to {high}, upwards")
        found |= set(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, word: str, name: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if word in names:
        return names.index(word) + (1 if low else 0)
    if not word.isdecimal() or not low <= int(word) <= high:
        also = f", {names[0]} to {names[-1]}" if names else ""
        raise _wrong(text, f"{name} '{word}'", f"{low} to {high}{also}")
    return int(word)


def _wrong(text: str, given: str, allowed: str) -> DeclarationError:
    return DeclarationError(f"cron '{text}'", given, allowed=allowed)
