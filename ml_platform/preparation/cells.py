"""What one cell says: a number, a flag, a moment, a category's word or a text, and what was amiss.

`CELLS` holds one function a kind. It takes any Python object, so that one row is read as a million
are.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from ml_platform.preparation.columns import Kind
from ml_platform.preparation.dates import DateFormat

NULLS = frozenset(
    ["", "na", "n/a", "#n/a", "nan", "nat", "<na>", "null", "(null)", "none", "-", "--", "?"]
)
"""Spellings of "no value", in small letters and without white space around them."""

TRUE = frozenset(["true", "yes", "y", "t", "on"])
FALSE = frozenset(["false", "no", "n", "f", "off"])

_FLAGS = {**dict.fromkeys(TRUE, 1.0), **dict.fromkeys(FALSE, 0.0)}
_FLAGS_AND_FIGURES = {**_FLAGS, "1": 1.0, "0": 0.0}
EXACT = 2**53
"""From here on floats cannot tell two whole numbers apart."""

NO_MOMENT = np.iinfo(np.int64).min

Cell: TypeAlias = tuple[Any, int]
"""A value, and notes on it."""


class Note:
    """What was done with a cell, as bits of a number; those up to `ROUNDED` change it.

    Plain numbers, because the flags of `enum` cost more than reading a cell does.
    """

    TRIMMED = 1
    REPAIRED = 2
    NULL = 4
    SEPARATOR = 8
    PERCENT = 16
    CURRENCY = 32
    INFINITE = 64
    JSON = 128
    DECODED = 256
    ROUNDED = 512
    REFUSED = 1024
    CODE = 2048
    FROM_TEXT = 4096
    ZONED = 8192


class Written(Protocol):
    """How the cells of a column are written; `reading.Reader` says what each is."""

    @property
    def comma(self) -> bool:
        """Whether the decimal mark is a comma."""

    @property
    def dates(self) -> DateFormat:
        """How dates are written."""

    @property
    def codes(self) -> dict[str, int]:
        """The code of each level of a category."""

    @property
    def levels(self) -> tuple[Any, ...]:
        """The levels of a category."""


def is_null(value: object) -> bool:
    """Whether it is Python's, numpy's or pandas' way to say "no value"."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)):
        return bool(value != value)  # noqa: PLR0124 - NaN and NaT alone are not themselves
    return isinstance(value, Decimal) and value.is_nan()


_BROKEN = re.compile("[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u2122]")
_INVISIBLE = "\x00\u200b\ufeff"


def clean(text: str) -> tuple[str, int]:
    """A text without stray white space and with its encoding repaired, and what was done."""
    note = 0
    if not text.isascii() and _BROKEN.search(text):
        mended = _mend(text)
        note, text = (Note.REPAIRED if mended != text else 0), mended
    trimmed = " ".join(text.strip(_INVISIBLE).split())
    return trimmed, note | (Note.TRIMMED if trimmed != text else 0)


def _mend(text: str) -> str:
    """UTF-8 that was read as Windows-1252 or Latin-1, read aright; any other text as it is.

    Text that was not broken so is hardly ever valid UTF-8 after the way back.
    """
    try:
        return b"".join(
            bytes([ord(c)]) if ord(c) < 256 else c.encode("cp1252")  # noqa: PLR2004 - a byte
            for c in text
        ).decode()
    except UnicodeError:
        return text


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def words_in(value: object) -> tuple[str | None, int]:
    """A cell that is text, cleaned: None when it spells "no value"."""
    note = 0
    if not isinstance(value, str):
        value, note = _decode(bytes(value)), Note.DECODED  # type: ignore[call-overload]
    text, done = clean(value)
    if text.lower() in NULLS:
        return None, Note.NULL | (note and Note.DECODED)
    return text, done | note


def spelled(value: object) -> tuple[str | None, int]:
    """Any cell as text; 5, 5.0 and "5" are the same."""
    if isinstance(value, (str, bytes, bytearray)):
        return words_in(value)
    if is_null(value):
        return None, 0
    if isinstance(value, (list, dict, tuple, set, frozenset, np.ndarray)):
        return _json(value), Note.JSON
    if isinstance(value, (timedelta, np.timedelta64)):
        value = _seconds(value)
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64):
        value = value.item()
    if isinstance(value, float):
        return _spelled_float(value)
    if isinstance(value, (date, np.datetime64)):
        return str(np.datetime64(_instant(value)[0], "us")), 0
    return clean(str(value))[0], 0


def _spelled_float(value: float) -> tuple[str | None, int]:
    if value in (np.inf, -np.inf):
        return None, Note.INFINITE
    return (str(int(value)) if value.is_integer() and abs(value) < EXACT else repr(value)), 0


def _json(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)
    try:
        return json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)
    except (TypeError, ValueError):  # keys that do not sort, a list in itself
        return repr(value)


@lru_cache
def _number_pattern(*, comma: bool) -> re.Pattern[str]:
    mark, group = (",", "[. '\u2019]") if comma else (r"\.", "[, '\u2019]")
    return re.compile(
        rf"(?P<sign>[+-]?)(?P<money>[$€£¥₩₹] ?)?(?P<minus>-?)"
        rf"(?P<whole>\d{{1,3}}(?:(?P<group>{group})\d{{3}}(?:(?P=group)\d{{3}})*)|\d*)"
        rf"(?:{mark}(?P<part>\d*))?(?P<power>[eE][+-]?\d{{1,4}})?(?P<unit> ?[%$€£¥₩₹])?",
        re.ASCII,
    )


