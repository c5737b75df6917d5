"""Where one host keeps its history: Dagster's storage in SQLite, for many processes at once.

What differs from Dagster's own is here: the order in which processes make a new storage, and the
connections of the event log and of the ticks, which stay open (`connections`).
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Not public in Dagster 1.13; test_dagster_internals.py names what each is needed for.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from ml_platform.operations.connections import Connections

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection
    from watchdog.events import FileSystemEvent


class LocalStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage, which many processes may open at once when it is new.

    Dagster makes the tables and stamps their version in separate steps. Two processes that do so
    at the same time stamp it twice, and no process can open the storage any more: of 24 that
    started together on Dagster's own, 2 did, and none afterwards. Here they are let in one after
    the other until one has made it whole, and freely from then on. Then nobody looks through the
    tables' versions any more either, which took most of the time of opening an instance.
    """

    def __init__(self, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        # Within the history, so that who removes that removes this with it.
        history, ticks = Path(base_dir) / "history", Path(base_dir) / "schedules"
        parts = (history / ".whole", history / "runs.db", ticks / "schedules.db")
        if not all(one.exists() for one in parts):
            with locked(Path(base_dir), "storage"):
                super().__init__(base_dir, inst_data)
                LocalEventLog(str(history / "runs")).dispose()
                parts[0].touch()
        self.base_dir, self._inst_data = base_dir, inst_data
        self._run_storage = SqliteRunStorage(create_db_conn_string(str(history), "runs"))
        self._event_log_storage = LocalEventLog(str(history / "runs"))
        self._schedule_storage = LocalTicks(create_db_conn_string(str(ticks), "schedules"))

    @classmethod
    def from_config_value(
        cls, inst_data: "ConfigurableClassData", config_value: Any
    ) -> "LocalStorage":
        """Made from dagster.yaml: the key is `base_dir`, a folder."""
        return cls(inst_data=inst_data, **config_value)


class LocalTicks(SqliteScheduleStorage):
    """Dagster's storage of schedules, sensors and their ticks, with a connection that stays open.

    A tick that does nothing is some twenty transactions. Dagster opens a connection for each, and
    asks before most of them whether its tables are of an old version.
    """

    def __init__(self, conn_string: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        import sqlalchemy as sa

        self._file = Path(str(sa.make_url(conn_string).database))
        self._kept = Connections()
        self._are_there: set[str] = set()
        super().__init__(conn_string, inst_data)

    @contextlib.contextmanager
    def connect(self) -> "Iterator[Connection]":
        """A transaction."""
        with self._kept.transaction(self._file) as connection:
            yield connection

    def has_instigators_table(self) -> bool:
        """Whether the tables are of no old version; once they are not, they never will be."""
        return "instigators" in self._are_there or super().has_instigators_table()

    def _has_instigators_table(self, conn: "Connection") -> bool:
        if "instigators" not in self._are_there and super()._has_instigators_table(conn):
            self._are_there.add("instigators")
        return "instigators" in self._are_there

    def has_built_index(self, migration_name: str) -> bool:
        """Whether a part of the tables is of no old version; as above."""
        if migration_name not in self._are_there and super().has_built_index(migration_name):
            self._are_there.add(migration_name)
        return migration_name in self._are_there

    def dispose(self) -> None:
        """Close what is open; it is opened again when it is needed again."""
        super().dispose()
        self._kept.close()


class LocalEventLog(SqliteEventLogStorage):
    """Dagster's event log in SQLite, with connections that stay open.

    Dagster opens and closes a connection for each transaction, some thirty for a step and its
    check. Each time SQLAlchemy compiles its statements anew, and SQLite, whose last connection it
    was, writes its log back into the file and waits for the disk.

    One transaction goes on at a time in a process, as in Dagster's own.
    """

    def __init__(self, base_dir: str, inst_data: "ConfigurableClassData | None" = None) -> None:
        self._kept = Connections(self._initdb)
        super().__init__(base_dir, inst_data)

    @contextlib.contextmanager
    def _connect(self, shard: str) -> "Iterator[Connection]":
        """A transaction on the file of a run, or on the index of all; it is made at first."""
        with self._kept.transaction(Path(self.path_for_shard(shard))) as connection:
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
        self._kept.close()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Dagster's, which looks at a run's file; what is new stands in the file's log at first."""

    def __init__(self, log: LocalEventLog, run_id: str, callback: Any, cursor: str | None) -> None:
        super().__init__(log, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, _event: "FileSystemEvent") -> None:
        """Tell of what is new."""
        self._process_log()


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
