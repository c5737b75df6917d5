"""`Source`: a raw table loaded from files, a database or an HTTP API."""

from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import Field, model_validator

from ml_platform.execution.component import AssetComponent, Declared, Made, Step
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.sources.files import FileFormat, FileSource, read_files
from ml_platform.sources.http import HttpSource, Pagination, read_api
from ml_platform.sources.http_client import Patience
from ml_platform.sources.shape import Shape
from ml_platform.sources.sql import SqlSource, read_query
from ml_platform.sources.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    Read = Callable[[Step], pa.RecordBatchReader | pa.Table]


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

    url: str = Field(description="SQLAlchemy's URL; take it, or its password, from ${A_VARIABLE}.")
    query: str = Field(description="One SELECT; :start and :end are a partition's time.")
    batch_rows: int = Field(default=100_000, ge=1, description="Rows in memory at once.")

    def source(self, shape: Shape) -> SqlSource:
        """What to read."""
        return SqlSource(self.url, self.query, shape, self.batch_rows)


class HttpFields(Declared):
    """An API that answers with JSON."""

    base_url: str = Field(description="Where the API is; it may be ${A_VARIABLE}.")
    path: str = Field(default="", description="What is asked for there.")
    params: dict[str, str] = Field(
        default={}, description="The query; {start}, {end}, {last_day} are a partition's time."
    )
    headers: dict[str, str] = Field(default={}, description="Sent besides; keys by ${VARIABLE}.")
    records: str = Field(default="", description="Where the list is in the answer, as data.items.")
    pagination: Pagination = Field(default="none", description="How the next page is found.")
    page_param: str = Field(default="page", description="The parameter of a page's number.")
    first_page: int = Field(default=1, description="The number of the first page.")
    cursor_field: str = Field(default="", description="The field with the next page's cursor.")
    cursor_param: str = Field(default="cursor", description="The parameter of the cursor.")
    timeout_s: float = Field(default=30.0, gt=0, description="The longest wait for an answer.")
    attempts: int = Field(default=5, ge=1, description="How often a page is asked for at most.")

    def source(self, shape: Shape) -> HttpSource:
        """What to ask."""
        own = self.model_dump(exclude={"timeout_s", "attempts"})
        patience = Patience(timeout_s=self.timeout_s, attempts=self.attempts)
        return HttpSource(**own, patience=patience, shape=shape)


@dg.scaffold_with(ExampleScaffolder)
class Source(AssetComponent):
    """A raw table, loaded from where the data is born, a partition at a time if it has any."""

    scaffold_example: ClassVar[dict[str, Any]] = {"key": "raw/NAME", "file": {"path": "NAME.csv"}}
    scaffold_files: ClassVar[dict[str, str]] = {"NAME.csv": "id,amount_usd\n1,2.50\n2,4.00\n"}

    file: FileFields | None = Field(default=None, description="From files.")
    sql: SqlFields | None = Field(default=None, description="From a database.")
    http: HttpFields | None = Field(default=None, description="From an HTTP API.")
    columns: list[str] = Field(default=[], description="The columns to take; none named: all.")
    rename: dict[str, str] = Field(default={}, description="The source's name: the table's.")
    dtypes: dict[str, str] = Field(default={}, description="Types of columns, where they matter.")

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
            rows = read(step)
            how = self.write_mode(step)
            written = step.store.write(
                step.project, step.key, rows, partition=step.partition, how=how
            )
            return Made(written, {})

        return dg.Definitions(assets=[self.asset(context, make, kinds=[kind])])

    def _reader(self, folder: Path) -> "tuple[Read, str]":
        """How to read, and the badge that says from where."""
        shape = Shape(tuple(self.columns), self.rename, self.dtypes)
        if self.file:
            files = self.file.source(folder, shape)
            return lambda step: read_files(files, self._window(step)), "file"
        if self.sql:
            query = self.sql.source(shape)
            return lambda step: read_query(query, self._window(step)), "sql"
        if self.http:
            api = self.http.source(shape)
            return lambda step: read_api(api, self._window(step)), "api"
        raise AssertionError("the declaration has one of the three")

    def _window(self, step: Step) -> Window | None:
        """The partition's time: days where it begins and ends at midnight."""
        if step.window is None:
            return None
        start, end = step.window
        if start.time() == end.time() == time():
            return Window(start.date(), end.date())
        return Window(start, end)