_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_SAFE_DIGITS = 15


def _number_in(text: str, *, comma: bool) -> tuple[float, int]:
    """The number that a text is; codes such as '007' and digits beyond 15 are none."""
    match = _number_pattern(comma=comma).fullmatch(text.replace("\u2212", "-"))
    if match is None or not (match["whole"] or match["part"]):
        return np.nan, Note.INFINITE if _INFINITE.fullmatch(text) else Note.REFUSED
    sign, money, minus, whole, group, part, power, unit = match.groups()
    whole = whole.replace(group, "") if group else whole
    long = len(whole) > _SAFE_DIGITS and not (group or part or power)
    if long or (whole[:1] == "0" and len(whole) > 1):
        return np.nan, Note.REFUSED | Note.CODE
    number = float(f"{minus or sign}{whole}.{part or '0'}{power or ''}")
    note = Note.FROM_TEXT
    note |= Note.SEPARATOR if group or (comma and part) else 0
    note |= Note.PERCENT if unit and "%" in unit else 0
    note |= Note.CURRENCY if money or (unit and "%" not in unit) else 0
    return _finite(number, note)


def _finite(number: float, note: int = 0) -> tuple[float, int]:
    if number in (np.inf, -np.inf):
        return np.nan, Note.INFINITE
    return number, note


def _number(reader: Written, value: object) -> Cell:
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, (str, bytes, bytearray)):
        if isinstance(value, str) and not reader.comma and _PLAIN_NUMBER.fullmatch(value):
            return float(value), Note.FROM_TEXT
        text, note = words_in(value)
        if text is None:
            return np.nan, note
        number, more = _number_in(text, comma=reader.comma)
        return number, more if more & Note.REFUSED else note | more
    if isinstance(value, int):
        return _integer(value)
    return (np.nan, 0) if is_null(value) else _number_of_object(value)


def _integer(value: int) -> Cell:
    try:
        number = float(value)
    except OverflowError:
        return np.nan, Note.INFINITE
    code = Note.CODE if abs(value) >= EXACT else 0
    return number, code if number == value else code | Note.ROUNDED


def _seconds(value: timedelta | np.timedelta64) -> float:
    return float(np.timedelta64(value).astype("timedelta64[us]") / np.timedelta64(1, "s"))


def _number_of_object(value: object) -> Cell:
    if isinstance(value, (timedelta, np.timedelta64)):
        return _seconds(value), 0
    if isinstance(value, np.integer):
        return _integer(int(value))
    if isinstance(value, (np.floating, np.bool_, Decimal, Fraction)):
        try:
            return _finite(float(value))
        except OverflowError:
            return np.nan, Note.INFINITE
    return np.nan, Note.REFUSED


def flag_in(_reader: Written, value: object) -> Cell:
    """1.0 or 0.0, of a word for true or false too."""
    if isinstance(value, (str, bytes, bytearray)):
        text, note = words_in(value)
        if text is None:
            return np.nan, note
        flag = _FLAGS_AND_FIGURES.get(text.lower())
        return (np.nan, Note.REFUSED) if flag is None else (flag, note | Note.FROM_TEXT)
    if is_null(value):
        return np.nan, 0
    if isinstance(value, (timedelta, np.timedelta64)):
        value = _seconds(value)
    simple = isinstance(value, (bool, int, float, np.bool_, np.number)) and value in (0, 1)
    return (float(value == 1), 0) if simple else (np.nan, Note.REFUSED)


def moment_in(reader: Written, value: object) -> Cell:
    """Microseconds since 1970."""
    if isinstance(value, (str, bytes, bytearray)):
        text, note = words_in(value)
        if text is None:
            return NO_MOMENT, note
        instant = reader.dates.read(text)
        if instant is None:
            return NO_MOMENT, Note.REFUSED
        zoned = Note.ZONED if reader.dates.zone(text) else 0
        return instant, note | Note.FROM_TEXT | zoned
    if is_null(value):
        return NO_MOMENT, 0
    if isinstance(value, pd.Period):
        value = value.start_time
    if isinstance(value, (date, np.datetime64)):
        return _instant(value)
    return NO_MOMENT, Note.REFUSED


def _instant(value: date | np.datetime64) -> tuple[int, int]:
    """Microseconds since 1970 of a date, a moment, or a moment of pandas or numpy."""
    zoned = isinstance(value, datetime) and value.tzinfo is not None
    note = Note.ZONED if zoned else 0
    if isinstance(value, pd.Timestamp):
        note |= Note.ROUNDED if value.nanosecond else 0
        value = (value.tz_convert(None) if zoned else value).to_datetime64()
    elif isinstance(value, datetime) and zoned:
        value = value.astimezone(UTC).replace(tzinfo=None)
    fine = np.datetime64(value)
    moment = fine.astype("datetime64[us]")
    return int(moment.astype(np.int64)), note | (Note.ROUNDED if moment != fine else 0)


def _category(reader: Written, value: object) -> Cell:
    text, note = spelled(value)
    return (-1 if text is None else reader.codes.get(text, len(reader.levels))), note


def _text(_reader: Written, value: object) -> Cell:
    return spelled(value)


CELLS: dict[Kind, Callable[[Written, object], Cell]] = {
    "number": _number,
    "flag": flag_in,
    "category": _category,
    "moment": moment_in,
    "text": _text,
}
