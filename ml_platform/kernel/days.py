"""Days and times of day as people write them in a declaration: weekdays, 08:30, a time zone."""

import re
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator

from ml_platform.kernel.errors import DeclarationError

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)


def time_of_day(value: Any) -> str:
    """A time of day as text, with hours and minutes.

    YAML reads 22:00 without quotes as a number to the base of sixty, which is its minutes.

    >>> time_of_day("06:05"), time_of_day(1320)
    ('06:05', '22:00')
    """
    text = f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) else value
    if not isinstance(text, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f"'{value}' is no time of day; write it like 08:30")
    return text


TimeOfDay = Annotated[str | int, BeforeValidator(time_of_day)]


def zone(name: str) -> ZoneInfo:
    """The time zone of a name.

    Raises:
        DeclarationError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DeclarationError(
            f"time zone '{name}'", "there is none of this name", allowed="such as Europe/Zurich"
        ) from None
