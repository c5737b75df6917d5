"""The work of a step in pieces that can be sent away: one order a partition, one report of its end.

A room's function gets a `Step` and returns what it `Made`. `Work` holds what all partitions share
and does one `Order` at a time, wherever it was sent; nothing that goes wrong within an order leaves
it except as the `Trouble` in its report. Nothing here knows Dagster or who does the work.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from ml_platform.execution.cost import Cost, measured
from ml_platform.kernel.errors import PlatformError
from ml_platform.kernel.names import TableKey
from ml_platform.kernel.settings import Settings
from ml_platform.storage.tables import TableStore, Written


@dataclass(frozen=True)
class Step:
    """What a room's function gets: where it stands, what it may use, whom it tells.

    Attributes:
        project: the project whose tables are named without a project.
        key: the asset that is made.
        partition: the partition to make; None for a table without partitions.
        window: the partition's time, from and up to, where it is one of time.
        store: all tables.
        log: tells the run's log.
        run_id: the Dagster run.
        first_run_id: the run that this one resumes, else itself; rows appended under it are
            replaced, so that what a killed run had written is not there twice.
        settings: those of the run's process, which the environment of a worker may not have.
    """

    project: str
    key: TableKey
    partition: str | None
    window: tuple[datetime, datetime] | None
    store: TableStore
    log: Callable[[str], None]
    run_id: str
    first_run_id: str = ""
    settings: Settings = field(default_factory=Settings.from_environment)


@dataclass(frozen=True)
class Made:
    """What a room's function returns: what it wrote, what else to show of it, tables beside it."""

    written: Written | None
    metadata: Mapping[str, Any]
    beside: Mapping[TableKey, Written] = field(default_factory=dict)

    def by_table(self, key: TableKey) -> "dict[TableKey, Made]":
        """Each table that was written, `key` the first, by itself."""
        return {key: self, **{other: Made(one, {}) for other, one in self.beside.items()}}


@dataclass(frozen=True)
class Order:
    """One partition to make, and its time where it is one of time."""

    partition: str | None
    window: tuple[datetime, datetime] | None = None

    def __str__(self) -> str:
        return self.partition if self.partition is not None else "the table"


@dataclass(frozen=True)
class Trouble:
    """Why an order failed, in a form that can cross from one process to another.

    Attributes:
        text: the message for a person; for a mistake of ours, with its traceback.
        kind: the name of the error's class.
        retryable: whether the same order may succeed later.
    """

    text: str
    kind: str
    retryable: bool

    @classmethod
    def of(cls, error: Exception) -> Self:
        """An error as trouble: a person's in its own words, any other with its whole traceback."""
        kind = type(error).__name__
        if isinstance(error, PlatformError):
            return cls(str(error), kind, error.retryable)
        # Dagster's RetryPolicy tries again after errors that nobody classified; so does this.
        return cls("".join(traceback.format_exception(error)).strip(), kind, retryable=True)

    @property
    def headline(self) -> str:
        """One line: of a message the first, of a traceback the last."""
        lines = self.text.splitlines() or [self.kind]
        return lines[-1] if lines[0].startswith("Traceback") else lines[0]


@dataclass(frozen=True)
class Ended:
    """How an order ended: with what it made, or with trouble; what it cost, what it said."""

    order: Order
    made: Made | None = None
    trouble: Trouble | None = None
    cost: Cost = field(default_factory=Cost)
    said: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.made is None) == (self.trouble is None):
            raise AssertionError("an order ends with what it made or with trouble")


@dataclass(frozen=True)
class Work:
    """What all partitions of a step share."""

    project: str
    key: TableKey
    store: TableStore
    run_id: str
    first_run_id: str
    make: Callable[[Step], Made]
    settings: Settings = field(default_factory=Settings.from_environment)

    def do(self, order: Order, log: Callable[[str], None] | None = None) -> Ended:
        """Make one partition; whatever fails in it is told in the report.

        Args:
            order: which partition.
            log: tells what the function says at once; without it that is in the report.
        """
        said: list[str] = []
        step = Step(
            self.project,
            self.key,
            order.partition,
            order.window,
            self.store,
            log or said.append,
            self.run_id,
            self.first_run_id,
            self.settings,
        )
        with measured() as cost:
            try:
                made, trouble = self.make(step), None
            except Exception as error:  # noqa: BLE001 - nothing is hidden: the report tells it whole
                made, trouble = None, Trouble.of(error)
        return Ended(order, made, trouble, cost, tuple(said))
