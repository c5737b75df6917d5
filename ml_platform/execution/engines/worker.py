"""A pool's processes: one that forks, and those that it forks, which do the work.

    python -m ml_platform.execution.engines.worker FD

is the forker. It imports what the work will need, once, starts no thread of its own and forks a
worker whenever the pool asks: that takes milliseconds, where a new Python takes a second or more.
It does nothing else, so it sees at once when the pool is gone, whatever the workers are doing; it
ends then, and the system ends them with it. So a pool that is killed leaves nobody behind.
"""

import contextlib
import ctypes
import importlib
import os
import pickle
import select
import signal
import socket
import struct
import sys
from dataclasses import replace
from multiprocessing.connection import Connection

from ml_platform.execution.work import Ended, Order, Trouble, Work

TOLD = struct.Struct("=cqq")
"""What the forker tells: a kind, a process id, and how that process ended (as waitpid says)."""

BORN, DIED = b"b", b"d"

LINE, REPORT = b"l", b"r"
"""What a worker sends begins with one of these: a line for the log, or the report of an order."""

PRELOADED = ("ml_platform.components", "pandas", "pyarrow.parquet", "duckdb")
"""Imported before the first fork; none of them starts a thread that a fork would lose."""

_LOOK_S = 0.05
_PR_SET_PDEATHSIG = 1
_QUERY_SHARE = 0.7


def main(descriptor: int) -> None:
    """Fork workers as the pool asks, tell how they end, and end with the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a whole terminal; the pool decides
    with socket.socket(fileno=descriptor) as pool:
        for name in PRELOADED:
            importlib.import_module(name)
        while True:
            if select.select([pool], [], [], _LOOK_S)[0]:
                asked, descriptors, _, _ = socket.recv_fds(pool, 1, 1)
                if not asked:
                    return
                _fork(pool, descriptors[0])
            _tell_of_the_dead(pool)


def _fork(pool: socket.socket, channel: int) -> None:
    forker = os.getpid()
    pid = os.fork()
    if pid == 0:
        pool.close()
        _die_with(forker)
        serve(Connection(channel))
        sys.exit()  # out of the forker's loop, through what tidies up at a process's end
    os.close(channel)
    pool.sendall(TOLD.pack(BORN, pid, 0))


def _tell_of_the_dead(pool: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            pool.sendall(TOLD.pack(DIED, pid, os.waitstatus_to_exitcode(status)))


def _die_with(parent: int) -> None:
    """Let the system end this process when the one that forked it ends; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def serve(channel: Connection) -> None:
    """Get the work, then do one order after the other until the pool closes the channel."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        work = _received(channel)
        while True:
            order, memory_bytes = pickle.loads(channel.recv_bytes())  # noqa: S301 - of the pool
            channel.send_bytes(REPORT + _report(work, order, memory_bytes, channel))


def _received(channel: Connection) -> Work | Trouble:
    content = channel.recv_bytes()
    try:
        work: Work = pickle.loads(content)  # noqa: S301 - of the pool, which made it of this step
    except Exception as error:  # noqa: BLE001 - whatever a module does on import is told
        return Trouble.of(error)
    return work


def _report(
    work: Work | Trouble, order: Order, memory_bytes: int | None, channel: Connection
) -> bytes:
    import cloudpickle

    if isinstance(work, Trouble):
        return pickle.dumps(Ended(order, trouble=work))
    ended = limited(work, memory_bytes).do(
        order, lambda line: channel.send_bytes(LINE + line.encode())
    )
    try:
        report: bytes = cloudpickle.dumps(ended)
    except Exception as error:  # noqa: BLE001 - metadata may be anything, and fail in any way
        return pickle.dumps(Ended(order, trouble=Trouble.of(error), cost=ended.cost))
    return report


def limited(work: Work, memory_bytes: int | None) -> Work:
    """The work with queries that spill to disk before they take all of what a partition may."""
    if memory_bytes is None:
        return work
    share = f"{int(memory_bytes * _QUERY_SHARE)}B"
    return replace(work, store=replace(work.store, memory_limit=share))


if __name__ == "__main__":
    main(int(sys.argv[1]))
