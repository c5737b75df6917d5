"""What a query says: the tables that it names, and what is no query over tables."""

from pathlib import Path

import pytest

from ml_platform.kernel.errors import DeclarationError, Where
from ml_platform.storage import kept_trees
from ml_platform.storage.syntax import parsed_together, tables_named_in

FILE = Path("features/demand.sql")


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT 1", []),
        ("SELECT * FROM raw.sales", ["raw/sales"]),
        ("SELECT * FROM raw.sales JOIN raw.weather USING (week)", ["raw/sales", "raw/weather"]),
        ("SELECT * FROM shop.raw.sales", ["shop.raw.sales"]),
        ("WITH s AS (SELECT * FROM raw.sales) SELECT * FROM s", ["raw/sales"]),
        ("SELECT (SELECT max(n) FROM features.x) FROM raw.y", ["features/x", "raw/y"]),
        ("FROM raw.sales UNION ALL FROM raw.old", ["raw/old", "raw/sales"]),
        ("-- FROM raw.commented\nSELECT 'FROM raw.quoted' FROM raw.sales;", ["raw/sales"]),
    ],
)
def test_the_tables_that_a_query_reads_are_found(sql, tables):
    assert [str(name) for name in tables_named_in(sql)] == tables


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM sales", "its layer is missing"),
        ("SELECT * FROM bronze.sales", "'bronze' is no layer"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("DROP TABLE raw.sales", "it is not a query"),
        ("SELECT *\nFROM raw.a\nWHERE WHERE", "demand.sql:3:7: SQL: syntax error"),
    ],
)
def test_what_is_no_query_over_tables_is_refused(sql, message):
    with pytest.raises(DeclarationError, match=message):
        tables_named_in(sql, Where(FILE))


def test_queries_parsed_together_give_what_each_gives_alone(tmp_path):
    queries = [
        "SELECT * FROM raw.a",
        "WITH s AS (FROM raw.b) FROM s JOIN features.c USING (n)",
        "SELECT * FROM nowhere",
        "SELECT *\nFROM raw.a\nWHERE WHERE",
        "",
    ]

    def told(sql):
        try:
            return [str(name) for name in tables_named_in(sql, Where(FILE))]
        except DeclarationError as error:
            return str(error)

    alone = [told(sql) for sql in queries]
    for _ in ("parsed", "kept"):
        with parsed_together([*queries, queries[0]], tmp_path / "kept.json"):
            assert [told(sql) for sql in queries] == alone
        assert [told(sql) for sql in queries] == alone


def test_what_was_parsed_before_is_not_parsed_again_and_what_has_changed_is(tmp_path):
    file = tmp_path / "kept.json"
    with parsed_together(["FROM raw.a", "FROM raw.gone"], file):
        pass
    before = kept_trees.read(file)
    kept_trees.write(file, {"FROM raw.a": before["FROM raw.gone"]})  # told apart from a parse
    with parsed_together(["FROM raw.a", "FROM raw.new"], file):
        read = [
            str(name) for sql in ("FROM raw.a", "FROM raw.new") for name in tables_named_in(sql)
        ]
    assert read == ["raw/gone", "raw/new"]
    assert set(kept_trees.read(file)) == {"FROM raw.a", "FROM raw.new"}
