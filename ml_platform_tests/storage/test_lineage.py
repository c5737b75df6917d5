"""Column lineage: what each column of a query is made of, against DuckDB's own results."""

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_platform.kernel.names import TableKey
from ml_platform.storage.lineage import column_lineage
from ml_platform.storage.syntax import TableName


def table(name, project=None):
    return TableName(project, TableKey.parse(name))


COLUMNS = {
    table("raw/t"): ["k", "a", "b"],
    table("raw/u"): ["k", "c", "d"],
    table("features/t"): ["k", "a"],
    table("raw/t", "shop"): ["k", "e"],
    table("raw/n"): ["l", "s", "j"],
}


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS shop")
        for schema in ("raw", "features", "shop.raw"):
            connection.execute(f"CREATE SCHEMA {schema}")
        for name, columns in COLUMNS.items():
            fields = ", ".join(f"{column} INTEGER" for column in columns)
            if name == table("raw/n"):
                fields = "l INTEGER[], s STRUCT(f INTEGER, g INTEGER), j JSON"
            path = ".".join(filter(None, [name.project, *name.key.parts]))
            connection.execute(f"CREATE TABLE {path} ({fields})")
        yield connection


def traced(engine, sql):
    """The lineage in short words, of a query that DuckDB accepts."""
    found = column_lineage(sql, COLUMNS, engine.sql(sql).columns)
    return {
        name: " ".join(f"{str(one).replace('/', '.')}.{column}" for one, column in sources)
        for name, sources in found.items()
    }


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        pytest.param("SELECT a FROM raw.t", {"a": "raw.t.a"}, id="a column"),
        pytest.param("SELECT A AS z FROM raw.t", {"z": "raw.t.a"}, id="an alias, in any case"),
        pytest.param("SELECT a + b FROM raw.t", {"(a + b)": "raw.t.a raw.t.b"}, id="no alias"),
        pytest.param("SELECT 1 AS one, count(*) AS n FROM raw.t", {"one": "", "n": ""}, id="none"),
        pytest.param("SELECT current_date AS d FROM raw.t", {"d": ""}, id="a function's name"),
        pytest.param(
            "SELECT x.a, y.a AS b FROM raw.t x JOIN features.t y ON x.k = y.k",
            {"a": "raw.t.a", "b": "features.t.a"},
            id="names of tables",
        ),
        pytest.param(
            "SELECT raw.t.a, features.t.a AS b FROM raw.t, features.t",
            {"a": "raw.t.a", "b": "features.t.a"},
            id="names with a layer",
        ),
        pytest.param(
            "SELECT e, t.k FROM shop.raw.t JOIN raw.u USING (k)",
            {"e": "shop.raw.t.e", "k": "shop.raw.t.k"},
            id="another project's",
        ),
        pytest.param(
            "FROM raw.t JOIN raw.u USING (k)",
            {"k": "raw.t.k", "a": "raw.t.a", "b": "raw.t.b", "c": "raw.u.c", "d": "raw.u.d"},
            id="the star of USING",
        ),
        pytest.param(
            "SELECT k FROM raw.t RIGHT JOIN raw.u USING (k)", {"k": "raw.u.k"}, id="RIGHT"
        ),
        pytest.param(
            "SELECT k, u.k AS own FROM raw.t FULL JOIN raw.u USING (k)",
            {"k": "raw.t.k raw.u.k", "own": "raw.u.k"},
            id="FULL",
        ),
        pytest.param(
            "SELECT * EXCLUDE (a) FROM raw.t NATURAL JOIN raw.u",
            {"k": "raw.t.k", "b": "raw.t.b", "c": "raw.u.c", "d": "raw.u.d"},
            id="NATURAL",
        ),
        pytest.param(
            "FROM features.t SEMI JOIN raw.u USING (k)",
            {"k": "features.t.k", "a": "features.t.a"},
            id="SEMI",
        ),
        pytest.param(
            "SELECT * EXCLUDE (k) REPLACE (a + b AS a) RENAME (b AS z) FROM raw.t",
            {"a": "raw.t.a raw.t.b", "z": "raw.t.b"},
            id="a changed star",
        ),
        pytest.param(
            "SELECT u.*, * EXCLUDE (x.k, u.k, u.c, u.d) FROM raw.t x, raw.u",
            {"k": "raw.u.k", "c": "raw.u.c", "d": "raw.u.d", "a": "raw.t.a", "b": "raw.t.b"},
            id="qualified stars",
        ),
        pytest.param(
            "WITH x(p, q) AS (SELECT a, b FROM raw.t), y AS (SELECT p + q AS r FROM x) FROM y",
            {"r": "raw.t.a raw.t.b"},
            id="WITH and its own names",
        ),
        pytest.param(
            "WITH x AS (SELECT a FROM raw.t) "
            "SELECT * FROM (WITH x AS (SELECT c FROM raw.u) SELECT c AS a FROM x)",
            {"a": "raw.u.c"},
            id="the inner WITH",
        ),
        pytest.param(
            "WITH RECURSIVE r AS (SELECT a AS n, b AS m FROM raw.t UNION ALL "
            "SELECT m, n + c FROM r, raw.u WHERE n < 9) FROM r",
            {"n": "raw.t.a raw.t.b raw.u.c", "m": "raw.t.a raw.t.b raw.u.c"},
            id="recursion",
        ),
        pytest.param(
            "SELECT a_1, s.k FROM (SELECT t.*, f.* FROM raw.t, features.t f) s",
            {"a_1": "features.t.a", "k": "raw.t.k"},
            id="a name twice in a subquery",
        ),
        pytest.param(
            "SELECT a + 1 AS x, x + b AS y, alias.y + 1 AS z FROM raw.t",
            {"x": "raw.t.a", "y": "raw.t.a raw.t.b", "z": "raw.t.a raw.t.b"},
            id="an alias used again",
        ),
        pytest.param(
            "SELECT b AS a, a + 1 AS x FROM raw.t",
            {"a": "raw.t.b", "x": "raw.t.a"},
            id="a column before an alias of its name",
        ),
        pytest.param(
            "SELECT CASE WHEN a > 0 THEN b ELSE k END AS x FROM raw.t",
            {"x": "raw.t.a raw.t.b raw.t.k"},
            id="CASE",
        ),
        pytest.param(
            "SELECT sum(a) FILTER (b > 0) AS x, k % 2 AS y FROM raw.t WHERE b > 1 GROUP BY ALL",
            {"x": "raw.t.a raw.t.b", "y": "raw.t.k"},
            id="GROUP BY ALL",
        ),
        pytest.param(
            "SELECT lag(a, 1, c) OVER w AS x, row_number() OVER () AS n FROM raw.t "
            "JOIN raw.u USING (k) WINDOW w AS (PARTITION BY d ORDER BY b) QUALIFY n > 0",
            {"x": "raw.t.a raw.t.b raw.u.c raw.u.d", "n": ""},
            id="windows",
        ),
        pytest.param(
            "SELECT a, b FROM raw.t UNION ALL SELECT c, 1 FROM raw.u",
            {"a": "raw.t.a raw.u.c", "b": "raw.t.b"},
            id="UNION",
        ),
        pytest.param(
            "FROM raw.t UNION BY NAME (SELECT c AS b, d FROM raw.u)",
            {"k": "raw.t.k", "a": "raw.t.a", "b": "raw.t.b raw.u.c", "d": "raw.u.d"},
            id="UNION BY NAME",
        ),
        pytest.param(
            "SELECT a FROM raw.t EXCEPT SELECT c FROM raw.u", {"a": "raw.t.a"}, id="EXCEPT"
        ),
        pytest.param(
            "SELECT (SELECT max(c) FROM raw.u WHERE u.k = t.k AND d > 0) AS x, "
            "b IN (SELECT c FROM raw.u) AS y FROM raw.t",
            {"x": "raw.t.k raw.u.c raw.u.d raw.u.k", "y": "raw.t.b raw.u.c"},
            id="subqueries that stand as values",
        ),
        pytest.param(
            "SELECT a, x FROM raw.t, LATERAL (SELECT a + c AS x FROM raw.u)",
            {"a": "raw.t.a", "x": "raw.t.a raw.u.c"},
            id="LATERAL",
        ),
        pytest.param(
            "SELECT s.f, n.s.g AS g, l[1] AS x, j -> 'q' AS y, "
            "list_transform(l, lambda z: z + s.f) AS z FROM raw.n",
            {
                "f": "raw.n.s",
                "g": "raw.n.s",
                "x": "raw.n.l",
                "y": "raw.n.j",
                "z": "raw.n.l raw.n.s",
            },
            id="fields, elements and lambdas",
        ),
        pytest.param("SELECT t AS r FROM features.t", {"r": "features.t.a features.t.k"}, id="row"),
        pytest.param(
            "SELECT e, x + i AS y FROM raw.n, unnest(l) AS v(e), range(3) i, (VALUES (1)) w(x)",
            {"e": "raw.n.l", "y": ""},
            id="unnest, range and VALUES",
        ),
        pytest.param(
            "SELECT a, other FROM raw.t, (SELECT 1 AS other, * FROM pragma_version())",
            {"a": "raw.t.a", "other": ""},
            id="beside a table function",
        ),
        pytest.param(
            "SELECT x.* FROM features.t AS x(p)",
            {"p": "features.t.k", "a": "features.t.a"},
            id="columns named in FROM",
        ),
    ],
)
def test_the_sources_of_each_column_are_found(engine, sql, expected):
    assert traced(engine, sql) == expected


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        pytest.param("SELECT library_version FROM pragma_version()", set(), id="table function"),
        pytest.param("SELECT a, v.* FROM raw.t, pragma_version() v", {"a"}, id="its star"),
        pytest.param("SELECT k AS one, COLUMNS('a|b') FROM raw.t", {"one"}, id="COLUMNS"),
        pytest.param("SELECT k AS one, min(COLUMNS(* EXCLUDE k)) FROM raw.t GROUP BY 1", {"one"}),
        pytest.param("SELECT a AS x, * LIKE 'b%' FROM raw.t", {"x"}, id="star by pattern"),
        pytest.param("SELECT unnest(s), 1 AS x FROM raw.n", {"x"}, id="fields unnested"),
        pytest.param("SELECT s.*, 1 AS x FROM raw.n", {"x"}, id="star of fields"),
        pytest.param("SELECT rowid AS x, k FROM raw.t", {"k"}, id="a column that is no column"),
        pytest.param("UNPIVOT raw.t ON a, b INTO NAME n VALUE v", set(), id="UNPIVOT"),
        pytest.param("DESCRIBE raw.t", set(), id="DESCRIBE"),
        pytest.param("SELECT " + " + ".join(["a"] * 250) + " AS x FROM raw.t", set(), id="deep"),
        pytest.param(
            "SELECT a FROM raw.t UNION ALL SELECT i FROM (SELECT unnest(s) FROM raw.n) x(i, j)",
            set(),
            id="UNION with what is not known",
        ),
    ],
)
def test_what_cannot_be_decided_is_left_out(engine, sql, told):
    assert set(traced(engine, sql)) == told


