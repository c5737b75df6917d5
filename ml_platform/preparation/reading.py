"""Polishing: from a pandas column of any kind to a typed `Column`, and what had to be changed.

A column has one kind, learnt on a sample of its cells and proved by reading all of them. Cells
that do not fit are refused: they become missing, and the receipt tells of them. What a cell says is
decided by `_CELLS`, one cell at a time, so that one row is read as a million are; arrays of
numbers, flags and moments go past it, because there only infinities can be wrong.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError
from ml_platform.preparation.columns import Column, Kind, Mask
from ml_platform.preparation.dates import DateFormat, learn_format

NULLS = frozenset(
    ["", "na", "n/a", "#n/a", "nan", "nat", "<na>", "null", "(null)", "none", "-", "--", "?"]
)
"""Spellings of "no value", in small letters and without white space around them."""

TRUE = frozenset(["true", "yes", "y", "t", "on"])
FALSE = frozenset(["false", "no", "n", "f", "off"])

_FLAGS = {**dict.fromkeys(TRUE, 1.0), **dict.fromkeys(FALSE, 0.0)}
_FLAGS_AND_FIGURES = {**_FLAGS, "1": 1.0, "0": 0.0}
_ENOUGH = 0.95
_SAMPLE, _FEW, _MANY = 2_000, 1_000, 50_000
_EXACT = 2**53
_CODE_SHARE = 0.001
_SENTENCE, _PHRASE = 6, 3  # words
_NO_MOMENT = np.iinfo(np.int64).min
_MOST_DECIMALS = 9
_ISO = DateFormat("ymd", "-")
_DATES = (date, np.datetime64, pd.Period)


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


_CHANGED = 2 * Note.ROUNDED - 1
_BITS = 14

_SENTENCES = {
    Note.TRIMMED: "white space taken away in {n:,} cells",
    Note.REPAIRED: "broken text encoding repaired in {n:,} cells",
    Note.NULL: "words for no value read as missing in {n:,} cells",
    Note.INFINITE: "infinities read as missing in {n:,} cells",
    Note.JSON: "lists and mappings written as JSON in {n:,} cells",
    Note.DECODED: "bytes decoded in {n:,} cells",
    Note.ROUNDED: "numbers with more figures than can be kept in {n:,} cells",
}
_SIGNS = {
    Note.PERCENT: "per cent signs (12.5 % is kept as 12.5)",
    Note.SEPARATOR: "thousands separators",
    Note.CURRENCY: "currency signs",
}

Marks: TypeAlias = NDArray[np.int16]
Cell: TypeAlias = tuple[Any, int]


@dataclass(frozen=True, slots=True)
class Read:
    """A column as it was read.

    `changed` marks the cells whose value is not as it stood there: trimmed, repaired, rid of signs,
    infinite, or a word for "no value". A plain '12' read as 12, 'yes' as 1 or a date in text is the
    same value in another type, and not marked. `refused` marks the cells that do not fit the
    column's kind, and were made missing.
    """

    column: Column
    changed: Mask
    refused: Mask


@dataclass(frozen=True, slots=True)
class Reader:
    """How one column is read.

    Args:
        name: the column's name.
        kind: what it holds.
        levels: of a category, by frequency, then by the alphabet.
        codes: of a category, the code of each level by its text.
        comma: of a number in text, whether the comma is its decimal mark.
        dates: of a moment in text, how it is written.
        zoned: whether the moments had a zone; they are UTC's then.
        integers: whether all known numbers are whole.
        decimals: how many decimals the known numbers have; None when there are more than nine,
            or it is no number.
        constant: whether all known values are one.
        found: sentences for the receipt.
    """

    name: str
    kind: Kind
    levels: tuple[Any, ...] = ()
    codes: dict[str, int] = field(default_factory=dict)
    comma: bool = False
    dates: DateFormat = _ISO
    zoned: bool = False
    integers: bool = False
    decimals: int | None = None
    constant: bool = False
    found: tuple[str, ...] = ()

    def read(self, values: pd.Series) -> Read:
        """All cells of a column, whatever its dtype is now."""
        return _read(self, _plain(values))[0]

    def read_one(self, value: object) -> Column:
        """One cell as a column of one row, the same as `read` makes of it."""
        return Column(
            self.kind, _array(self.kind, [_CELLS[self.kind](self, value)[0]]), self.levels
        )


def learn_reader(name: str, values: pd.Series) -> Reader:
    """Finds what a column holds, and how it is written."""
    return learn_and_read(name, values)[0]


def learn_and_read(name: str, values: pd.Series, kind: Kind | None = None) -> tuple[Reader, Read]:
    """`learn_reader`, and what its reader makes of the same values: one pass, not two.

    Args:
        name: the column's name.
        values: its cells.
        kind: what it holds, where that is known better than its cells tell.

    Raises:
        DataError: no cell is of the kind that was said.
    """
    plain = _plain(values)
    sample = plain.sample()
    reader, said = _guess(name, plain, sample) if kind is None else _of(kind, name, plain, sample)
    if reader.kind in ("category", "text"):
        reader, read, marks = _learn_levels(name, plain, kind)
    else:
        read, marks = _read(reader, plain)
        if read.refused.any():
            said = (*said, _mixed(reader, read, plain))
        if kind is not None:
            _must_fit(reader, read, said)
        elif not _holds(reader, read, marks):
            reader, read, marks = _learn_levels(name, plain)
    return _finish(reader, read, marks, (*said, *_described(reader, plain, sample))), read


# --- What pandas gives, as plain arrays


@dataclass(frozen=True, slots=True)
class _Plain:
    """A pandas column as an array: of numbers, of flags, of moments, or of cells.

    With `codes` the cells are the distinct ones, and -1 is a missing cell. `cut` marks moments that
    were finer than a microsecond.
    """

    form: Literal["number", "flag", "moment", "cells"]
    array: NDArray[Any]
    codes: NDArray[Any] | None = None
    said: str = ""
    zone: str = ""
    cut: Mask | None = None

    def cells(self) -> NDArray[Any]:
        """Its values as Python objects."""
        if self.form == "flag":
            flags: NDArray[Any] = (self.array == 1.0).astype(object)
            flags[np.isnan(self.array)] = None
            return flags
        if self.form == "moment":
            return _objects(list(self.array))
        if self.said == "integers":
            whole = self.array.astype(object)
            known = ~np.isnan(self.array)
            whole[known] = self.array[known].astype(np.int64)
            return whole
        return self.array if self.form == "cells" else self.array.astype(object)

    def spread(self) -> tuple[Sequence[Any], NDArray[Any] | None]:
        """Its distinct cells and the code of each row's; else all cells and no codes."""
        cells = self.cells()
        # Only of texts, for of other cells 1, 1.0 and True would be one.
        if self.codes is not None or pd.api.types.infer_dtype(cells) != "string":
            return cells.tolist(), self.codes
        codes, distinct = pd.factorize(cells)
        return distinct.tolist(), np.asarray(codes)

    def cell(self, row: int) -> Any:
        """What stands in one row."""
        return self.cells()[row if self.codes is None else self.codes[row]]

    def sample(self) -> list[Any]:
        """Known cells from all over the column; none when it is of one type anyway."""
        if self.form != "cells":
            return []
        step = 1 if self.codes is not None else max(1, len(self.array) // _SAMPLE)
        known = [cell for cell in self.array[::step].tolist() if not _is_null(cell)]
        return known or [cell for cell in self.array.tolist() if not _is_null(cell)][:_SAMPLE]


def _objects(cells: Sequence[Any]) -> NDArray[Any]:
    """An array of objects, of lists too (which numpy would take for a second dimension)."""
    array = np.empty(len(cells), object)
    for row, cell in enumerate(cells):
        array[row] = cell
    return array


def _plain(values: pd.Series) -> _Plain:
    dtype = values.dtype
    if isinstance(dtype, pd.SparseDtype):
        return _plain(pd.Series(np.asarray(values)))
    if isinstance(dtype, pd.PeriodDtype):
        return _plain(values.dt.to_timestamp())
    if isinstance(dtype, pd.CategoricalDtype):
        levels = _objects(values.cat.categories.tolist())
        return _Plain("cells", levels, values.cat.codes.to_numpy(), said="categories")
    if isinstance(dtype, np.dtype):
        return _plain_array(values.to_numpy())
    return _plain_extension(values)


def _plain_array(values: NDArray[Any]) -> _Plain:
    kind = values.dtype.kind
    if kind == "b":
        return _Plain("flag", values.astype(np.float64))
    if kind == "f":
        with np.errstate(over="ignore"):
            return _Plain("number", values.astype(np.float64), said=str(values.dtype))
    if kind in "iu":
        return _plain_integers(values)
    if kind == "M":
        moments = values.astype("datetime64[us]")
        cut = (moments != values) & ~np.isnat(values)
        return _Plain("moment", moments, cut=cut if cut.any() else None)
    if kind == "m":
        seconds = values.astype("timedelta64[us]") / np.timedelta64(1, "s")
        return _Plain("number", seconds, said="durations")
    return _Plain("cells", values.astype(object))


def _plain_integers(values: NDArray[Any]) -> _Plain:
    """As floats, unless those could not tell two neighbours apart."""
    numbers = values.astype(np.float64)
    if len(numbers) and (numbers.max() >= _EXACT or numbers.min() <= -_EXACT):
        return _Plain("cells", values.astype(object))
    return _Plain("number", numbers, said="integers")


def _plain_extension(values: pd.Series) -> _Plain:
    """Nullable, Arrow-backed and zoned columns."""
    dtype: Any = values.dtype
    kind = getattr(dtype, "kind", "O")
    if kind == "b":
        return _Plain("flag", values.to_numpy(dtype=np.float64, na_value=np.nan))
    if kind in "iu":
        known = _plain_integers(values.dropna().to_numpy(dtype=f"{kind}8"))
        if known.form == "number":
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            return _Plain("number", numbers, said="integers")
    if kind == "f":
        return _Plain("number", values.to_numpy(dtype=np.float64, na_value=np.nan))
    if getattr(dtype, "type", None) is pd.Timestamp:
        zone = str(values.dt.tz) if values.dt.tz is not None else ""
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None) if zone else values
        moments = _plain_array(naive.to_numpy(dtype=f"datetime64[{_unit(dtype)}]"))
        return replace(moments, zone=zone)
    return _Plain("cells", _as_objects(values))


