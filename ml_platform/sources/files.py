"""Files of another system, local or behind a URL, as one stream of Arrow batches.

A path is a file, a folder or a pattern. Several files are one table: they must have the same
columns, unless the columns to take are declared. How a kind of file is read is said in csv_files,
json_files and here for Parquet; how columns are checked, renamed and cast is said in shape.
"""

import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

from ml_platform.kernel.environment import resolve
from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
    closest,
)
from ml_platform.sources.csv_files import CsvFile
from ml_platform.sources.csv_places import CsvText
from ml_platform.sources.encoded import EncodedFile, check_encoding
from ml_platform.sources.json_files import JsonFile
from ml_platform.sources.shape import Shape, cast_batches
from ml_platform.sources.window import Window, filled, is_windowed, unused

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

FileFormat = Literal["auto", "csv", "parquet", "json"]

_ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class FileSource:
    """Files and how they are written.

    Attributes:
        path: a file, a folder (all files of the format below it) or a pattern such as
            `in/*.csv`; a local path or a URL such as `s3://bucket/in`. It may hold `${NAME}` of the
            environment, and `{start}`, `{end}` or `{last_day}` of a partition.
        format: `csv`, `parquet`, `json` (a list of objects, or one a line), or `auto`: as the
            file's ending says. CSV and JSON may be compressed (.gz, .bz2, .xz, .zst).
        delimiter: what divides the fields of a CSV; empty for a comma, or a tab in a .tsv.
        encoding: the character encoding of CSV and JSON, by Python's names.
        nulls: the texts of a CSV that mean a missing value.
        shape: the columns to take, their new names and their types.

    Raises:
        DeclarationError: an option has an impossible value.
    """

    path: str
    format: FileFormat = "auto"
    delimiter: str = ""
    encoding: str = "utf-8"
    nulls: tuple[str, ...] = ("",)
    shape: Shape = field(default_factory=Shape)

    def __post_init__(self) -> None:
        check_encoding(self.encoding, self.subject)
        if self.format not in get_args(FileFormat):
            allowed = closest(self.format, list(get_args(FileFormat)))
            raise DeclarationError(
                self.subject, f"format '{self.format}' is unknown", allowed=allowed
            )
        if len(self.delimiter) > 1:
            raise DeclarationError(
                self.subject, f"delimiter {self.delimiter!r}", allowed="one character"
            )

    @property
    def subject(self) -> str:
        """The source, as messages call it."""
        return f"files {self.path}"


@dataclass(frozen=True)
class Piece:
    """One file, understood but not yet delivered.

    Attributes:
        subject: the file, as messages call it.
        schema: the columns and types that were found in it.
        batches: delivers its rows; their types may be text where the schema's are not.
        place: says where the row of an index is, such as "line 7".
    """

    subject: str
    schema: "pa.Schema"
    batches: "Callable[[], Iterator[pa.RecordBatch]]"
    place: Callable[[int], str]


def read_files(
    source: FileSource, window: Window | None = None, environ: Mapping[str, str] = os.environ
) -> "pa.RecordBatchReader":
    """The rows of all files, in the order of the files' names; never more than blocks in memory.

    Types are found before the first batch is delivered; the rest of a file is read while the
    reader is, so an error may come from it too.

    Raises:
        NotFoundError: there is no such file.
        DataError: a file is not as declared, or two do not fit together.
        DeclarationError: the window and the path's placeholders do not fit.
        SettingsError: a variable or a package is missing, or access is refused.
        UnavailableError: the store does not answer.
    """
    import pyarrow as pa

    if window and not is_windowed(source.path):
        raise unused(source.subject)
    path = resolve(filled(source.path, window, source.subject), source.subject, environ)
    with _access_told(source.subject):
        pieces = [_piece(file, source) for file in _located(path, source)]
    schema = _common_schema(pieces, source.shape)
    return pa.RecordBatchReader.from_batches(schema, _rows(pieces, source, schema))


def _rows(
    pieces: Sequence[Piece], source: FileSource, schema: "pa.Schema"
) -> "Iterator[pa.RecordBatch]":
    names = source.shape.selected(pieces[0].schema.names, pieces[0].subject)
    for piece in pieces:
        with _access_told(piece.subject):
            yield from cast_batches(piece.batches(), names, schema, piece.subject, piece.place)