@pytest.mark.parametrize(
    "sql",
    ["SELECT a FROM raw.t JOIN features.t USING (k)", "SELECT t.k FROM raw.t, features.t"],
)
def test_a_name_that_two_tables_have_is_left_out(sql):
    assert column_lineage(sql, COLUMNS) == {}


def test_a_table_whose_columns_are_not_known_takes_no_others_with_it():
    found = column_lineage("SELECT a, z.q FROM raw.t, raw.z", COLUMNS)
    assert found == {"a": [(table("raw/t"), "a")]}


def test_without_the_outputs_names_what_has_no_alias_is_left_out():
    assert set(column_lineage("SELECT a, b + 1, b AS c FROM raw.t", COLUMNS)) == {"a", "c"}


def test_nothing_is_told_when_the_output_is_not_what_was_expected():
    sql = "SELECT a, b FROM raw.t"
    assert column_lineage(sql, COLUMNS, ["a", "b"])
    assert column_lineage(sql, COLUMNS, ["a", "z"]) == {}
    assert column_lineage(sql, COLUMNS, ["a"]) == {}


# Random queries: a column that changes the output must be among its sources. All tables join by
# `id`, which no query changes, so that the same rows are there before and after.

VALUES = ("p", "q", "r")
TABLES = {table("raw/t"): ["id", *VALUES], table("raw/u"): ["id", *VALUES]}

