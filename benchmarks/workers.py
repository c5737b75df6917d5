"""Work that takes a processor and nothing else, and which share of the time two workers had it."""

import time
from collections.abc import Callable


def busy(rounds: int) -> float:
    """Some CPU seconds; how long they took on the clock."""
    begun, total = time.perf_counter(), 0
    for number in range(rounds):
        total += number & 7
    return time.perf_counter() - begun


def share(times: Callable[[], list[float]]) -> float:
    """The share of the time until all is done in which two workers had work.

    Args:
        times: has it done; how long each piece took.
    """
    begun = time.perf_counter()
    had_work = sum(times())
    return had_work / (2 * (time.perf_counter() - begun))
