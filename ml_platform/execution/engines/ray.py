"""The engine on Ray: one task a partition, on a Ray of one's own or on one that runs already.

One's own is started for the step and ended after it. It listens on this machine alone and asks for
a token, for a Ray without one runs anybody's code. dagster-ray's `LocalRay` would start the same,
but as a resource of the whole run, for runs that have no table on Ray too.

What Ray loses (a worker, a node) it tries again by itself. Limits of memory and time are kept on
the node where a partition is made, by the same pool as without Ray. A head that is gone is seen
here: Ray would end this whole process a minute later, and the run could not say why it failed.
"""

import collections
import contextlib
import functools
import importlib
import os
import pickle
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ml_platform.execution.cost import Cost
from ml_platform.execution.engines.pool import LocalPool, Workers, pickled
from ml_platform.execution.modules import module_path
from ml_platform.execution.profile import Plan, size_of
from ml_platform.execution.work import Ended, Order, Trouble, Work
from ml_platform.kernel.errors import (
    PlatformError,
    SettingsError,
    StorageFullError,
    UnavailableError,
)
from ml_platform.kernel.locks import try_lock

LOST_TRIES = 3
"""How often Ray tries a partition again whose worker or node was lost."""

OBJECT_STORE_BYTES = 200 * 2**20
"""No table goes through Ray's object store, only orders and reports."""

HEAD_PATIENCE_S = 10.0
"""How long the head may be out of reach; Ray itself ends this process after about a minute."""

_LOOK_S = 0.5
_HEAD_LOOK_S = 2.0
_SCRATCH, _OWNED, _NEW_S = "ray-of-step-", "owned", 60.0


@dataclass(frozen=True)
class OnRay:
    """Up to `plan.max_parallel` tasks at once, each with what the plan says that it takes."""

    plan: Plan
    log: Callable[[str], None]

    def run(self, work: Work, orders: Sequence[Order]) -> Iterator[Ended]:
        """Do all orders; when the iterator is closed early, what still runs is ended.

        Raises:
            SettingsError: Ray is not installed, or has not what a partition needs.
            UnavailableError: it cannot be reached, or its head is gone.
        """
        if not orders:
            return
        content = pickled(work)
        with connected(self.plan, self.log) as head:
            if lacking := head.lacking(self.plan):
                self.log(lacking)
            tasks = _Tasks(self.plan, content, self.log)
            waiting = collections.deque(orders)
            try:
                while waiting or tasks.running:
                    while waiting and len(tasks.running) < self.plan.max_parallel:
                        tasks.start(waiting.popleft())
                    yield from tasks.look()
                    head.look()
            finally:
                tasks.cancel()


class _Tasks:
    """The tasks that run, each with its order.

    Raises:
        StorageFullError: Ray has no room for the work itself.
    """

    def __init__(self, plan: Plan, content: bytes, log: Callable[[str], None]) -> None:
        import ray

        self.running: dict[Any, Order] = {}
        self._ray, self._plan, self._log = ray, plan, log
        self._took: dict[Order, int] = {}
        try:
            self._content = ray.put(content)
        except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as error:
            raise _no_room("the work of a step", error) from error
        self._do = ray.remote(do_order)
        self._options = {
            "num_cpus": plan.cpus,
            "num_gpus": plan.gpus or None,
            "memory": plan.memory_bytes,
            "max_retries": LOST_TRIES,
            "runtime_env": {"env_vars": dict(plan.runtime)} if plan.runtime else None,
        }

    def start(self, order: Order, **options: Any) -> None:
        """Let Ray make a partition, where and when it finds room; `options` win over the plan's."""
        task = self._do.options(**{**self._options, **options})
        self.running[task.remote(self._content, order, self._plan)] = order

    def look(self) -> list[Ended]:
        """Wait a moment; what has ended."""
        many = len(self.running)
        ready, _ = self._ray.wait(list(self.running), num_returns=many, timeout=0)
        if not ready:
            ready, _ = self._ray.wait(list(self.running), num_returns=1, timeout=_LOOK_S)
        return [one for reference in ready if (one := self._ended(reference))]

    def _ended(self, reference: Any) -> Ended | None:
        """What became of an order; None when it is tried once more."""
        order = self.running.pop(reference)
        try:
            report: Ended = pickle.loads(self._ray.get(reference))  # noqa: S301 - of our own task
        except self._ray.exceptions.OutOfMemoryError as error:
            return self._out_of_memory(order, took_of(str(error)))
        except self._ray.exceptions.RayError as error:
            return Ended(order, trouble=Trouble.of(_told(order, error)))
        return report

    def _out_of_memory(self, order: Order, took: int) -> Ended | None:
        """Try once more with twice as much kept free for it, or as much as a node has."""
        if order in self._took:
            trouble = Trouble.of(_too_much(order, (self._took[order], took), self._plan))
            return Ended(order, trouble=trouble, cost=Cost(peak_memory_bytes=took))
        self._took[order] = took
        most = max(int(one["Resources"].get("memory", 0)) for one in self._ray.nodes())  # type: ignore[no-untyped-call]
        more = min(max(took, self._plan.memory_bytes or 0) * 2, most)
        self._log(
            f"{order}: took {size_of(took)}, its node had no more; once more with {size_of(more)}"
        )
        self.start(order, memory=more)
        return None

    def cancel(self) -> None:
        """End what still runs."""
        for reference in self.running:
            self._ray.cancel(reference, force=True)