def _unit(dtype: Any) -> str:
    """How fine moments are: "ns", "us", "ms" or "s"."""
    return str(dtype.pyarrow_dtype.unit if isinstance(dtype, pd.ArrowDtype) else dtype.unit)


def _as_objects(values: pd.Series) -> NDArray[Any]:
    missing: Any = None  # the stubs of pandas do not know that it is allowed
    return np.asarray(values.to_numpy(dtype=object, na_value=missing))


# --- What a cell says


def _is_null(value: object) -> bool:
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


def _words(value: object) -> tuple[str | None, int]:
    """A cell that is text, cleaned: None when it spells "no value"."""
    note = 0
    if not isinstance(value, str):
        value, note = _decode(bytes(value)), Note.DECODED  # type: ignore[call-overload]
    text, done = clean(value)
    if text.lower() in NULLS:
        return None, Note.NULL | (note and Note.DECODED)
    return text, done | note


def _spelled(value: object) -> tuple[str | None, int]:
    """Any cell as text; 5, 5.0 and "5" are the same."""
    if isinstance(value, (str, bytes, bytearray)):
        return _words(value)
    if _is_null(value):
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
    return (str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)), 0


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


def _number(reader: Reader, value: object) -> Cell:
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, (str, bytes, bytearray)):
        if isinstance(value, str) and not reader.comma and _PLAIN_NUMBER.fullmatch(value):
            return float(value), Note.FROM_TEXT
        text, note = _words(value)
        if text is None:
            return np.nan, note
        number, more = _number_in(text, comma=reader.comma)
        return number, more if more & Note.REFUSED else note | more
    if isinstance(value, int):
        return _integer(value)
    return (np.nan, 0) if _is_null(value) else _number_of_object(value)


