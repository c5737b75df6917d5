"""The same work on Ray: the same reports, and what is lost is made again or told."""

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from ml_platform.execution.engines import ray as engine
from ml_platform.execution.engines.pool import LocalPool
from ml_platform.execution.engines.ray import Head, OnRay, answers, connected
from ml_platform.execution.profile import Plan
from ml_platform.execution.work import Made, Order, Work
from ml_platform.kernel.errors import SettingsError, StorageFullError, UnavailableError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore

if importlib.util.find_spec("ray") is None:  # not imported: Ray reads its settings when it is
    pytest.skip("Ray is not installed", allow_module_level=True)

LETTERS = "abcd"
# Ray's own processes and files, which it closes when the process ends and not before.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def work(make, root="nowhere"):
    return Work("shop", TableKey("raw", "a"), TableStore(str(root)), "run", "run", make)


def run(make, plan, partitions=LETTERS, root="nowhere"):
    ended = list(OnRay(plan, print).run(work(make, root), [Order(one) for one in partitions]))
    assert sorted(str(one.order) for one in ended) == sorted(partitions)
    return {str(one.order): one for one in ended}


def of_ray():
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(process.name())
    return [name for name in found if "raylet" in name or "gcs" in name or "ray::" in name]


def test_a_ray_of_ones_own_is_gone_after_the_step_and_the_signal_is_given_back(monkeypatch):
    temp = Path(tempfile.mkdtemp(prefix="t"))  # short, as Ray wants it
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    before = signal.getsignal(signal.SIGTERM)
    found = run(lambda step: Made(None, {"pid": os.getpid()}), Plan(engine="ray", max_parallel=2))
    assert os.getpid() not in {one.made.metadata["pid"] for one in found.values()}
    assert not of_ray()
    assert signal.getsignal(signal.SIGTERM) is before
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert list(temp.iterdir()) == []
    temp.rmdir()


def test_of_the_folders_of_rays_those_of_killed_steps_are_removed(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("killed", "new"):
        (tmp_path / f"ray-of-step-{name}" / "session").mkdir(parents=True)
        (tmp_path / f"ray-of-step-{name}" / "owned").touch()
    (tmp_path / "ray-of-step-somebody").mkdir()
    with engine._scratch() as alive:
        for folder in (tmp_path / "ray-of-step-killed", Path(alive)):
            os.utime(folder / "owned", (0, 0))
        engine._sweep_scratch()
        left = {one.name.removeprefix("ray-of-step-") for one in tmp_path.iterdir()}
        assert left == {Path(alive).name.removeprefix("ray-of-step-"), "new", "somebody"}
    assert not Path(alive).exists()


def test_more_than_a_machine_has_is_refused_and_not_waited_for():
    plan = Plan(engine="ray", gpus=64)
    with pytest.raises(SettingsError, match=r"asks for 64 GPU"):
        run(lambda step: Made(None, {}), plan, "a")


def test_a_ray_that_anybody_could_use_is_not_started():
    script = """
import ray
from ml_platform.execution.engines.ray import connected
from ml_platform.execution.profile import Plan
from ml_platform.kernel.errors import SettingsError
try:
    with connected(Plan(engine="ray")):
        print("started")
except SettingsError as error:
    print(error)
"""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ
    )
    assert "without RAY_AUTH_MODE=token" in done.stdout


def test_a_ray_that_does_not_answer_is_told_at_once():
    with pytest.raises(UnavailableError, match="nobody listens there"):
        run(lambda step: Made(None, {}), Plan(engine="ray", address="127.0.0.1:9"), "a")


@pytest.fixture(scope="module")
def own_ray():
    """One Ray for the tests that do not break it."""
    with connected(Plan(engine="ray")) as head:
        yield head


