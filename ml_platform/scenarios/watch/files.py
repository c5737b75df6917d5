"""Files and folders, on this machine or in an object store, as a fingerprint.

Names that begin with a dot are left out: writers put what is not finished there.
"""

import fnmatch
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ml_platform.kernel.environment import resolve
from ml_platform.kernel.errors import NotFoundError, SettingsError, UnavailableError
from ml_platform.scenarios.watch.look import Look, Tally

_CHUNK = 1 << 20


class Found(NamedTuple):
    """A file: its name below what is watched, bytes, time in seconds, and what tells a change."""

    name: str
    size: int
    modified: float
    stamp: str


def look_at_files(
    paths: list[str],
    pattern: str = "*",
    by: Literal["times", "contents"] = "times",
    marker: str | None = None,
) -> Look:
    """Look at each path: a file, or all files below a folder.

    Args:
        paths: on this machine, or URLs such as `s3://bucket/folder`; they may hold `${NAME}`.
        pattern: which names count, like `*.csv`.
        by: whether names, sizes and times tell a change, or names and contents.
        marker: the name of a file in each folder; it alone counts, and what else changes does not.

    Raises:
        NotFoundError: neither the path nor the folder that would hold it exists.
        UnavailableError: the store does not answer, or a folder may not be read.
        SettingsError: no such kind of store is installed, or a variable is not set.
    """
    tallies = []
    for path in paths:
        place = resolve(path, f"path {path}")
        tally = Tally()
        for one in _files(place, path, with_contents=by == "contents"):
            base = one.name.rpartition("/")[2]
            if base == marker if marker else fnmatch.fnmatch(base, pattern):
                tally.add(one.name, one.size, one.modified, one.stamp)
        tallies.append((path if marker is None else f"{path}, marker {marker}", tally))
    account = "; ".join(tally.sentence(what) for what, tally in tallies)
    return Look(tuple(tally.fingerprint for _, tally in tallies), account)


def _files(place: str, shown: str, *, with_contents: bool) -> Iterator[Found]:
    """The files of a path; `shown` is how messages call it."""
    is_local = "://" not in place or place.startswith("file://")
    try:
        if is_local:
            yield from _local(Path(place.removeprefix("file://")), with_contents=with_contents)
        else:
            yield from _remote(place, with_contents=with_contents)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"path {shown}", "neither it nor the folder that would hold it is there",
            fix="make the folder, or correct the path",
        ) from error  # fmt: skip
    except OSError as error:
        raise UnavailableError(f"path {shown}", str(error), fix="it is looked at again") from error


def _local(path: Path, *, with_contents: bool) -> Iterator[Found]:
    if path.is_dir():
        yield from _below(str(path), "", with_contents=with_contents)
    elif path.exists():
        with suppress(FileNotFoundError):  # gone in this moment, so it is not there
            yield _found(path.name, str(path), path.stat(), with_contents=with_contents)
    elif not path.parent.is_dir():
        raise FileNotFoundError(path)


def _below(folder: str, prefix: str, *, with_contents: bool) -> Iterator[Found]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            with suppress(FileNotFoundError):  # moved away since the folder was read
                if entry.is_dir():
                    name = f"{prefix}{entry.name}/"
                    yield from _below(entry.path, name, with_contents=with_contents)
                else:
                    name = f"{prefix}{entry.name}"
                    stat = entry.stat()
                    yield _found(name, entry.path, stat, with_contents=with_contents)


def _found(name: str, path: str, stat: os.stat_result, *, with_contents: bool) -> Found:
    stamp = str(stat.st_mtime_ns)
    if with_contents:
        with Path(path).open("rb") as opened:
            stamp = _digest(opened)
    return Found(name, stat.st_size, stat.st_mtime, stamp)


def _digest(opened: Any) -> str:
    mixed = hashlib.blake2b(digest_size=16)
    while chunk := opened.read(_CHUNK):
        mixed.update(chunk)
    return mixed.hexdigest()


def _remote(url: str, *, with_contents: bool) -> Iterator[Found]:
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"path {url}", str(error), allowed="a path, or a URL that fsspec knows (s3://, gs://)",
            fix="install the store's package, for S3: pip install 'ml-platform[s3]'",
        ) from error  # fmt: skip
    filesystem.invalidate_cache()
    _see_container(filesystem, root)
    for path, entry in sorted(filesystem.find(root, detail=True).items()):
        name = path.removeprefix(root.rstrip("/")).lstrip("/") or path.rpartition("/")[2]
        if any(part.startswith(".") for part in name.split("/")):
            continue
        at = _seconds(entry)
        stamp = f"{entry.get('ETag', '')}{at}"
        if with_contents:
            with filesystem.open(path, "rb") as opened:
                stamp = _digest(opened)
        yield Found(name, int(entry["size"]), at, stamp)


def _see_container(filesystem: Any, root: str) -> None:
    """A prefix without objects is an empty folder; a bucket that is not there is a mistake."""
    bucket = root.strip("/").partition("/")[0]
    if not filesystem.exists(bucket):
        raise FileNotFoundError(bucket)


def _seconds(entry: dict[str, Any]) -> float:
    at = entry.get("LastModified") or entry.get("mtime") or entry.get("created") or 0
    return at.timestamp() if isinstance(at, datetime) else float(at)
