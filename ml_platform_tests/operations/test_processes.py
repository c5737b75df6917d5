"""Naming processes for good, seeing them live, ending exactly those of a run: on real processes."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.marks import RUN_VARIABLE
from ml_platform.operations.processes import (
    Life,
    Place,
    ProcessName,
    _started,
    end,
    started_by,
)

Start = Callable[..., subprocess.Popen]

HERE = Place("store", "m1", "boot1", "pid:[1]")
WORD = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1)


def _with_usual_signals() -> None:
    """A shell cannot trap what it was started to ignore, as an earlier test's thread may do."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs that are ended, at the latest, with the test."""
    started: list[subprocess.Popen] = []

    def one(*command: str, run: str = "", **options: object) -> subprocess.Popen:
        env = {**os.environ, **({RUN_VARIABLE: run} if run else {})}
        started.append(
            subprocess.Popen(
                command,
                env=env,
                start_new_session=True,
                preexec_fn=_with_usual_signals,  # noqa: PLW1509 - it makes two calls
                **options,
            )
        )
        return started[-1]

    yield one
    for process in started:
        # With its children: an orphan would keep the pipe open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def name_of(pid: int) -> ProcessName:
    return ProcessName(pid, _started(pid), Place.here())


def wait_until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.02)


def is_there(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@given(st.integers(1, 2**22), st.integers(0, 2**60), st.tuples(WORD, WORD, WORD, WORD))
def test_a_name_is_read_as_it_was_written(pid: int, started: int, place: tuple[str, ...]) -> None:
    name = ProcessName(pid, started, Place(*place))
    assert ProcessName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    ["", "12", "12 34", "x 34 h m b n", "12 -3 h m b n", "12 34 h m b", "12 34 h m b n more"],
)
def test_anything_else_is_no_name(text: str) -> None:
    assert ProcessName.parse(text) is None


def test_this_process_is_alive_and_its_name_survives_the_way_through_text() -> None:
    name = ProcessName.parse(str(ProcessName.own()))
    assert name is not None
    assert name == ProcessName.own()
    assert name.life() is Life.ALIVE


def test_a_process_id_that_another_process_got_later_is_not_mistaken_for_it() -> None:
    own = ProcessName.own()
    assert dataclasses.replace(own, started=own.started - 1).life() is Life.GONE


@pytest.mark.parametrize(
    ("seen_from", "life"),
    [
        pytest.param({}, Life.GONE, id="here it is looked for, and this one is not there"),
        pytest.param({"host": "other"}, Life.OUT_OF_SIGHT, id="another host"),
        pytest.param({"host": "other", "boot": "boot2"}, Life.OUT_OF_SIGHT, id="another, later"),
        pytest.param({"machine": "m2", "boot": "b2"}, Life.OUT_OF_SIGHT, id="a host of one name"),
        pytest.param({"namespace": "pid:[2]"}, Life.OUT_OF_SIGHT, id="another container"),
        pytest.param({"boot": "boot2"}, Life.GONE, id="the machine was started anew"),
        pytest.param(
            {"boot": "boot2", "namespace": "pid:[2]"}, Life.GONE, id="so were its containers"
        ),
    ],
)
def test_what_can_be_said_depends_on_where_one_stands(
    seen_from: dict[str, str], life: Life
) -> None:
    # No process has this id: the highest that Linux gives is 2**22.
    name = ProcessName(2**22 + 1, 1, HERE)
    assert name.life(dataclasses.replace(HERE, **seen_from)) is life


def test_without_a_machine_id_a_new_boot_may_be_another_machine() -> None:
    nameless = dataclasses.replace(HERE, machine="-")
    name = ProcessName(2**22 + 1, 1, nameless)
    assert name.life(dataclasses.replace(nameless, boot="boot2")) is Life.OUT_OF_SIGHT


@pytest.mark.fault
def test_a_killed_process_is_gone_even_before_its_parent_buries_it(start: Start) -> None:
    child = start("sleep", "600")
    name = name_of(child.pid)
    assert name.life() is Life.ALIVE
    child.kill()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert name.life() is Life.GONE
    child.wait()
    assert name.life() is Life.GONE


def test_a_process_that_stands_still_is_alive(start: Start) -> None:
    child = start("sleep", "600")
    child.send_signal(signal.SIGSTOP)
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    assert name_of(child.pid).life() is Life.ALIVE


def test_a_program_may_have_any_name(start: Start, tmp_path: Path) -> None:
    program = tmp_path / "a) 1 (b"
    shutil.copy(sys.executable, program)
    child = start(
        str(program), "-S", "-c", "import time; time.sleep(600)", stderr=subprocess.DEVNULL
    )
    process = psutil.Process(child.pid)
    wait_until(lambda: process.name() == "a) 1 (b")
    assert name_of(child.pid).life() is Life.ALIVE
    # psutil reads the same tick, and adds the time of day at which the machine started.
    seconds = process.create_time() - psutil.boot_time()
    ticks = os.sysconf("SC_CLK_TCK") * seconds
    assert name_of(child.pid).started == pytest.approx(ticks, abs=2 * os.sysconf("SC_CLK_TCK"))


def test_what_a_run_started_is_found_when_its_parent_is_gone_and_nothing_else_is(
    start: Start,
) -> None:
    run, other = str(uuid.uuid4()), str(uuid.uuid4())
    parent = start("sh", "-c", "sleep 600 & echo $!; wait", run=run, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    start("sleep", "600", run=other)
    start("sleep", "600")
    parent.kill()
    parent.wait()
    assert [p.pid for p in started_by(run, not_before=0)] == [orphan]
    later = name_of(orphan).started + 1
    assert started_by(run, not_before=later) == []
    end(started_by(run, not_before=0))
    assert not is_there(orphan)


@pytest.mark.fault
def test_who_can_stop_is_asked_and_who_does_not_is_killed(start: Start) -> None:
    run = str(uuid.uuid4())
    polite = start(
        # It starts nothing after it is up: dash loses a signal that comes while it forks.
        "sh", "-c", "trap 'echo bye; exit 0' TERM; sleep 300 >&2 & echo up; wait",
        run=run, stdout=subprocess.PIPE,
    )  # fmt: skip
    stubborn = start(
        "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done",
        run=run, stdout=subprocess.PIPE,
    )  # fmt: skip
    for process in (polite, stubborn):
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
    pids = {polite.pid, stubborn.pid}
    found = [p for p in started_by(run, not_before=0) if p.pid in pids]
    assert end(found, grace_s=5.0) == []
    assert polite.stdout is not None
    assert polite.stdout.read() == b"bye\n"
    assert polite.poll() == 0
    assert stubborn.poll() == -signal.SIGKILL
