"""What a step costs: seconds on the clock, seconds of CPU, and the peak of its memory."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass
class Cost:
    """Seconds on the clock, CPU seconds of this process, and peak resident memory in bytes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


@contextlib.contextmanager
def measured() -> Iterator[Cost]:
    """Measure the block; the figures are there when it has ended.

    Where the system cannot forget an earlier peak (elsewhere than on Linux), the peak is that of
    the process since its start.
    """
    cost = Cost()
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text("5")  # forgets the peak so far; see proc(5)
    clock, cpu = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - clock
        cost.cpu_seconds = time.process_time() - cpu
        cost.peak_memory_bytes = _peak()


def _peak() -> int:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
