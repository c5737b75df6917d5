"""The local engine: some processes of this machine, each of which may die without the others.

`concurrent.futures` and loky give up a whole pool, and everything that waits in it, when one worker
dies. Here each worker has a channel of its own, so one that is killed, hangs or takes too much
memory ends its own partition alone, and another takes its place.
"""

import collections
import contextlib
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Self

import psutil

from ml_platform.execution.cost import Cost
from ml_platform.execution.engines.worker import BORN, DIED, LINE, TOLD
from ml_platform.execution.modules import module_path
from ml_platform.execution.profile import Plan, size_of
from ml_platform.execution.work import Ended, Order, Trouble, Work
from ml_platform.kernel.errors import (
    DeclarationError,
    PlatformError,
    SettingsError,
    UnavailableError,
)

OUT_OF_MEMORY = frozenset({"MemoryError", "OutOfMemoryException", "ArrowMemoryError"})
"""Errors by which Python, DuckDB and Arrow say that there is no more."""

_LOOK_S = 0.05
_MORE_MEMORY = 2
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class LocalPool:
    """Up to `plan.max_parallel` processes; what the work says is told at once."""

    plan: Plan
    log: Callable[[str], None]

    def run(self, work: Work, orders: Sequence[Order]) -> Iterator[Ended]:
        """Do all orders; when the iterator is closed early, what still runs is ended."""
        if not orders:
            return
        with Workers(self.plan, pickled(work)) as workers:
            yield from self.drive(workers, orders)

    def drive(self, workers: "Workers", orders: Sequence[Order]) -> Iterator[Ended]:
        """Do all orders with workers that are there, and stay."""
        waiting = collections.deque(_Try(order, self.plan.memory_bytes) for order in orders)
        while waiting or workers.busy:
            while waiting and len(workers.busy) < self.plan.max_parallel:
                workers.give(waiting.popleft())
            for worker in workers.look(self.log):
                ended = self._ended(worker)
                if isinstance(ended, _Try):
                    waiting.appendleft(ended)
                else:
                    yield ended

    def _ended(self, worker: "_Worker") -> "Ended | _Try":
        """What became of a worker's order: its report, what its death means, or a second try."""
        given, report = worker.given, worker.report
        if worker.stopped == "memory" or (
            report is not None and report.trouble and report.trouble.kind in OUT_OF_MEMORY
        ):
            took = max(worker.peak, report.cost.peak_memory_bytes if report else 0)
            if more := self._more(given, took):
                self.log(f"{given.order}: took {size_of(took)}; once more with {size_of(more)}")
                return _Try(given.order, more, (*given.took, took))
            return worker.failed(_too_much(given, took))
        if report is not None:
            return report
        if worker.stopped == "time":
            return worker.failed(_too_long(given.order, self.plan.timeout_s or 0))
        return worker.failed(_died(worker))

    def _more(self, given: "_Try", took: int) -> int | None:
        """How much the second try may take; None if there was one, or nobody said how much."""
        if given.took or given.memory_bytes is None:
            return None
        return max(given.memory_bytes, took) * _MORE_MEMORY


def pickled(work: Work) -> bytes:
    """The work in a form that another process can read.

    Raises:
        DeclarationError: something in it cannot be sent.
    """
    import cloudpickle

    try:
        content: bytes = cloudpickle.dumps(work)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise DeclarationError(
            f"table {work.key}",
            f"its work cannot be sent to another process: {error}",
            fix="leave `execution` out, or keep open files, connections and locks out of it",
        ) from error
    return content


@dataclass(frozen=True)
class _Try:
    """An order with what it may take, and what the tries before it took."""

    order: Order
    memory_bytes: int | None
    took: tuple[int, ...] = ()


