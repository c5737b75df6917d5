"""The channel that needs no server: each message is a page and a JSON file in a folder."""

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import Field

from ml_platform.alerts.channels.base import Declared, not_delivered, readable
from ml_platform.alerts.channels.channel import Receipt
from ml_platform.alerts.channels.letter import html
from ml_platform.alerts.message import Attachment, Message
from ml_platform.kernel.clock import system_clock
from ml_platform.kernel.environment import resolve
from ml_platform.kernel.errors import RetryableError, StorageFullError
from ml_platform.kernel.settings import Settings

_FULL = {errno.ENOSPC, errno.EDQUOT}


class FolderChannel(Declared):
    """Files for a person to open, on the machine where the platform runs."""

    type: Literal["folder"] = Field("folder", description="A folder of this machine.")
    folder: str = Field(
        "alerts/inbox", description="Where the files go; a path that begins at ML_PLATFORM_HOME."
    )
    keep: int = Field(1000, ge=1, description="How many messages stay; the oldest go first.")

    @property
    def path(self) -> Path:
        """The folder; it need not exist yet."""
        return Settings.from_environment().home / resolve(self.folder, self.subject)

    def _shown(self, message: Message) -> str:
        return readable(as_fields(message))

    def _send(self, message: Message, key: str, thread: str) -> Receipt:
        folder = self.path
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = _name_of(key, folder)
            _write(folder / f"{name}.html", html(message, self.zone))
            # The JSON file is the last: who sees it may open the page.
            _write(folder / f"{name}.json", readable({"key": key, **as_fields(message)}))
            self._forget_the_oldest(folder)
        except OSError as error:
            raise self._told(error, folder) from error
        return Receipt(id=name, thread=thread or name)

    def _told(self, error: OSError, folder: Path) -> RetryableError:
        given = f"{folder} cannot be written: {error.strerror}"
        if error.errno in _FULL:
            return StorageFullError(self.subject, given, fix="make room there")
        return not_delivered(self.subject, given, fix="make it writable")

    def _forget_the_oldest(self, folder: Path) -> None:
        names = sorted(one.stem for one in folder.glob("*Z_*.json"))
        for name in names[: -self.keep]:
            (folder / f"{name}.json").unlink(missing_ok=True)
            (folder / f"{name}.html").unlink(missing_ok=True)


def as_fields(message: Message) -> dict[str, Any]:
    """The message's fields that say something, as JSON takes them; files are named only."""
    return dict(_told_fields(message))


def _told_fields(message: Message) -> Iterator[tuple[str, Any]]:
    for one in fields(message):
        value = getattr(message, one.name)
        if value not in (None, "", ()):
            yield one.name, _as_json_value(value)


def _as_json_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json_value(one) for one in value]
    if isinstance(value, Message):
        return as_fields(value)
    if isinstance(value, Attachment):
        return {"name": value.name, "media_type": value.media_type, "bytes": len(value.content)}
    return value.isoformat() if isinstance(value, datetime) else value


def _name_of(key: str, folder: Path) -> str:
    """The file's name without its ending: the time of the first attempt and the key."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", key).strip("-")[:60]
    mark = f"{words}_{hashlib.sha256(key.encode()).hexdigest()[:12]}".lstrip("_")
    known = sorted(folder.glob(f"*Z_{mark}.*"))
    return known[0].stem if known else f"{system_clock():%Y-%m-%dT%H%M%S.%f}Z_{mark}"


def _write(path: Path, text: str) -> None:
    """The file in one step; who reads sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
