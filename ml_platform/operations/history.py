"""Where one host keeps its history: Dagster's storage in SQLite, for many processes at once.

What differs from Dagster's own is here: the order in which processes make a new storage, and the
connections of the event log, which stay open. docs/decisions/0006-event-log-connections.md says
what that gains, and what had to be seen to.
"""

import contextlib
import fcntl
import os
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Not public in Dagster 1.13; test_history.py names what each is needed for.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection, Engine
    from watchdog.events import FileSystemEvent

_MOST_FILES = 32
"""Each run has a file of its own, and a daemon sees many; of so many a process keeps one open."""

_FORK_WAIT_S = 5.0


class LocalStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage, which many processes may open at once when it is new.

    Dagster makes the tables and stamps their version in separate steps. Two processes that do so
    at the same time stamp it twice, and no process can open the storage any more: of 24 that
    started together on Dagster's own, 2 did, and none afterwards. Here they are let in one after
    the other until one has made it whole, and freely from then on.
    """

    def __init__(self, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        # Within the history, so that who removes that removes this with it.
        whole = Path(base_dir) / "history" / ".whole"
        with contextlib.nullcontext() if whole.exists() else locked(Path(base_dir), "storage"):
            super().__init__(base_dir, inst_data)
            self._event_log_storage = LocalEventLog(str(Path(base_dir) / "history" / "runs"))
            whole.touch()

    @classmethod
    def from_config_value(
        cls, inst_data: "ConfigurableClassData", config_value: Any
    ) -> "LocalStorage":
        """Made from dagster.yaml: the key is `base_dir`, a folder."""
        return cls(inst_data=inst_data, **config_value)


class LocalEventLog(SqliteEventLogStorage):
    """Dagster's event log in SQLite, with connections that stay open.

    Dagster opens and closes a connection for each transaction, some thirty for a step and its
    check. Each time SQLAlchemy compiles its statements anew, and SQLite, whose last connection it
    was, writes its log back into the file and waits for the disk.

    One transaction goes on at a time in a process, as in Dagster's own.
    """

    def __init__(self, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        self._files = Files()
        super().__init__(base_dir, inst_data)
        _LOGS.add(self)

    @contextlib.contextmanager
    def _connect(self, shard: str) -> "Iterator[Connection]":
        """A transaction on the file of a run, or on the index of all; it is made at first."""
        with self._db_lock:
            engine, is_new = self._files.engine(Path(self.path_for_shard(shard)))
            if is_new:
                self._initdb(engine)
                engine.dispose()  # from the next connection on it is known how the file is written
            with engine.begin() as connection:
                yield connection

    def watch(self, run_id: str, cursor: str | None, callback: Any) -> None:
        """Call `callback` for each event of a run that is recorded from now on, by any process."""
        super().watch(run_id, cursor, callback)
        observer: Any = self._obs
        stock, watch = self._watchers[run_id][callback]
        ours = _Watchdog(self, run_id, callback, cursor)
        observer.add_handler_for_watch(ours, watch)
        observer.remove_handler_for_watch(stock, watch)
        self._watchers[run_id][callback] = (ours, watch)

    def dispose(self) -> None:
        """Close what is open; it is opened again when it is needed again."""
        super().dispose()
        with self._db_lock:
            self._files.close()

    def before_fork(self) -> bool:
        """Wait for the transaction of another thread, and close what is open.

        Returns:
            Whether the log is now locked, until `after_fork`; a transaction that does not end holds
            up no fork.
        """
        is_locked = self._db_lock.acquire(timeout=_FORK_WAIT_S)
        self._files.close()
        return is_locked

    def after_fork(self) -> None:
        """Let transactions go on, in either process."""
        self._db_lock.release()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Dagster's, which looks at a run's file; what is new stands in the file's log at first."""

    def __init__(self, log: LocalEventLog, run_id: str, callback: Any, cursor: str | None) -> None:
        super().__init__(log, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, _event: "FileSystemEvent") -> None:
        """Tell of what is new."""
        self._process_log()


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


_LOGS: "weakref.WeakSet[LocalEventLog]" = weakref.WeakSet()
_waiting: list[LocalEventLog] = []


def _before_fork() -> None:
    """Close every log's connections before a process forks.

    The child must not use them, and not even open the file anew: the library in it would believe to
    hold the locks that its parent holds. A row that such a child committed was lost in a trial,
    when the parent closed the file.
    """
    _waiting.extend(log for log in list(_LOGS) if log.before_fork())


def _after_fork() -> None:
    while _waiting:
        _waiting.pop().after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the only right to `name` in a folder; the system takes it from a process that dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Said outright, for a process that another thread forked meanwhile has the file too.
            fcntl.flock(lock, fcntl.LOCK_UN)