@dataclass(eq=False)
class _Worker:
    """One process, the try that it has now, and what is known of it."""

    pid: int
    channel: Connection
    given: _Try
    begun: float = 0.0
    peak: int = 0
    report: Ended | None = None
    stopped: str = ""
    exit_code: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its order has, with a report or with the process."""
        return self.report is not None or self.exit_code is not None

    def failed(self, error: PlatformError) -> Ended:
        """The end of the order that this worker did not survive."""
        cost = Cost(time.monotonic() - self.begun, 0.0, self.peak)
        return Ended(self.given.order, trouble=Trouble.of(error), cost=cost)


@dataclass
class Workers:
    """The forker and its workers, as seen from the process that gives out the work."""

    plan: Plan
    content: bytes
    busy: list[_Worker] = field(default_factory=list)
    _idle: list[_Worker] = field(default_factory=list)
    _exits: dict[int, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._forker = subprocess.Popen(  # noqa: S603 - this program, with a number
                [
                    sys.executable,
                    "-m",
                    "ml_platform.execution.engines.worker",
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(self.plan),
            )
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.busy:
            _kill(worker.pid)
        for worker in self._idle:
            worker.channel.close()
        self._socket.close()  # the forker ends with it, and with that what is left of the workers
        self._forker.wait()

    def give(self, given: _Try) -> None:
        """Let a worker do an order, one that is free or a new one."""
        worker = self._idle.pop() if self._idle else self._born(given)
        worker.given, worker.report, worker.stopped, worker.peak = given, None, "", 0
        worker.begun = time.monotonic()
        self.busy.append(worker)
        # One that died while it was free is found out when it is asked how it is.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.channel.send_bytes(pickle.dumps((given.order, given.memory_bytes)))

    def look(self, log: Callable[[str], None]) -> list[_Worker]:
        """Wait a moment; the workers whose orders have ended, one way or another."""
        ready = wait([worker.channel for worker in self.busy], self._patience())
        for worker in self.busy:
            if worker.channel in ready:
                self._hear(worker, log)
            if not worker.has_ended and self._is_over(worker):
                _kill(worker.pid)
        ended = [worker for worker in self.busy if worker.has_ended]
        for worker in ended:
            self.busy.remove(worker)
            # One that was stopped may have sent its report just before; it is no use any more.
            if worker.exit_code is None and not worker.stopped:
                self._idle.append(worker)
        return ended

    def _patience(self) -> float | None:
        """How long to wait for news: until a watch is due, else for as long as it takes."""
        if self.plan.memory_bytes:
            return _LOOK_S
        if self.plan.timeout_s is None:
            return None
        first = min(worker.begun for worker in self.busy) + self.plan.timeout_s
        return max(first - time.monotonic(), 0) + _LOOK_S

    def _is_over(self, worker: _Worker) -> bool:
        """Whether a worker takes more memory or time than it may; it is remembered which."""
        if worker.stopped:
            return False
        if limit := worker.given.memory_bytes:
            worker.peak = max(worker.peak, _resident(worker.pid))
            if worker.peak > limit:
                worker.stopped = "memory"
        if self.plan.timeout_s and time.monotonic() - worker.begun > self.plan.timeout_s:
            worker.stopped = worker.stopped or "time"
        return bool(worker.stopped)

    def _hear(self, worker: _Worker, log: Callable[[str], None]) -> None:
        try:
            message = worker.channel.recv_bytes()
        except (EOFError, ConnectionResetError):
            worker.channel.close()
            worker.exit_code = self._exit_code(worker.pid)
            return
        if message.startswith(LINE):
            log(f"{worker.given.order}: {message[1:].decode()}")
        else:
            worker.report = pickle.loads(message[1:])  # noqa: S301 - of our own worker

    def _born(self, given: _Try) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs, self._forker_is_there():
            socket.send_fds(self._socket, [BORN], [theirs.fileno()])
        pid = self._told(BORN)[0]
        worker = _Worker(pid, Connection(ours.detach()), given)
        worker.channel.send_bytes(self.content)
        return worker

    def _exit_code(self, pid: int) -> int:
        while pid not in self._exits:
            self._told(DIED)
        return self._exits.pop(pid)

    def _told(self, kind: bytes) -> tuple[int, int]:
        """The next thing of a kind that the forker tells; deaths among it are kept."""
        while True:
            with self._forker_is_there():
                message = self._socket.recv(TOLD.size, socket.MSG_WAITALL)
                if len(message) < TOLD.size:
                    raise ConnectionResetError
            found, pid, code = TOLD.unpack(message)
            if found == DIED:
                self._exits[pid] = code
            if found == kind:
                return pid, code

    @contextlib.contextmanager
    def _forker_is_there(self) -> Iterator[None]:
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            raise _no_forker(self._forker.wait()) from None


def _environment(plan: Plan) -> dict[str, str]:
    """A worker's environment: the modules of this process, and as many threads as it has cores."""
    threads = dict.fromkeys(_THREADS, str(math.ceil(plan.cpus)))
    return {**threads, **os.environ, **plan.runtime, "PYTHONPATH": module_path()}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _too_much(given: _Try, took: int) -> SettingsError:
    tries = [*given.took, took]
    limit = f" of {size_of(given.memory_bytes)}" if given.memory_bytes else ""
    before = f", and {size_of(given.took[0])} at the first try" if given.took else ""
    return SettingsError(
        f"partition {given.order}",
        f"it took {size_of(took)}{limit} of memory{before}",
        fix=f"set `memory:` of its execution above {size_of(max(tries))}, or make less at a time",
    )


def _too_long(order: Order, timeout_s: float) -> UnavailableError:
    return UnavailableError(
        f"partition {order}",
        f"it was not made within {timeout_s:g} s, and was ended",
        fix="look what it waits for, or set `timeout_s:` of its execution higher",
    )


def _died(worker: _Worker) -> UnavailableError:
    code = worker.exit_code or 0
    given = f"its process ended with code {code}"
    fix = "look into the run's output for its last words"
    if code < 0:
        given = f"its process was ended by {signal.Signals(-code).name}"
    if code == -signal.SIGKILL:
        fix = "the system does this when memory runs out; set `memory:` and a lower `max_parallel:`"
    if worker.peak:
        given += f"; it had taken {size_of(worker.peak)}"
    return UnavailableError(f"partition {worker.given.order}", given, fix=fix)


def _no_forker(code: int) -> UnavailableError:
    return UnavailableError(
        "the pool of local processes",
        f"the process that starts the others ended with code {code}",
        fix="look into the run's output for its last words",
    )