def _integer(value: int) -> Cell:
    try:
        number = float(value)
    except OverflowError:
        return np.nan, Note.INFINITE
    code = Note.CODE if abs(value) >= _EXACT else 0
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


def _flag(_reader: Reader, value: object) -> Cell:
    if isinstance(value, (str, bytes, bytearray)):
        text, note = _words(value)
        if text is None:
            return np.nan, note
        flag = _FLAGS_AND_FIGURES.get(text.lower())
        return (np.nan, Note.REFUSED) if flag is None else (flag, note | Note.FROM_TEXT)
    if _is_null(value):
        return np.nan, 0
    if isinstance(value, (timedelta, np.timedelta64)):
        value = _seconds(value)
    simple = isinstance(value, (bool, int, float, np.bool_, np.number)) and value in (0, 1)
    return (float(value == 1), 0) if simple else (np.nan, Note.REFUSED)


def _moment(reader: Reader, value: object) -> Cell:
    if isinstance(value, (str, bytes, bytearray)):
        text, note = _words(value)
        if text is None:
            return _NO_MOMENT, note
        instant = reader.dates.read(text)
        if instant is None:
            return _NO_MOMENT, Note.REFUSED
        zoned = Note.ZONED if reader.dates.zone(text) else 0
        return instant, note | Note.FROM_TEXT | zoned
    if _is_null(value):
        return _NO_MOMENT, 0
    if isinstance(value, pd.Period):
        value = value.start_time
    if isinstance(value, (date, np.datetime64)):
        return _instant(value)
    return _NO_MOMENT, Note.REFUSED


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


