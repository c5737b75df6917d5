"""What one look leaves: a fingerprint that fits in a cursor, and a sentence for people."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_SIZE = 16
_MODULUS = 1 << (8 * _SIZE)


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        parts: a fingerprint of each watched thing, in the order of the declaration.
        account: what was seen, to be read by a person.
        params: what a run that starts for it gets besides, by name; plain values.
        known: where given, what the last run knew is this from now on; for what grows without end.
    """

    parts: tuple[str, ...]
    account: str
    params: Mapping[str, Any] = field(default_factory=dict)
    known: str | None = None


@dataclass
class Tally:
    """A fingerprint of many things in any order, and the newest of them.

    The hashes of the things are added up, so that a hundred thousand need neither be kept nor
    sorted, and come to 32 characters.
    """

    count: int = 0
    size: int = 0
    newest: str = ""
    newest_at: float = 0.0
    _sum: int = field(default=0, repr=False)

    def add(self, name: str, size: int, at: float, stamp: str) -> None:
        """Count a thing; `stamp` is what tells whether it changed."""
        mixed = hashlib.blake2b(f"{name}\0{size}\0{stamp}".encode("utf-8", "surrogateescape"),
                                digest_size=_SIZE)  # fmt: skip
        self._sum = (self._sum + int.from_bytes(mixed.digest(), "big")) % _MODULUS
        self.count, self.size = self.count + 1, self.size + size
        if (at, name) > (self.newest_at, self.newest):
            self.newest, self.newest_at = name, at

    @property
    def fingerprint(self) -> str:
        """The same for the same things, in whatever order they came."""
        return f"{self._sum:0{2 * _SIZE}x}"

    def sentence(self, what: str) -> str:
        """How many, how large, and which is the newest."""
        if not self.count:
            return f"{what}: nothing there"
        at = datetime.fromtimestamp(self.newest_at, tz=UTC)
        files = "1 file" if self.count == 1 else f"{self.count:,} files"
        newest = self.newest.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return (
            f"{what}: {files}, {self.size:,} bytes, newest {newest} of {at:%Y-%m-%d %H:%M:%S} UTC"
        )


def gathered(handled: str | None, looked: Look, *, need_all: bool) -> str:
    """The fingerprint of all watched things together.

    With `need_all`, a change does not count as one before each of them has changed since the last
    run; until then the fingerprint is the one that this run knew.
    """
    known = handled.split(",") if handled else []
    if need_all and handled and len(known) == len(looked.parts):
        pairs = zip(known, looked.parts, strict=True)
        if any(before == now for before, now in pairs):
            return handled
    return ",".join(looked.parts)
