"""Where in a CSV file something is: a slow walk that knows every line, for messages.

The fast reader in csv_files says that something is wrong; this says on which line.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ml_platform.kernel.errors import DataError
from ml_platform.sources.encoded import EncodedFile

_LONGEST_FIELD = 1 << 27


@dataclass(frozen=True)
class CsvText(EncodedFile):
    """A CSV file as text.

    Attributes:
        delimiter: one character, which stands between two fields.
    """

    delimiter: str

    def rows(self, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """The line on which each row starts, and its fields; blank lines are no rows.

        Raises:
            DataError: bytes that are not of the encoding, or (if `strict`) a quote left open.
        """
        # The limit is for the whole process, so it is only ever raised.
        csv.field_size_limit(max(_LONGEST_FIELD, csv.field_size_limit()))
        start = 1
        try:
            with self.open() as file, self.text(file) as text:
                reader = csv.reader(text, delimiter=self.delimiter, strict=strict)
                for fields in reader:
                    if fields:
                        yield start, fields
                    start = reader.line_num + 1
        except UnicodeError as error:
            raise self.bad_bytes(error) from error
        except csv.Error as error:
            raise DataError(
                self.subject,
                f"line {start}: {error}",
                fix="look for a quote that is not closed or not doubled from this line on",
            ) from error

    def header(self) -> tuple[list[str], int | None]:
        """The first row, and the line after it unless nothing follows; no names in an empty file.

        Raises:
            DataError: bytes that are not of the encoding.
        """
        rows = self.rows()
        _, names = next(rows, (1, []))
        following = next(rows, None)
        return names, following[0] if following else None

    def line_of(self, index: int) -> int:
        """The line on which the data row of this index (from 0, without the header) starts."""
        return next(line for at, (line, _) in enumerate(self.rows(), start=-1) if at == index)

    def first(self, column: int, is_wrong: Callable[[str], bool]) -> tuple[int, str]:
        """The line and text of the first value in a column that `is_wrong`."""
        rows = self.rows()
        next(rows)
        return next((line, fields[column]) for line, fields in rows if is_wrong(fields[column]))

    def mistake(self, width: int, words: str) -> DataError:
        """The first mistake in a file that the fast reader refused with `words`."""
        try:
            for line, fields in self.rows():
                if len(fields) != width:
                    return self._ragged(line, fields, width)
        except DataError as error:
            return error
        return DataError(self.subject, words, fix="correct the file")

    def _ragged(self, line: int, fields: list[str], width: int) -> DataError:
        return DataError(
            self.subject,
            f"line {line} has {len(fields)} fields, the header {width}",
            allowed=f"{width} fields divided by {self.delimiter!r} on every line",
            fix="correct the line; a field that holds the delimiter stands in double quotes",
        )
