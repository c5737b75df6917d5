"""How things are called: layers, table keys, paths. docs/names.md is the one-page grammar."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote

from ml_platform.kernel.errors import DeclarationError, closest

LAYERS = ("raw", "features", "models", "predictions", "reports")
"""The first part of every asset key, in the order in which data flows."""

_WORD = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, order=True)
class TableKey:
    """The two parts of an asset key: `raw/sales` is layer `raw`, name `sales`."""

    layer: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `layer/name`.

        Raises:
            DeclarationError: the text is not a known layer and a lower-case name.
        """
        layer, slash, name = text.partition("/")
        if not slash or not _WORD.fullmatch(name):
            raise DeclarationError(
                f"key '{text}'",
                "a key has two parts, layer and name, in lower case",
                allowed="<layer>/<name>, the name of letters, digits and _",
                fix="write it like raw/sales",
            )
        if layer not in LAYERS:
            raise DeclarationError(
                f"key '{text}'", f"'{layer}' is no layer", allowed=closest(layer, list(LAYERS))
            )
        return cls(layer, name)

    @property
    def parts(self) -> tuple[str, str]:
        """Layer and name, as Dagster's asset keys take them."""
        return (self.layer, self.name)

    def __str__(self) -> str:
        return f"{self.layer}/{self.name}"


def file_stem(partition: str | None) -> str:
    """The file name, without ending, of a partition: any key becomes one safe name.

    >>> file_stem(None), file_stem("2010-02-05"), file_stem("eu/west|2010")
    ('table', '2010-02-05', 'eu%2Fwest%7C2010')
    """
    if partition is None:
        return "table"
    quoted = quote(partition, safe="-_+:")
    # A leading dot would hide the file and "table" is the unpartitioned one's name.
    return f"%{ord(quoted[0]):02X}{quoted[1:]}" if quoted[0] == "." or quoted == "table" else quoted


def partition_of(stem: str) -> str | None:
    """The partition that `file_stem` made this stem of."""
    return None if stem == "table" else unquote(stem)