def test_tables_are_byte_for_byte_the_same_with_one_word_changed(own_ray, tmp_path):
    def make(step):
        import pandas as pd

        rows = pd.DataFrame({"part": [step.partition] * 1000, "n": range(1000)})
        return Made(step.store.write(step.project, step.key, rows, partition=step.partition), {})

    def content(root):
        return {file.name: file.read_bytes() for file in (tmp_path / root).rglob("*.parquet")}

    plan = Plan(max_parallel=2)
    list(LocalPool(plan, print).run(work(make, tmp_path / "local"), [Order(p) for p in LETTERS]))
    run(make, Plan(engine="ray", max_parallel=2), root=tmp_path / "ray")
    assert content("local") == content("ray")
    assert len(content("ray")) == len(LETTERS)


def test_what_fails_on_ray_fails_alone_in_its_own_words(own_ray):
    def make(step):
        if step.partition == "a":
            raise UnavailableError("the shop", "it is closed", fix="wait")
        step.log("so far")
        return Made(None, {})

    found = run(make, Plan(engine="ray", max_parallel=2))
    assert {name for name, one in found.items() if one.trouble} == {"a"}
    assert found["a"].trouble.text == str(UnavailableError("the shop", "it is closed", fix="wait"))
    assert found["a"].trouble.retryable
    assert found["b"].said == ("so far",)


def test_a_partition_may_have_its_own_environment(own_ray):
    plan = Plan(engine="ray", runtime={"SHOP": "north"})
    found = run(lambda step: Made(None, {"shop": os.environ["SHOP"]}), plan, "a")
    assert found["a"].made.metadata == {"shop": "north"}


def test_a_result_that_cannot_be_sent_fails_its_partition_alone(own_ray):
    def make(step):
        import threading

        return Made(None, {"lock": threading.Lock() if step.partition == "a" else None})

    found = run(make, Plan(engine="ray", max_parallel=2))
    assert {name for name, one in found.items() if one.trouble} == {"a"}


@pytest.mark.parametrize("address", ["ray://far/away", "auto", "", "a:b"])
def test_only_a_host_and_port_can_be_asked(address):
    assert answers(address)


@pytest.mark.fault
def test_a_worker_that_is_killed_once_is_made_up_for(own_ray, tmp_path):
    def make(step):
        mark = tmp_path / str(step.partition)
        if step.partition == "a" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Made(None, {})

    assert not any(one.trouble for one in run(make, Plan(engine="ray", max_parallel=2)).values())
    assert (tmp_path / "a").exists()


@pytest.mark.fault
def test_a_worker_that_is_always_killed_fails_its_partition_alone(own_ray, monkeypatch):
    monkeypatch.setattr(engine, "LOST_TRIES", 1)

    def make(step):
        if step.partition == "a":
            os.kill(os.getpid(), signal.SIGKILL)
        return Made(None, {})

    found = run(make, Plan(engine="ray", max_parallel=2))
    assert {name for name, one in found.items() if one.trouble} == {"a"}
    assert "was lost 2 times" in found["a"].trouble.text


@pytest.mark.fault
def test_limits_of_time_and_memory_are_kept_on_the_node(own_ray):
    def make(step):
        import time

        held = []
        if step.partition == "a":
            time.sleep(1000)
        while step.partition == "b":
            held.append(bytearray(b"x") * 10_000_000)
            time.sleep(0.02)
        step.log("so far")
        return Made(None, {})

    plan = Plan(engine="ray", max_parallel=2, timeout_s=12, memory_bytes=250 * 2**20)
    found = run(make, plan)
    assert "not made within 12 s" in found["a"].trouble.text
    assert "set `memory:` of its execution" in found["b"].trouble.text
    assert found["c"].made
    assert "so far" in found["c"].said


@pytest.mark.fault
def test_reports_that_fill_the_object_store_all_arrive(own_ray):
    size = engine.OBJECT_STORE_BYTES * 6 // 10
    plan = Plan(engine="ray", max_parallel=4)
    found = run(lambda step: Made(None, {"much": b"x" * size}), plan)
    assert {len(one.made.metadata["much"]) for one in found.values()} == {size}