@dataclass(frozen=True)
class _File:
    filesystem: "AbstractFileSystem"
    path: str
    format: str

    @property
    def subject(self) -> str:
        return f"file {self.filesystem.unstrip_protocol(self.path).removeprefix('file://')}"

    def open(self) -> IO[bytes]:
        opened: IO[bytes] = self.filesystem.open(self.path, "rb", compression="infer")
        return opened


def _located(path: str, source: FileSource) -> list[_File]:
    filesystem, root = _filesystem(path, source.subject)
    if _PATTERN & set(root):
        found = sorted(one for one in filesystem.glob(root) if not filesystem.isdir(one))
    elif filesystem.isdir(root):
        found = _in_folder(filesystem, root, source.format)
    else:
        found = [root] if filesystem.exists(root) else []
    if not found:
        raise _nothing_at(filesystem, root, source)
    files = [_File(filesystem, one, _format_of(one, source)) for one in found]
    if len(kinds := sorted({file.format for file in files})) > 1:
        raise DataError(
            source.subject,
            f"files of several formats lie there: {', '.join(kinds)}",
            fix="declare the format, or narrow the path to one ending",
        )
    return files


def _filesystem(path: str, subject: str) -> "tuple[AbstractFileSystem, str]":
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(path)
    except ImportError as error:
        raise SettingsError(subject, str(error), fix="install the package that it names") from error
    except ValueError as error:
        raise DeclarationError(
            subject, str(error), allowed="a path, or a URL such as s3://bucket/folder"
        ) from error
    return filesystem, root


def _in_folder(filesystem: "AbstractFileSystem", root: str, wanted: str) -> list[str]:
    """The visible files below a folder that are of the format, or of any known one."""
    base = len(PurePosixPath(root).parts)
    return sorted(
        one
        for one in filesystem.find(root)
        if not any(part[0] in "._" for part in PurePosixPath(one).parts[base:])
        and (_ending(one) in _ENDINGS)
        and wanted in ("auto", _ENDINGS[_ending(one)])
    )


def _ending(path: str) -> str:
    endings = [one.lower() for one in PurePosixPath(path).suffixes]
    if len(endings) > 1 and endings[-1] in _COMPRESSED:
        endings.pop()
    return endings[-1] if endings else ""


def _format_of(path: str, source: FileSource) -> str:
    if source.format != "auto":
        return source.format
    if _ending(path) not in _ENDINGS:
        raise DeclarationError(
            source.subject,
            f"the ending of {PurePosixPath(path).name} does not tell the format",
            allowed=", ".join(_ENDINGS),
            fix="declare format: csv, parquet or json",
        )
    return _ENDINGS[_ending(path)]


def _nothing_at(filesystem: "AbstractFileSystem", root: str, source: FileSource) -> NotFoundError:
    if filesystem.isdir(root):
        wanted = "csv, parquet or json" if source.format == "auto" else source.format
        return NotFoundError(
            source.subject,
            f"the folder holds no {wanted} file",
            allowed=", ".join(_ENDINGS),
            fix="put files there, or correct the path or the format",
        )
    folder, name = str(PurePosixPath(root).parent), PurePosixPath(root).name
    if not filesystem.isdir(folder):
        return NotFoundError(source.subject, f"there is no folder {folder}", fix="correct the path")
    there = sorted(PurePosixPath(one).name for one in filesystem.ls(folder, detail=False))
    return NotFoundError(
        source.subject,
        "no file has this name" if not _PATTERN & set(root) else "no file is like this pattern",
        allowed=_few(closest(name, there)) or f"the folder {folder} is empty",
        fix="correct the path, or ask for the file",
    )


def _few(listed: str, most: int = 8) -> str:
    names = listed.split(", ")
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))


def _piece(file: _File, source: FileSource) -> Piece:
    makers: dict[str, Callable[[_File, FileSource], Piece]] = {
        "csv": _csv_piece,
        "json": _json_piece,
        "parquet": _parquet_piece,
    }
    piece = makers[file.format](file, source)
    source.shape.selected(piece.schema.names, piece.subject)
    return piece


def _csv_piece(file: _File, source: FileSource) -> Piece:
    delimiter = source.delimiter or ("\t" if _ending(file.path) == ".tsv" else ",")
    text = CsvText(file.subject, file.open, source.encoding, delimiter)
    csv = CsvFile(text, source.nulls, frozenset(source.shape.dtypes))
    return Piece(
        file.subject, csv.schema(), csv.batches, lambda index: f"line {text.line_of(index)}"
    )


