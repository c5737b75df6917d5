"""The history's open connections: what they must not lose, hide or hand on to other processes.

What is not public in Dagster: `_connect`, through which all transactions of the event log go,
`_initdb`, the watchdog that looks at a run's file, and how a tick is written.
"""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage

from ml_platform.kernel.marks import RUN_VARIABLE
from ml_platform.operations import connections
from ml_platform.operations.history import LocalEventLog, LocalTicks
from ml_platform.operations.instance import LocalInstance, data_folder, prepare
from ml_platform_tests.jobs import job

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the repository's dagster.yaml and a history that is whole, and empty."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ML_PLATFORM_HOME", raising=False)
        prepare(folder)
    return folder


@pytest.fixture
def clone(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Such a folder of the test's own, and no environment."""
    for variable in ("ML_PLATFORM_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(RUN_VARIABLE, "")
    return Path(shutil.copytree(prepared, tmp_path / "clone"))


@pytest.fixture
def instance(clone: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(clone)) as opened:
        assert isinstance(opened, LocalInstance)
        yield opened


@pytest.fixture
def log(instance: dg.DagsterInstance) -> LocalEventLog:
    found = instance.event_log_storage
    assert isinstance(found, LocalEventLog)
    return found


def open_files(folder: Path) -> set[str]:
    """The databases of a folder that this process has open."""
    links = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    return {Path(link).name for link in links if link.startswith(str(folder)) and ".db" in link}


def run_once(instance: dg.DagsterInstance) -> str:
    return job.execute_in_process(instance=instance).run_id


def say(instance: dg.DagsterInstance, run_id: str, text: str) -> None:
    """Record an event of a run."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_engine_event(text, run)


def said(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    entries = instance.all_logs(run_id)
    return [entry.dagster_event.message or "" for entry in entries if entry.dagster_event]


def tick(instance: dg.DagsterInstance, at: float) -> None:
    """Record a tick that does nothing, of a sensor that was never declared."""
    data = TickData("origin", "sensor", InstigatorType.SENSOR, TickStatus.STARTED, at)
    instance.update_tick(instance.create_tick(data).with_status(TickStatus.SKIPPED))


def ticks(instance: dg.DagsterInstance) -> list[float]:
    return [one.timestamp for one in instance.get_ticks("origin", "selector")]


def test_dagsters_own_storage_reads_what_the_instances_event_log_wrote(
    instance: dg.DagsterInstance, clone: Path
) -> None:
    run_id = run_once(instance)
    written = [entry.dagster_event_type for entry in instance.all_logs(run_id)]
    folder = data_folder(str(clone)) / "history" / "runs"
    with dg.DagsterInstance.ephemeral() as other:
        stock = SqliteEventLogStorage(str(folder))
        stock.register_instance(other)
        read = [entry.dagster_event_type for entry in stock.get_logs_for_run(run_id)]
    assert dg.DagsterEventType.RUN_SUCCESS in written
    assert read == written


def test_dagsters_own_storage_reads_the_ticks_too(
    instance: dg.DagsterInstance, clone: Path
) -> None:
    tick(instance, 1.0)
    stock = SqliteScheduleStorage.from_local(str(data_folder(str(clone)) / "schedules"))
    [found] = stock.get_ticks("origin", "selector")
    assert (found.timestamp, found.status) == (1.0, TickStatus.SKIPPED)


def test_a_tick_asks_once_of_which_version_the_tables_are(instance: dg.DagsterInstance) -> None:
    storage = instance.schedule_storage
    assert isinstance(storage, LocalTicks)
    said: list[str] = []
    engine, _ = storage._kept._files.engine(storage._file)
    sa.event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    assert storage.get_instigator_state("origin", "selector") is None
    assert len(said) > 1
    said.clear()
    assert storage.get_instigator_state("origin", "selector") is None
    assert len(said) == 1
    assert "FROM instigators" in said[0]


def test_tables_of_an_old_version_are_seen_to_be_so(
    instance: dg.DagsterInstance, clone: Path
) -> None:
    storage = instance.schedule_storage
    file = data_folder(str(clone)) / "schedules" / "schedules.db"
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE instigators RENAME TO others")
    assert isinstance(storage, LocalTicks)
    assert not storage.has_instigators_table()
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE others RENAME TO instigators")
    connection.close()
    assert storage.has_instigators_table()


def test_a_history_whose_ticks_somebody_removed_is_made_whole_when_it_is_opened(
    clone: Path,
) -> None:
    shutil.rmtree(data_folder(str(clone)) / "schedules")
    with dg.DagsterInstance.from_config(str(clone)) as instance:
        tick(instance, 2.0)
        assert ticks(instance) == [2.0]


def test_an_event_is_recorded_whole_or_not_at_all(
    instance: dg.DagsterInstance, log: LocalEventLog
) -> None:
    run_id = run_once(instance)
    count = len(instance.all_logs(run_id))

    def fail_in_the_middle() -> None:
        with log.run_connection(run_id) as connection:
            connection.execute(sa.text("DELETE FROM event_logs"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    assert len(instance.all_logs(run_id)) == count


def test_all_files_wait_for_the_disk_only_when_their_log_is_written_back(
    instance: dg.DagsterInstance, log: LocalEventLog
) -> None:
    for connected in (log.index_connection(), log.run_connection(run_once(instance))):
        with connected as connection:
            ask = connection.exec_driver_sql
            assert ask("PRAGMA journal_mode").scalar() == "wal"
            assert ask("PRAGMA synchronous").scalar() == 1


def test_a_connection_stays_open_until_the_instance_ends(clone: Path) -> None:
    with dg.DagsterInstance.from_config(str(clone)) as instance:
        run_id = run_once(instance)
        tick(instance, 1.0)
        assert {"index.db", f"{run_id}.db", "schedules.db"} <= open_files(clone)
    assert open_files(clone) == set()


def test_a_history_that_somebody_removed_is_made_anew_and_not_written_into_the_void(
    instance: dg.DagsterInstance, clone: Path
) -> None:
    run_id = run_once(instance)
    for file in (data_folder(str(clone)) / "history" / "runs").glob(f"{run_id}.db*"):
        file.unlink()
    say(instance, run_id, "still here")
    instance.event_log_storage.dispose()
    assert said(instance, run_id) == ["still here"]


def test_after_a_wipe_events_are_recorded_as_before(
    instance: dg.DagsterInstance, log: LocalEventLog, clone: Path
) -> None:
    old = run_once(instance)
    log.wipe()
    assert said(instance, old) == []
    new = run_once(instance)
    log.dispose()
    assert instance.all_logs(new)


def test_a_reader_in_another_process_is_told_of_events_whose_connection_stays_open(
    clone: Path, instance: dg.DagsterInstance
) -> None:
    run_id = run_once(instance)
    heard: list[str] = []
    three = threading.Event()

    def tell(entry: dg.EventLogEntry, _cursor: str) -> None:
        heard.append(entry.dagster_event.message if entry.dagster_event else "")
        if len(heard) == 3:
            three.set()

    with dg.DagsterInstance.from_config(str(clone)) as other:
        records = other.get_records_for_run(run_id)
        other.watch_event_logs(run_id, records.cursor, tell)
        say(instance, run_id, "one")  # all is small enough to stay in the write-ahead log
        say(instance, run_id, "two")
        say(instance, run_id, "three")
        assert three.wait(60)
        other.end_watch_event_logs(run_id, tell)
    assert heard == ["one", "two", "three"]


def test_threads_take_turns_and_no_event_of_theirs_is_lost(instance: dg.DagsterInstance) -> None:
    run_id = run_once(instance)
    before = len(said(instance, run_id))

    def record(number: int) -> None:
        for turn in range(10):
            say(instance, run_id, f"{number}-{turn}")

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = said(instance, run_id)[before:]
    assert sorted(found) == sorted(f"{n}-{turn}" for n in range(4) for turn in range(10))


WRITER = """
import os, sys
import dagster as dg
from ml_platform_tests.operations.test_history import tick
home, run_id, name = sys.argv[1:]
with dg.DagsterInstance.from_config(home) as instance:
    run = instance.get_run_by_id(run_id)
    for number in range(25):
        instance.report_engine_event(f"{name}-{number}", run)
        tick(instance, number + (0.25 if name == "killed" else 0.5))
        print(number, flush=True)
    if name == "killed":
        os.kill(os.getpid(), 9)
"""


@pytest.mark.fault
def test_two_processes_write_at_once_and_a_killed_one_loses_nothing_that_it_recorded(
    clone: Path, instance: dg.DagsterInstance
) -> None:
    run_id = run_once(instance)
    command = [sys.executable, "-c", WRITER, str(clone), run_id]
    writers = {
        name: subprocess.Popen([*command, name], stdout=subprocess.PIPE)
        for name in ("killed", "other")
    }
    for number in range(25):
        say(instance, run_id, f"own-{number}")
        tick(instance, float(number))
    codes = {name: (writer.communicate(), writer.returncode)[1] for name, writer in writers.items()}
    assert codes == {"killed": -signal.SIGKILL, "other": 0}
    names = ("killed", "other", "own")
    wanted = {f"{name}-{number}" for name in names for number in range(25)}
    assert wanted <= set(said(instance, run_id))
    assert sorted(ticks(instance)) == [n + part for n in range(25) for part in (0, 0.25, 0.5)]


def test_a_forked_child_has_no_connection_of_its_parents_and_loses_nothing(
    clone: Path, instance: dg.DagsterInstance, log: LocalEventLog
) -> None:
    run_id = run_once(instance)
    tick(instance, 1.0)
    assert {"index.db", "schedules.db"} <= open_files(clone)
    fork = multiprocessing.get_context("fork")
    wrote, closed = fork.Event(), fork.Event()
    ours, theirs = fork.Pipe()

    def child() -> None:
        theirs.send(open_files(clone))
        say(instance, run_id, "first")
        tick(instance, 2.0)
        wrote.set()
        closed.wait()
        say(instance, run_id, "second")

    process = fork.Process(target=child, daemon=True)
    process.start()
    assert ours.recv() == set()
    wrote.wait()
    say(instance, run_id, "parent")
    # The last to close a file removes its log; it must see that the child still has it.
    log.dispose()
    instance.schedule_storage.dispose()
    closed.set()
    process.join()
    assert process.exitcode == 0
    assert said(instance, run_id)[-3:] == ["first", "parent", "second"]
    assert ticks(instance) == [2.0, 1.0]


@pytest.mark.parametrize("ends", [True, False], ids=["it ends", "it takes too long"])
def test_a_fork_waits_for_another_threads_transaction_but_not_for_ever(
    *, ends: bool, instance: dg.DagsterInstance, log: LocalEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_once(instance)
    monkeypatch.setattr(connections, "_FORK_WAIT_S", 60 if ends else 0.01)
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        with log.run_connection(run_id):
            inside.set()
            over.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait()
    if ends:
        threading.Timer(0.1, over.set).start()
    pid = os.fork()
    if pid == 0:
        os._exit(log._kept._lock.acquire(blocking=False))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    over.set()
    holder.join()
    assert code == int(ends)
    say(instance, run_id, "after")
    assert said(instance, run_id)[-1] == "after"
