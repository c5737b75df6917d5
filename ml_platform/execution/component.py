"""What every YAML-declared asset has in common: its fields, and the step that runs it.

A room's component adds its own fields, says which tables it reads, and gives a plain function to
run; this turns them into a Dagster asset with metadata, retries, partitions and errors that a
person can act on. It knows nothing of what the function does.
"""

import functools
import hashlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ml_platform.execution.automation import OnCron, Word, condition_of
from ml_platform.execution.backfill import AT_ONCE, WRITE
from ml_platform.execution.declared import DeclaredAsset
from ml_platform.execution.fanout import fanned_out, made_whole
from ml_platform.execution.profile import Execution, planned, profile
from ml_platform.execution.recording import resumed_by
from ml_platform.execution.words import Declared
from ml_platform.execution.work import Made, Step, Work
from ml_platform.kernel.errors import DeclarationError, PlatformError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.syntax import TableName
from ml_platform.storage.tables import Write, WriteMode

__all__ = [
    "AssetComponent",
    "Declared",
    "Execution",
    "Freshness",
    "Made",
    "Partitions",
    "Retry",
    "Step",
    "beta_used_on_purpose",
    "definition_metadata",
    "errors_are_told",
    "fingerprint",
    "loaded_plainly",
    "project_of",
    "text_of",
]

MOST_KINDS = 3
"""Dagster shows no more on an asset. The layer is the first: the graph shows a key's name alone."""

_Component = TypeVar("_Component", bound=dg.Model)