def _category(reader: Reader, value: object) -> Cell:
    text, note = _spelled(value)
    return (-1 if text is None else reader.codes.get(text, len(reader.levels))), note


def _text(_reader: Reader, value: object) -> Cell:
    return _spelled(value)


_CELLS: dict[Kind, Callable[[Reader, object], Cell]] = {
    "number": _number,
    "flag": _flag,
    "category": _category,
    "moment": _moment,
    "text": _text,
}


# --- Reading all cells

_MISSING: dict[Kind, Any] = {
    "number": np.nan, "flag": np.nan, "category": -1, "moment": _NO_MOMENT, "text": None,
}  # fmt: skip
_DTYPES: dict[Kind, Any] = {
    "number": np.float64, "flag": np.float64, "category": np.int32, "moment": np.int64,
    "text": object,
}  # fmt: skip


def _array(kind: Kind, values: list[Any]) -> NDArray[Any]:
    array = np.array(values, _DTYPES[kind])
    return array.view("datetime64[us]") if kind == "moment" else array


def _read(reader: Reader, plain: _Plain) -> tuple[Read, Marks]:
    values, marks = _direct(reader, plain) or _by_cells(reader, plain)
    return _as_read(Column(reader.kind, values, reader.levels), marks), marks


def _as_read(column: Column, marks: Marks) -> Read:
    return Read(column, (marks & _CHANGED) != 0, (marks & Note.REFUSED) != 0)


def _direct(reader: Reader, plain: _Plain) -> tuple[NDArray[Any], Marks] | None:
    """Arrays that are already what the column is; None when its cells have to be looked at."""
    array = plain.array
    marks = np.zeros(len(array), np.int16)
    if reader.kind == "number" and plain.form in ("number", "flag"):
        infinite = np.isinf(array)
        if infinite.any():
            marks[infinite] = Note.INFINITE
            return np.where(infinite, np.nan, array), marks
        return array, marks
    if reader.kind == "moment" and plain.form == "moment":
        marks |= Note.ZONED if plain.zone else 0
        if plain.cut is not None:
            marks[plain.cut] |= Note.ROUNDED
        return array, marks
    return (array, marks) if reader.kind == plain.form == "flag" else None


def _by_cells(reader: Reader, plain: _Plain) -> tuple[NDArray[Any], Marks]:
    if reader.kind == "moment" and plain.form == "cells" and plain.codes is None:
        return _by_characters(reader, plain)
    distinct, codes = plain.spread()
    read = _CELLS[reader.kind]
    return _expand(reader.kind, [read(reader, cell) for cell in distinct], codes)