def do_order(content: bytes, order: Order, plan: Plan) -> bytes:
    """One partition, in a process of Ray; the report is pickled, for metadata may be anything."""
    import cloudpickle

    ended = _limited(content, order, plan) if _has_limits(plan) else _work(content).do(order)
    try:
        report: bytes = cloudpickle.dumps(ended)
    except Exception as error:  # noqa: BLE001 - metadata may be anything, and fail in any way
        return pickle.dumps(Ended(order, trouble=Trouble.of(error), cost=ended.cost))
    return report


def _has_limits(plan: Plan) -> bool:
    return bool(plan.memory_bytes or plan.timeout_s)


def _limited(content: bytes, order: Order, plan: Plan) -> Ended:
    """One partition in a process beside Ray's own, which can be ended without it."""
    said: list[str] = []
    prefix = f"{order}: "
    pool = LocalPool(replace(plan, max_parallel=1), said.append)
    (ended,) = pool.drive(_kept.workers(pool.plan, content), [order])
    return replace(ended, said=tuple(line.removeprefix(prefix) for line in said))


@dataclass
class _Kept:
    """The workers beside one process of Ray, which serves many tasks of many steps."""

    made_for: tuple[Plan, bytes] | None = None
    held: Workers | None = None

    def workers(self, plan: Plan, content: bytes) -> Workers:
        """Those of this work; those of another are ended."""
        if self.held is None or self.made_for != (plan, content):
            if self.held is not None:
                self.held.__exit__()
            self.made_for, self.held = (plan, content), Workers(plan, content).__enter__()
        return self.held


_kept = _Kept()


@functools.lru_cache(maxsize=1)
def _work(content: bytes) -> Work:
    """The work, read once in a process of Ray, which serves many tasks."""
    work: Work = pickle.loads(content)  # noqa: S301 - of the driver, which made it of this step
    return work


@dataclass
class Head:
    """Ray's head, as seen from the step.

    Attributes:
        address: host and port.
        is_own: whether it was started for this step.
    """

    address: str
    is_own: bool
    _seen: float = field(default_factory=time.monotonic)
    _looked: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """See whether it is there, now and then.

        Raises:
            UnavailableError: it has been out of reach for too long.
        """
        now = time.monotonic()
        if now - self._looked < _HEAD_LOOK_S:
            return
        self._looked = now
        if answers(self.address):
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > HEAD_PATIENCE_S:
            raise UnavailableError(
                f"Ray at {self.address}",
                f"its head has not answered for {time.monotonic() - self._seen:.0f} s",
                fix="see whether it still runs; what was made until now stays",
            )

    def lacking(self, plan: Plan) -> str:
        """What a partition asks for that is not there now; a cluster may get more nodes yet.

        Raises:
            SettingsError: so it is on a Ray of one's own, which gets none: it would wait for ever.
        """
        import ray

        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        asked = {"CPU": plan.cpus, "GPU": plan.gpus, "memory": plan.memory_bytes or 0}
        lacking = {name: count for name, count in asked.items() if count > there.get(name, 0)}
        if not lacking:
            return ""
        asks = f"it asks for {_counted(lacking)}"
        has = _counted({name: there.get(name, 0) for name in lacking})
        if not self.is_own:
            return f"a partition waits for nodes: {asks}, and Ray has {has}"
        raise SettingsError(
            "a partition on Ray",
            asks,
            allowed=f"{has} on this machine",
            fix="ask for less, or name a cluster with `address:` or ML_PLATFORM_RAY_ADDRESS",
        )


