"""Which columns of which tables each column of a query is made of, read from DuckDB's syntax tree.

A column's sources are the columns that its values are computed of. What only decides which rows
there are (WHERE, JOIN ON, GROUP BY) is no source, except in a subquery that stands as a value,
where it decides the value. What cannot be decided is left out and never guessed: the columns of a
table function, a name that two tables have, `COLUMNS(...)` and whatever this does not know.

The query is taken to be one that DuckDB has bound: where a name could be meant in one known way
alone, it is meant so.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ml_platform.kernel.names import TableKey
from ml_platform.storage.syntax import TableName, syntax_tree

Source: TypeAlias = tuple[TableName, str]
"""A column of a stored table."""

Sources: TypeAlias = frozenset[Source] | None
"""What a value is made of; None where that cannot be decided."""

_Node: TypeAlias = dict[str, Any]

_NOTHING: Sources = frozenset()

_ONE_COLUMN_FUNCTIONS = {"unnest", "range", "generate_series"}
"""The table functions whose one column is made of their arguments alone."""

_CONSTANT_NAMES = {
    *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    *("current_catalog", "current_schema", "current_user", "current_role", "session_user", "user"),
}
"""What reads like a column and is a function, where no column has the name."""


def column_lineage(
    sql: str,
    columns_of: Mapping[TableName, Sequence[str]],
    names: Sequence[str] | None = None,
) -> dict[str, list[Source]]:
    """The sources of each output column of a SELECT, for those that can be traced.

    Args:
        sql: one SELECT that DuckDB has accepted.
        columns_of: the columns of the tables that it reads, in their order.
        names: the output columns as DuckDB calls them, where they are known. Then columns without
            an alias, like `sum(x)`, are traced too, and if the names are not those that were
            expected, nothing is told.

    Returns:
        The sources in the order of their tables' names; a constant has none. Columns that cannot
        be traced are absent.

    Raises:
        DeclarationError: the text is not one SELECT.
    """
    known = tuple((table, tuple(columns)) for table, columns in columns_of.items())
    return {
        name: sorted(sources, key=lambda source: (str(source[0]), source[1]))
        for name, sources in _traced(sql, known, None if names is None else tuple(names))
    }


# A partitioned table runs the same query for each of its partitions.
@functools.lru_cache(maxsize=64)
def _traced(
    sql: str,
    columns_of: tuple[tuple[TableName, tuple[str, ...]], ...],
    names: tuple[str, ...] | None,
) -> list[tuple[str, frozenset[Source]]]:
    try:
        node = syntax_tree(sql)["statements"][0]["node"]
        result = _rows_of(node, _Scope(tables=dict(columns_of)))
    except (RecursionError, KeyError):
        # An expression of some hundred nested terms, or the tree of another version of DuckDB.
        return []
    columns = _called(result, names)
    return [(name, sources) for name, sources in columns if sources is not None]


def _called(result: "_Rows", names: tuple[str, ...] | None) -> list[tuple[str, Sources]]:
    """The result's columns by the names that they have in the written table."""
    ours = [column.name for column in result.columns]
    if names is None or result.is_open:
        allowed = names if names is not None else [name for name in ours if name]
        return [
            (name, result.columns[ours.index(name)].sources)
            for name in dict.fromkeys(allowed)
            if ours.count(name) == 1
        ]
    agreed = len(ours) == len(names) and all(
        mine is None or mine.lower() == name.lower() for mine, name in zip(ours, names, strict=True)
    )
    if not agreed:
        return []
    return [(name, c.sources) for name, c in zip(names, result.columns, strict=True)]


@dataclass(frozen=True)
class _Column:
    """A column of some rows: `name` is None where DuckDB makes one up, `owner` is its table's."""

    name: str | None
    sources: Sources
    owner: str = ""

    def is_called(self, name: str) -> bool:
        return self.name is not None and self.name.lower() == name.lower()


@dataclass(frozen=True)
class _Rows:
    """What a query gives, or what stands in FROM.

    Attributes:
        columns: what `*` gives, in its order.
        is_open: whether there are more columns, or other ones, that are not known.
        decided_by: what decides which rows there are.
    """

    columns: tuple[_Column, ...] = ()
    is_open: bool = False
    decided_by: Sources = _NOTHING

    def everything(self) -> Sources:
        """What decides on values or rows."""
        if self.is_open:
            return None
        return _union([self.decided_by, *(column.sources for column in self.columns)])