def _by_characters(reader: Reader, plain: _Plain) -> tuple[NDArray[Any], Marks]:
    """Dates in text: those of the usual width at once, the others one by one."""
    values, wide = reader.dates.read_wide(plain.array)
    zoned = Note.ZONED if reader.dates.zone(reader.dates.sketch) else 0
    marks = np.where(wide, Note.FROM_TEXT | zoned, 0).astype(np.int16)
    rest = np.flatnonzero(~wide)
    cells = [_moment(reader, cell) for cell in plain.array[rest].tolist()]
    values[rest], marks[rest] = [cell[0] for cell in cells], [cell[1] for cell in cells]
    return values.view("datetime64[us]"), marks


def _expand(
    kind: Kind, cells: Sequence[Cell], codes: NDArray[Any] | None
) -> tuple[NDArray[Any], Marks]:
    """What was read of the distinct cells, for every row."""
    values = _array(kind, [*(cell[0] for cell in cells), _MISSING[kind]])
    marks = np.array([*(cell[1] for cell in cells), 0], np.int16)
    rows: Any = slice(0, len(cells)) if codes is None else codes  # -1 is the last, the missing one
    return values[rows], marks[rows]


# --- Learning


def _guess(name: str, plain: _Plain, sample: list[Any]) -> tuple[Reader, tuple[str, ...]]:
    """The kind that the sample speaks for, and what is to be said of it."""
    if plain.form != "cells":
        return Reader(name, plain.form), ()
    if plain.said == "categories":
        return Reader(name, "category"), ()
    if not any(_spelled(cell)[0] is not None for cell in sample):
        return Reader(name, "number"), ()
    counts = Counter(map(_hashable, sample))
    if _is_flag(counts):
        return Reader(name, "flag"), ()
    number = _guess_number(name, counts)
    return (number, ()) if number is not None else _guess_moment(name, counts, plain, sample)


def _of(kind: Kind, name: str, plain: _Plain, sample: list[Any]) -> tuple[Reader, tuple[str, ...]]:
    """A reader of the kind that was said; how it is written is still looked for."""
    counts = Counter(map(_hashable, sample))
    if kind == "number":
        return _guess_number(name, counts) or Reader(name, kind), ()
    if kind == "moment" and plain.form == "cells":
        guess, said = _guess_moment(name, counts, plain, sample)
        return replace(guess, kind=kind), said
    return Reader(name, kind), ()


def _must_fit(reader: Reader, read: Read, said: tuple[str, ...]) -> None:
    if read.refused.any() and read.column.missing().all():
        raise DataError(
            f"column '{reader.name}'",
            f"no cell is a {reader.kind}, as it is said to be: {'; '.join(said)}",
            fix="leave its kind out to have it found, or say another",
        )


def _hashable(cell: object) -> tuple[type, Any]:
    """A cell as a key; 1, 1.0 and True are three."""
    try:
        hash(cell)
    except TypeError:
        return str, _spelled(cell)[0]
    return type(cell), cell


Counts: TypeAlias = Counter[tuple[type, Any]]


def _is_flag(counts: Counts) -> bool:
    """All cells say true or false, in words of which at least one cannot be a code letter."""
    reader = Reader("", "flag")
    if any(_flag(reader, cell)[1] & Note.REFUSED for _type, cell in counts):
        return False
    words = {_words(cell)[0] for kind, cell in counts if kind is str}
    spelled = {word.lower() for word in words if word} & (TRUE | FALSE)
    both = bool(spelled & TRUE) and bool(spelled & FALSE)
    return both or any(len(word) > 1 for word in spelled) or any(kind is bool for kind, _ in counts)


def _share(reader: Reader, counts: Counts) -> float:
    """The part of the known cells that a reader does not refuse."""
    notes = [(_CELLS[reader.kind](reader, cell)[1], n) for (_type, cell), n in counts.items()]
    known = sum(n for note, n in notes if not note & Note.NULL)
    refused = sum(n for note, n in notes if note & Note.REFUSED)
    return 1 - refused / max(known, 1)


