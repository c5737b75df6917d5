"""`Checks`: a pandera schema, a Great Expectations suite, or both, as asset checks of a table."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field, field_validator, model_validator

from ml_platform.checks.expectations import check_suite
from ml_platform.checks.result import CheckResult
from ml_platform.checks.schema import read_schema
from ml_platform.checks.suite import read_suite
from ml_platform.checks.validation import check_schema
from ml_platform.execution.backfill import RANGE_END, RANGE_START
from ml_platform.execution.component import errors_are_told, loaded_plainly, project_of
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.kernel.names import TableKey
from ml_platform.storage.resource import Tables
from ml_platform.storage.shown import rounded
from ml_platform.storage.tables import TableStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

_PARTITION = "dagster/partition"


@dg.scaffold_with(ExampleScaffolder)
class Checks(dg.Component, dg.Model, dg.Resolvable):
    """Rules that a table has to keep before anything is made of it."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    scaffold_example: ClassVar[dict[str, Any]] = {
        "table": "features/NAME",
        "pandera": {"min_rows": 1, "columns": {"id": {"type": "integer", "unique": True}}},
    }
    scaffold_files: ClassVar[dict[str, str]] = {}

    table: str = Field(description="The key of the table, like raw/sales.")
    pandera: dict[str, Any] | None = Field(
        default=None,
        description="The columns with their types and rules; docs/checks.md lists the words.",
    )
    great_expectations: list[dict[str, Any]] | None = Field(
        default=None,
        description="Expectations by their names, each with its arguments and a severity.",
    )
    blocking: bool = Field(
        default=True, description="Whether what comes after the table waits for a pass."
    )
    scope: Literal["table", "run"] = Field(
        default="table",
        description="Whether it looks at the whole table or at the partitions that the run made.",
    )

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "Checks":
        """Make the component of its attributes."""
        return loaded_plainly(cls, attributes, super().load, context)

    @field_validator("table")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        TableKey.parse(value)
        return value

    @field_validator("pandera")
    @classmethod
    def _is_a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            read_schema(value)
        return value

    @field_validator("great_expectations")
    @classmethod
    def _is_a_suite(cls, value: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        if value is not None:
            read_suite(value)
        return value

    @model_validator(mode="after")
    def _has_rules(self) -> "Checks":
        if self.pandera is None and not self.great_expectations:
            raise ValueError("give `pandera`, `great_expectations`, or both")
        return self

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset check for each of the two kinds of rules."""
        project = project_of(context)
        checks = []
        if self.pandera is not None:
            schema = read_schema(self.pandera, subject=f"schema of {self.table}")
            checks.append(self._check(project, "schema", lambda rows: check_schema(schema, rows)))
        if self.great_expectations:
            suite = read_suite(self.great_expectations, subject=f"suite of {self.table}")
            checks.append(self._check(project, "suite", lambda rows: check_suite(suite, rows)))
        return dg.Definitions(asset_checks=checks)

    def _check(
        self, project: str, name: str, judge: "Callable[[pa.Table], CheckResult]"
    ) -> dg.AssetChecksDefinition:
        key = TableKey.parse(self.table)

        @dg.asset_check(asset=list(key.parts), name=name, blocking=self.blocking)
        def check(context: dg.AssetCheckExecutionContext, tables: Tables) -> dg.AssetCheckResult:
            with errors_are_told():
                store = tables.store()
                partitions = self._partitions(context, store, project, key)
                return _told(judge(store.read(project, key, partitions=partitions)))

        return check

    def _partitions(
        self, context: dg.AssetCheckExecutionContext, store: TableStore, project: str, key: TableKey
    ) -> list[str]:
        """The partitions to look at; none stands for all."""
        tags = context.run.tags
        if self.scope == "table" or not tags.keys() & {_PARTITION, RANGE_START}:
            return []
        first = tags.get(RANGE_START) or tags[_PARTITION]
        last = tags.get(RANGE_END) or tags[_PARTITION]
        there = [one for one in store.partitions(project, key) if one is not None]
        return [one for one in there if first <= one <= last]


def _told(result: CheckResult) -> dg.AssetCheckResult:
    severity = (
        dg.AssetCheckSeverity.WARN if result.severity == "warn" else dg.AssetCheckSeverity.ERROR
    )
    return dg.AssetCheckResult(
        passed=result.passed,
        severity=severity,
        description=result.summary,
        metadata={
            "report": dg.MetadataValue.md(result.markdown()),
            "rows": result.rows,
            "rules": result.rules,
            "failing_rows": result.failing_rows,
            "failing_rules": result.failing_rules,
            "observed": dg.MetadataValue.json(
                {
                    rule: one if isinstance(one, str) else rounded(one)
                    for rule, one in result.observed.items()
                }
            ),
            "expected": dg.MetadataValue.json(result.expected),
        },
    )
