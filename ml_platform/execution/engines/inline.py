"""The engine that needs none: one order after the other, in the step's own process."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ml_platform.execution.work import Ended, Order, Work


class Engine(Protocol):
    """Does orders, and tells of each as it ends, in whatever order they do."""

    def run(self, work: Work, orders: Sequence[Order]) -> Iterator[Ended]:
        """Do all of them; one that fails stops no other, and closing the iterator stops all."""
        ...


@dataclass(frozen=True)
class InThisProcess:
    """One order after the other; what the work says is told at once."""

    log: Callable[[str], None]

    def run(self, work: Work, orders: Sequence[Order]) -> Iterator[Ended]:
        """Do each in turn."""
        for order in orders:
            yield work.do(order, self.log)
