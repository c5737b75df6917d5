"""Moments: how they are written as text, and the parts that a model can use.

A column of dates has one way of writing them, learnt by `learn_format`. What a text says is
decided by one pattern; where all texts are as wide as the one it was learnt from, arrays of
characters say the same without a pattern, because a pattern for each of 200,000 cells takes
half a second.

The parts of a moment are arithmetic on numpy's datetime64, so that one row costs microseconds.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError, DeclarationError, closest
from ml_platform.preparation.columns import Column, Columns, Mask
from ml_platform.preparation.encoding import free_names

Order: TypeAlias = Literal["ymd", "dmy", "mdy"]
Depth: TypeAlias = Literal["auto", "Y", "M", "D", "h", "m", "s"]
Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

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
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d{3}|\.\d{6})?)?")
_YEAR_ONE = -62_135_596_800_000_000  # microseconds
_PIECE = 1_024  # cells
_LONGEST = np.iinfo(np.int32).max  # characters of a column of Arrow's
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

    def first(self, texts: Sequence[str]) -> str | None:
        """The first of the texts that it can read."""
        return next((text for text in texts if self.read(text) is not None), None)

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
        return _read_iso(match, texts) or _read_characters(match, texts)


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


def _read_iso(match: re.Match[str], texts: NDArray[Any]) -> tuple[Integers, Mask] | None:
    """The same as `_read_characters` by Arrow, in a fifth of the time; None when it cannot.

    Arrow knows ISO alone, and refuses all texts when one of them is none.
    """
    if _ISO.fullmatch(match.string) is None:
        return None
    lines, is_text = _lines_of(texts, match.string)
    try:
        column = _as_column(lines, len(match.string), len(texts))
        moments = None if column is None else column.cast(pa.timestamp("us")).cast(pa.int64())
    except (UnicodeEncodeError, pa.ArrowInvalid):
        return None
    if moments is None or (len(texts) and pc.min(moments).as_py() < _YEAR_ONE):
        return None
    return np.where(is_text, moments.to_numpy(), 0), is_text


def _lines_of(texts: NDArray[Any], instead: str) -> tuple[str, Mask]:
    """All texts, a line each, and which of the cells are texts; the others become `instead`."""
    is_text, pieces = np.ones(len(texts), np.bool_), []
    for start in range(0, len(texts), _PIECE):
        cells = texts[start : start + _PIECE].tolist()
        try:
            pieces.append("\n".join(cells))
        except TypeError:  # a missing one among them; to look at each cell is ten times as dear
            are = [type(cell) is str for cell in cells]
            is_text[start : start + _PIECE] = are
            some = [cell if is_one else instead for cell, is_one in zip(cells, are, strict=True)]
            pieces.append("\n".join(some))
    return "\n".join([*pieces, ""]), is_text


def _as_column(lines: str, width: int, count: int) -> pa.Array | None:
    """So many lines as a column of Arrow's, which takes longer itself; None unless all are wide.

    Raises:
        UnicodeEncodeError: there are other characters than ASCII's.
    """
    if len(lines) != (width + 1) * count or len(lines) > _LONGEST:
        return None
    line = np.dtype([("text", f"V{width}"), ("end", np.uint8)])
    table = np.frombuffer(lines.encode("ascii"), line)
    if (table["end"] != ord("\n")).any():
        return None
    ends = np.arange(0, width * count + 1, width, dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(table["text"]))]
    return pa.Array.from_buffers(pa.string(), count, buffers)


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
    looks = {one: one.first(texts[:_FIRST_LOOK]) for one in _FORMATS}
    ways = {one: _reads(one, look, texts) for one, look in looks.items() if look is not None}
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


def _reads(way: DateFormat, sketch: str, texts: Sequence[str]) -> list[bool]:
    """Whether each of the texts can be read so; `sketch` is one that can."""
    _, wide = replace(way, sketch=sketch).read_wide(np.array(texts, object))
    return [
        is_read or way.read(text) is not None
        for is_read, text in zip(wide.tolist(), texts, strict=True)
    ]


def _twin(written: DateFormat) -> DateFormat:
    """The format that the same text could be, with day and month the other way round."""
    other: dict[Order, Order] = {"dmy": "mdy", "mdy": "dmy", "ymd": "ymd"}
    turned = written.order if not written.separator else other[written.order]
    return DateFormat(turned, written.separator if turned != written.order else "none")


def _torn(ways: Mapping[DateFormat, list[bool]], texts: Sequence[str]) -> tuple[str, ...]:
    """Says so when the texts are dates, but not all in one way."""
    if not ways:
        return ()
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


# --- Parts

DEPTHS: tuple[Depth, ...] = ("auto", "Y", "M", "D", "h", "m", "s")
_LEVELS: dict[str, tuple[str, ...]] = {
    "Y": ("year",), "M": ("month",), "D": ("day", "weekday"), "h": ("hour",), "m": ("minute",),
    "s": ("second",),
}  # fmt: skip
_CYCLES = {
    "month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24), "minute": (0, 60),
    "second": (0, 60),
}  # fmt: skip
_FIRST_YEAR, _LAST_YEAR, _YEARS_AHEAD = 1900, 2100, 10


@dataclass(frozen=True, slots=True)
class DateParts:
    """Which parts of a date column become columns.

    Args:
        name: the date column.
        parts: by new column, the part; "month_sin" and "month_cos" go round the year.
        holidays: days since 1970 that are holidays, in order.
        holiday_years: the first and the last year of which they are known.
    """

    name: str
    parts: dict[str, str]
    holidays: Integers
    holiday_years: tuple[int, int] = (0, 0)

    def apply(self, column: Column) -> Columns:
        """The new columns, for one row or many; missing where the date is."""
        gaps = column.missing()
        made: dict[str, Floats] = _parts_of_one(column.values)
        for part in self.parts.values():
            base = part.removesuffix("_sin").removesuffix("_cos")
            if base not in made:
                made[base] = self._part(base, column.values)
                made[base][gaps] = np.nan
        return {
            output: Column("flag" if part == "is_holiday" else "number", _turned(part, made))
            for output, part in self.parts.items()
        }

    def _part(self, part: str, moments: NDArray[Any]) -> Floats:
        return self._is_holiday(moments) if part == "is_holiday" else _part_of(part, moments)

    def _is_holiday(self, moments: NDArray[Any]) -> Floats:
        """1 on a holiday, 0 on other days, missing in years whose holidays are not known."""
        days = moments.astype("datetime64[D]").astype(np.int64)
        places = np.searchsorted(self.holidays, days).clip(max=max(len(self.holidays) - 1, 0))
        found = self.holidays[places] == days if len(self.holidays) else np.zeros(len(days))
        years = _part_of("year", moments)
        first, last = self.holiday_years
        return np.where((years >= first) & (years <= last), found, np.nan)


def _turned(part: str, made: Mapping[str, Floats]) -> Floats:
    """A part as it is, or as a place on its circle."""
    base, _, function = part.rpartition("_")
    if function not in ("sin", "cos"):
        return made[part]
    start, period = _CYCLES[base]
    angle = 2 * np.pi * (made[base] - start) / period
    return np.sin(angle) if function == "sin" else np.cos(angle)


def _part_of(part: str, moments: NDArray[Any]) -> Floats:
    """One part of each moment that there is; months and days count from 1, the week from Monday, 0.

    What is said of a missing one means nothing.
    """
    if part == "year":
        values = moments.astype("datetime64[Y]").astype(np.int64) + 1970
    elif part == "month":
        values = moments.astype("datetime64[M]").astype(np.int64) % 12 + 1
    elif part == "day":
        first = moments.astype("datetime64[M]").astype("datetime64[D]")
        values = (moments.astype("datetime64[D]") - first).astype(np.int64) + 1
    elif part == "weekday":
        values = (moments.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970: a Thursday
    else:
        size, most = _CLOCK[part]
        values = moments.astype("datetime64[s]").astype(np.int64) // size % most
    return values.astype(np.float64)


def _parts_of_one(moments: NDArray[Any]) -> dict[str, Floats]:
    """All parts of a moment that is alone, in the time that arrays take for one; else nothing."""
    one = moments[0].item() if len(moments) == 1 else None
    if not isinstance(one, datetime):  # missing, or of no year that Python knows
        return {}
    parts = {
        "year": one.year, "month": one.month, "day": one.day, "weekday": one.weekday(),
        "hour": one.hour, "minute": one.minute, "second": one.second,
    }  # fmt: skip
    return {part: np.array([float(value)]) for part, value in parts.items()}


_CLOCK = {"hour": (3600, 24), "minute": (60, 60), "second": (1, 60)}
"""Of each part the seconds, and how many there are before it begins again."""


def learn_parts(
    name: str,
    column: Column,
    down_to: Depth = "auto",
    *,
    cyclical: bool = False,
    holidays: str | None = None,
    taken: Collection[str] = (),
) -> DateParts:
    """Chooses the parts of a date column.

    Args:
        name: its name; the new columns are called `<name>_year`, `<name>_month` and so on.
        column: its rows.
        down_to: the finest part: "Y", "M", "D" (with the weekday), "h", "m" or "s"; "auto" takes
            all parts that are not the same everywhere.
        cyclical: whether a part that comes round again becomes its sine and cosine instead, so that
            December is as near to January as to November.
        holidays: the code of a country ("KR", "US"), to add `<name>_is_holiday`; its holidays are
            learnt from the year before the first date to ten years after the last.
        taken: names that the table has already; a new column with such a name gets a number.

    Raises:
        DataError: the column holds no dates.
        DeclarationError: there is no such depth, or no holidays are known of that country.
    """
    if column.kind != "moment":
        raise DataError(
            f"column {name}", f"it is a {column.kind} column", allowed="a column of dates",
            fix="leave it out of the date parts, or write its dates in one way",
        )  # fmt: skip
    parts = [turn for part in _chosen(name, column, down_to) for turn in _turns(part, cyclical)]
    days, years = _holidays(name, column, holidays)
    if holidays is not None:
        parts.append("is_holiday")
    names = free_names([f"{name}_{part}" for part in parts], taken)
    return DateParts(name, dict(zip(names, parts, strict=True)), days, years)


def _chosen(name: str, column: Column, down_to: Depth) -> list[str]:
    if down_to not in DEPTHS:
        raise DeclarationError(
            f"column {name}", f"no part of a date is called {down_to!r}",
            allowed=closest(str(down_to), list(DEPTHS)),
        )  # fmt: skip
    if down_to != "auto":
        depths = list(_LEVELS)[: DEPTHS.index(down_to)]
        return [part for depth in depths for part in _LEVELS[depth]]
    known = column.take(~column.missing()).values
    parts = [part for parts in _LEVELS.values() for part in parts]
    return [part for part in parts if len(known) and np.ptp(_part_of(part, known)) > 0]


def _turns(part: str, cyclical: bool) -> tuple[str, ...]:  # noqa: FBT001 - of one caller
    return (f"{part}_sin", f"{part}_cos") if cyclical and part in _CYCLES else (part,)


def _holidays(name: str, column: Column, country: str | None) -> tuple[Integers, tuple[int, int]]:
    """The days since 1970 on which a country has a holiday, and the years that were looked up."""
    if country is None:
        return np.zeros(0, np.int64), (0, 0)
    from holidays import country_holidays, list_supported_countries

    known = column.take(~column.missing()).values
    years = _part_of("year", known) if len(known) else np.array([1970.0])
    first = int(max(years.min() - 1, _FIRST_YEAR))
    last = int(min(years.max() + _YEARS_AHEAD, _LAST_YEAR))
    if country.upper() not in (known_countries := list_supported_countries()):
        raise DeclarationError(
            f"column {name}", f"no holidays are known of the country {country!r}",
            allowed=closest(country, list(known_countries)),
        )  # fmt: skip
    days = sorted(country_holidays(country.upper(), years=range(first, last + 1)))
    return np.array(days, "datetime64[D]").astype(np.int64), (first, last)


def durations(start: Column, end: Column) -> Column:
    """Seconds from one date column to another, missing where either date is."""
    gaps = start.missing() | end.missing()
    seconds = (end.values - start.values) / np.timedelta64(1, "s")
    return Column("number", np.where(gaps, np.nan, seconds))