_UNKNOWN = _Rows(is_open=True, decided_by=None)


@dataclass(frozen=True)
class _Relation:
    """A table as expressions call it: `path` is catalog, schema and name, as far as written."""

    path: tuple[str, ...]
    rows: _Rows

    def is_called(self, path: Sequence[str]) -> bool:
        return tuple(part.lower() for part in path) == self.path[-len(path) :]


@dataclass(frozen=True)
class _From:
    """A FROM clause: its tables by name, and what stands unqualified."""

    rows: _Rows = _Rows()
    relations: tuple[_Relation, ...] = ()


@dataclass(frozen=True)
class _Scope:
    """What the names in an expression may mean: the innermost first."""

    tables: Mapping[TableName, Sequence[str]]
    common: Mapping[str, _Rows] = field(default_factory=dict)
    here: _From = _From()
    aliases: Mapping[str, Sources] = field(default_factory=dict)
    outer: "_Scope | None" = None

    def within(self, here: _From) -> "_Scope":
        """The scope of what stands inside: it sees `here` first, then all of this."""
        return _Scope(self.tables, self.common, here, {}, self)


def _union(all_sources: Iterable[Sources]) -> Sources:
    found: set[Source] = set()
    for sources in all_sources:
        if sources is None:
            return None
        found |= sources
    return frozenset(found)


# Queries


def _rows_of(node: _Node, scope: _Scope) -> _Rows:
    """What a query node gives."""
    scope = _with_common(node, scope)
    if node["type"] == "SELECT_NODE":
        return _select(node, scope)
    if node["type"] == "SET_OPERATION_NODE" and "children" in node:
        return _set_operation(node, scope)
    if node["type"] == "RECURSIVE_CTE_NODE":
        return _recursive(node, scope)
    return _UNKNOWN


def _with_common(node: _Node, scope: _Scope) -> _Scope:
    """The scope with what the query's WITH names; each sees those before it."""
    for entry in node.get("cte_map", {}).get("map", []):
        body = entry["value"]
        rows = _renamed(_rows_of(body["query_node"], scope), body.get("aliases", []))
        scope = replace(scope, common={**scope.common, entry["key"].lower(): rows})
    return scope


def _select(node: _Node, scope: _Scope) -> _Rows:
    here = _from(node["from_table"], scope)
    inside = scope.within(here)
    aliases: dict[str, Sources] = {}
    columns: list[_Column] = []
    is_open = False
    for item in node["select_list"]:
        given = _item(item, replace(inside, aliases=aliases))
        columns.extend(given.columns)
        is_open |= given.is_open
        if "alias" in item and given.columns:
            aliases[item["alias"].lower()] = given.columns[0].sources  # the last one counts
    clauses = {k: v for k, v in node.items() if k not in {"select_list", "from_table", "cte_map"}}
    deciding = _sources(clauses, replace(inside, aliases=aliases))
    return _Rows(tuple(columns), is_open, _union([here.rows.decided_by, deciding]))


def _item(item: _Node, scope: _Scope) -> _Rows:
    """The columns that one expression of a select list stands for."""
    if item["class"] == "STAR" and not item.get("columns") and "expr" not in item:
        return _star(item, scope)
    if _has_star(item):
        # Made for columns that a pattern chooses. An alias may hold a placeholder of it.
        return _Rows((_Column(item["alias"], None),) if "alias" in item else (), is_open=True)
    name = item.get("alias")
    if name is None and item.get("function_name", "").lower() == "unnest":
        return _Rows(is_open=True)  # of a structure it gives its fields
    if name is None and item["class"] == "COLUMN_REF":
        name = item["column_names"][-1]
    return _Rows((_Column(name, _sources(item, scope)),))


def _has_star(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_has_star, node))
    if not isinstance(node, dict) or node.get("class") == "SUBQUERY":
        return False
    return node.get("class") == "STAR" or any(map(_has_star, node.values()))


