"""`Source`: a raw table loaded from files, a database or an HTTP API."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import Field, model_validator

from ml_platform.execution.component import AssetComponent, Declared, Made, Step
from ml_platform.kernel.errors import DeclarationError
from ml_platform.sources.files import FileFormat, FileSource, read_files
from ml_platform.sources.http import HttpSource, Pagination, Retries, read_api
from ml_platform.sources.shape import Shape
from ml_platform.sources.sql import SqlSource, read_query
from ml_platform.sources.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    Read = Callable[[Window | None, Step], pa.RecordBatchReader | pa.Table]


class FileFields(Declared):
    """Files: one, a folder, or a pattern; here or in an object store."""

    path: str = Field(
        description="A file, folder or pattern like in/*.csv, beside this declaration or by URL; "
        "it may hold {start}, {end} or {last_day} of a partition and ${VARIABLES}."
    )
    format: FileFormat = Field(default="auto", description="As the ending says, or named.")
    delimiter: str = Field(default="", description="Of a CSV; empty for comma, or tab in a .tsv.")
    encoding: str = Field(default="utf-8", description="Of CSV and JSON, by Python's names.")
    nulls: list[str] = Field(default=[""], description="Texts of a CSV that mean nothing is there.")

    def source(self, folder: Path, shape: Shape) -> FileSource:
        """What to read; a relative path counts from the declaration."""
        beside = "://" not in self.path and not self.path.startswith(("/", "~", "${"))
        path = str(folder / self.path) if beside else self.path
        return FileSource(
            path, self.format, self.delimiter, self.encoding, tuple(self.nulls), shape
        )


class SqlFields(Declared):
    """A query on a database."""

    url: str = Field(
        description="SQLAlchemy's URL; take it, or its password, from ${A_VARIABLE}."
    )
    query: str = Field(description="One SELECT; :start and :end are a partition's time.")
    batch_rows: int = Field(default=100_000, ge=1, description="Rows in memory at once.")

    def source(self, shape: Shape) -> SqlSource:
        """What to read."""
        return SqlSource(self.url, self.query, shape, self.batch_rows)


class Source(AssetComponent):
    """A raw table, loaded from where the data is born, a partition at a time if it has any."""

    file: FileFields | None = Field(default=None, description="From files.")
    sql: SqlFields | None = Field(default=None, description="From a database.")
    columns: list[str] = Field(default=[], description="The columns to take; none named means all.")
    rename: dict[str, str] = Field(default={}, description="The source's name: the table's name.")
    dtypes: dict[str, str] = Field(default={}, description="The type of a column, where it matters.")

    @model_validator(mode="after")
    def _has_one_origin(self) -> "Source":
        given = [name for name in ("file", "sql", "http") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of file, sql and http, not {len(given)} of them")
        return self

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset."""
        read, kind = self._reader(context.path)

        def make(step: Step) -> Made:
            rows = read(_window(step), step)
            how = self.write_mode(step)
            written = step.store.write(
                step.project, step.key, rows, partition=step.partition, how=how
            )
            return Made(written, {})

        return dg.Definitions(assets=[self.asset(context, make, kinds=[kind])])
