"""Moments: how they are written as text, and the parts that a model can use.

A column of dates has one way of writing them, learnt by `learn_format`. What a text says is
decided by one pattern; where all texts are as wide as the one it was learnt from, arrays of
characters say the same without a pattern, because a pattern for each of 200,000 cells takes
half a second.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.columns import Mask

Order: TypeAlias = Literal["ymd", "dmy", "mdy"]
Integers: TypeAlias = NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG = "january|february|march|april|may|june|july|august|september|october|november|december|sept"
_TIME = (
    r"(?:(?:T|,? )(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"(?: ?(?P<half>[ap]\.?m\.?))?(?: ?(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?)?"
)
_WORD = rf"(?P<word>{_LONG}|{'|'.join(_MONTHS)})"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},? )?"
_DAY, _SHORT_OR_LONG = r"(?P<d>\d{1,2})", r"(?P<y>\d{4}|\d{2})"
_FIXED_ZONE = re.compile(r"[+-]\d{2}:\d{2}")


@dataclass(frozen=True, slots=True)
class DateFormat:
    """One way to write a date, with or without a time of day and a zone.

    `separator` is empty when the month is a word. Two figures for the year are read as POSIX
    does, 69 as 1969 and 68 as 2068, and only between slashes ("1.2.10" is rather a version).
    `sketch` is a text that was seen; texts of its width are read quickly.
    """

    order: Order
    separator: str
    sketch: str = ""

    def read(self, text: str) -> int | None:
        """Microseconds since 1970 in UTC (or in no zone), None when it is no such date."""
        match = _pattern(self.order, self.separator).fullmatch(text)
        return None if match is None else _microseconds(match)

    def zone(self, text: str) -> str | None:
        """The zone as the text writes it, None when it has none."""
        match = _pattern(self.order, self.separator).fullmatch(text)
        return None if match is None else match["zone"]

    def read_wide(self, texts: NDArray[Any]) -> tuple[Integers, Mask]:
        """What `read` says of the texts that are as wide as `sketch`, and which these are."""
        none = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
        match = _pattern(self.order, self.separator).fullmatch(self.sketch)
        if match is None or not _is_fixed(match):
            return none
        return _read_characters(match, texts)


@lru_cache
def _pattern(order: Order, separator: str) -> re.Pattern[str]:
    s, month = re.escape(separator), r"(?P<m>\d{1,2})"
    year = _SHORT_OR_LONG if separator == "/" else r"(?P<y>\d{4})"
    if not separator:
        day = {
            "dmy": rf"{_WEEKDAY}{_DAY}[ -]{_WORD}\.?[ -](?P<y>\d{{4}})",
            "mdy": rf"{_WEEKDAY}{_WORD}\.? {_DAY},? (?P<y>\d{{4}})",
            "ymd": rf"(?P<y>\d{{4}})[ -]{_WORD}[ -]{_DAY}",
        }[order]
    else:
        day = {
            "ymd": rf"(?P<y>\d{{4}}){s}{month}{s}{_DAY}",
            "dmy": rf"{_DAY}{s}{month}{s}{year}",
            "mdy": rf"{month}{s}{_DAY}{s}{year}",
        }[order]
    return re.compile(day + _TIME, re.ASCII | re.IGNORECASE)


def _microseconds(match: re.Match[str]) -> int | None:
    year, day, hour, minute, second, fraction, half, zone = match.group(
        "y", "d", "H", "M", "S", "f", "half", "zone"
    )
    try:
        moment = datetime(
            _year(year), _month(match), int(day), _hour(int(hour or 0), half),
            int(minute or 0), int(second or 0), int((fraction or "0").ljust(6, "0")[:6]),
            tzinfo=UTC,
        )  # fmt: skip
    except ValueError:  # the 30th of February, an hour 25
        return None
    ahead = _seconds_ahead(zone)
    return None if ahead is None else (moment - _EPOCH) // _MICROSECOND - ahead * 1_000_000


def _year(figures: str) -> int:
    year = int(figures)
    return year if len(figures) > len("69") else year + (1900 if year >= 69 else 2000)  # noqa: PLR2004 - POSIX


def _month(match: re.Match[str]) -> int:
    if "m" in match.re.groupindex:
        return int(match["m"])
    return 1 + _MONTHS.index(match["word"][:3].lower())


def _hour(hour: int, half: str | None) -> int:
    """The hour of 24; one that cannot be (13 pm) comes back as 99."""
    if half is None:
        return hour
    return hour % 12 + (12 if half[0] in "pP" else 0) if 1 <= hour <= 12 else 99  # noqa: PLR2004 - a clock


def _seconds_ahead(zone: str | None) -> int | None:
    """How far a zone's clocks are before UTC's; None when there is no such zone."""
    if zone is None or zone[0] not in "+-":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:  # noqa: PLR2004 - a clock
        return None
    return (3600 * hours + 60 * minutes) * (-1 if zone[0] == "-" else 1)


def _is_fixed(match: re.Match[str]) -> bool:
    part = match.groupdict()
    widths = {"m": 2, "d": 2, "y": 4, "H": 2}
    zone = part["zone"]
    return (
        all(len(part.get(name) or "x" * width) == width for name, width in widths.items())
        and "m" in part
        and part["half"] is None
        and (zone is None or zone == "Z" or _FIXED_ZONE.fullmatch(zone) is not None)
    )


def _read_characters(match: re.Match[str], texts: NDArray[Any]) -> tuple[Integers, Mask]:
    """The same as `_microseconds`, of many texts that have their figures in the same places."""
    width = len(match.string)
    # One more character than the sketch has, so that a longer text does not look like it.
    wide = _as_wide(texts, width + 1).view(np.uint32).reshape(len(texts), width + 1)
    at = np.ascontiguousarray(np.minimum(wide, 255).astype(np.uint8).T)
    good = at[width] == 0
    spans = {name: match.span(name) for name in "ymdHMSf" if match.span(name) != (-1, -1)}
    part: dict[str, Integers] = {}
    for name, (start, end) in spans.items():
        part[name] = _figures(at[start:end], good)
    ahead = _zone_characters(at, match, good)
    held = {place for start, end in spans.values() for place in range(start, end)}
    for place in set(range(width)) - held - set(range(*match.span("zone"))):
        good &= at[place] == ord(match.string[place])
    values = _moments_of(part, len(match["f"] or ""), good) - ahead * 1_000_000
    return np.where(good, values, 0), good


def _as_wide(texts: NDArray[Any], width: int) -> NDArray[Any]:
    try:
        return texts.astype(f"U{width}")
    except ValueError:  # a list among them
        return np.array([text if isinstance(text, str) else "" for text in texts], f"U{width}")


def _figures(characters: NDArray[np.uint8], good: Mask) -> Integers:
    """The number that rows of figures make; `good` loses the rows in which one is no figure."""
    number = np.zeros(characters.shape[1], np.int64)
    for row in characters:
        figure = row - np.uint8(48)  # what is below "0" wraps round to above 9
        good &= figure <= 9  # noqa: PLR2004 - a figure
        number *= 10
        number += figure
    return number


def _zone_characters(at: NDArray[np.uint8], match: re.Match[str], good: Mask) -> Integers:
    start, end = match.span("zone")
    ahead = np.zeros(at.shape[1], np.int64)
    if start < 0:
        return ahead
    if match["zone"] == "Z":
        good &= at[start] == ord("Z")
        return ahead
    hours, minutes = _figures(at[start + 1 : start + 3], good), _figures(at[start + 4 : end], good)
    minus = at[start] == ord("-")
    good &= (minus | (at[start] == ord("+"))) & (at[start + 3] == ord(":"))
    good &= (hours <= 23) & (minutes <= 59)  # noqa: PLR2004 - a clock
    return (3600 * hours + 60 * minutes) * np.where(minus, -1, 1)


def _moments_of(part: dict[str, Integers], decimals: int, good: Mask) -> Integers:
    """Microseconds since 1970; `good` loses the rows that are on no calendar and no clock."""
    year, month, day = part["y"], part["m"], part["d"]
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)  # noqa: PLR2004 - a calendar
    first = (12 * (year - 1970) + month - 1).astype("datetime64[M]")
    days = first.astype("datetime64[D]") + (day - 1)
    good &= days.astype("datetime64[M]") == first
    seconds = days.astype(np.int64) * 86_400
    for name, size, most in (("H", 3600, 23), ("M", 60, 59), ("S", 1, 59)):
        if name in part:
            good &= part[name] <= most
            seconds += size * part[name]
    fraction = part.get("f", np.zeros(1, np.int64))
    values: Integers = seconds * 1_000_000 + (fraction * 1_000_000) // 10**decimals
    return values


_FORMATS = tuple(
    DateFormat(order, separator)
    for order in ("ymd", "dmy", "mdy")
    for separator in ("-", "/", ".", "")
)
_ENOUGH = 0.95
_FIRST_LOOK = 50
_CLEARLY = 20


def learn_format(texts: Sequence[str]) -> DateFormat | tuple[str, ...]:
    """The one way in which texts write dates, else why there is none (nothing to say: empty).

    Day and month are told apart by the numbers above 12. Where no number is, or where some say
    one thing and some the other, a date would be a guess, and is refused.
    """
    ways = {
        one: [one.read(text) is not None for text in texts]
        for one in _FORMATS
        if any(one.read(text) is not None for text in texts[:_FIRST_LOOK])
    }
    best = max(ways, key=lambda one: sum(ways[one]), default=None)
    if best is None or sum(ways[best]) < _ENOUGH * len(texts):
        return _torn(ways, texts)
    if twin := ways.get(_twin(best)):
        only = sum(a and not b for a, b in zip(ways[best], twin, strict=True))
        against = sum(b and not a for a, b in zip(ways[best], twin, strict=True))
        if not only:
            return (f"day and month cannot be told apart in dates such as {texts[0]!r}",)
        if _CLEARLY * against > only:
            return _torn(ways, texts)
    return DateFormat(best.order, best.separator, _usual(texts, ways[best]))


def _twin(written: DateFormat) -> DateFormat:
    """The format that the same text could be, with day and month the other way round."""
    other: dict[Order, Order] = {"dmy": "mdy", "mdy": "dmy", "ymd": "ymd"}
    turned = written.order if not written.separator else other[written.order]
    return DateFormat(turned, written.separator if turned != written.order else "none")


def _torn(ways: Mapping[DateFormat, list[bool]], texts: Sequence[str]) -> tuple[str, ...]:
    """Says so when the texts are dates, but not all in one way."""
    shown: dict[DateFormat, str] = {}
    readable = 0
    for row, text in enumerate(texts):
        fitting = [way for way, reads in ways.items() if reads[row]]
        readable += bool(fitting)
        if len(fitting) == 1:
            shown.setdefault(fitting[0], text)
    if not readable or readable < _ENOUGH * len(texts):
        return ()
    examples = ", ".join(repr(text) for text in list(shown.values())[:3])
    return (f"dates written in more than one way, such as {examples}",)


def _usual(texts: Sequence[str], reads: Sequence[bool]) -> str:
    """A text of the width that most have."""
    good = [text for text, read in zip(texts, reads, strict=True) if read]
    width, _times = Counter(map(len, good)).most_common(1)[0]
    return next(text for text in good if len(text) == width)