def _star(item: _Node, scope: _Scope) -> _Rows:
    rows = scope.here.rows
    if "relation_name" in item:
        named = [r for r in scope.here.relations if r.is_called([item["relation_name"]])]
        rows = named[0].rows if len(named) == 1 else _Rows(is_open=True)
    kept = [column for column in rows.columns if not _is_excluded(column, item)]
    columns = tuple(_changed(column, item, scope) for column in kept)
    return _Rows(columns, rows.is_open)


def _is_excluded(column: _Column, item: _Node) -> bool:
    return any(map(column.is_called, item.get("exclude_list", []))) or any(
        _is_meant(one, column) for one in item.get("qualified_exclude_list", [])
    )


def _is_meant(name: _Node, column: _Column) -> bool:
    owner = name.get("table", column.owner)
    return column.is_called(name["column"]) and owner.lower() == column.owner.lower()


def _changed(column: _Column, item: _Node, scope: _Scope) -> _Column:
    """The column as REPLACE and RENAME of a star leave it."""
    for one in item.get("replace_list", []):
        if column.is_called(one["key"]):
            column = replace(column, sources=_sources(one["value"], scope))
    for one in item.get("rename_list", []):
        if _is_meant(one["key"], column):
            return replace(column, name=one["value"])
    return column


def _set_operation(node: _Node, scope: _Scope) -> _Rows:
    parts = [_rows_of(child, scope) for child in node["children"]]
    deciding = _union(part.decided_by for part in parts)
    if any(part.is_open for part in parts):
        return _Rows(is_open=True, decided_by=deciding)
    if node["setop_type"] == "UNION_BY_NAME":
        return _by_name(parts, deciding)
    if node["setop_type"] == "UNION":
        return _by_position(parts, deciding)
    # EXCEPT and INTERSECT give rows of the first; the others decide which.
    return replace(parts[0], decided_by=_union(part.everything() for part in parts))


def _by_position(parts: Sequence[_Rows], deciding: Sources) -> _Rows:
    if len({len(part.columns) for part in parts}) > 1:
        return _UNKNOWN
    columns = (
        replace(first, sources=_union(column.sources for column in (first, *others)))
        for first, *others in zip(*(part.columns for part in parts), strict=True)
    )
    return _Rows(tuple(columns), decided_by=deciding)


def _by_name(parts: Sequence[_Rows], deciding: Sources) -> _Rows:
    found: dict[str, _Column] = {}
    for column in (column for part in parts for column in part.columns):
        if column.name is None:
            return _Rows(is_open=True, decided_by=deciding)
        name = column.name.lower()
        before = found.get(name, replace(column, sources=_NOTHING))
        found[name] = replace(before, sources=_union([before.sources, column.sources]))
    return _Rows(tuple(found.values()), decided_by=deciding)


def _recursive(node: _Node, scope: _Scope) -> _Rows:
    """The rows that a recursive query begins with, and what each round makes of them."""
    rows = _renamed(_rows_of(node["left"], scope), node.get("aliases", []))
    while True:
        common = {**scope.common, node["cte_name"].lower(): rows}
        added = _rows_of(node["right"], replace(scope, common=common))
        if rows.is_open or added.is_open:
            return _UNKNOWN
        deciding = _union([rows.decided_by, added.decided_by])
        more = _by_position([rows, added], deciding)
        if more == rows:
            return rows
        rows = more


# FROM


def _from(node: _Node, scope: _Scope) -> _From:
    """What a FROM clause offers; `scope` is what is seen from it."""
    if node["type"] == "EMPTY":
        return _From()
    offer = _OFFERS.get(node["type"])
    return offer(node, scope) if offer else _From(_UNKNOWN)


def _table(node: _Node, scope: _Scope) -> _From:
    path = [node.get(part) for part in ("catalog_name", "schema_name", "table_name")]
    return _named(node, _base(node, scope), [part for part in path if part])


def _subquery(node: _Node, scope: _Scope) -> _From:
    return _named(node, _rows_of(node["subquery"]["node"], scope), [])