def _json_piece(file: _File, source: FileSource) -> Piece:
    text = EncodedFile(file.subject, file.open, source.encoding)
    json = JsonFile(text, source.shape.dtypes)
    return Piece(file.subject, json.schema(), json.batches, json.place)


def _parquet_piece(file: _File, _source: FileSource) -> Piece:
    with _opened_parquet(file) as parquet:
        schema = parquet.schema_arrow
    if twins := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise DataError(
            file.subject,
            f"several columns are called {', '.join(map(repr, twins))}",
            fix="have the file written with names of their own",
        )
    return Piece(
        file.subject,
        schema.remove_metadata(),
        lambda: _parquet_batches(file),
        lambda index: f"row {index + 1}",
    )


def _parquet_batches(file: _File) -> "Iterator[pa.RecordBatch]":
    with _opened_parquet(file) as parquet:
        yield from parquet.iter_batches()


@contextmanager
def _opened_parquet(file: _File) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with file.filesystem.open(file.path, "rb") as opened, pq.ParquetFile(opened) as parquet:
            yield parquet
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            file.subject,
            f"it is no whole Parquet file: {str(error).rstrip('.')}",
            fix="have it copied or written anew; it may have been cut off",
        ) from error


def _common_schema(pieces: Sequence[Piece], shape: Shape) -> "pa.Schema":
    """One schema for all files, wide enough for the types of each."""
    import pyarrow as pa

    first, schema = pieces[0], shape.schema(pieces[0].schema, pieces[0].subject)
    for piece in pieces[1:]:
        own = shape.schema(piece.schema, piece.subject)
        if set(own.names) != set(schema.names):
            raise _other_columns(first, piece, set(schema.names) ^ set(own.names))
        try:
            schema = pa.unify_schemas([schema, own], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise _other_types(first, piece, schema, own) from error
    return schema


def _other_columns(first: Piece, piece: Piece, differing: set[str]) -> DataError:
    return DataError(
        piece.subject,
        f"its columns differ from those of {first.subject} in {', '.join(sorted(differing))}",
        fix="declare the columns that all files have, or load the files into two tables",
    )


def _other_types(first: Piece, piece: Piece, before: "pa.Schema", own: "pa.Schema") -> DataError:
    differing = [
        f"'{one.name}' is {own.field(one.name).type}, not {one.type}"
        for one in before
        if own.field(one.name).type != one.type
    ]
    return DataError(
        piece.subject,
        f"types differ from those of {first.subject} and the files before it: "
        f"{', '.join(differing)}",
        fix="declare the type of these columns under dtypes",
    )


@contextmanager
def _access_told(subject: str) -> Iterator[None]:
    """Say what a failed access means; most errors of stores come as OSError through fsspec."""
    try:
        yield
    except PermissionError as error:
        raise SettingsError(
            subject,
            f"access is refused: {error}",
            fix="give this user, or the credentials in the environment, the right to read it",
        ) from error
    except FileNotFoundError as error:
        raise NotFoundError(subject, f"it is gone or was never there: {error}") from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise _broken_compression(subject, error) from error
    except OSError as error:
        if error.errno is None:
            # So do gzip and bz2 report broken content; a system's own error has a number.
            raise _broken_compression(subject, error) from error
        raise _unreachable(subject, error) from error
    except _errors_of_stores() as error:
        if "Credential" in type(error).__name__:
            raise SettingsError(
                subject,
                str(error),
                fix="set the store's credentials where the platform is started",
            ) from error
        raise _unreachable(subject, error) from error


def _errors_of_stores() -> tuple[type[Exception], ...]:
    """What object stores raise beside OSError; only a library that is loaded can have raised."""
    known = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"))
    return tuple(
        getattr(sys.modules[module], name) for module, name in known if module in sys.modules
    )


def _unreachable(subject: str, error: Exception) -> UnavailableError:
    return UnavailableError(
        subject,
        f"it cannot be read now: {error}",
        fix="look whether the store can be reached from here; then try again",
    )


def _broken_compression(subject: str, error: Exception) -> DataError:
    return DataError(
        subject,
        f"it cannot be unpacked: {error}",
        fix="have it copied or written anew; it may have been cut off, or have another's ending",
    )
