"""Syntax trees on the disk: what the parser made of a project's queries the last time.

DuckDB's parser takes a fifth of the time in which a project loads, and every run loads its project
anew. A tree depends on the query and on DuckDB's version alone, and the file holds both. It may be
removed at any time; what cannot be read or written is parsed again.
"""

import contextlib
import json
import uuid
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

Tree: TypeAlias = tuple[str, bool, int]
"""A syntax tree as JSON, or what is wrong; whether something is; how many statements it has."""


def read(file: Path) -> dict[str, Tree]:
    """The trees of a file by their queries; none from any other file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["duckdb"] != _duckdb():
            return {}
        return {
            str(query): (str(tree), bool(is_wrong), int(statements))
            for query, (tree, is_wrong, statements) in found["trees"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write(file: Path, trees: Mapping[str, Tree]) -> None:
    """Take the old file's place in one step; where nothing can be written, nothing is kept."""
    part = file.with_name(f".{file.name}-{uuid.uuid4().hex[:12]}")
    with contextlib.suppress(OSError):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"duckdb": _duckdb(), "trees": trees}), encoding="utf-8")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


@cache
def _duckdb() -> str:
    return version("duckdb")