def _named(node: _Node, rows: _Rows, path: Sequence[str]) -> _From:
    """Rows under the name that expressions call them by."""
    path = [node["alias"]] if "alias" in node else path
    owner = path[-1] if path else ""
    rows = _renamed(rows, node.get("column_name_alias", []))
    rows = replace(rows, columns=tuple(replace(c, owner=owner) for c in rows.columns))
    relation = _Relation(tuple(part.lower() for part in path), rows)
    return _From(rows, (relation,) if path else ())


def _renamed(rows: _Rows, names: Sequence[str]) -> _Rows:
    """The rows with these names for their first columns, and no name twice.

    DuckDB calls the second `x` of a subquery `x_1`.
    """
    columns = [
        replace(column, name=name) for column, name in zip(rows.columns, names, strict=False)
    ]
    seen: dict[str, int] = {}
    unique = []
    for column in (*columns, *rows.columns[len(columns) :]):
        lower = (column.name or "").lower()
        count = seen[lower] = seen.get(lower, -1) + 1
        name = f"{column.name}_{count}" if column.name and count else column.name
        unique.append(replace(column, name=name))
    if rows.is_open and names:  # which columns come first is not known
        return replace(rows, columns=())
    return replace(rows, columns=tuple(unique))


def _base(node: _Node, scope: _Scope) -> _Rows:
    schema, table = node.get("schema_name"), node["table_name"]
    if schema is None:
        return scope.common.get(table.lower(), _UNKNOWN)
    name = TableName(node.get("catalog_name"), TableKey(schema, table))
    if name not in scope.tables:
        return _UNKNOWN
    return _Rows(tuple(_Column(c, frozenset([(name, c)])) for c in scope.tables[name]))


def _table_function(node: _Node, scope: _Scope) -> _From:
    function = node["function"]
    name = function["function_name"].lower()
    arguments = function.get("arguments", [])
    has_one_column = (
        name in _ONE_COLUMN_FUNCTIONS
        and node.get("with_ordinality") == "WITHOUT_ORDINALITY"
        and not any("name" in argument for argument in arguments)
    )
    if not has_one_column:
        return _named(node, _UNKNOWN, [name])
    sources = _sources(arguments, scope)
    column = _Column(node.get("alias", name), sources)
    return _named(node, _Rows((column,), decided_by=sources), [name])


def _values(node: _Node, scope: _Scope) -> _From:
    columns = (_sources(list(values), scope) for values in zip(*node["values"], strict=True))
    rows = _Rows(tuple(_Column(f"col{n}", sources) for n, sources in enumerate(columns)))
    return _named(node, rows, [])


def _join(node: _Node, scope: _Scope) -> _From:
    left = _from(node["left"], scope)
    right = _from(node["right"], scope.within(left))  # which may be lateral
    keys = node.get("using_columns", [])
    if node["ref_type"] == "NATURAL":
        if left.rows.is_open or right.rows.is_open:
            return _From(_UNKNOWN)
        theirs = {(column.name or "").lower() for column in right.rows.columns}
        keys = [c.name for c in left.rows.columns if c.name and c.name.lower() in theirs]
    columns = _joined(left.rows.columns, right.rows.columns, keys, node["join_type"])
    relations = (*left.relations, *right.relations)
    is_open = left.rows.is_open or right.rows.is_open
    both = _From(_Rows((*left.rows.columns, *right.rows.columns), is_open), relations)
    deciding = _union(
        [
            left.rows.decided_by,
            right.rows.decided_by,
            _sources(node.get("condition"), scope.within(both)),
            *(c.sources for c in both.rows.columns if any(map(c.is_called, keys))),
        ]
    )
    if node["join_type"] in {"SEMI", "ANTI"}:
        return _From(replace(left.rows, decided_by=deciding), left.relations)
    return _From(_Rows(columns, is_open, deciding), relations)


def _joined(
    left: tuple[_Column, ...], right: tuple[_Column, ...], keys: Sequence[str], join_type: str
) -> tuple[_Column, ...]:
    """What `*` gives of a join: a key of USING once, where the left table has it."""

    def merged(column: _Column) -> _Column:
        if not any(map(column.is_called, keys)):
            return column
        other = next((c for c in right if c.is_called(column.name or "")), None)
        theirs = other.sources if other else None
        if join_type == "RIGHT":
            return replace(column, sources=theirs)
        if join_type == "FULL":
            return replace(column, sources=_union([column.sources, theirs]))
        return column

    rest = (column for column in right if not any(map(column.is_called, keys)))
    return (*map(merged, left), *rest)


