"""CSV files as Arrow batches, with types found over the whole file and exact places of mistakes.

A file is read twice in blocks: once to find each column's type, once to deliver. So the types do
not depend on which rows come first, and a file may be larger than memory. Only when something is
wrong is it walked a third time (csv_places), slowly, to say on which line.

A column is a number, a date, a moment or a boolean when all its values are; codes with leading
zeros and numbers too long for 64 bits are text, so that no digit is lost. Where most values are of
one such kind and a few are not, that is an error to be told and not a column of text.
"""

import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from ml_platform.kernel.errors import DataError
from ml_platform.sources.csv_places import CsvText
from ml_platform.sources.encoded import is_utf8
from ml_platform.sources.records import shown
from ml_platform.sources.shape import arrow_type, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

BLOCK_BYTES = 1 << 20
"""At 8 MiB a load took as long, and the process grew with the file (539 against 209 MB)."""

_FAMILIES = {
    "number": ("+-.0123456789", r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"),
    "date or time": (
        "0123456789",
        (
            r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?"
            r"(Z|[-+][0-9]{2}:?[0-9]{2})?$"
        ),
    ),
    "boolean": ("tfTF", r"^(true|false|True|False|TRUE|FALSE)$"),
}
"""What a value of each family begins with, and what the whole of it is like."""

_LADDERS = (
    ("number", ("integer", "float")),
    ("boolean", ("boolean",)),
    ("date or time", ("date", "timestamp")),
    ("date or time", ("timestamp_utc",)),
)
"""The kinds of each family from narrow to wide: whatever fits a kind fits those after it."""

_CODE = r"^[-+]?(0[0-9xX]|[0-9]{19})"
_PROBE_ROWS = 100
_OTHER_DELIMITERS = ";\t|,"


@dataclass(frozen=True)
class CsvFile:
    """One CSV file and how it is to be read.

    Attributes:
        text: the file and how it is written.
        nulls: the texts that mean a missing value.
        declared: the columns whose type is declared; none is sought for them.
    """

    text: CsvText
    nulls: tuple[str, ...]
    declared: frozenset[str]

    def header(self) -> tuple[list[str], int | None]:
        """The columns' names, and the line of the first row unless there is none.

        Raises:
            DataError: the file is empty or not of the encoding, a name is missing or there twice,
                or the delimiter is not the one that was declared.
        """
        names, first = self.text.header()
        if not names:
            raise DataError(
                self.text.subject, "it is empty", fix="give a file that has a header line"
            )
        if fault := _fault_in(names, self.text.delimiter):
            given, fix = fault
            raise DataError(self.text.subject, f"line 1: {given}", fix=fix)
        return names, first

    def schema(self) -> "pa.Schema":
        """The columns with the types that all their values have; declared ones as text.

        Raises:
            DataError: a line is broken, or a column mixes kinds; it names the line.
        """
        import pyarrow as pa

        names, _ = self.header()
        guesses = {name: Guess() for name in names if name not in self.declared}
        for batch in self.batches():
            for name, guess in guesses.items():
                guess.learn(batch.column(batch.schema.get_field_index(name)))
        for name, guess in guesses.items():
            if family := guess.mixed():
                raise self._mixture(names.index(name), name, family, guess)
        return pa.schema(
            [(name, guesses[name].type() if name in guesses else pa.string()) for name in names]
        )

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """All rows, every column as text.

        Raises:
            DataError: a line has too many or too few fields, or bytes that are not of the encoding.
        """
        import pyarrow as pa

        names, first = self.header()
        if first is None:
            return
        last = None
        try:
            with self.text.open() as file:
                for batch in self._reader(file, names, first):
                    last = batch if batch.num_rows else last
                    yield batch
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise self.text.mistake(len(names), str(error)) from error
        if last is not None and _may_be_unclosed(last):
            # A strict walk to the end raises where a quote stays open.
            for _ in self.text.rows(strict=True):
                pass

    def _reader(self, file: IO[bytes], names: list[str], first: int) -> "pa.RecordBatchReader":
        import pyarrow as pa
        from pyarrow import csv

        return csv.open_csv(
            file,
            csv.ReadOptions(
                column_names=names,
                skip_rows=first - 1,
                block_size=BLOCK_BYTES,
                encoding="utf8" if is_utf8(self.text.encoding) else self.text.encoding,
            ),
            # A field may hold line ends wherever a block happens to end.
            csv.ParseOptions(delimiter=self.text.delimiter, newlines_in_values=True),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(self.nulls),
                strings_can_be_null=True,
                # Many systems quote every field, the missing ones too.
                quoted_strings_can_be_null=True,
            ),
        )

    def _mixture(self, index: int, name: str, family: str, guess: "Guess") -> DataError:
        fits = re.compile(_FAMILIES[family][1])
        line, value = self.text.first(
            index, lambda text: text not in ("", *self.nulls) and not fits.fullmatch(text)
        )
        return DataError(
            self.text.subject,
            f"line {line}, column '{name}': {shown(value)} is no {family}, while "
            f"{guess.fitting[family]} of the column's {guess.values} values are",
            allowed=f"one kind of value in a column; missing ones as {_listed(self.nulls)}",
            fix=f"correct the value, or keep the column as text with dtypes: {{{name}: string}}, "
            f"or say that it means a missing value with nulls: ['', {shown(value)}]",
        )