@pytest.mark.fault
def test_a_partition_for_which_its_node_has_no_memory_is_tried_once_more_and_then_told():
    script = textwrap.dedent(
        """
        import os
        # Nearly all of the machine's memory counts as too much, so Ray ends whatever runs.
        os.environ.update(RAY_memory_usage_threshold="0.01", RAY_memory_monitor_refresh_ms="250")
        from ml_platform.execution.engines.ray import OnRay
        from ml_platform.execution.profile import Plan
        from ml_platform.execution.work import Made, Order, Work
        from ml_platform.kernel.names import TableKey
        from ml_platform.storage.tables import TableStore

        def make(step):
            import time
            time.sleep(1000)

        work = Work("shop", TableKey("raw", "a"), TableStore("nowhere"), "run", "run", make)
        said = lambda line: print("said:", line, flush=True)
        for ended in OnRay(Plan(engine="ray"), said).run(work, [Order("large")]):
            print("told:", ended.trouble.text, ended.trouble.retryable, flush=True)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert len(re.findall(r"said: large: took .*B, its node had no more; once", done.stdout)) == 1
    assert "Ray ended it twice because its node ran out of memory; it took" in done.stdout
    assert "set `memory:` of its execution above" in done.stdout


TOLD = {
    "a full object store": ("ObjectStoreFullError", StorageFullError, "are full"),
    "a full disk": ("OutOfDiskError", StorageFullError, "are full"),
    "a lost worker": ("WorkerCrashedError", UnavailableError, "was lost 4 times"),
    "anything else": ("RaySystemError", UnavailableError, "Ray says: RaySystemError"),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_ray_says_of_a_task_is_told_in_the_words_of_the_house(case, own_ray):
    import ray

    name, kind, said = TOLD[case]
    given = [] if name == "WorkerCrashedError" else ["no room"]
    error = engine._told(Order("a"), getattr(ray.exceptions, name)(*given))
    assert type(error) is kind
    assert said in str(error)


def test_how_much_a_task_took_is_read_out_of_what_ray_says():
    said = "Selected to kill: (Task: name=x, pid=1, actual memory used=1.50GB, worker ID=3)"
    assert engine.took_of(said) == 3 * 2**29
    assert engine.took_of("it was killed") == 0


@pytest.mark.fault
def test_a_head_that_is_gone_is_told_before_ray_ends_the_process(monkeypatch, tmp_path):
    script = textwrap.dedent(
        """
        import os, psutil, time
        from ml_platform.execution.engines import ray as engine
        from ml_platform.execution.profile import Plan
        from ml_platform.execution.work import Made, Order, Work
        from ml_platform.kernel.errors import UnavailableError
        from ml_platform.kernel.names import TableKey
        from ml_platform.storage.tables import TableStore

        def make(step):
            import time
            time.sleep(1000 if step.partition == "b" else 0)
            return Made(None, {})

        work = Work("shop", TableKey("raw", "a"), TableStore("nowhere"), "run", "run", make)
        plan = Plan(engine="ray", max_parallel=1)
        try:
            for ended in engine.OnRay(plan, print).run(work, [Order("a"), Order("b")]):
                print("made", ended.order, flush=True)
                for one in psutil.Process().children(recursive=True):
                    if one.name().startswith("gcs"):
                        one.kill()
        except UnavailableError as error:
            print("told:", error, flush=True)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "made a" in done.stdout
    assert "its head has not answered for" in done.stdout, done.stderr[-2000:]


def test_a_head_is_given_some_time_before_it_is_said_to_be_gone(monkeypatch):
    monkeypatch.setattr(engine, "HEAD_PATIENCE_S", 0.3)
    monkeypatch.setattr(engine, "_HEAD_LOOK_S", 0.0)
    head = Head("127.0.0.1:9", is_own=True)
    head.look()
    time.sleep(0.4)
    with pytest.raises(UnavailableError, match="has not answered"):
        head.look()
