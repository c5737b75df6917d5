"""`FeatureTable` and `PreparedTable`: tables made by SQL, by Python, by automatic preparation."""

import importlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import Field, field_validator, model_validator

from ml_platform.execution.component import AssetComponent, Made, Step, project_of, text_of
from ml_platform.execution.preparing import PreparationOptions, options_of
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.features import prepared
from ml_platform.kernel.errors import DeclarationError, Where
from ml_platform.kernel.names import TableKey
from ml_platform.storage.engine import connect
from ml_platform.storage.lineage import column_lineage
from ml_platform.storage.query import attach, columns_of, planned, reading_rows
from ml_platform.storage.resource import lineage_metadata
from ml_platform.storage.syntax import TableName, tables_named_in
from ml_platform.storage.tables import Write

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyRelation

    from ml_platform.preparation.receipt import Receipt


@dg.scaffold_with(ExampleScaffolder)
class FeatureTable(AssetComponent):
    """A table made from other tables by a SQL file, or by a Python function.

    The SQL is one SELECT in DuckDB's words. The tables that it names (`raw.sales`, or
    `other_project.raw.sales`) become what it waits for. In a partitioned table `$start` and `$end`
    stand for the partition's time and `$partition` for its name. The rows never pass through
    Python.
    """

    scaffold_example: ClassVar[dict[str, Any]] = {"key": "features/NAME", "sql": "NAME.sql"}
    scaffold_files: ClassVar[dict[str, str]] = {"NAME.sql": "SELECT *\nFROM raw.NAME\n"}

    sql: str | None = Field(
        default=None, description="The SQL file beside this declaration, like demand.sql."
    )
    python: str | None = Field(
        default=None,
        description="A function as module:name; it takes data frames and returns one.",
    )
    inputs: dict[str, str] = Field(
        default={}, description="For a function: its parameters and the tables that they get."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> "FeatureTable":
        if bool(self.sql) == bool(self.python):
            raise ValueError("give either `sql` or `python`")
        if self.python and not self.inputs:
            raise ValueError("`python` needs `inputs`, like {sales: raw/sales}")
        return self

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset."""
        asset = self._from_sql(context) if self.sql else self._from_python(context)
        return dg.Definitions(assets=[asset])

    def _from_sql(self, context: dg.ComponentLoadContext) -> dg.AssetsDefinition:
        path = context.path / str(self.sql)
        sql = text_of(path, f"table {self.key}")
        reads = tables_named_in(sql, Where(path))
        own = [name for name in reads if name.key == self.table_key]
        if any(name.project in {None, project_of(context)} for name in own):
            raise DeclarationError(f"table {self.key}", "its SQL reads itself", where=Where(path))

        def make(step: Step) -> Made:
            return run_query(step, sql, path, reads, self.write_mode(step))

        return self.asset(context, make, reads=reads, kinds=["duckdb", "sql"], code=sql)

    def _from_python(self, context: dg.ComponentLoadContext) -> dg.AssetsDefinition:
        reads = {name: TableKey.parse(key) for name, key in self.inputs.items()}

        def make(step: Step) -> Made:
            function = function_named(str(self.python), f"table {self.key}")
            frames = {n: step.store.read(step.project, k).to_pandas() for n, k in reads.items()}
            data = function(**frames)
            how = self.write_mode(step)
            written = step.store.write(
                step.project, step.key, data, partition=step.partition, how=how
            )
            return Made(written, {})

        names = [TableName(None, key) for key in reads.values()]
        return self.asset(context, make, reads=names, kinds=["python", "pandas"])


def run_query(step: Step, sql: str, path: Path, reads: list[TableName], how: Write) -> Made:
    """Run the query in the engine and write what it gives, without a frame in between."""
    with connect(step.store.memory_limit) as connection:
        attach(connection, step.store, reads, step.project)
        rows = planned(connection, sql, path, _parameters(step, sql))
        sources = column_lineage(sql, columns_of(connection, reads), rows.columns)
        with reading_rows(f"table {step.key}", path):
            written = step.store.write(
                step.project, step.key, rows, partition=step.partition, how=how
            )
    query = dg.MetadataValue.md(f"```sql\n{sql}\n```")
    return Made(written, {"query": query, **lineage_metadata(sources)})


def _parameters(step: Step, sql: str) -> dict[str, str | datetime]:
    """What a partitioned query may ask for; only what it names, as DuckDB wants it."""
    known: dict[str, str | datetime] = {}
    if step.partition is not None:
        known["partition"] = step.partition
    if step.window is not None:
        known["start"], known["end"] = (moment.replace(tzinfo=None) for moment in step.window)
    return {name: value for name, value in known.items() if f"${name}" in sql}


def function_named(path: str, subject: str) -> Callable[..., Any]:
    """The function at `module:name`.

    Raises:
        DeclarationError: there is no such module or function.
    """
    module_name, colon, name = path.partition(":")
    if not colon:
        raise DeclarationError(subject, f"python: {path}", allowed="module:function")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise DeclarationError(
            subject, f"python: {path}: {error}", fix="check the spelling of module and function"
        ) from error
    if not callable(found):
        raise DeclarationError(subject, f"python: {path} is no function")
    return found  # type: ignore[no-any-return]


@dg.scaffold_with(ExampleScaffolder)
class PreparedTable(AssetComponent, PreparationOptions):
    """A table cleaned automatically, with a receipt of what was found and done.

    Beside it stands `<key>_cells`: for each of its rows, in their order, and each column that came,
    what was done to the cell (1 recoded, 2 refused, 4 clipped, 8 filled, and their sums). What was
    learnt is kept, and prepares other rows of the same kind by `learnt_by`.
    """

    scaffold_example: ClassVar[dict[str, Any]] = {"key": "features/NAME", "table": "raw/NAME"}
    scaffold_files: ClassVar[dict[str, str]] = {}

    table: str = Field(description="The table to prepare, like raw/orders.")
    target: str | None = Field(
        default=None,
        description="A column that is passed on as it is and tells nothing to the others.",
    )
    learnt_by: str | None = Field(
        default=None,
        description="A prepared table, like features/orders, whose preparation is applied here; "
        "nothing is learnt from these rows.",
    )
    add_imputed_share: bool = Field(
        default=False,
        description="Add `imputed_share`: which share, 0 to 1, of a row's inputs was filled.",
    )

    @field_validator("table", "learnt_by")
    @classmethod
    def _are_keys(cls, value: str | None) -> str | None:
        if value is not None:
            TableKey.parse(value)
        return value

    @model_validator(mode="after")
    def _is_learnt_once(self) -> "PreparedTable":
        if self.learnt_by and (said := self._options().keys() - {"budget_mb"}):
            raise ValueError(
                f"with `learnt_by` leave out {', '.join(sorted(said))}: it was learnt so"
            )
        if self.partitions and not self.learnt_by:
            raise ValueError("`partitions` need `learnt_by`: else each would learn something else")
        if self.write != "replace":
            raise ValueError(f"`write: {self.write}` would part the rows from their cells")
        return self

    def _options(self) -> dict[str, Any]:
        return options_of(self) | ({"target": self.target} if self.target else {})

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Two assets: the table and its cells."""
        named = [self.table, *([self.learnt_by] if self.learnt_by else [])]
        reads = [TableName(None, TableKey.parse(one)) for one in named]
        said = f"What was done to each cell of {self.key}, row by row."
        beside = {prepared.cells_key(self.table_key): said}
        kinds = ["scikitlearn", "pandas"]
        asset = self.asset(context, self._prepare, reads=reads, kinds=kinds, beside=beside)
        return dg.Definitions(assets=[asset])

    def _prepare(self, step: Step) -> Made:
        place = prepared.Place(
            step.store, step.project, step.key, step.partition, step.run_id, self.keep_versions
        )
        partitions = [step.partition] if step.partition is not None else []
        key = TableKey.parse(self.table)
        store = prepared.within(step.store, self.budget_mb) if self.budget_mb else step.store
        with store.relation(step.project, key, partitions=partitions) as table:
            if self.budget_mb is not None and prepared.is_larger(table, self.budget_mb):
                return self._prepare_in_batches(step, place, table, self.budget_mb)
            frame = table.to_arrow_table().to_pandas(date_as_object=False)
        return self._prepare_whole(step, place, frame)

    def _prepare_whole(self, step: Step, place: prepared.Place, frame: "pd.DataFrame") -> Made:
        if self.learnt_by:
            kept = prepared.find(step.store, step.project, TableKey.parse(self.learnt_by))
            result = kept.preparation.apply(frame)
        else:
            preparation, result = prepared.learn(frame, self._options())
            kept = prepared.keep(place, preparation)
        page = prepared.publish_receipt(place, result.receipt, kept.version)
        rows = prepared.with_imputed_share(result) if self.add_imputed_share else result.frame
        how, cells_key = self.write_mode(step), prepared.cells_key(step.key)
        # The table last: who finds it finds all that belongs to it.
        cells = place.write(cells_key, result.cells, how)
        written = place.write(step.key, rows, how)
        return Made(written, _told_of(result.receipt, page, kept.version), {cells_key: cells})

    def _prepare_in_batches(
        self, step: Step, place: prepared.Place, table: "DuckDBPyRelation", budget_mb: float
    ) -> Made:
        if self.learnt_by:
            kept = prepared.find(step.store, step.project, TableKey.parse(self.learnt_by))
            batches = prepared.batches_of(table, kept.preparation, budget_mb)
        else:
            batches = prepared.learnt_batches(table, self._options(), budget_mb)
            kept = prepared.keep(place, batches.preparation)
        step.log(f"{batches.count:,} rows, {batches.at_once:,} at a time within {budget_mb:g} MB")
        written = prepared.write_in_batches(
            place, batches, self.write_mode(step), share=self.add_imputed_share
        )
        page = prepared.publish_receipt(place, batches.receipt, kept.version)
        told = _told_of(batches.receipt, page, kept.version)
        return Made(written.table, told, {prepared.cells_key(step.key): written.cells})


def _told_of(receipt: "Receipt", page: str, version: str) -> dict[str, Any]:
    """The receipt, where its page is, and the figures that a person compares between runs."""
    return {
        "receipt": dg.MetadataValue.md(receipt.to_markdown()),
        "receipt_page": dg.MetadataValue.path(page),
        "preparation_version": version,
        "rows_dropped": receipt.rows - receipt.rows_left,
        "cells_filled": sum(column.filled for column in receipt.columns),
        "cells_clipped": sum(column.clipped for column in receipt.columns),
    }
