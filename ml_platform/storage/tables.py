"""The tables of all projects: folders of Parquet files, one a partition, replaced in one step.

    <root>/<project>/<layer>/<table>/<partition>.parquet
    <root>/<project>/<layer>/<table>/.versions/<partition>/<time of writing>.parquet

A write keeps the file that it replaces for as many versions as the table declares.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ml_platform.kernel.errors import DataError, NotFoundError, closest
from ml_platform.kernel.names import TableKey, file_stem, partition_of
from ml_platform.storage.engine import connect, literal, quote, scan_of
from ml_platform.storage.files import FileInfo, Files, full_disk_is_told, open_files

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from duckdb import DuckDBPyRelation

    Data: TypeAlias = pd.DataFrame | pa.Table | pa.RecordBatchReader | DuckDBPyRelation

WriteMode = Literal["replace", "merge", "append"]

RUN_COLUMN = "_run_id"
"""What an appending table records of each row: the run that wrote it."""

_SUFFIX = ".parquet"
_VERSION_FORMAT = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Write:
    """How a table takes new rows.

    Attributes:
        mode: `replace` the partition, `merge` by `key`, or `append` once a run.
        key: the columns that make a row's identity, for `merge`.
        run_id: whose rows these are, for `append`; the same run's earlier rows are replaced.
        keep_versions: how many replaced versions of a partition stay.
    """

    mode: WriteMode = "replace"
    key: tuple[str, ...] = ()
    run_id: str = ""
    keep_versions: int = 3


@dataclass(frozen=True)
class Written:
    """What one write left: where, how many rows and bytes, and the columns with their types."""

    url: str
    rows: int
    bytes: int
    columns: dict[str, str]


@dataclass(frozen=True)
class TableInfo:
    """A table in a listing."""

    project: str
    key: TableKey
    partitions: int
    bytes: int
    modified: datetime


@dataclass(frozen=True)
class TableStore:
    """All tables under one root, a folder or a URL.

    Nothing is created or contacted before the first read or write.
    """

    root: str
    memory_limit: str = ""
    files: Files = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", open_files(self.root))

    def write(
        self,
        project: str,
        key: TableKey,
        data: "Data",
        *,
        partition: str | None = None,
        how: Write = Write(),
    ) -> Written:
        """Write a partition (the whole table where it has none); readers see it all or not at all.

        Raises:
            DataError: two columns of one name, or twice the same key in rows to merge.
            StorageFullError: the disk is full; the old data stays.
            ConflictError: another process holds the partition for too long (merge and append).
        """
        path = f"{_folder(project, key)}/{file_stem(partition)}{_SUFFIX}"
        subject = f"table {project}:{key}"
        with full_disk_is_told(subject), self.files.scratch(path) as scratch:
            if how.mode == "replace":
                _save(data, scratch, subject)
                return self._place(scratch, path, how)
            with self.files.lock(_folder(project, key), file_stem(partition)):
                self._combine(data, path, scratch, how, subject)
                return self._place(scratch, path, how)

    def _place(self, scratch: Path, path: str, how: Write) -> Written:
        import pyarrow.parquet as pq

        footer = pq.read_metadata(scratch)
        schema = footer.schema.to_arrow_schema()
        size = scratch.stat().st_size
        self._keep(path, how.keep_versions)
        self.files.put(scratch, path)
        columns = {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
        return Written(self.files.url(path), footer.num_rows, size, columns)

    def _keep(self, path: str, count: int) -> None:
        """Keep what is at `path` now as a version; beyond `count` the oldest go."""
        folder, _, name = path.rpartition("/")
        current = next((f for f in self.files.list_files(folder) if f.name == name), None)
        if current is None:
            return
        versions = _versions_folder(folder, name)
        suffix = Path(name).suffix
        self.files.copy(path, f"{versions}/{current.modified.strftime(_VERSION_FORMAT)}{suffix}")
        kept = self.files.list_files(versions)
        for old in kept[: max(0, len(kept) - count)]:
            self.files.remove(f"{versions}/{old.name}")

    def _combine(self, data: "Data", path: str, scratch: Path, how: Write, subject: str) -> None:
        """Write the old rows and the new ones together; the new ones win."""
        new = scratch.with_name(f".scratch-new-{scratch.name}")
        try:
            _save(data, new, subject)
            exists = any(f.name == path.rpartition("/")[2] for f in self._siblings(path))
            with connect(self.memory_limit) as connection:
                if self.files.filesystem is not None:
                    connection.register_filesystem(self.files.filesystem)
                rows = f"SELECT * FROM {scan_of([str(new)])}"
                old = f"SELECT * FROM {scan_of([self.files.url(path)])}" if exists else None
                query = _merged(rows, old, how, subject, connection)
                connection.execute(f"COPY ({query}) TO {literal(str(scratch))} (FORMAT parquet)")
        finally:
            new.unlink(missing_ok=True)

    def _siblings(self, path: str) -> list[FileInfo]:
        return self.files.list_files(path.rpartition("/")[0])

    def urls(self, project: str, key: TableKey, partitions: Sequence[str] = ()) -> list[str]:
        """The files of a table, or of some of its partitions.

        Raises:
            NotFoundError: the table, or one of the partitions, has no data.
        """
        folder = _folder(project, key)
        there = [f.name for f in self.files.list_files(folder) if f.name.endswith(_SUFFIX)]
        if not there:
            known = [str(info.key) for info in self.tables(project)]
            raise NotFoundError(
                f"table {project}:{key}",
                "it has no data yet",
                allowed=closest(str(key), known) if known else "",
                fix=f"materialise {key} first",
            )
        wanted = [f"{file_stem(partition)}{_SUFFIX}" for partition in partitions] or there
        if absent := [name for name in wanted if name not in there]:
            raise NotFoundError(
                f"table {project}:{key}",
                f"{len(absent)} of {len(wanted)} partitions have no data, first "
                f"{partition_of(absent[0].removesuffix(_SUFFIX))}",
                fix=f"materialise these partitions of {key} first",
            )
        return [self.files.url(f"{folder}/{name}") for name in wanted]

    def read(
        self,
        project: str,
        key: TableKey,
        *,
        partitions: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> "pa.Table":
        """A table as Arrow, its partitions joined by the columns' names.

        Raises:
            NotFoundError: the table or a partition has no data.
        """
        with self.relation(project, key, partitions=partitions, columns=columns) as relation:
            return relation.to_arrow_table()

    @contextlib.contextmanager
    def relation(
        self,
        project: str,
        key: TableKey,
        *,
        partitions: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> "Iterator[DuckDBPyRelation]":
        """A table as a DuckDB relation: nothing is read before it is asked."""
        with self.relation_of(self.urls(project, key, partitions), columns) as relation:
            yield relation

    @contextlib.contextmanager
    def relation_of(
        self, urls: Sequence[str], columns: Sequence[str] = ()
    ) -> "Iterator[DuckDBPyRelation]":
        """Some files of tables, as `urls` and `urls_as_of` name them, as one relation."""
        chosen = ", ".join(quote(column) for column in columns) or "*"
        with connect(self.memory_limit) as connection:
            if self.files.filesystem is not None:
                connection.register_filesystem(self.files.filesystem)
            yield connection.sql(f"SELECT {chosen} FROM {scan_of(list(urls))}")

    def rows(self, project: str, key: TableKey) -> int:
        """How many rows the table has, by its files' footers."""
        with self.relation(project, key) as relation:
            row = relation.aggregate("count(*)").fetchall()[0]
        return int(row[0])

    def exists(self, project: str, key: TableKey) -> bool:
        """Whether the table has data."""
        return bool(self.partitions(project, key))

    def partitions(self, project: str, key: TableKey) -> list[str | None]:
        """The partitions that have data; `[None]` for a table without partitions."""
        names = (f.name for f in self.files.list_files(_folder(project, key)))
        return [partition_of(n.removesuffix(_SUFFIX)) for n in names if n.endswith(_SUFFIX)]

    def remove(self, project: str, key: TableKey, partition: str | None = None) -> None:
        """Remove a partition; its last content stays as a version."""
        path = f"{_folder(project, key)}/{file_stem(partition)}{_SUFFIX}"
        self._keep(path, Write().keep_versions)
        self.files.remove(path)

    def versions(self, project: str, key: TableKey, partition: str | None = None) -> list[str]:
        """The names of the kept versions, oldest first: the times at which they were written."""
        folder = _versions_folder(_folder(project, key), file_stem(partition) + _SUFFIX)
        return [f.name.removesuffix(_SUFFIX) for f in self.files.list_files(folder)]

    def versions_before(
        self, project: str, key: TableKey, moment: datetime, partition: str | None = None
    ) -> list[str]:
        """The kept versions that were written before a moment, oldest first."""
        return [
            name for name in self.versions(project, key, partition) if _written_at(name) < moment
        ]

    def forget(
        self, project: str, key: TableKey, version: str, partition: str | None = None
    ) -> None:
        """Remove a kept version for good; an absent one is fine."""
        folder = _versions_folder(_folder(project, key), file_stem(partition) + _SUFFIX)
        self.files.remove(f"{folder}/{version}{_SUFFIX}")

    def version_urls(self, project: str, key: TableKey, partition: str | None = None) -> list[str]:
        """The files of the kept versions, oldest first."""
        folder = _versions_folder(_folder(project, key), file_stem(partition) + _SUFFIX)
        names = self.versions(project, key, partition)
        return [self.files.url(f"{folder}/{name}{_SUFFIX}") for name in names]

    def urls_as_of(self, project: str, key: TableKey, moment: datetime) -> list[str]:
        """The files of a table as it was at a moment, as far as its versions are kept.

        Raises:
            NotFoundError: of no partition there is a version as old as that.
        """
        folder, found = _folder(project, key), []
        for current in self.files.list_files(folder):
            if not current.name.endswith(_SUFFIX):
                continue
            kept = _versions_folder(folder, current.name)
            ages = [
                (_written_at(f.name.removesuffix(_SUFFIX)), f"{kept}/{f.name}")
                for f in self.files.list_files(kept)
            ]
            ages = [*ages, (current.modified, f"{folder}/{current.name}")]
            old = [path for written, path in sorted(ages) if written <= moment]
            found += old[-1:]
        if not found:
            raise NotFoundError(
                f"table {project}:{key}",
                f"no version of it is kept from {moment:%Y-%m-%d %H:%M} UTC or before",
                fix="let the table keep more versions (keep_versions)",
            )
        return [self.files.url(path) for path in found]

    def restore(
        self, project: str, key: TableKey, version: str, partition: str | None = None
    ) -> Written:
        """Bring a kept version back; what it takes the place of becomes a version itself.

        Raises:
            NotFoundError: there is no such version.
        """
        kept = self.versions(project, key, partition)
        if version not in kept:
            raise NotFoundError(
                f"version '{version}' of table {project}:{key}",
                "it is not kept",
                allowed=", ".join(kept) or "none is kept",
            )
        name = file_stem(partition) + _SUFFIX
        source = f"{_versions_folder(_folder(project, key), name)}/{version}{_SUFFIX}"
        with connect(self.memory_limit) as connection:
            if self.files.filesystem is not None:
                connection.register_filesystem(self.files.filesystem)
            old = connection.sql(f"SELECT * FROM {scan_of([self.files.url(source)])}")
            return self.write(
                project,
                key,
                old,
                partition=partition,
                how=Write(keep_versions=max(len(kept) + 1, Write().keep_versions)),
            )

    def publish(
        self, project: str, key: TableKey, name: str, content: bytes, *, keep_versions: int = 3
    ) -> str:
        """Put a page or another document in the folder of `key`, in one step; returns its URL."""
        path = f"{_folder(project, key)}/{name}"
        with full_disk_is_told(f"{project}:{key}"), self.files.scratch(path) as scratch:
            scratch.write_bytes(content)
            self._keep(path, keep_versions)
            self.files.put(scratch, path)
        return self.files.url(path)

    def document(self, project: str, key: TableKey, name: str) -> bytes:
        """What was published as `name` in the folder of `key`.

        Raises:
            NotFoundError: nothing was.
        """
        folder = _folder(project, key)
        there = [file.name for file in self.files.list_files(folder)]
        if name not in there:
            raise NotFoundError(
                f"'{name}' of {project}:{key}",
                "there is none",
                allowed=", ".join(there),
                fix=f"materialise {key} first",
            )
        url = self.files.url(f"{folder}/{name}")
        if self.files.filesystem is None:
            return Path(url).read_bytes()
        content: bytes = self.files.filesystem.cat_file(url)
        return content

    def stored_bytes(self, project: str) -> int:
        """What the tables of a project take, with the versions that are kept."""
        found = 0
        for info in self.tables(project):
            kept = f"{_folder(project, info.key)}/.versions"
            found += info.bytes
            for name in self.files.folders(kept):
                found += sum(f.size for f in self.files.list_files(f"{kept}/{name}"))
        return found

    def tables(self, project: str | None = None) -> list[TableInfo]:
        """Every table that has data, of one project or of all."""
        found = []
        for owner in [project] if project else self.files.folders(""):
            for layer in self.files.folders(owner):
                for name in self.files.folders(f"{owner}/{layer}"):
                    found.extend(self._info(owner, TableKey(layer, name)))
        return found

    def _info(self, project: str, key: TableKey) -> list[TableInfo]:
        files = [
            f for f in self.files.list_files(_folder(project, key)) if f.name.endswith(_SUFFIX)
        ]
        if not files:
            return []
        newest = max((f.modified for f in files), default=datetime.min.replace(tzinfo=UTC))
        return [TableInfo(project, key, len(files), sum(f.size for f in files), newest)]