class Guess:
    """What kind a column's values have, learnt batch by batch.

    Attributes:
        values: how many values there were, missing ones not counted.
        fitting: how many of them were of each family.
    """

    def __init__(self) -> None:
        self.values = 0
        self.fitting = dict.fromkeys(_FAMILIES, 0)
        self._codes = 0
        self._ladder: tuple[str, tuple[str, ...]] | None = None
        self._is_text = False

    def learn(self, column: "pa.Array") -> None:
        """Learn from a batch of texts."""
        known = column.drop_null()
        if not len(known):
            return
        self.values += len(known)
        if not self._is_text and self._climb(known):
            family = self._ladder[0] if self._ladder else ""
            self.fitting[family] += len(known)
        else:
            self._is_text = True
            for family, (starts, pattern) in _FAMILIES.items():
                self.fitting[family] += _count(known, starts, pattern)
        if self.fitting["number"]:
            self._codes += _count(_long_or_zero_led(known), "+-0123456789", _CODE)

    def _climb(self, known: "pa.Array") -> bool:
        """Find the narrowest kind that fits these values and all before them."""
        for family, kinds in [self._ladder] if self._ladder else _LADDERS:
            for step, kind in enumerate(kinds):
                if _fits(known, kind):
                    self._ladder = (family, kinds[step:])
                    return True
        return False

    def type(self) -> "pa.DataType":
        """The Arrow type of the column; that of nothing when it has no value."""
        import pyarrow as pa

        if not self.values:
            return pa.null()
        if self._is_text or self._codes or not self._ladder:
            return pa.string()
        return arrow_type(self._ladder[1][0], "column")

    def mixed(self) -> str | None:
        """The family of most values, when others of the column are of none."""
        if self._is_text and not self._codes:
            for family, count in self.fitting.items():
                if self.values / 2 < count < self.values:
                    return family
        return None


def _fits(known: "pa.Array", kind: str) -> bool:
    import pyarrow as pa

    try:
        # A failing cast words an error for every value (3 us each), so a few are tried first.
        cast(known[:_PROBE_ROWS], arrow_type(kind, "column"))
        cast(known, arrow_type(kind, "column"))
    except pa.ArrowInvalid:
        return False
    return True


def _count(known: "pa.Array", starts: str, pattern: str) -> int:
    """How many texts are like the pattern; only those that start rightly are matched (0.4 us)."""
    import pyarrow as pa
    from pyarrow import compute

    first = compute.utf8_slice_codeunits(known, 0, 1)
    likely = known.filter(compute.is_in(first, pa.array(list(starts))))
    return int(compute.sum(compute.match_substring_regex(likely, pattern)).as_py() or 0)


def _long_or_zero_led(known: "pa.Array") -> "pa.Array":
    """The texts among which codes are: short ones that do not begin with 0 are none."""
    from pyarrow import compute

    begin = compute.utf8_slice_codeunits(compute.utf8_ltrim(known, "+-"), 0, 1)
    long = compute.greater(compute.binary_length(known), 18)
    return known.filter(compute.or_(compute.equal(begin, "0"), long))


def _fault_in(names: list[str], delimiter: str) -> tuple[str, str] | None:
    """What is wrong with a header, and what to do about it."""
    if twins := sorted({name for name in names if names.count(name) > 1}):
        return f"several columns are called {_listed(twins)}", "rename all but one in the file"
    others = [one for one in _OTHER_DELIMITERS if one != delimiter and one in names[0]]
    if len(names) == 1 and others:
        return (
            f"divided by {delimiter!r} there is only one column, {names[0]!r}",
            f"write delimiter: {others[0]!r} if that divides the columns",
        )
    if "" in names:
        return f"column {names.index('') + 1} has no name", "name it in the file"
    return None


def _may_be_unclosed(batch: "pa.RecordBatch") -> bool:
    """Whether a value of the last row goes over lines, as one does whose quote stays open."""
    last = batch.slice(batch.num_rows - 1).to_pylist()[0]
    return any("\n" in value for value in last.values() if value)


def _listed(words: "list[str] | tuple[str, ...]") -> str:
    return ", ".join(repr(word) for word in words)