def _guess_number(name: str, counts: Counts) -> Reader | None:
    """A reader of numbers, with the decimal mark by which more of them can be read."""
    first = Counter(dict(list(counts.items())[:50]))
    if (
        _share(Reader(name, "number"), first) + _share(Reader(name, "number", comma=True), first)
        == 0
    ):
        return None
    point, comma = Reader(name, "number"), Reader(name, "number", comma=True)
    shares = _share(point, counts), _share(comma, counts)
    if max(shares) < _ENOUGH:
        return None
    return comma if shares[1] > shares[0] else point


def _guess_moment(
    name: str, counts: Counts, plain: _Plain, sample: list[Any]
) -> tuple[Reader, tuple[str, ...]]:
    dates = sum(n for (kind, _), n in counts.items() if issubclass(kind, (str, *_DATES)))
    if dates < _ENOUGH * counts.total():
        return Reader(name, "category"), ()
    cells = _some([cell for cell in sample if isinstance(cell, str)], _FEW)
    texts = [word for cell in cells if (word := _words(cell)[0])]
    written = learn_format(texts) if texts else _ISO
    if isinstance(written, tuple) and written:  # perhaps the other rows tell
        words = {_words(cell)[0] for cell in plain.spread()[0] if isinstance(cell, str)}
        written = learn_format(_some(sorted(word for word in words if word), _MANY))
    if isinstance(written, tuple):
        return Reader(name, "category"), tuple(f"{said}: left as categories" for said in written)
    return Reader(name, "moment", dates=written), ()


