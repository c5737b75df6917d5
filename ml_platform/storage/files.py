"""Where files lie: a local folder or an object store, behind the few verbs that tables need.

A table needs little of a store: list, put in one step, keep a copy, remove, lock. Both kinds
promise the same: a reader sees the old file or the new one, never a half, and what was put survives
the death of the process that put it.
"""

import contextlib
import errno
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ml_platform.kernel.errors import ConflictError, SettingsError, StorageFullError
from ml_platform.kernel.locks import try_lock

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

LOCK_WAIT_S = 60.0
_LEASE_S = 120.0
_STALE_SCRATCH_S = 24 * 3600.0


@dataclass(frozen=True)
class FileInfo:
    """A stored file: its name within its folder, size in bytes and time of writing (UTC)."""

    name: str
    size: int
    modified: datetime


class Files(Protocol):
    """The verbs; paths are relative to the store's root and use `/`."""

    filesystem: "AbstractFileSystem | None"

    def url(self, path: str) -> str:
        """What DuckDB and pyarrow open."""

    def list_files(self, folder: str) -> list[FileInfo]:
        """The visible files of one folder by name; an absent folder has none."""

    def folders(self, folder: str) -> list[str]:
        """The names of the visible folders in one folder."""

    def scratch(self, path: str) -> contextlib.AbstractContextManager[Path]:
        """A local file to write what shall be put at `path`; it is gone afterwards."""

    def put(self, local: Path, path: str) -> None:
        """Move a whole local file to `path`, in one step."""

    def copy(self, path: str, to: str) -> None:
        """Keep the file at `path` under a second name too; silently nothing if it exists there."""

    def remove(self, path: str) -> None:
        """Remove a file; an absent one is fine."""

    def lock(self, folder: str, name: str) -> contextlib.AbstractContextManager[None]:
        """Hold the only right to read, change and write `name` in `folder`."""


def open_files(root: str) -> Files:
    """The store at a folder's path or an fsspec URL such as `s3://bucket/prefix`.

    Raises:
        SettingsError: the URL's kind needs a package that is not installed, or is unknown.
    """
    if "://" not in root or root.startswith("file://"):
        return LocalFiles(Path(root.removeprefix("file://")))
    import fsspec

    try:
        filesystem, prefix = fsspec.core.url_to_fs(root)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"storage root '{root}'",
            str(error),
            allowed="a folder, or a URL that fsspec knows (s3://, gs://, abfs://)",
            fix="install the store's package, for S3: pip install 'ml-platform[s3]'",
        ) from error
    return ObjectFiles(filesystem, prefix.rstrip("/"))


@contextlib.contextmanager
def full_disk_is_told(what: str) -> Iterator[None]:
    """Turn 'no space left', from the system or DuckDB, into an error that says what to do."""
    try:
        yield
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        if full or "No space left on device" in str(error):
            raise StorageFullError(
                what,
                "no space is left on the device; what was there before is untouched",
                fix="free some space (older versions are kept under .versions), then run again",
            ) from error
        raise


class LocalFiles:
    """A folder of this machine, or one that is mounted on it."""

    filesystem = None

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def url(self, path: str) -> str:
        """The file's absolute path."""
        return str(self._root / path)

    def list_files(self, folder: str) -> list[FileInfo]:
        """The visible files of one folder by name."""
        found = []
        for entry in self._entries(folder):
            # A file that a writer replaces at this moment is listed by what takes its place.
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file():
                    stat = entry.stat()
                    moment = datetime.fromtimestamp(stat.st_mtime, tz=UTC)
                    found.append(FileInfo(entry.name, stat.st_size, moment))
        return found

    def folders(self, folder: str) -> list[str]:
        """The names of the visible folders in one folder."""
        return [entry.name for entry in self._entries(folder) if entry.is_dir()]

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / folder) as entries:
                visible = [entry for entry in entries if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(visible, key=lambda entry: entry.name)

    @contextlib.contextmanager
    def scratch(self, path: str) -> Iterator[Path]:
        """A hidden file in the folder of `path`: on the same disk, so that `put` is one rename."""
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        local = target.parent / f".scratch-{os.getpid()}-{uuid.uuid4().hex[:12]}.parquet"
        try:
            yield local
        finally:
            local.unlink(missing_ok=True)

    def put(self, local: Path, path: str) -> None:
        """Rename over the old file, once the new one's bytes are on the disk."""
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _flush(local, os.O_RDONLY)
        local.replace(target)
        _flush(target.parent, os.O_RDONLY | os.O_DIRECTORY)

    def copy(self, path: str, to: str) -> None:
        """A hard link: no bytes are copied, and `put` leaves the old file to it."""
        target = self._root / to
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._root / path, target)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.EMLINK}:
                raise
            _copy_whole(self._root / path, target)

    def remove(self, path: str) -> None:
        """Remove a file; an absent one is fine."""
        (self._root / path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, folder: str, name: str) -> Iterator[None]:
        """An advisory lock that the system lets go when its holder dies."""
        path = self._root / folder / f".lock-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            _wait_for(lambda: try_lock(handle), f"{folder}/{name}")
            yield