_OFFERS: dict[str, Callable[[_Node, _Scope], _From]] = {
    "BASE_TABLE": _table,
    "SUBQUERY": _subquery,
    "JOIN": _join,
    "TABLE_FUNCTION": _table_function,
    "EXPRESSION_LIST": _values,
}


# Expressions


def _sources(node: Any, scope: _Scope) -> Sources:
    """What an expression, or a part of the tree with expressions in it, is made of."""
    if isinstance(node, list):
        return _union([_sources(one, scope) for one in node if isinstance(one, dict | list)])
    if not isinstance(node, dict):
        return _NOTHING
    meaning = _MEANINGS.get(node.get("class", ""))
    return meaning(node, scope) if meaning else _sources(list(node.values()), scope)


def _value_of_subquery(node: _Node, scope: _Scope) -> Sources:
    inner = _rows_of(node["subquery"]["node"], scope).everything()
    return _union([inner, _sources(node.get("child"), scope)])


def _lambda(node: _Node, scope: _Scope) -> Sources:
    """What the body adds; its parameters are elements of what stands beside it."""
    if node.get("syntax_type") != "LAMBDA_KEYWORD":  # an arrow takes a field out of JSON
        return _sources([node["lhs"], node["expr"]], scope)
    given = node["lhs"]
    if given["class"] != "COLUMN_REF":
        given = [argument["expression"] for argument in given["arguments"]]
    names = [one["column_names"][-1] for one in (given if isinstance(given, list) else [given])]
    parameters = tuple(_Column(name, _NOTHING) for name in names)
    return _sources(node["expr"], scope.within(_From(_Rows(parameters))))


def _meaning(parts: Sequence[str], scope: _Scope) -> Sources:
    """What a name is made of: the first thing that it can mean, from the inside out."""
    level: _Scope | None = scope
    while level is not None:
        for sources in _meanings(parts, level):
            return sources
        level = level.outer
    return _NOTHING if len(parts) == 1 and parts[0].lower() in _CONSTANT_NAMES else None


def _meanings(parts: Sequence[str], scope: _Scope) -> Iterator[Sources]:
    """What a name can mean at one level, in the order in which DuckDB looks."""
    relations = scope.here.relations
    for length in (3, 2, 1):
        if length < len(parts):
            yield from _in_relation(parts[:length], parts[length], relations)
    yield from _in_columns(parts[0], scope.here.rows)  # a column, or a field of one
    alias = parts[1] if parts[0].lower() == "alias" and len(parts) > 1 else parts[0]
    if alias.lower() in scope.aliases:
        yield scope.aliases[alias.lower()]
    if named := [one for one in relations if one.is_called(parts[:1])]:
        yield _whole(named)


def _in_relation(
    path: Sequence[str], column: str, relations: Sequence[_Relation]
) -> Iterator[Sources]:
    named = [relation for relation in relations if relation.is_called(path)]
    if len(named) > 1:
        yield None
    elif named:
        yield from _in_columns(column, named[0].rows)


def _in_columns(name: str, rows: _Rows) -> Iterator[Sources]:
    found = [column.sources for column in rows.columns if column.is_called(name)]
    if len(found) == 1:
        yield found[0]
    elif found or rows.is_open:
        yield None
    elif not name.isidentifier() and any(column.name is None for column in rows.columns):
        yield None  # it may be the name that DuckDB made up, like sum(x)


def _whole(relations: Sequence[_Relation]) -> Sources:
    """A row of a table as a value, which its name alone stands for."""
    rows = relations[0].rows
    if len(relations) > 1 or rows.is_open:
        return None
    return _union(column.sources for column in rows.columns)


_MEANINGS: dict[str, Callable[[_Node, _Scope], Sources]] = {
    "COLUMN_REF": lambda node, scope: _meaning(node["column_names"], scope),
    "SUBQUERY": _value_of_subquery,
    "LAMBDA": _lambda,
    "STAR": lambda _node, _scope: None,
    "POSITIONAL_REFERENCE": lambda _node, _scope: None,
}
