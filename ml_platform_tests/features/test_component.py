"""`FeatureTable` in a project: SQL and Python, whole and in partitions."""

import dagster as dg
import pyarrow as pa
import pytest

from ml_platform.kernel.names import TableKey

RAW = TableKey("raw", "sales")


def test_a_query_makes_a_table_that_the_next_query_reads(workshop):
    workshop.table("a", "SELECT range AS n FROM range(5)")
    workshop.table("b", "SELECT sum(n) AS total FROM features.a")
    assert workshop.run().success
    assert workshop.rows("features/b") == [{"total": 10}]


def test_the_tables_that_a_query_names_are_what_it_waits_for(workshop):
    workshop.table("b", "WITH x AS (FROM raw.sales) FROM x JOIN other.raw.prices USING (n)")
    graph = workshop.load().definitions.resolve_asset_graph()
    parents = graph.get(dg.AssetKey(["features", "b"])).parent_keys
    assert {key.to_user_string() for key in parents} == {"raw/sales", "raw/prices"}


def test_a_table_shows_its_rows_columns_query_cost_and_first_rows(workshop):
    workshop.table("a", "SELECT 1 AS n, 'pipe | in a cell' AS word")
    workshop.run()
    shown = workshop.metadata("features/a")
    assert shown["dagster/row_count"] == 1
    assert [(c.name, c.type) for c in shown["dagster/column_schema"].columns] == [
        ("n", "int32"),
        ("word", "string"),
    ]
    assert "pipe \\| in a cell" in shown["preview"]
    assert "SELECT 1 AS n" in shown["query"]
    assert shown["seconds"] > 0
    assert shown["peak_memory_bytes"] > 1_000_000


SOURCES = {"total": ["raw/sales.n", "raw/sales.price"], "n": ["raw/sales.n"]}


def sources_shown(metadata):
    deps = metadata["dagster/column_lineage"].deps_by_column
    return {
        column: [f"{one.asset_key.to_user_string()}.{one.column_name}" for one in found]
        for column, found in deps.items()
    }


def test_a_table_shows_of_which_columns_each_of_its_own_is_made(workshop):
    workshop.store.write("shop", RAW, pa.table({"n": [1], "price": [2]}))
    workshop.table("a", "SELECT n * price AS total, * EXCLUDE (price) FROM raw.sales")
    workshop.run()
    assert sources_shown(workshop.metadata("features/a")) == SOURCES


def test_each_partition_shows_of_which_columns_it_is_made(workshop):
    workshop.store.write("shop", RAW, pa.table({"n": [1], "price": [2]}))
    workshop.table(
        "a",
        "SELECT n * price AS total, n FROM raw.sales WHERE $partition > ''",
        partitions={"keys": ["eu", "us"]},
    )
    assert workshop.run(partitions=["eu", "us"]).success
    assert sources_shown(workshop.metadata("features/a", "us")) == SOURCES


def test_a_query_that_cannot_be_traced_makes_its_table_all_the_same(workshop):
    workshop.store.write("shop", RAW, pa.table({"n": [1]}))
    workshop.table("a", "UNPIVOT raw.sales ON n INTO NAME name VALUE value")
    assert workshop.run().success
    assert workshop.rows("features/a") == [{"name": "n", "value": 1}]
    assert "dagster/column_lineage" not in workshop.metadata("features/a")


def test_partitions_get_their_time_and_name_and_tell_their_rows(workshop):
    days = [f"2024-01-0{day}" for day in (1, 2, 3)]
    workshop.store.write("shop", RAW, pa.table({"day": [*days, days[0]]}))
    workshop.table(
        "daily",
        "SELECT day, $partition AS part FROM raw.sales "
        "WHERE day::DATE >= $start AND day::DATE < $end",
        partitions={"every": "day", "start": "2024-01-01", "end": "2024-01-04"},
    )
    assert workshop.run(partitions=days).success
    store = workshop.store
    assert store.partitions("shop", TableKey("features", "daily")) == days
    assert [r["part"] for r in workshop.rows("features/daily")] == [days[0], *days]
    assert workshop.metadata("features/daily", days[0])["dagster/partition_row_count"] == 2


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT sale FROM raw.sales", "features/bad.sql:1:8: SQL: Binder Error"),
        ("SELECT * FROM raw.nowhere", "table shop:raw/nowhere: it has no data yet"),
        ("SELECT * FROM raw.sales WHERE sales > $start", "following parameters: start"),
    ],
)
def test_a_wrong_query_fails_with_its_place_and_keeps_the_old_table(workshop, sql, said):
    workshop.store.write("shop", RAW, pa.table({"sales": [1]}))
    workshop.store.write("shop", TableKey("features", "bad"), pa.table({"old": [1]}))
    workshop.table("bad", sql, folder="features")
    outcome = workshop.run()
    assert not outcome.success
    assert said in outcome.failures[0].message
    assert workshop.rows("features/bad") == [{"old": 1}]


def test_a_function_gets_frames_by_name_and_its_frame_is_the_table(workshop):
    workshop.store.write("shop", RAW, pa.table({"n": [1, 2]}))
    workshop.write("maker.py", "def double(sales):\n    return sales.assign(n=sales.n * 2)\n")
    workshop.declare(
        "FeatureTable",
        "double",
        key="features/double",
        python=f"{workshop.package}.shop.maker:double",
        inputs={"sales": "raw/sales"},
    )
    assert workshop.run("features/double").success
    assert workshop.rows("features/double") == [{"n": 2}, {"n": 4}]


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere:f", "nowhere"), ("json:lods", "lods"), ("json", "module:function")],
)
def test_a_function_that_is_not_there_is_named(workshop, path, said):
    workshop.store.write("shop", RAW, pa.table({"n": [1]}))
    workshop.declare(
        "FeatureTable", "f", key="features/f", python=path, inputs={"sales": "raw/sales"}
    )
    outcome = workshop.run()
    assert said in outcome.failures[0].message


def test_a_changed_query_changes_the_code_version(workshop):
    def version():
        graph = workshop.load().definitions.resolve_asset_graph()
        return graph.get(dg.AssetKey(["features", "a"])).code_version

    workshop.table("a", "SELECT 1 AS n")
    first = version()
    assert version() == first
    workshop.write("a/a.sql", "SELECT 2 AS n")
    assert version() != first


def test_merging_declared_in_yaml_keeps_rows_of_other_keys(workshop):
    workshop.table("a", "SELECT unnest([1, 2]) AS k, 'old' AS v", write="merge", merge_key=["k"])
    workshop.run()
    workshop.write("a/a.sql", "SELECT unnest([2, 3]) AS k, 'new' AS v")
    workshop.run()
    assert {r["k"]: r["v"] for r in workshop.rows("features/a")} == {1: "old", 2: "new", 3: "new"}


def test_a_value_that_the_query_cannot_work_with_is_told_and_not_tried_again(workshop):
    workshop.table("words", "SELECT 'x' || i AS word FROM range(3) AS r(i)")
    workshop.table("numbers", "SELECT word::INTEGER AS n FROM features.words")
    outcome = workshop.run()
    (failure,) = outcome.failures
    for part in ("table features/numbers", "Could not convert string 'x0'", "TRY_CAST", ".sql"):
        assert part in failure.message
    started = [one for one in outcome.happenings if one.kind == "started"]
    assert [one.what for one in started].count("features__numbers") == 1
