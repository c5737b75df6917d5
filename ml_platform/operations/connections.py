"""SQLite files of which a process keeps a connection open, for transactions one after the other.

What belongs here: which files are open, what a commit waits for, and what has to be seen to before
the process forks. docs/decisions/0006-open-connections.md says why.
"""

import contextlib
import os
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Not public in Dagster 1.13; test_dagster_internals.py names what it is needed for.
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Connection, Engine

_MOST_FILES = 32
"""Each run has a file of its own, and a daemon sees many; of so many a process keeps one open."""

_FORK_WAIT_S = 5.0


class Connections:
    """Transactions on files whose connections stay open; one goes on at a time in a process.

    Args:
        at_first: called with the engine of a file that is new here, and so may have no tables.
    """

    def __init__(self, at_first: "Callable[[Engine], None] | None" = None) -> None:
        self._files, self._at_first = Files(), at_first
        self._lock = threading.RLock()
        _ALL.add(self)

    @contextlib.contextmanager
    def transaction(self, path: Path) -> "Iterator[Connection]":
        """A transaction on a file, committed at the end of the block."""
        with self._lock:
            engine, is_new = self._files.engine(path)
            if is_new and self._at_first:
                self._at_first(engine)
                engine.dispose()  # from the next connection on it is known how the file is written
            with engine.begin() as connection:
                yield connection

    def close(self) -> None:
        """Close what is open; it is opened again when it is needed again."""
        with self._lock:
            self._files.close()

    def before_fork(self) -> bool:
        """Wait for the transaction of another thread, and close what is open.

        Returns:
            Whether others are now kept out, until `after_fork`; a transaction that does not end
            holds up no fork.
        """
        is_locked = self._lock.acquire(timeout=_FORK_WAIT_S)
        self._files.close()
        return is_locked

    def after_fork(self) -> None:
        """Let transactions go on, in either process."""
        self._lock.release()


@dataclass
class _File:
    engine: "Engine"
    inode: int | None


class Files:
    """SQLite files of which a connection stays open; not for several threads at once."""

    def __init__(self, most: int = _MOST_FILES) -> None:
        self._most = most
        self._open: OrderedDict[Path, _File] = OrderedDict()
        # Python 3.13 warns of a connection that nobody closed, also when the program ends.
        weakref.finalize(self, _close, self._open)

    def engine(self, path: Path) -> "tuple[Engine, bool]":
        """The engine of a file, and whether it is new here, so that the file may be too."""
        inode, found = _inode(path), self._open.get(path)
        if found and found.inode is None:
            found.inode = inode
        if found and found.inode == inode:
            self._open.move_to_end(path)
            return found.engine, False
        # Somebody has removed the file: what is written into the open one would be seen by nobody.
        if found:
            found.engine.dispose()
        elif len(self._open) >= self._most:
            self._open.popitem(last=False)[1].engine.dispose()
        self._open[path] = _File(_engine(path), inode)
        return self._open[path].engine, True

    def close(self) -> None:
        """Close all connections."""
        _close(self._open)


def _close(files: "OrderedDict[Path, _File]") -> None:
    while files:
        files.popitem()[1].engine.dispose()


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _engine(path: Path) -> "Engine":
    """An engine that keeps one connection, and closes those that it takes beside it."""
    import sqlalchemy as sa

    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=sa.QueuePool,
        pool_size=1,
        max_overflow=-1,
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
    )
    sa.event.listen(engine, "connect", _wait_less_for_the_disk)
    return engine


def _wait_less_for_the_disk(connection: Any, _record: object) -> None:
    """With SQLite's write-ahead log wait for the disk when that is written back, not at commits.

    When the power fails the last transactions may be lost, never the file. When the process is
    killed nothing is lost: the system has it. Without that log the file could be lost.
    """
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        connection.execute("PRAGMA synchronous = NORMAL")


_ALL: "weakref.WeakSet[Connections]" = weakref.WeakSet()
_waiting: list[Connections] = []


def _before_fork() -> None:
    """Close all connections before a process forks.

    The child must not use them, and not even open the file anew: the library in it would believe to
    hold the locks that its parent holds. A row that such a child committed was lost in a trial,
    when the parent closed the file.
    """
    _waiting.extend(one for one in list(_ALL) if one.before_fork())


def _after_fork() -> None:
    while _waiting:
        _waiting.pop().after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
