"""The clock, so that what depends on the time can be tested without waiting."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Anything that returns the present moment, with a time zone."""


def system_clock() -> datetime:
    """The present moment in UTC."""
    return datetime.now(tz=UTC)
