"""A local pool: every partition ends by itself, whatever becomes of its process."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from ml_platform.execution.engines.pool import LocalPool
from ml_platform.execution.profile import Plan
from ml_platform.execution.work import Made, Order, Work
from ml_platform.kernel.errors import DeclarationError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore

LETTERS = "abcdef"


def run(make, plan, partitions=LETTERS, log=lambda _: None, root="nowhere"):
    work = Work("shop", TableKey("raw", "a"), TableStore(root), "run", "run", make)
    ended = list(LocalPool(plan, log).run(work, [Order(one) for one in partitions]))
    assert sorted(str(one.order) for one in ended) == sorted(partitions)
    return {str(one.order): one for one in ended}


def assert_only_a_fails(found, *said):
    assert {name for name, one in found.items() if one.trouble} == {"a"}
    for words in said:
        assert words in found["a"].trouble.text
    return found["a"].trouble


def test_partitions_are_made_by_several_processes_that_are_used_again():
    def make(step):
        import time

        time.sleep(0.1)
        return Made(None, {"pid": os.getpid()})

    found = run(make, Plan(max_parallel=2))
    pids = {one.made.metadata["pid"] for one in found.values()}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_what_a_worker_says_is_heard_with_its_partition():
    def make(step):
        step.log("so far")
        return Made(None, {})

    heard = []
    run(make, Plan(max_parallel=2), "ab", heard.append)
    assert sorted(heard) == ["a: so far", "b: so far"]


def test_workers_have_the_environment_that_was_asked_for_and_threads_for_their_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # what the installation says would win

    def make(step):
        return Made(None, {name: os.environ[name] for name in ("SHOP", "OMP_NUM_THREADS")})

    found = run(make, Plan(max_parallel=2, cpus=2, runtime={"SHOP": "north"}), "a")
    assert found["a"].made.metadata == {"SHOP": "north", "OMP_NUM_THREADS": "2"}


def test_no_orders_start_no_process():
    assert list(LocalPool(Plan(max_parallel=2), print).run(None, [])) == []


def test_work_that_cannot_be_sent_is_refused_by_name():
    import threading

    lock = threading.Lock()
    with pytest.raises(DeclarationError, match=r"table raw/a.*cannot be sent"):
        run(lambda step: lock, Plan(max_parallel=2))


def test_a_result_that_cannot_be_sent_fails_its_partition_alone():
    def make(step):
        import threading

        return Made(None, {"lock": threading.Lock() if step.partition == "a" else None})

    assert_only_a_fails(run(make, Plan(max_parallel=2)), "cannot pickle")


def test_work_that_a_worker_cannot_read_fails_every_partition_with_the_reason(tmp_path):
    module = tmp_path / "only_here.py"
    module.write_text("def make(step):\n    return step\n")
    sys.path.insert(0, str(tmp_path))
    try:
        from only_here import make

        module.unlink()
        found = run(make, Plan(max_parallel=2), "ab")
    finally:
        sys.path.remove(str(tmp_path))
    assert all("No module named 'only_here'" in one.trouble.text for one in found.values())


def test_the_iterator_may_be_closed_early_and_leaves_nobody():
    def make(step):
        import time

        if step.partition != "a":
            time.sleep(1000)
        return Made(None, {})

    others = set(psutil.Process().children(recursive=True))
    work = Work("shop", TableKey("raw", "a"), TableStore("nowhere"), "run", "run", make)
    ended = LocalPool(Plan(max_parallel=2), print).run(work, [Order(one) for one in LETTERS])
    assert next(ended).order == Order("a")
    ended.close()
    assert set(psutil.Process().children(recursive=True)) <= others


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_is_killed_ends_its_partition_alone(number):
    def make(step):
        if step.partition == "a":
            os.kill(os.getpid(), number)
        return Made(None, {})

    trouble = assert_only_a_fails(run(make, Plan(max_parallel=2)), f"was ended by {number.name}")
    assert trouble.retryable


@pytest.mark.fault
def test_a_worker_that_leaves_ends_its_partition_alone():
    def make(step):
        if step.partition == "a":
            sys.exit(3)
        return Made(None, {})

    assert_only_a_fails(run(make, Plan(max_parallel=2)), "ended with code 3")


@pytest.mark.fault
def test_a_partition_that_hangs_is_ended_alone():
    def make(step):
        import time

        if step.partition == "a":
            time.sleep(1000)
        return Made(None, {})

    trouble = assert_only_a_fails(
        run(make, Plan(max_parallel=2, timeout_s=6)), "not made within 6 s", "`timeout_s:`"
    )
    assert trouble.retryable


def hungry(megabytes):
    def make(step):
        import time

        if step.partition == "a":
            held = []
            for _ in range(megabytes // 10):
                held.append(bytearray(b"x") * 10_000_000)
                time.sleep(0.02)
        return Made(None, {})

    return make


@pytest.mark.fault
def test_a_partition_that_takes_too_much_is_tried_once_with_more():
    heard = []
    found = run(hungry(400), Plan(max_parallel=2, memory_bytes=300 * 2**20), log=heard.append)
    assert not any(one.trouble for one in found.values())
    (line,) = heard
    assert line.startswith("a: took")
    assert "once more with" in line


@pytest.mark.fault
def test_a_partition_that_takes_too_much_twice_fails_alone_and_says_what_to_set():
    found = run(hungry(2000), Plan(max_parallel=2, memory_bytes=250 * 2**20))
    trouble = assert_only_a_fails(
        found, "of memory", "at the first try", "set `memory:` of its execution"
    )
    assert not trouble.retryable


@pytest.mark.fault
def test_an_error_that_says_no_memory_counts_as_too_much():
    def make(step):
        if step.partition == "a":
            raise MemoryError
        return Made(None, {})

    assert_only_a_fails(run(make, Plan(max_parallel=2, memory_bytes=2**30)), "set `memory:`")


DRIVER = """
    import os, time
    from ml_platform.execution.engines.pool import LocalPool
    from ml_platform.execution.profile import Plan
    from ml_platform.execution.work import Order, Work
    from ml_platform.kernel.names import TableKey
    from ml_platform.storage.tables import TableStore

    def make(step):
        step.log(str(os.getpid()))
        while True:
            pass

    work = Work("shop", TableKey("raw", "a"), TableStore("nowhere"), "run", "run", make)
    pool = LocalPool(Plan(max_parallel=2), lambda line: print(line, flush=True))
    list(pool.run(work, [Order("a"), Order("b")]))
"""


@pytest.mark.fault
def test_no_worker_outlives_a_driver_that_is_killed():
    command = [sys.executable, "-c", textwrap.dedent(DRIVER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        busy = [int(driver.stdout.readline().rpartition(" ")[2]) for _ in range(2)]
        family = psutil.Process(driver.pid).children(recursive=True)
        assert set(busy) <= {one.pid for one in family}
        driver.kill()
        while any(one.is_running() and one.status() != "zombie" for one in family):
            time.sleep(0.05)


@pytest.mark.parametrize("project", ["demand", "delivery", "quickstart"])
def test_the_work_of_every_declared_table_can_be_sent(project):
    import cloudpickle

    from ml_platform.common import common_definitions
    from ml_platform.loading.project import load_project

    definitions = load_project(project, common_definitions()).definitions
    assets = {
        node.assets_def.op.name: node.assets_def.op
        for node in definitions.resolve_asset_graph().asset_nodes
        if node.is_executable
    }
    assert assets
    for name, op in assets.items():
        cells = dict(
            zip(op.compute_fn.__code__.co_freevars, op.compute_fn.__closure__, strict=True)
        )
        make = cells["make"].cell_contents
        assert callable(pickle.loads(cloudpickle.dumps(make))), name