def _some(cells: Sequence[Any], most: int) -> Sequence[Any]:
    """About `most` of them, from everywhere."""
    return cells[:: max(1, len(cells) // most)]


def _holds(reader: Reader, read: Read, marks: Marks) -> bool:
    """Whether what the sample said is true of all cells."""
    refused = int(read.refused.sum())
    known = refused + int((~read.column.missing()).sum())
    codes = int(((marks & Note.CODE) != 0).sum())
    if reader.kind == "flag":
        return refused == 0
    return refused <= (1 - _ENOUGH) * known and codes <= _CODE_SHARE * known


def _learn_levels(name: str, plain: _Plain, kind: Kind | None = None) -> tuple[Reader, Read, Marks]:
    """The levels of a category, or free text where there are too many and they are long."""
    distinct, codes = plain.spread()
    spelled = [_spelled(cell) for cell in distinct]
    times = (
        [1] * len(distinct)
        if codes is None
        else np.bincount(codes[codes >= 0], minlength=len(distinct)).tolist()
    )
    counts: Counter[str] = Counter()
    values: dict[str, Any] = {}
    for cell, (text, _note), n in zip(distinct, spelled, times, strict=True):
        if text is not None and n:
            counts[text] += n
            values[text] = _level(cell, text, values)
    if kind == "text" or (kind is None and _is_text(counts)):
        found, marks = _expand("text", spelled, codes)
        return Reader(name, "text"), _as_read(Column("text", found), marks), marks
    order = sorted(counts, key=lambda text: (-counts[text], text))
    reader = Reader(
        name, "category", tuple(values[text] for text in order),
        {text: code for code, text in enumerate(order)},
    )  # fmt: skip
    # A level that no row has, as pandas' categories may, has no code.
    cells = [(-1 if text is None else reader.codes.get(text, -1), note) for text, note in spelled]
    coded, marks = _expand("category", cells, codes)
    return reader, _as_read(Column("category", coded, reader.levels), marks), marks


def _level(cell: Any, text: str, known: dict[str, Any]) -> Any:
    """A level as it stands in the column: a number stays one, unless it also stands as text."""
    simple = isinstance(cell, (bool, int, float)) and not isinstance(known.get(text), str)
    return cell if simple else text


def _is_text(counts: Counter[str]) -> bool:
    """Mostly unique and long with several words; else it is a category."""
    known = sum(counts.values())
    words = [len(text.split()) for text in list(counts)[:_SAMPLE]]
    average = sum(words) / max(len(words), 1)
    unique = 2 * len(counts) > known
    if len(counts) <= max(50, known // 20):
        return unique and average >= _SENTENCE and len(counts) > 1
    return average >= _PHRASE


# --- What the receipt says


def _mixed(reader: Reader, read: Read, plain: _Plain) -> str:
    what = {"number": "numbers", "flag": "true or false", "moment": "dates"}[reader.kind]
    rows = np.flatnonzero(read.refused)
    shown = list(dict.fromkeys(repr(plain.cell(row))[:40] for row in rows[:50]))[:3]
    more = ", ..." if len(rows) > len(shown) else ""
    known = len(rows) + int((~read.column.missing()).sum())
    return f"mixed: {len(rows):,} cells of {known:,} are no {what}: {', '.join(shown)}{more}"


def _described(reader: Reader, plain: _Plain, sample: list[Any]) -> tuple[str, ...]:
    """What the types and the spelling say."""
    if plain.said == "durations" and reader.kind == "number":
        return ("durations, in seconds",)
    if reader.kind == "flag":
        words = {
            word.lower() for cell in sample if isinstance(cell, str) and (word := _words(cell)[0])
        }
        shown = ", ".join(map(repr, sorted(words)))
        return (f"{len(words)} spellings of true and false: {shown}",) if words else ()
    if reader.kind != "moment":
        return ()
    zones = {plain.zone, *(_zone_of(reader, cell) or "" for cell in _some(sample, _FEW))} - {""}
    shown = ", ".join(sorted(zones)[:5])
    return (f"moments of {len(zones)} time zones ({shown}) taken to UTC",) if zones else ()


def _zone_of(reader: Reader, cell: object) -> str | None:
    if isinstance(cell, str):
        return reader.dates.zone(clean(cell)[0])
    return str(cell.tzinfo) if isinstance(cell, datetime) and cell.tzinfo else None


def _finish(reader: Reader, read: Read, marks: Marks, said: tuple[str, ...]) -> Reader:
    """The reader with what all its cells have told."""
    column = read.column
    known = column.take(~column.missing()).values
    counts = _counts(marks)
    said = (*said, *_told(reader, counts, len(known)))
    constant = len(known) > 0 and _is_constant(column.kind, known)
    if not len(known):
        said = (*said, "no value at all")
    elif constant:
        said = (*said, "constant: every known value is the same")
    integers, decimals = _figures_of(known) if column.kind == "number" else (False, None)
    zoned = Note.ZONED in counts
    return replace(
        reader, found=said, constant=constant, integers=integers, decimals=decimals, zoned=zoned
    )


def _counts(marks: Marks) -> dict[int, int]:
    seen = int(np.bitwise_or.reduce(marks)) if len(marks) else 0
    bits = [1 << bit for bit in range(_BITS)]
    return {note: int(((marks & note) != 0).sum()) for note in bits if seen & note}


def _told(reader: Reader, counts: dict[int, int], known: int) -> list[str]:
    told = [text.format(n=counts[note]) for note, text in _SENTENCES.items() if note in counts]
    from_text = counts.get(Note.FROM_TEXT, 0)
    if reader.kind == "number" and from_text:
        signs = "".join(f"; {sign}" for note, sign in _SIGNS.items() if note in counts)
        told.append(f"numbers stored as text, {from_text:,} cells{signs}")
    if reader.kind == "moment" and from_text:
        told.append(f"dates stored as text, {from_text:,} cells, such as {reader.dates.sketch!r}")
    zoned = counts.get(Note.ZONED, 0)
    if 0 < zoned < known:
        told.append(f"{known - zoned:,} moments without a zone taken as UTC's")
    return told


def _is_constant(kind: Kind, known: NDArray[Any]) -> bool:
    if kind == "text":
        return all(text == known[0] for text in known)
    return bool((known == known[0]).all())


def _figures_of(known: NDArray[np.float64]) -> tuple[bool, int | None]:
    """Whether numbers are whole, and how many decimals they have at most."""
    broken = known[known != np.rint(known)]
    if not len(broken):
        return len(known) > 0, 0 if len(known) else None
    # Most columns that have more decimals than can be told show it at once.
    for numbers in (broken[:1000], broken):
        decimals = next(
            (d for d in range(1, _MOST_DECIMALS + 1) if _has_decimals(numbers, d)), None
        )
        if decimals is None:
            break
    return False, decimals


def _has_decimals(numbers: NDArray[np.float64], decimals: int) -> bool:
    return bool((np.rint(numbers * 10.0**decimals) / 10.0**decimals == numbers).all())
