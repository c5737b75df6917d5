"""A first declaration for a table that has none: one that the table passes, to be tightened.

Here: what can be seen in the rows of one delivery and is likely to hold for the next.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml_platform.checks.result import counted, single_names
from ml_platform.checks.rules import key_holds, over
from ml_platform.checks.words import Word, as_frame, of_type, plain
from ml_platform.kernel.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_COMPONENT = "ml_platform.components.Checks"
_FEW = 12
"""Up to so many different texts are proposed as the allowed ones, each seen some ten times."""


def propose(table: "pd.DataFrame | pa.Table") -> str:
    """A first schema for a table, as YAML that the same table passes; a person then tightens it.

    Raises:
        DataError: the table has no columns or two of the same name.
    """
    frame = _named(table, "table")
    return _written(_proposed(frame), len(frame))


def propose_checks(key: str, table: "pd.DataFrame | pa.Table") -> str:
    """The same as a whole declaration of `Checks` for the table of this key, ready to paste.

    Raises:
        DataError: the table has no columns or two of the same name.
    """
    frame = _named(table, f"table {key}")
    attributes = {"table": key, "pandera": _proposed(frame)}
    return _written({"type": _COMPONENT, "attributes": attributes}, len(frame))


def _named(table: "pd.DataFrame | pa.Table", subject: str) -> "pd.DataFrame":
    """The table as a frame in which every column has a name of its own."""
    frame, faults = single_names(as_frame(table))
    if faults or frame.columns.empty:
        given = str(faults[0].observed) if faults else "it has no columns"
        raise DataError(subject, given, fix="give each column a name of its own, then propose")
    return frame


def _proposed(frame: "pd.DataFrame") -> dict[str, Any]:
    columns = {name: _propose_column(plain(frame[name])) for name in frame.columns}
    declared: dict[str, Any] = {"columns": columns}
    if key := _propose_key(frame, columns):
        declared["key"] = key
    return declared | {"extra_columns": "forbid"} | ({"min_rows": 1} if len(frame) else {})


def _written(declared: dict[str, Any], rows: int) -> str:
    import yaml

    head = f"# Proposed from {counted(rows, 'row')}: read it, tighten it, describe it.\n"
    body = yaml.safe_dump(declared, sort_keys=False, allow_unicode=True, width=100)
    if yaml.safe_load(body) != declared:  # it leaves line breaks of other alphabets bare
        body = yaml.safe_dump(declared, sort_keys=False, width=100)
    return head + body


def _propose_column(column: "pd.Series[Any]") -> dict[str, Any]:
    missing = float(column.isna().mean()) if len(column) else 0.0
    word = None if column.isna().all() else _word_of(column)
    declared: dict[str, Any] = {"type": word} if word else {}
    if missing or not len(column):
        declared["nullable"] = True
    if 0 < missing < 1:
        # Rounded up with room: the share of the next delivery is not exactly this one's.
        declared["max_missing_share"] = min(1.0, (math.floor(missing * 20) + 2) / 20)
    there = column.dropna()
    if word in ("integer", "number") and bool((there >= 0).all()):
        declared["min"] = 0
    if word == "text" and (few := _few_texts(there)):
        declared["allowed"] = few
    return declared


def _few_texts(there: "pd.Series[Any]") -> list[str]:
    """The different texts, if they are few, each seen often, and plain in a declaration."""
    different = there.nunique()
    if different > _FEW or len(there) < 10 * different:
        return []
    texts = sorted(there.unique())
    return [] if any("{{" in one for one in texts) else texts  # the loader fills in templates


def _word_of(column: "pd.Series[Any]") -> Word | None:
    """The narrowest word that holds for every value, if there is one.

    Whole numbers held as floats are integers only beside missing values, for which pandas made
    them floats; else a price that happens to be whole would be refused its cents tomorrow.
    """
    order: tuple[Word, ...] = ("boolean", "integer", "number", "text", "date", "timestamp")
    for word in order:
        floats = column.dtype.kind == "f" and column.notna().all()
        if bool(of_type(column, word).all()) and not (word == "integer" and floats):
            return word
    return None


def _propose_key(frame: "pd.DataFrame", columns: Mapping[str, Any]) -> list[str]:
    """The first column, or pair of columns, that tells rows apart; measures are not tried."""
    from itertools import combinations

    kinds = ("integer", "text", "date", "timestamp")
    able = [name for name, one in columns.items() if one.get("type") in kinds]
    able = [name for name in able if not columns[name].get("nullable")][:8]
    tried = [[one] for one in able] + [list(pair) for pair in combinations(able, 2)]
    for names in tried if len(frame) > 1 else []:
        holds = over(names, key_holds)
        # The first rows tell most of them apart from a key, at a fraction of the cost.
        if bool(holds(frame.iloc[:10_000]).all()) and bool(holds(frame).all()):
            return names
    return []
