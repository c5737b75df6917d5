"""The span of time that one incremental load asks a source for.

A partition of a table becomes a window; a source turns the window into bound parameters of a query
or into text of a URL. Nothing here knows what a partition or a source is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Self

from ml_platform.kernel.errors import DeclarationError, closest

Moment = date | datetime
"""A day, or a moment; moments either all have a time zone or none has."""

PLACEHOLDERS = ("start", "end", "last_day")
"""What a text may hold in braces: `{last_day}` is for systems whose end is inclusive."""

_BRACES = re.compile(r"(?<!\$)\{(\w+)\}")
"""Not after a dollar: `${NAME}` is an environment variable."""


@dataclass(frozen=True)
class Window:
    """The half-open interval `[start, end)`: what is at `start` is in, what is at `end` is not.

    Half-open windows of neighbouring partitions touch without sharing a row.

    Raises:
        DeclarationError: `start` is not before `end`, or they are of different kinds.
    """

    start: Moment
    end: Moment

    def __post_init__(self) -> None:
        if _kind(self.start) != _kind(self.end):
            raise DeclarationError(
                f"window {self}",
                f"its start is {_kind(self.start)}, its end {_kind(self.end)}",
                allowed="two dates, or two datetimes that both have a time zone or both have none",
            )
        if not self.start < self.end:
            raise DeclarationError(
                f"window {self}", "its start is not before its end", fix="swap or widen them"
            )

    @classmethod
    def covering(cls, windows: Iterable["Window"]) -> Self:
        """The one window that neighbouring windows make, such as those of a range of partitions.

        Raises:
            DeclarationError: there is no window, or there is a gap between two of them.
        """
        ordered = sorted(windows, key=lambda window: window.start)
        if not ordered:
            raise DeclarationError("window", "there is none to cover", fix="give at least one")
        for one, following in pairwise(ordered):
            if following.start > one.end:
                raise DeclarationError(
                    f"windows {one} and {following}",
                    "there is a gap between them, so one load would bring rows of neither",
                    fix="load them one by one",
                )
        return cls(ordered[0].start, max(window.end for window in ordered))

    @property
    def last_day(self) -> date:
        """The last day of which at least a part is inside, for systems with an inclusive end."""
        if isinstance(self.end, datetime):
            return (self.end - timedelta(microseconds=1)).date()
        return self.end - timedelta(days=1)

    def __contains__(self, moment: Moment) -> bool:
        return self.start <= moment < self.end

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"


def is_windowed(text: str) -> bool:
    """Whether the text holds a window's placeholder, such as `{start}`."""
    return any(name in PLACEHOLDERS for name in _BRACES.findall(text))


def filled(text: str, window: Window | None, subject: str) -> str:
    """The text with `{start}`, `{end}` and `{last_day}` written as ISO 8601.

    Raises:
        DeclarationError: another name stands in braces, or there is no window to fill it from.
    """
    return _BRACES.sub(lambda match: _written(match[1], window, subject), text)


def _written(name: str, window: Window | None, subject: str) -> str:
    if name not in PLACEHOLDERS:
        raise DeclarationError(
            subject,
            f"'{{{name}}}' is no placeholder",
            allowed=closest(name, list(PLACEHOLDERS)),
        )
    if window is None:
        raise DeclarationError(
            subject,
            f"'{{{name}}}' has no value: this load has no window",
            fix="give the table partitions, or take the placeholder out",
        )
    moment: Moment = getattr(window, name)
    return moment.isoformat()


def unused(subject: str) -> DeclarationError:
    """The error for a source that has a window and ignores it."""
    return DeclarationError(
        subject,
        "the load has a window, but nothing in the source uses it: "
        "each partition would get all rows",
        allowed="the window's start and end",
        fix="use them in the source, or take the table's partitions away",
    )


def _kind(moment: Moment) -> str:
    if not isinstance(moment, datetime):
        return "a date"
    return "a datetime without time zone" if moment.tzinfo is None else "a datetime with time zone"
