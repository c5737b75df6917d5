"""What a query says, as DuckDB's own parser reads it: the tables that it names, its syntax tree.

Nothing is bound or run here, and no table is looked at.
"""

import atexit
import contextlib
import functools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DeclarationError, Where
from ml_platform.kernel.names import LAYERS, TableKey
from ml_platform.storage import kept_trees
from ml_platform.storage.kept_trees import Tree

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, order=True)
class TableName:
    """A table as SQL names it; `project` is None for one of the same project."""

    project: str | None
    key: TableKey

    def __str__(self) -> str:
        return f"{self.project}.{self.key.layer}.{self.key.name}" if self.project else str(self.key)


def tables_named_in(sql: str, where: Where | None = None) -> list[TableName]:
    """The tables that a query reads, found by DuckDB's own parser, in order of their names.

    Raises:
        DeclarationError: the text is not one SELECT, or names a table without a layer.
    """
    text = _tree_of_one(sql, where)
    found = set()
    for match in _TABLE.finditer(text):
        node, _ = _node_at(text, match.start())
        schema, table = node.get("schema_name"), node["table_name"]
        if schema is None and _is_common(table, text):
            continue
        found.add(_table_name(node.get("catalog_name"), schema, table, where))
    return sorted(found, key=lambda name: (name.project or "", name.key))


# Found in the text of a tree: to make the tree and walk through it takes four times as long. Within
# a string of the query the quotation marks are escaped, so neither is ever found there.
_TABLE = re.compile(r'\{"type":"BASE_TABLE"')
_node_at = json.JSONDecoder().raw_decode


def _is_common(name: str, text: str) -> bool:
    """Whether a WITH clause of this tree has that name."""
    return f'{{"key":{json.dumps(name, ensure_ascii=False)},"value":{{' in text


def _table_name(
    project: str | None, layer: str | None, table: str, where: Where | None
) -> TableName:
    if layer not in LAYERS:
        raise DeclarationError(
            f"table '{'.'.join(part for part in (project, layer, table) if part)}' in SQL",
            f"'{layer}' is no layer" if layer else "its layer is missing",
            allowed=", ".join(f"{layer}.<table>" for layer in LAYERS),
            fix=f"write the layer before the name, like raw.{table}",
            where=where,
        )
    return TableName(project, TableKey(layer, table))


@contextlib.contextmanager
def parsed_together(queries: Iterable[str], kept: Path) -> Iterator[None]:
    """Parse many queries in one call; `tables_named_in` knows them within the block.

    One at a time they take three times as long: most of that is the call and not the parsing. If
    one of them breaks the call, each is parsed when it is asked for, and that one breaks itself.

    Args:
        queries: their texts.
        kept: a file with the trees of the last time; what is not in it is parsed, and put there.
    """
    import duckdb

    texts = dict.fromkeys(queries)
    known = {text: tree for text, tree in kept_trees.read(kept).items() if text in texts}
    if new := [text for text in texts if text not in known]:
        with contextlib.suppress(duckdb.Error):
            known |= zip(new, _serialised(new), strict=True)
            kept_trees.write(kept, known)
    _parsed.update(known)
    try:
        yield
    finally:
        for text in texts:
            _parsed.pop(text, None)


_parsed: dict[str, Tree] = {}


def _serialised(queries: list[str]) -> list[Tree]:
    """What DuckDB makes of these texts."""
    # A cursor of one connection: making a connection costs fifty times a parse.
    with _parser().cursor() as cursor:
        return cursor.execute(
            "SELECT tree, tree ->> '$.error' = 'true', json_array_length(tree, '$.statements')"
            " FROM (SELECT json_serialize_sql(one, skip_null := true, skip_empty := true) AS tree"
            " FROM (SELECT unnest(?::VARCHAR[]) AS one))",
            [queries],
        ).fetchall()


def syntax_tree(sql: str, where: Where | None = None) -> dict[str, Any]:
    """DuckDB's own syntax tree of a query.

    Raises:
        DeclarationError: the text is not one SELECT.
    """
    tree: dict[str, Any] = json.loads(_tree_of_one(sql, where))
    return tree


def _tree_of_one(sql: str, where: Where | None) -> str:
    """The syntax tree as DuckDB writes it, of one SELECT and nothing else."""
    text, is_wrong, statements = _parsed.get(sql) or _serialised([sql])[0]
    if is_wrong:
        raise _syntax_error(sql, json.loads(text), where)
    if statements != 1:
        raise DeclarationError("SQL", f"{statements} statements", allowed="one SELECT", where=where)
    return text


@functools.cache
def _parser() -> "DuckDBPyConnection":
    import duckdb

    # Closed before the interpreter goes, or DuckDB prints pages about what it finds left.
    atexit.register(_parser.cache_clear)
    return duckdb.connect(config={"threads": 1})


def _syntax_error(sql: str, tree: dict[str, Any], where: Where | None) -> DeclarationError:
    given = str(tree.get("error_message", "it cannot be read"))
    if tree.get("error_type") == "not implemented":
        given = "it is not a query"
    if where and tree.get("position"):
        before = sql[: int(tree["position"])]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        where = Where(where.file, line, column)
    return DeclarationError("SQL", given, allowed="one SELECT in DuckDB's SQL", where=where)
