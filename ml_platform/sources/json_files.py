"""JSON files as Arrow batches: one list of objects, or one object a line.

Lines are read twice, a line at a time, so a file of them may be larger than memory; a list is held
in memory whole.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError
from ml_platform.sources.encoded import EncodedFile
from ml_platform.sources.records import BATCH_ROWS, Record, Tally, batches

if TYPE_CHECKING:
    import pyarrow as pa

_DECODER = json.JSONDecoder()
_ALLOWED = "one list of objects, or one object a line"


@dataclass
class JsonFile:
    """One JSON file.

    Attributes:
        text: the file and its encoding.
        declared: the columns whose type is declared.
    """

    text: EncodedFile
    declared: Mapping[str, str]
    _tally: Tally | None = field(default=None, init=False)

    def schema(self) -> "pa.Schema":
        """The fields of all objects, in the order of their first appearance.

        Raises:
            DataError: broken JSON, something else than objects, or a column of mixed kinds.
        """
        return self._learnt().schema()

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The objects as rows; a field that one lacks is null."""
        tally = self._learnt()
        return batches(self._records(), tally)

    def _learnt(self) -> Tally:
        if self._tally is None:
            tally, records, before = Tally(self.text.subject, self.declared), self._records(), 0
            while chunk := list(islice(records, BATCH_ROWS)):
                tally.add_all(chunk, partial(self._place_after, before))
                before += len(chunk)
            self._tally = tally
        return self._tally

    def _place_after(self, before: int, index: int) -> str:
        return self.place(before + index)

    def _records(self) -> Iterator[Record]:
        try:
            if self._is_list():
                yield from self._list()
            else:
                for _, record in self._lines():
                    yield record
        except UnicodeError as error:
            raise self.text.bad_bytes(error) from error

    def _is_list(self) -> bool:
        with self.text.open() as file, self.text.text(file) as text:
            for line in text:
                if start := line.lstrip()[:1]:
                    return start == "["
        raise DataError(self.text.subject, "it is empty", allowed=_ALLOWED)

    def _list(self) -> list[Any]:
        with self.text.open() as file, self.text.text(file) as text:
            try:
                records: list[Any] = json.load(text)
            except json.JSONDecodeError as error:
                raise self._broken(error.lineno, error) from error
        return records

    def _lines(self) -> Iterator[tuple[int, Any]]:
        with self.text.open() as file, self.text.text(file) as text:
            for number, line in enumerate(text, start=1):
                if content := line.strip():
                    yield number, self._parsed(content, number)

    def _parsed(self, content: str, line: int) -> Any:
        try:
            # Half the time of json.loads, which looks for white space again.
            record, end = _DECODER.raw_decode(content)
            if end < len(content):
                raise json.JSONDecodeError("Extra data", content, end)  # noqa: TRY301 - as loads does
        except json.JSONDecodeError as error:
            raise self._broken(line, error) from error
        return record

    def _broken(self, line: int, error: json.JSONDecodeError) -> DataError:
        start = max(0, error.pos - 20)
        near = error.doc[start : error.pos + 20].strip()
        return DataError(
            self.text.subject,
            f"line {line}, column {error.colno}: broken JSON near {near!r}: {error.msg}",
            allowed=_ALLOWED,
            fix="correct the line, or have the file written anew if it was cut off",
        )

    def place(self, index: int) -> str:
        """Where the record of this index lies."""
        if self._is_list():
            return f"record {index + 1}"
        line = next(line for at, (line, _) in enumerate(self._lines()) if at == index)
        return f"line {line}"
