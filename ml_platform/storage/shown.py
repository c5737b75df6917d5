"""A single value as a person reads it, in previews, reports, listings and metadata."""

import math
from datetime import date, datetime


def shown(value: object) -> str:
    """A value in few characters: thousands apart, no more decimals than it has, days as days.

    >>> shown(1234567), shown(1234.567), shown(78.30), shown(0.038914), shown(None)
    ('1,234,567', '1,234.57', '78.3', '0.03891', '')
    """
    if value is None or value != value:  # noqa: PLR0124 - what is not a number is not itself
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds").removesuffix(" 00:00:00")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return _float(value)


def rounded(value: float) -> float:
    """A figure that stays a number: six significant digits, and all of those before the point.

    >>> rounded(0.03891437285), rounded(1234567.891), rounded(12.5)
    (0.0389144, 1234568.0, 12.5)
    """
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, max(0, _DIGITS - 1 - math.floor(math.log10(abs(value)))))


_DIGITS = 6


def _float(value: float) -> str:
    if abs(value) < 1:
        return f"{value:.4g}"
    text = f"{value:,.2f}"
    return text.rstrip("0").rstrip(".")
