"""What is wanted of a cluster of this machine, and until when: one small file each.

    <home>/clusters/<name>/lease.json    how many nodes, held by whom, until when; where it is
                          /token         what its users have to show; readable by its owner alone
                          /keeper.lock   locked by the keeper for as long as that lives
                          /keeper.log

Nobody tells a cluster what to do: its keeper reads the file and does what it says, and ends the
cluster when the lease has run out, whatever became of those who held it. Whether a keeper lives is
asked of its lock, which the system takes from a process that dies.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, Self

from ml_platform.kernel.errors import DeclarationError
from ml_platform.kernel.locks import try_lock
from ml_platform.kernel.settings import Settings

HEARTBEATS = 4
"""How often a holder renews within the time after which the lease runs out."""

LONGEST_BEAT_S = 15.0

_LOOK_S = 0.1

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Lease:
    """What is wanted of a cluster, and what its keeper says of it.

    Attributes:
        nodes: how many that work; beside them is a head, which only keeps the books.
        cpus: cores of each node.
        expires_at: seconds since 1970; nothing of the cluster runs for long after it.
        owner: who held it last.
        address: host and port of its head, once it is there.
        keeper: the process that keeps it.
        scratch: where Ray has its sockets and logs.
    """

    nodes: int
    cpus: float
    expires_at: float
    owner: str
    state: Literal["starting", "ready"] = "starting"
    address: str = ""
    keeper: int = 0
    scratch: str = ""

    def is_over(self, now: float) -> bool:
        """Whether nobody holds it any more."""
        return now >= self.expires_at

    def held_until(self, expires_at: float, owner: str) -> Self:
        """Held at least that long, by `owner` then; a lease is never made shorter by a holder."""
        return replace(self, expires_at=max(self.expires_at, expires_at), owner=owner)


@dataclass(frozen=True)
class Place:
    """The folder of one cluster."""

    folder: Path

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.folder.name

    @property
    def log(self) -> Path:
        """What the keeper and Ray have to say when they cannot start."""
        return self.folder / "keeper.log"

    @property
    def token(self) -> Path:
        """The file with what Ray asks of everybody who comes."""
        return self.folder / "token"

    def lease(self) -> Lease | None:
        """What the file says; None when nobody wants the cluster."""
        try:
            return Lease(**json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write(self, lease: Lease) -> None:
        """Take the old file's place in one step, so that a reader sees one or the other."""
        scratch = self.folder / f".lease.{os.getpid()}.{threading.get_ident()}"
        scratch.write_text(json.dumps(asdict(lease), indent=1), encoding="utf-8")
        scratch.replace(self._file)

    def change(self, **words: Any) -> Lease | None:
        """Change some words of the lease; None when there is no lease any more."""
        with self.alone():
            if (lease := self.lease()) is None:
                return None
            lease = replace(lease, **words)
            self.write(lease)
            return lease

    def renew(self, for_s: float, owner: str) -> Lease | None:
        """Hold it from now on for some seconds at least; None when there is nothing to hold."""
        with self.alone():
            if (lease := self.lease()) is None:
                return None
            lease = lease.held_until(time.time() + for_s, owner)
            self.write(lease)
            return lease

    def give_up(self) -> None:
        """Say that nobody wants the cluster: its keeper ends it."""
        self._file.unlink(missing_ok=True)

    def made(self) -> None:
        """Make the folder with a token of its own, for this user alone."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.token.touch(mode=0o600)
        self.token.write_text(secrets.token_hex(32), encoding="ascii")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the only right to change leases of this installation."""
        with (self.folder.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def keeper_lock(self, patience_s: float = 0.0) -> IO[str] | None:
        """The lock of a keeper, held for as long as the file is open; None: another has it."""
        deadline = time.monotonic() + patience_s
        lock = (self.folder / "keeper.lock").open("w")
        while not try_lock(lock):
            if time.monotonic() >= deadline:
                lock.close()
                return None
            time.sleep(_LOOK_S)
        return lock

    def is_kept(self) -> bool:
        """Whether a keeper lives."""
        try:
            lock = self.keeper_lock()
        except FileNotFoundError:
            return False
        if lock is None:
            return True
        lock.close()
        return False

    @property
    def changed_at(self) -> float:
        """When something of it was last written, in seconds since 1970."""
        return self.folder.stat().st_mtime

    @contextlib.contextmanager
    def heartbeat(self, for_s: float, owner: str) -> Iterator[None]:
        """Renew the lease for as long as the block lasts, from a thread beside it."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(min(for_s / HEARTBEATS, LONGEST_BEAT_S)):
                if self.is_kept():  # what nobody keeps is swept, whoever would like to have it
                    self.renew(for_s, owner)

        self.renew(for_s, owner)
        thread = threading.Thread(target=beat, name=f"lease of {self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def _file(self) -> Path:
        return self.folder / "lease.json"


def place_of(name: str) -> Place:
    """Where a cluster of this installation is kept.

    Raises:
        DeclarationError: it is no name.
    """
    if not _NAME.fullmatch(name):
        raise DeclarationError(
            f"cluster '{name}'", "it is no name", allowed="up to 40 of a-z, 0-9, - and _"
        )
    return Place(_root() / name)


def places() -> list[Place]:
    """All clusters of this installation that there is something of."""
    root = _root()
    return [Place(one) for one in sorted(root.iterdir()) if one.is_dir()] if root.is_dir() else []


def _root() -> Path:
    return Settings.from_environment().home / "clusters"