def _folder(project: str, key: TableKey) -> str:
    return f"{project}/{key.layer}/{key.name}"


def _versions_folder(folder: str, name: str) -> str:
    return f"{folder}/.versions/{name.removesuffix(_SUFFIX)}"


def _written_at(version: str) -> datetime:
    return datetime.strptime(version, _VERSION_FORMAT).replace(tzinfo=UTC)


def _save(data: "Data", path: Path, subject: str) -> None:
    """Write rows of any accepted kind to a local Parquet file, without a copy in between."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(data, duckdb.DuckDBPyRelation):
        _refuse_twins(data.columns, subject)
        data.write_parquet(str(path), compression="zstd")
    elif isinstance(data, pa.RecordBatchReader):
        _refuse_twins(data.schema.names, subject)
        with pq.ParquetWriter(path, data.schema, compression="zstd") as writer:
            for batch in data:
                writer.write_batch(batch)
    else:
        table = _as_arrow(data, subject)
        _refuse_twins(table.column_names, subject)
        pq.write_table(table, path, compression="zstd")


def _as_arrow(data: "pd.DataFrame | pa.Table", subject: str) -> "pa.Table":
    import pandas as pd
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    if not isinstance(data, pd.DataFrame):
        raise DataError(
            subject,
            f"a {type(data).__name__}",
            allowed="a pandas DataFrame, Arrow table, record batch reader or DuckDB relation",
        )
    _refuse_twins([str(column) for column in data.columns], subject)
    try:
        return pa.Table.from_pandas(data.rename(columns=str), preserve_index=False)
    except pa.ArrowException as error:
        raise DataError(
            subject,
            f"a column holds values of several types: {'; '.join(map(str, error.args))}",
            fix="give the column one type before writing it",
        ) from error


def _refuse_twins(columns: Sequence[str], subject: str) -> None:
    twins = sorted({column for column in columns if list(columns).count(column) > 1})
    if twins:
        raise DataError(
            subject, f"several columns are called {', '.join(twins)}", fix="rename all but one"
        )


def _merged(rows: str, old: str | None, how: Write, subject: str, connection: object) -> str:
    """The query for the partition's new content."""
    if how.mode == "append":
        tagged = f"SELECT *, {literal(how.run_id)} AS {quote(RUN_COLUMN)} FROM ({rows})"
        if old is None:
            return tagged
        others = f"{old} WHERE {quote(RUN_COLUMN)} <> {literal(how.run_id)}"
        return f"{others} UNION ALL BY NAME {tagged}"
    _refuse_repeated_keys(rows, how.key, subject, connection)
    if old is None:
        return rows
    same = " AND ".join(f"o.{quote(c)} IS NOT DISTINCT FROM n.{quote(c)}" for c in how.key)
    kept = f"SELECT o.* FROM ({old}) AS o ANTI JOIN ({rows}) AS n ON {same}"
    return f"{kept} UNION ALL BY NAME {rows}"


def _refuse_repeated_keys(
    rows: str, key: tuple[str, ...], subject: str, connection: object
) -> None:
    columns = ", ".join(quote(column) for column in key)
    query = f"SELECT {columns}, count(*) FROM ({rows}) GROUP BY {columns} HAVING count(*) > 1"
    twice = connection.execute(f"{query} LIMIT 1").fetchone()  # type: ignore[attr-defined]
    if twice:
        values = ", ".join(f"{c}={v!r}" for c, v in zip(key, twice, strict=False))
        raise DataError(
            subject,
            f"{twice[-1]} new rows have the key {values}",
            fix="make the rows unique before they are merged",
        )