class Partitions(Declared):
    """How a table is divided: by time, or by the keys that are listed."""

    every: Literal["hour", "day", "week", "month"] | None = Field(
        default=None, description="The length of a partition, for a table divided by time."
    )
    start: str | None = Field(
        default=None, description="The first day, like 2010-02-01, for a table divided by time."
    )
    end: str | None = Field(
        default=None, description="The day after the last one; without it the table goes on."
    )
    timezone: str = Field(default="UTC", description="The time zone of start and end.")
    keys: list[str] | None = Field(
        default=None, description="The partitions' names, for a table divided otherwise."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Partitions":
        if bool(self.keys) == bool(self.every):
            raise ValueError("give either `every` with `start`, or `keys`")
        if self.every and not self.start:
            raise ValueError("`every` needs a `start`, like 2010-02-01")
        return self

    @field_validator("start", "end")
    @classmethod
    def _is_a_day(cls, value: str | None) -> str | None:
        if value is not None:
            date.fromisoformat(value)
        return value

    def definition(self) -> dg.PartitionsDefinition[str]:
        """The partitions as Dagster knows them."""
        if self.keys:
            return dg.StaticPartitionsDefinition(self.keys)
        crons = {"hour": "0 * * * *", "day": "0 0 * * *", "week": "0 0 * * ", "month": "0 0 1 * *"}
        cron = crons[self.every or "day"]
        if self.every == "week":  # weeks begin on the weekday of the start
            cron += str(date.fromisoformat(self.start or "").isoweekday() % 7)
        return dg.TimeWindowPartitionsDefinition(
            start=datetime.fromisoformat(self.start or ""),
            end=datetime.fromisoformat(self.end) if self.end else None,
            timezone=self.timezone,
            fmt="%Y-%m-%d-%H:%M" if self.every == "hour" else "%Y-%m-%d",
            cron_schedule=cron,
        )


class Retry(Declared):
    """How often and when a step that failed for a passing reason is tried again."""

    attempts: int = Field(default=3, ge=0, description="How many times after the first.")
    delay_s: float = Field(default=2.0, ge=0, description="Seconds before the second attempt.")

    def policy(self) -> dg.RetryPolicy:
        """Exponential back-off with full jitter, so that many steps do not come back at once."""
        return dg.RetryPolicy(
            max_retries=self.attempts,
            delay=self.delay_s,
            backoff=dg.Backoff.EXPONENTIAL,
            jitter=dg.Jitter.FULL,
        )


class Freshness(Declared):
    """How old the table may be."""

    fail_after_hours: float = Field(gt=0, description="Older than this is stale.")
    warn_after_hours: float | None = Field(
        default=None, gt=0, description="Older than this is a warning; less than fail_after_hours."
    )

    def policy(self) -> dg.FreshnessPolicy:
        """The policy as Dagster knows it."""
        warn = timedelta(hours=self.warn_after_hours) if self.warn_after_hours else None
        return dg.FreshnessPolicy.time_window(
            fail_window=timedelta(hours=self.fail_after_hours), warn_window=warn
        )


class AssetComponent(dg.Component, dg.Model, dg.Resolvable):
    """The fields that every declared asset has. A subclass says what is made, and how."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    key: str = Field(description="Layer and name, like features/sales_clean.")
    description: str | None = Field(default=None, description="What it is, in a sentence or two.")
    owners: list[str] | None = Field(
        default=None, description="Who answers for it: e-mail addresses, or team:name."
    )
    tags: dict[str, str] = Field(default={}, description="Words to select it by.")
    kinds: list[str] = Field(default=[], description="More badges for the graph.")
    partitions: Partitions | None = Field(
        default=None, description="How it is divided; without it, it is made as a whole."
    )
    backfill: Literal["single_run", "run_per_partition"] = Field(
        default="single_run",
        description="Whether one run makes all partitions of a backfill, or each has its own.",
    )
    execution: Execution | str | None = Field(
        default=None,
        description="Where and with how much it is made: a profile's name, or words of its own.",
    )
    retry: Retry = Field(default=Retry(), description="What happens after a passing failure.")
    freshness: Freshness | None = Field(default=None, description="How old it may be.")
    automation: OnCron | Word | None = Field(
        default=None,
        description="When it is made by itself: on_upstream_change, on_missing, or on_cron.",
    )
    pool: str | None = Field(
        default=None, description="The pool whose slots limit how many run at once."
    )
    write: WriteMode = Field(
        default="replace", description="Whether new rows replace, merge by key, or append."
    )
    merge_key: list[str] = Field(
        default=[], description="The columns that identify a row, for `write: merge`."
    )
    keep_versions: int = Field(default=3, ge=0, description="How many replaced versions stay.")

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of its attributes."""
        return loaded_plainly(cls, attributes, super().load, context)

    @field_validator("key")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        TableKey.parse(value)
        return value

    @model_validator(mode="after")
    def _merge_has_a_key(self) -> "AssetComponent":
        if (self.write == "merge") != bool(self.merge_key):
            raise ValueError("`write: merge` and `merge_key` go together")
        return self

    @field_validator("execution")
    @classmethod
    def _has_a_profile(cls, value: Execution | str | None) -> Execution | str | None:
        name = value.profile if isinstance(value, Execution) else value
        if name is not None:
            profile(name)
        return value

    @property
    def table_key(self) -> TableKey:
        """The key in its parts."""
        return TableKey.parse(self.key)

    def write_mode(self, step: Step) -> Write:
        """How this step's rows are written."""
        return Write(self.write, tuple(self.merge_key), step.first_run_id, self.keep_versions)

    def asset(
        self,
        context: dg.ComponentLoadContext,
        make: Callable[[Step], Made],
        *,
        reads: Iterable[TableName] = (),
        kinds: Iterable[str] = (),
        code: str = "",
        beside: Mapping[TableKey, str] = MappingProxyType({}),
    ) -> dg.AssetsDefinition:
        """The Dagster asset that runs `make` once for the table or once a partition.

        Args:
            context: where the declaration stands.
            make: the room's function.
            reads: the tables that it reads.
            kinds: the badges that the room gives.
            code: what else than the declaration decides the result; changes mark it as stale.
            beside: tables that the same step writes, and what each is; assets of their own.
        """
        project = project_of(context)
        definition = self.partitions.definition() if self.partitions else None

        def step(context: dg.AssetExecutionContext, _inputs: Mapping[str, Any]) -> Iterator[Any]:
            store = context.resources.tables.store()
            first = [context.run.run_id, *resumed_by(context.instance, context.run)][-1]
            work = Work(project, self.table_key, store, context.run.run_id, first, make)
            with errors_are_told():
                if definition is None:
                    yield from made_whole(context, work, planned(self.execution))
                else:
                    yield from fanned_out(context, work, definition, planned(self.execution))

        # Dagster asks each function for its signature several times; all have the same.
        step.__signature__ = _SIGNATURE  # type: ignore[attr-defined]
        spec = dg.AssetSpec(
            key=dg.AssetKey(self.table_key.parts),
            deps=[dg.AssetKey(name.key.parts) for name in reads],
            description=self.description,
            owners=self.owners,
            tags=self.tags,
            kinds={*[self.table_key.layer, *self.kinds, *kinds][:MOST_KINDS]},
            group_name=project,
            partitions_def=definition,
            freshness_policy=self.freshness.policy() if self.freshness else None,
            automation_condition=condition_of(self.automation) if self.automation else None,
            code_version=fingerprint(
                self.model_dump_json(exclude={"execution", "automation"}), code
            ),
            metadata={**_told_by_loader.get(), **self._unusual()},
        )
        others = [
            spec.replace_attributes(
                key=dg.AssetKey(key.parts),
                description=said,
                kinds={key.layer},
                freshness_policy=None,
                automation_condition=None,
            )
            for key, said in beside.items()
        ]
        return _made_by(
            step,
            [spec, *others],
            backfill=self._backfill_policy(),
            retry=self.retry.policy(),
            pool=self.pool,
        )

    def _unusual(self) -> dict[str, Any]:
        """What a plan of a backfill has to know, where it is not as usual."""
        write = {WRITE: self.write} if self.write != "replace" else {}
        return {**write, AT_ONCE: planned(self.execution).max_parallel} if self.execution else write

    def _backfill_policy(self) -> dg.BackfillPolicy | None:
        if self.partitions is None:
            return None
        if self.backfill == "single_run":
            return dg.BackfillPolicy.single_run()
        return dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


_SIGNATURE = inspect.signature(lambda _context, _inputs: None)

_told_by_loader: ContextVar[Mapping[str, Any]] = ContextVar("_told_by_loader", default={})  # noqa: B039 - nothing changes it


@contextmanager
def definition_metadata(metadata: Mapping[str, Any]) -> Iterator[None]:
    """Give this metadata to the assets that are declared within the block.

    Adding it to an asset afterwards makes the whole asset anew, which takes longer than to make it.
    """
    token = _told_by_loader.set(metadata)
    try:
        yield
    finally:
        _told_by_loader.reset(token)


# To make an input or an output, Dagster asks each time anew what type of Python it is: a fifth of
# what an op takes. All inputs are the same, and an output is the same but for two words.
_WAITED_FOR = dg.In(dg.Nothing)
_OUT = dg.Out(dg.Any, io_manager_key="io_manager")


def _made_by(
    step: Callable[..., Any],
    specs: list[dg.AssetSpec],
    *,
    backfill: dg.BackfillPolicy | None,
    retry: dg.RetryPolicy,
    pool: str | None,
) -> dg.AssetsDefinition:
    """The assets that `step` makes, the first its own; it waits for what is upstream, loads none.

    It is what `dg.asset` makes of the same words. The decorator finds inputs, outputs, resources
    and types out of the function's signature, which takes three times as long as all of this.
    """
    spec = specs[0]
    name = spec.key.to_python_identifier()
    keys = {one.key.to_python_identifier() if one is not spec else "result": one for one in specs}
    upstream = {"_".join(dep.asset_key.path): dep.asset_key for dep in spec.deps}
    op = dg.OpDefinition(
        compute_fn=step,
        name=name,
        description=spec.description,
        ins=dict.fromkeys(upstream, _WAITED_FOR),
        outs={
            output: _OUT._replace(
                description=one.description,
                code_version=one.code_version,
                is_required=len(specs) == 1,
            )
            for output, one in keys.items()
        },
        required_resource_keys={"tables"},
        retry_policy=retry,
        code_version=spec.code_version,
        pool=pool,
    )
    return DeclaredAsset(
        keys_by_input_name=upstream,
        keys_by_output_name={output: one.key for output, one in keys.items()},
        node_def=op,
        specs=specs,
        backfill_policy=backfill,
        # Of tables that are made together one may be asked for; all are made, and one is told.
        can_subset=len(specs) > 1,
    )


@contextmanager
def errors_are_told() -> Iterator[None]:
    """Fail the step with the message alone, retried only where its class says that it can help."""
    try:
        yield
    except PlatformError as error:
        raise dg.Failure(str(error), allow_retries=error.retryable) from error


def loaded_plainly(
    cls: type[_Component],
    attributes: BaseModel | None,
    load: Callable[[BaseModel | None, dg.ComponentLoadContext], _Component],
    context: dg.ComponentLoadContext,
) -> _Component:
    """Make a component; through Dagster's `load` only where a template has to be resolved.

    That resolving costs ten times as much as all the rest and hides pydantic's own messages.
    """
    plain = attributes.model_dump(exclude_unset=True) if attributes else {}
    return load(attributes, context) if "{{" in repr(plain) else cls.model_validate(plain)


@contextmanager
def beta_used_on_purpose(what: str) -> Iterator[None]:
    """Silence Dagster's remark that `what` (a pattern of its message) is not final yet."""
    with warnings.catch_warnings():
        for kind in (dg.BetaWarning, dg.PreviewWarning):
            warnings.filterwarnings("ignore", what, kind)
        yield


def project_of(context: dg.ComponentLoadContext) -> str:
    """The project of a declaration: the folder under defs/ in which it stands."""
    return _first_below(context.path, context.defs_module_path)


@functools.lru_cache(maxsize=256)
def _first_below(path: Path, root: Path) -> str:
    """The name of the folder of `root` in which `path` lies."""
    return path.relative_to(root).parts[0]


def fingerprint(*parts: str) -> str:
    """A short code version of what decides a result."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def text_of(path: Path, subject: str) -> str:
    """A file that a declaration names.

    Raises:
        DeclarationError: there is no such file beside the declaration.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        there = sorted(p.name for p in path.parent.glob(f"*{path.suffix}"))
        raise DeclarationError(
            subject,
            f"no file {path.name} stands beside the declaration",
            allowed=", ".join(there) or f"(no {path.suffix} files there)",
        ) from None
