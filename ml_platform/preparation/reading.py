"""Polishing: from a pandas column of any kind to a typed `Column`, and what had to be changed.

A column has one kind, learnt on a sample of its cells and proved by reading all of them. Cells
that do not fit are refused: they become missing, and the receipt tells of them. What a cell says is
decided by `CELLS`, one cell at a time, so that one row is read as a million are; arrays of
numbers, flags and moments go past it, because there only infinities can be wrong.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError
from ml_platform.preparation.cells import (
    CELLS,
    FALSE,
    NO_MOMENT,
    TRUE,
    Cell,
    Note,
    clean,
    flag_in,
    moment_in,
    spelled,
    words_in,
)
from ml_platform.preparation.columns import Column, Kind, Mask
from ml_platform.preparation.dates import DateFormat, learn_format
from ml_platform.preparation.plain import Plain, plain_of

_ENOUGH = 0.95
_SAMPLE, _FEW, _MANY = 2_000, 500, 50_000
_CODE_SHARE = 0.001
_SENTENCE, _PHRASE = 6, 3  # words
_MOST_DECIMALS = 9
_ISO = DateFormat("ymd", "-")
_DATES = (date, np.datetime64, pd.Period)


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

    def marked(self, changed: int, refused: int) -> NDArray[np.uint8]:
        """Of each cell one byte, in which these bits say what was done to it."""
        return self.changed * np.uint8(changed) | self.refused * np.uint8(refused)


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
        return _read(self, plain_of(values))[0]

    def read_one(self, value: object) -> Column:
        """One cell as a column of one row, the same as `read` makes of it."""
        return Column(self.kind, _array(self.kind, [CELLS[self.kind](self, value)[0]]), self.levels)


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
    plain = plain_of(values)
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
    said = (*said, *_described(reader, plain, sample, marks))
    return _finish(reader, plain, read, marks, said), read


# --- Reading all cells

_MISSING: dict[Kind, Any] = {
    "number": np.nan, "flag": np.nan, "category": -1, "moment": NO_MOMENT, "text": None,
}  # fmt: skip
_DTYPES: dict[Kind, Any] = {
    "number": np.float64, "flag": np.float64, "category": np.int32, "moment": np.int64,
    "text": object,
}  # fmt: skip


def _array(kind: Kind, values: list[Any]) -> NDArray[Any]:
    array = np.array(values, _DTYPES[kind])
    return array.view("datetime64[us]") if kind == "moment" else array


def _read(reader: Reader, plain: Plain) -> tuple[Read, Marks]:
    values, marks = _direct(reader, plain) or _by_cells(reader, plain)
    return _as_read(Column(reader.kind, values, reader.levels), marks), marks


def _as_read(column: Column, marks: Marks) -> Read:
    if not marks.any():
        return Read(column, np.zeros(len(marks), np.bool_), np.zeros(len(marks), np.bool_))
    return Read(column, (marks & _CHANGED) != 0, (marks & Note.REFUSED) != 0)


def _direct(reader: Reader, plain: Plain) -> tuple[NDArray[Any], Marks] | None:
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


def _by_cells(reader: Reader, plain: Plain) -> tuple[NDArray[Any], Marks]:
    if reader.kind == "moment" and plain.form == "cells" and plain.codes is None:
        return _by_characters(reader, plain)
    distinct, codes = plain.spread()
    read = CELLS[reader.kind]
    return _expand(reader.kind, [read(reader, cell) for cell in distinct], codes)


def _by_characters(reader: Reader, plain: Plain) -> tuple[NDArray[Any], Marks]:
    """Dates in text: those of the usual width at once, the others one by one."""
    values, wide = reader.dates.read_wide(plain.array)
    zoned = Note.ZONED if reader.dates.zone(reader.dates.sketch) else 0
    marks = np.where(wide, Note.FROM_TEXT | zoned, 0).astype(np.int16)
    rest = np.flatnonzero(~wide)
    cells = [moment_in(reader, cell) for cell in plain.array[rest].tolist()]
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


def _guess(name: str, plain: Plain, sample: list[Any]) -> tuple[Reader, tuple[str, ...]]:
    """The kind that the sample speaks for, and what is to be said of it."""
    if plain.form != "cells":
        return Reader(name, plain.form), ()
    if plain.said == "categories":
        return Reader(name, "category"), ()
    if not any(spelled(cell)[0] is not None for cell in sample):
        return Reader(name, "number"), ()
    counts = Counter(map(_hashable, sample))
    if _is_flag(counts):
        return Reader(name, "flag"), ()
    number = _guess_number(name, counts)
    return (number, ()) if number is not None else _guess_moment(name, counts, plain, sample)


def _of(kind: Kind, name: str, plain: Plain, sample: list[Any]) -> tuple[Reader, tuple[str, ...]]:
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
        return str, spelled(cell)[0]
    return type(cell), cell


Counts: TypeAlias = Counter[tuple[type, Any]]


def _is_flag(counts: Counts) -> bool:
    """All cells say true or false, in words of which at least one cannot be a code letter."""
    reader = Reader("", "flag")
    if any(flag_in(reader, cell)[1] & Note.REFUSED for _type, cell in counts):
        return False
    words = {words_in(cell)[0] for kind, cell in counts if kind is str}
    spelled = {word.lower() for word in words if word} & (TRUE | FALSE)
    both = bool(spelled & TRUE) and bool(spelled & FALSE)
    return both or any(len(word) > 1 for word in spelled) or any(kind is bool for kind, _ in counts)


def _share(reader: Reader, counts: Counts) -> float:
    """The part of the known cells that a reader does not refuse."""
    notes = [(CELLS[reader.kind](reader, cell)[1], n) for (_type, cell), n in counts.items()]
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
    name: str, counts: Counts, plain: Plain, sample: list[Any]
) -> tuple[Reader, tuple[str, ...]]:
    dates = sum(n for (kind, _), n in counts.items() if issubclass(kind, (str, *_DATES)))
    if dates < _ENOUGH * counts.total():
        return Reader(name, "category"), ()
    cells = _some([cell for cell in sample if isinstance(cell, str)], _FEW)
    words = {cell: words_in(cell)[0] for cell in set(cells)}
    texts = [word for cell in cells if (word := words[cell])]
    written = learn_format(texts) if texts else _ISO
    if isinstance(written, tuple) and written:  # perhaps the other rows tell
        others = {words_in(cell)[0] for cell in plain.spread()[0] if isinstance(cell, str)}
        written = learn_format(_some(sorted(word for word in others if word), _MANY))
    if isinstance(written, tuple):
        return Reader(name, "category"), tuple(f"{said}: left as categories" for said in written)
    return Reader(name, "moment", dates=written), ()


def _some(cells: Sequence[Any], most: int) -> Sequence[Any]:
    """About `most` of them, from everywhere."""
    return cells[:: max(1, len(cells) // most)]


def _holds(reader: Reader, read: Read, marks: Marks) -> bool:
    """Whether what the sample said is true of all cells."""
    if not marks.any():
        return True
    refused = int(read.refused.sum())
    known = refused + int((~read.column.missing()).sum())
    codes = int(((marks & Note.CODE) != 0).sum())
    if reader.kind == "flag":
        return refused == 0
    return refused <= (1 - _ENOUGH) * known and codes <= _CODE_SHARE * known


def _learn_levels(name: str, plain: Plain, kind: Kind | None = None) -> tuple[Reader, Read, Marks]:
    """The levels of a category, or free text where there are too many and they are long."""
    distinct, codes = plain.spread()
    texts = [spelled(cell) for cell in distinct]
    times = (
        [1] * len(distinct)
        if codes is None
        else np.bincount(codes[codes >= 0], minlength=len(distinct)).tolist()
    )
    counts: Counter[str] = Counter()
    values: dict[str, Any] = {}
    for cell, (text, _note), n in zip(distinct, texts, times, strict=True):
        if text is not None and n:
            counts[text] += n
            values[text] = _level(cell, text, values)
    if kind == "text" or (kind is None and _is_text(counts)):
        found, marks = _expand("text", texts, codes)
        return Reader(name, "text"), _as_read(Column("text", found), marks), marks
    order = sorted(counts, key=lambda text: (-counts[text], text))
    reader = Reader(
        name, "category", tuple(values[text] for text in order),
        {text: code for code, text in enumerate(order)},
    )  # fmt: skip
    # A level that no row has, as pandas' categories may, has no code.
    cells = [(-1 if text is None else reader.codes.get(text, -1), note) for text, note in texts]
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


def _mixed(reader: Reader, read: Read, plain: Plain) -> str:
    what = {"number": "numbers", "flag": "true or false", "moment": "dates"}[reader.kind]
    rows = np.flatnonzero(read.refused)
    shown = list(dict.fromkeys(repr(plain.cell(row))[:40] for row in rows[:50]))[:3]
    more = ", ..." if len(rows) > len(shown) else ""
    known = len(rows) + int((~read.column.missing()).sum())
    return f"mixed: {len(rows):,} cells of {known:,} are no {what}: {', '.join(shown)}{more}"


def _described(reader: Reader, plain: Plain, sample: list[Any], marks: Marks) -> tuple[str, ...]:
    """What the types and the spelling say."""
    if plain.said == "durations" and reader.kind == "number":
        return ("durations, in seconds",)
    if reader.kind == "flag":
        words = {
            word.lower() for cell in sample if isinstance(cell, str) and (word := words_in(cell)[0])
        }
        shown = ", ".join(map(repr, sorted(words)))
        return (f"{len(words)} spellings of true and false: {shown}",) if words else ()
    if reader.kind != "moment" or not (marks & Note.ZONED).any():
        return ()
    zones = {plain.zone, *(_zone_of(reader, cell) or "" for cell in _some(sample, _FEW))} - {""}
    shown = ", ".join(sorted(zones)[:5])
    return (f"moments of {len(zones)} time zones ({shown}) taken to UTC",) if zones else ()


def _zone_of(reader: Reader, cell: object) -> str | None:
    if isinstance(cell, str):
        return reader.dates.zone(clean(cell)[0])
    return str(cell.tzinfo) if isinstance(cell, datetime) and cell.tzinfo else None


def _finish(
    reader: Reader, plain: Plain, read: Read, marks: Marks, said: tuple[str, ...]
) -> Reader:
    """The reader with what all its cells have told."""
    column = read.column
    gaps = column.missing()
    known = column.values[~gaps] if gaps.any() else column.values
    counts = _counts(marks)
    said = (*said, *_told(reader, counts, len(known)))
    constant = len(known) > 0 and _is_constant(column.kind, known)
    if not len(known):
        said = (*said, "no value at all")
    elif constant:
        said = (*said, "constant: every known value is the same")
    integers, decimals = _figures_of(plain, known) if column.kind == "number" else (False, None)
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
    return all(bool((some == known[0]).all()) for some in (known[:_FEW], known))


def _figures_of(plain: Plain, known: NDArray[np.float64]) -> tuple[bool, int | None]:
    """Whether numbers are whole, and how many decimals they have at most."""
    broken = known[:0] if plain.said == "integers" else known[known != np.rint(known)]
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
