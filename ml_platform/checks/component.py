"""`Checks`: a pandera schema, a Great Expectations suite and a look at drift, as asset checks."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field, field_validator, model_validator

from ml_platform.checks.drift import Limits
from ml_platform.checks.drifting import Drift, look
from ml_platform.checks.expectations import check_suite
from ml_platform.checks.reference import Against, Champion, Place
from ml_platform.checks.result import CheckResult
from ml_platform.checks.schema import read_schema
from ml_platform.checks.suite import read_suite
from ml_platform.checks.validation import check_schema
from ml_platform.execution.backfill import RANGE_END, RANGE_START
from ml_platform.execution.component import (
    Declared,
    errors_are_told,
    loaded_plainly,
    project_of,
)
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.kernel.marks import EVENT_KEY
from ml_platform.kernel.names import TableKey
from ml_platform.storage.resource import Tables
from ml_platform.storage.shown import rounded
from ml_platform.storage.tables import TableStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

_PARTITION = "dagster/partition"
_PAGE = 100


class AgainstFields(Declared):
    """What a table is compared with: exactly one of these."""

    champion_of: str = Field(
        default="", description="The table as the champion of this model learnt from it."
    )
    partitions: list[str] = Field(default=[], description="These partitions of the table.")
    previous: int = Field(
        default=0, ge=0, description="So many partitions, or versions of the table, before."
    )

    @model_validator(mode="after")
    def _is_one(self) -> "AgainstFields":
        if sum(map(bool, (self.champion_of, self.partitions, self.previous))) != 1:
            raise ValueError("give one of `champion_of`, `partitions` and `previous`")
        if self.champion_of:
            TableKey.parse(self.champion_of)
        return self


class DriftFields(Declared):
    """Whether the columns are distributed as they were, and how much may differ."""

    against: AgainstFields = Field(description="What the table is compared with.")
    columns: list[str] = Field(
        default=[], description="The columns; none named: all but days and moments."
    )
    max_psi: float = Field(
        default=Limits.psi, gt=0, description="The largest stability index of numbers."
    )
    max_ks: float = Field(
        default=Limits.ks, gt=0, le=1, description="The largest distance of numbers, 0 to 1."
    )
    max_jensen_shannon: float = Field(
        default=Limits.jensen_shannon,
        gt=0,
        le=1,
        description="The largest distance of categories, 0 to 1.",
    )
    max_missing_change: float = Field(
        default=Limits.missing,
        gt=0,
        le=1,
        description="How much the share of missing values may change.",
    )
    severity: Literal["error", "warn"] = Field(
        default="warn", description="What drift is: error stops what follows, warn only tells."
    )

    def parts(self) -> tuple[Against, Limits]:
        """The reference and the limits."""
        given = self.against
        against = Against(given.champion_of, tuple(given.partitions), given.previous)
        limits = Limits(self.max_psi, self.max_ks, self.max_jensen_shannon, self.max_missing_change)
        return against, limits


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
    drift: DriftFields | None = Field(
        default=None, description="A comparison of the columns with how they were."
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
        if self.pandera is None and not self.great_expectations and self.drift is None:
            raise ValueError("give `pandera`, `great_expectations` or `drift`, or several")
        return self

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset check for each of the kinds of rules."""
        project = project_of(context)
        checks = []
        if self.pandera is not None:
            schema = read_schema(self.pandera, subject=f"schema of {self.table}")
            checks.append(self._check(project, "schema", lambda rows: check_schema(schema, rows)))
        if self.great_expectations:
            suite = read_suite(self.great_expectations, subject=f"suite of {self.table}")
            checks.append(self._check(project, "suite", lambda rows: check_suite(suite, rows)))
        if self.drift is not None:
            checks.append(self._drift_check(project, self.drift))
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

    def _drift_check(self, project: str, drift: DriftFields) -> dg.AssetChecksDefinition:
        key, (against, limits) = TableKey.parse(self.table), drift.parts()

        @dg.asset_check(asset=list(key.parts), name="drift", blocking=self.blocking)
        def check(context: dg.AssetCheckExecutionContext, tables: Tables) -> dg.AssetCheckResult:
            with errors_are_told():
                store = tables.store()
                is_whole = self.scope == "table" and bool(against.champion_of)
                made = [] if is_whole else _made(context, store, project, key)
                champion = _champion(context.instance, against.champion_of)
                place = Place(store, project, key, tuple(drift.columns))
                return _drift_told(look(place, against, limits, made, champion), drift.severity)

        return check

    def _partitions(
        self, context: dg.AssetCheckExecutionContext, store: TableStore, project: str, key: TableKey
    ) -> list[str]:
        """The partitions to look at; none stands for all."""
        return [] if self.scope == "table" else _made(context, store, project, key)


def _made(
    context: dg.AssetCheckExecutionContext, store: TableStore, project: str, key: TableKey
) -> list[str]:
    """The partitions that the run made; none for a run without partitions."""
    tags = context.run.tags
    if not tags.keys() & {_PARTITION, RANGE_START}:
        return []
    first = tags.get(RANGE_START) or tags[_PARTITION]
    last = tags.get(RANGE_END) or tags[_PARTITION]
    there = [one for one in store.partitions(project, key) if one is not None]
    return [one for one in there if first <= one <= last]


def _champion(instance: dg.DagsterInstance, model: str) -> Champion | None:
    """Today's champion of a model, by what its trainings have said of themselves."""
    if not model:
        return None
    key, cursor, more = dg.AssetKey.from_user_string(model), None, True
    while more:
        page = instance.fetch_materializations(key, limit=_PAGE, cursor=cursor)
        for record in page.records:
            event = record.asset_materialization
            told = {name: one.value for name, one in event.metadata.items()} if event else {}
            if told.get("is_champion"):
                trained_at = datetime.fromtimestamp(record.timestamp, tz=UTC)
                return Champion(model, str(told.get("model_version", "")), trained_at)
        cursor, more = page.cursor, page.has_more
    return None


def _drift_told(found: Drift, severity: Literal["error", "warn"]) -> dg.AssetCheckResult:
    drifted = found.drifted
    figures = {f"{one.column}: {one.name}": one for one in drifted or found.figures}
    metadata: dict[str, Any] = {
        "rows": found.rows,
        "reference": found.reference,
        "drifted_columns": len(found.columns),
        "observed": dg.MetadataValue.json(
            {name: rounded(one.value) for name, one in figures.items()}
        ),
        "expected": dg.MetadataValue.json(
            {name: f"up to {rounded(one.most)}" for name, one in figures.items()}
        ),
        # By this word alerts tell of drift and not of a failed check.
        EVENT_KEY: "drift.found",
    }
    if found.report:
        metadata["report"] = dg.MetadataValue.md(found.report)
    if found.picture:
        metadata["picture"] = dg.MetadataValue.md(found.picture)
    return dg.AssetCheckResult(
        passed=not drifted,
        severity=_SEVERITIES[severity],
        description=found.summary,
        metadata=metadata,
    )


_SEVERITIES = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


def _told(result: CheckResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=result.passed,
        severity=_SEVERITIES[result.severity],
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