def answers(address: str) -> bool:
    """Whether somebody listens there; true for an address that is not host and port."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return True
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def connected(plan: Plan, log: Callable[[str], None] = print) -> Iterator[Head]:
    """Ray, for as long as the block lasts: one's own, a cluster of ours, or one that runs already.

    Raises:
        SettingsError: it is not installed.
        UnavailableError: the running one cannot be reached, or the cluster does not start.
    """
    with _found(plan, log) as place, _environment(place), _sigterm_kept():
        try:
            import ray
        except ModuleNotFoundError as error:
            raise SettingsError(
                "`engine: ray`", "Ray is not installed", fix="pip install ml-platform[ray]"
            ) from error
        if ray.is_initialized():  # by somebody around us, who will also end it
            yield Head(ray.get_runtime_context().gcs_address, is_own=False)
            return
        with _joined(ray, place) if place.address else _started(ray, plan) as head:
            yield head


@dataclass(frozen=True)
class Place:
    """A Ray to go to.

    Attributes:
        address: of its head; empty for one that is started for the step.
        token: what it asks of its users; empty where the environment says it.
        is_here: whether all of it is on this machine.
        joined: is called when this process has connected to it.
    """

    address: str = ""
    token: str = ""
    is_here: bool = False
    joined: Callable[[], None] = lambda: None


@contextlib.contextmanager
def _found(plan: Plan, log: Callable[[str], None]) -> Iterator[Place]:
    """Where the plan's Ray is; a cluster is held for as long as the block lasts."""
    if plan.cluster is None:
        yield Place(plan.address) if plan.address else Place(token=_token(), is_here=True)
    elif isinstance(plan.cluster, str) or plan.cluster.kind == "local":
        from ml_platform.execution.clusters.local import held

        with held(plan.cluster, log) as (lease, place):
            yield Place(lease.address, place.token.read_text(encoding="ascii"), is_here=True)
    else:
        from ml_platform.execution.clusters.kuberay import held_on_kubernetes

        with held_on_kubernetes(plan.cluster) as reached:
            yield Place(reached.address, reached.token, joined=reached.joined)


@contextlib.contextmanager
def _joined(ray: Any, place: Place) -> Iterator[Head]:
    address = place.address
    if place.is_here:
        _refuse_without_token()
    if not answers(address):
        raise _out_of_reach(address, "nobody listens there")
    try:
        ray.init(address=address, namespace="ml-platform", configure_logging=False)
    except (ConnectionError, RuntimeError) as error:
        raise _out_of_reach(address, str(error)) from error
    try:
        place.joined()
        yield Head(address, is_own=False)
    except ConnectionError as error:  # of Ray's client; what a partition raises is in its report
        raise _out_of_reach(address, str(error)) from error
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _started(ray: Any, plan: Plan) -> Iterator[Head]:
    _refuse_without_token()
    _sweep_scratch()
    with _scratch() as folder:
        ray.init(
            num_cpus=max(os.cpu_count() or 1, int(plan.cpus)),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            namespace="ml-platform",
            configure_logging=False,
            _temp_dir=folder,
        )
        try:
            yield Head(ray.get_runtime_context().gcs_address, is_own=True)
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A folder for a Ray of this step's own; a file in it is locked while the step lives."""
    # Short, for Ray makes sockets far below it, and their paths may have 107 letters at most.
    with (
        tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True) as folder,
        (Path(folder) / _OWNED).open("w") as lock,
    ):
        try_lock(lock)
        yield folder


