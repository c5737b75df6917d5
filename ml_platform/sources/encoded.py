"""A file of text in a declared encoding, and where its bytes are not of that encoding."""

import codecs
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from ml_platform.kernel.errors import DataError, DeclarationError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class EncodedFile:
    """A file of text.

    Attributes:
        subject: the file, as messages call it.
        open: opens it for reading bytes, from the start, each time.
        encoding: the name of the character encoding, as Python calls it.
    """

    subject: str
    open: Callable[[], IO[bytes]]
    encoding: str

    def text(self, file: IO[bytes]) -> io.TextIOWrapper:
        """The opened file as text, its line ends as they are, without a byte order mark."""
        encoding = "utf-8-sig" if is_utf8(self.encoding) else self.encoding
        return io.TextIOWrapper(file, encoding, newline="")

    def bad_bytes(self, error: UnicodeError) -> DataError:
        """The error for bytes that are not of the encoding, with the line of the first."""
        if not is_utf8(self.encoding):
            guess = "utf-8"
        else:
            guess = "utf-16" if self._starts_like_utf16() else "cp1252 or latin-1"
        return DataError(
            self.subject,
            f"line {self._line_of_bad_byte()}: not {self.encoding}: {_reason(error)}",
            fix=f"declare the file's encoding (perhaps {guess}), or save it as {self.encoding}",
        )

    def _starts_like_utf16(self) -> bool:
        with self.open() as file:
            return file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

    def _line_of_bad_byte(self) -> int:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        line = 1
        with self.open() as file:
            while chunk := file.read(_CHUNK):
                try:
                    line += decoder.decode(chunk).count("\n")
                except UnicodeDecodeError as error:
                    return line + error.object[: error.start].count(b"\n")
                except UnicodeError:
                    return line
        return line


def check_encoding(name: str, subject: str) -> None:
    """Refuse an encoding that Python does not know.

    Raises:
        DeclarationError: it is unknown.
    """
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise DeclarationError(
            subject,
            f"encoding '{name}' is unknown",
            allowed="utf-8, utf-16, cp1252, latin-1 or another of Python's codecs",
        ) from error


def is_utf8(encoding: str) -> bool:
    """Whether the name is one of those of UTF-8."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _reason(error: UnicodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start : error.start + 1].hex()
        return f"byte 0x{byte} has no meaning there ({error.reason})"
    return str(error)