SHAPES = [
    "{a}",
    "({a} + {b})",
    "CASE WHEN {a} > {b} THEN {c} ELSE 0 END",
    "coalesce(nullif({a}, {b}), {c})",
    "list_sum(list_transform([{a}, {b}], lambda id: id + {c}))",
    "({a} IN (SELECT r FROM raw.t))",
    "(SELECT max({a} + z.p) FROM raw.u AS z WHERE z.id <= 2 AND z.q > {b})",
    "sum({a}) OVER (PARTITION BY {b} % 2 ORDER BY id)",
    "lag({a}, 1, {b}) OVER (ORDER BY id)",
]


@st.composite
def expressions(draw, columns):
    """A number made of these columns; what is costly to plan is not nested."""
    simple = st.sampled_from([*columns, "7"])
    shape = draw(st.sampled_from(SHAPES))
    inner = (
        simple
        if "SELECT" in shape or "OVER" in shape
        else st.one_of(simple, st.builds("({} - {})".format, simple, simple))
    )
    return f"{shape.format(a=draw(inner), b=draw(inner), c=draw(inner))}::INTEGER"


@st.composite
def selects(draw, source, columns, names=("o1", "o2")):
    """A query over `source`; its second column may use the alias of the first."""
    one = draw(expressions(columns))
    is_simple = "OVER" not in one and "SELECT" not in one  # DuckDB takes no others twice
    two = draw(expressions([*columns, names[0]] if is_simple else columns))
    return f"SELECT id, {one} AS {names[0]}, {two} AS {names[1]} FROM {source}"