def _sweep_scratch() -> None:
    """Remove the folders of steps whose process was killed, with Ray's logs and sockets in them."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*/{_OWNED}"):
        # One that has just been made may not be locked yet; one of another user is that user's.
        with contextlib.suppress(OSError):
            if time.time() - lock.stat().st_mtime < _NEW_S:
                continue
            with lock.open("r+") as file:
                if try_lock(file):
                    shutil.rmtree(lock.parent, ignore_errors=True)


@contextlib.contextmanager
def _environment(place: Place) -> Iterator[None]:
    """What Ray reads when it is imported and started; what the installation says wins."""
    ours = {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Off, its processes listen on an address of this machine alone.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0" if place.is_here else "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # Ray would try a partition that does not fit for ever; here it is tried once with more.
        "RAY_task_oom_retries": "0",
    }
    before = dict(os.environ)
    fixed = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": place.token} if place.token else {}
    if not place.address:  # processes that are started for the step find what the step has found
        fixed["PYTHONPATH"] = module_path()
    os.environ.update({**ours, **before, **fixed})
    _read_anew()
    try:
        yield
    finally:
        for name in {*ours, *fixed}:
            os.environ.pop(name, None)
        os.environ.update({name: before[name] for name in {*ours, *fixed} & before.keys()})


def _read_anew() -> None:
    """Let Ray follow the environment where it keeps what it saw first.

    Its token is that of the first Ray that the process went to. Whether it may use the network it
    reads when it is imported; a process that was on a cluster elsewhere would look for the one of
    this machine at another address, for ever, and show a Ray of its own to the network.
    """
    if "ray" in sys.modules:
        raylet: Any = importlib.import_module("ray._raylet")  # neither has types
        constants: Any = importlib.import_module("ray._private.ray_constants")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
        constants.ENABLE_RAY_CLUSTER = os.environ[constants.ENABLE_RAY_CLUSTERS_ENV_VAR] == "1"


def _refuse_without_token() -> None:
    raylet: Any = importlib.import_module("ray._raylet")

    if raylet.get_authentication_mode() != raylet.AuthenticationMode.TOKEN:
        raise SettingsError(
            "`engine: ray`",
            "Ray was imported before the step without RAY_AUTH_MODE=token, so anybody could use it",
            fix="import ray within the functions that use it, or set RAY_AUTH_MODE=token and a "
            "RAY_AUTH_TOKEN where the platform is started",
        )


@functools.cache
def _token() -> str:
    """One a process: Ray reads it once and keeps it."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Give the signal back to whom it belonged: Ray takes it, and Dagster ends runs by it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def took_of(said: str) -> int:
    """How much memory a task had when Ray ended it, in bytes, out of what Ray says; 0: not said."""
    found = re.search(r"actual memory used=([\d.]+)GB", said)
    return int(float(found[1]) * 2**30) if found else 0


def _told(order: Order, error: Exception) -> PlatformError:
    """What Ray says of a task, in the house's words."""
    import ray

    subject = f"partition {order}"
    if isinstance(error, (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError)):
        return _no_room(subject, error)
    if isinstance(error, (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError)):
        given = f"its worker or node was lost {LOST_TRIES + 1} times"
        return UnavailableError(subject, given, fix="look into Ray's logs of these nodes")
    return UnavailableError(subject, f"Ray says: {type(error).__name__}: {error}")


def _too_much(order: Order, took: Sequence[int], plan: Plan) -> SettingsError:
    most = size_of(max(*took, plan.memory_bytes or 0))
    return SettingsError(
        f"partition {order}",
        f"Ray ended it twice because its node ran out of memory; it took {size_of(took[-1])}, "
        f"and {size_of(took[0])} at the first try",
        fix=f"set `memory:` of its execution above {most}, so that fewer run on a node, "
        "or make less at a time",
    )


def _no_room(subject: str, error: Exception) -> StorageFullError:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return StorageFullError(
        subject,
        f"Ray's object store and the disk behind it are full: {said}",
        fix="free the disk under Ray's temporary folder; tables do not go through it, so look "
        "what large thing the partition's metadata or its function holds",
    )


def _counted(resources: Mapping[str, float]) -> str:
    return ", ".join(
        f"{size_of(count)} memory" if name == "memory" else f"{count:g} {name}"
        for name, count in resources.items()
    )


def _out_of_reach(address: str, said: str) -> UnavailableError:
    return UnavailableError(
        f"Ray at {address}",
        f"it cannot be reached: {said}",
        fix="start it, or correct `address:` of the profile or ML_PLATFORM_RAY_ADDRESS",
    )