def _wait_for(attempt: Any, what: str) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while not attempt():
        if time.monotonic() > deadline:
            raise ConflictError(
                what,
                f"another process has been writing it for {LOCK_WAIT_S:.0f} s",
                fix="wait for the other run, or give both a pool with one slot",
            )
        time.sleep(0.05)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_whole(source: Path, target: Path) -> None:
    """Copy on a file system that has no hard links, so that `target` appears whole."""
    part = target.with_name(f".scratch-{uuid.uuid4().hex[:12]}")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove the scratch files of writers that were killed more than a day ago."""
    oldest = time.time() - _STALE_SCRATCH_S
    for left in folder.glob(".scratch-*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < oldest:
                left.unlink()


class ObjectFiles:
    """A bucket, or a prefix of one, through fsspec."""

    def __init__(self, filesystem: "AbstractFileSystem", prefix: str) -> None:
        self.filesystem = filesystem
        self._prefix = prefix

    def _at(self, path: str) -> str:
        return f"{self._prefix}/{path}"

    def url(self, path: str) -> str:
        """The object's URL."""
        return str(self.filesystem.unstrip_protocol(self._at(path)))

    def list_files(self, folder: str) -> list[FileInfo]:
        """The visible objects directly under one prefix by name."""
        return [
            FileInfo(name, int(entry["size"]), _moment(entry))
            for name, entry in self._entries(folder)
            if entry["type"] == "file"
        ]

    def folders(self, folder: str) -> list[str]:
        """The names of the visible prefixes directly under one prefix."""
        return [name for name, entry in self._entries(folder) if entry["type"] == "directory"]

    def _entries(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        try:
            entries = self.filesystem.ls(self._at(folder), detail=True, refresh=True)
        except FileNotFoundError:
            return []
        named = [(entry["name"].rstrip("/").rpartition("/")[2], entry) for entry in entries]
        return sorted((pair for pair in named if not pair[0].startswith(".")), key=lambda p: p[0])

    @contextlib.contextmanager
    def scratch(self, path: str) -> Iterator[Path]:
        """A file in this machine's temporary folder."""
        with tempfile.TemporaryDirectory(prefix="ml-platform-") as folder:
            yield Path(folder) / path.rpartition("/")[2]

    def put(self, local: Path, path: str) -> None:
        """Upload a finished file: the store shows it when it has all of it."""
        self.filesystem.put_file(str(local), self._at(path))

    def copy(self, path: str, to: str) -> None:
        """A copy within the store."""
        if not self.filesystem.exists(self._at(to)):
            self.filesystem.cp_file(self._at(path), self._at(to))

    def remove(self, path: str) -> None:
        """Remove an object; an absent one is fine."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(self._at(path))

    @contextlib.contextmanager
    def lock(self, folder: str, name: str) -> Iterator[None]:
        """A lease: an object that only one writer can create, and that runs out.

        It rests on conditional writes (`If-None-Match: *`), which S3 and its like offer.
        """
        path = self._at(f"{folder}/.lock-{name}")
        _wait_for(lambda: self._try_lease(path), f"{folder}/{name}")
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                self.filesystem.rm_file(path)

    def _try_lease(self, path: str) -> bool:
        try:
            self.filesystem.pipe_file(path, str(time.time() + _LEASE_S).encode(), mode="create")
        except FileExistsError:
            self._drop_expired(path)
            return False
        return True

    def _drop_expired(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            if float(self.filesystem.cat_file(path)) < time.time():
                self.filesystem.rm_file(path)


def _moment(entry: dict[str, Any]) -> datetime:
    found = entry.get("LastModified") or entry.get("mtime") or entry.get("created")
    if isinstance(found, datetime):
        return found.astimezone(UTC)
    return datetime.fromtimestamp(float(found or 0), tz=UTC)