def joined(left, right, how):
    names = ", ".join([f"l.{c} AS l{c}, r.{c} AS r{c}" for c in VALUES])
    return f"SELECT id, {names} FROM {left} AS l {how} JOIN {right} AS r USING (id)"


@st.composite
def relations(draw):
    """Two tables put together in some way, and the columns that there are beside `id`."""
    left, right = (draw(st.sampled_from(["raw.t", "raw.u"])) for _ in "lr")
    if draw(st.booleans()):
        left = f"(SELECT * REPLACE ({draw(expressions(VALUES))} AS q) FROM {left})"
    if draw(st.booleans()):
        query = draw(selects(right, VALUES, ["r1", "r2"]))
        right = f"(SELECT id, r1 AS p, r2 AS r, 1 AS q FROM ({query}))"
    how = draw(st.sampled_from(["", "LEFT", "RIGHT", "FULL", "UNION ALL", "UNION ALL BY NAME"]))
    if "UNION" in how:
        return f"FROM {left} {how} FROM {right}", list(VALUES)
    return joined(left, right, how), [side + column for side in "lr" for column in VALUES]


@st.composite
def queries(draw):
    source, columns = draw(relations())
    if draw(st.booleans()):
        source = f"SELECT * EXCLUDE ({columns[0]}), {columns[0]} AS moved FROM ({source})"
        columns = [*columns[1:], "moved"]
    return f"WITH x AS ({source}) {draw(selects('x', columns))}"


CELLS = st.lists(st.integers(-3, 3), min_size=9, max_size=9)


def results(connection, sql):
    """The values of each output column, with the rows in an order of their own."""
    relation = connection.sql(sql)
    rows = relation.fetchall()
    return {
        name: sorted(repr((row[0], row[n])) for row in rows)
        for n, name in enumerate(relation.columns)
    }


def fill(connection, cells):
    for number, name in enumerate(("raw.t", "raw.u")):
        connection.execute(f"CREATE OR REPLACE TABLE {name} (id INT, p INT, q INT, r INT)")
        rows = [[i, *cells[number][3 * i : 3 * i + 3]] for i in range(3)]
        connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?)", rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sql=queries(), cells=st.tuples(CELLS, CELLS), data=st.data())
def test_a_column_whose_change_changes_an_output_is_among_its_sources(sql, cells, data):
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("CREATE SCHEMA raw")
        fill(connection, cells)
        before = results(connection, sql)
        found = column_lineage(sql, TABLES, list(before))
        assert set(found) == set(before), "every column of such a query can be traced"
        name, column = data.draw(
            st.tuples(st.sampled_from(sorted(TABLES)), st.sampled_from(VALUES))
        )
        path = ".".join(name.key.parts)
        connection.execute(f"UPDATE {path} SET {column} = 5 - {column} * {column}")
        after = results(connection, sql)
    changed = {output for output in before if before[output] != after[output]}
    missed = {output for output in changed if (name, column) not in found[output]}
    assert not missed, f"{missed} of {sql} changed with {name}.{column}"
