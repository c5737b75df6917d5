"""Assets that people write in Python: what they return is a table, what they ask for is read."""

import pytest

pytestmark = pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")

MAKER = """
    import dagster as dg, pandas as pd, pyarrow as pa, duckdb

    days = dg.StaticPartitionsDefinition(["mon", "tue"])

    @dg.asset(key=["features", "basket"], group_name="shop")
    def basket():
        return pd.DataFrame({"n": [1, 2]})

    @dg.asset(
        key=["features", "frame"], group_name="shop",
        ins={"b": dg.AssetIn(key=["features", "basket"])},
    )
    def frame(b: pd.DataFrame):
        return b.assign(n=b.n * 10)

    @dg.asset(
        key=["features", "arrow"], group_name="shop",
        ins={"b": dg.AssetIn(key=["features", "basket"])},
    )
    def arrow(b: pa.Table):
        return b.slice(1)

    @dg.asset(
        key=["features", "lazy"], group_name="shop",
        ins={"b": dg.AssetIn(key=["features", "basket"])},
    )
    def lazy(b: duckdb.DuckDBPyRelation):
        return b.aggregate("sum(n)::BIGINT AS n")

    @dg.asset(
        key=["features", "daily"], group_name="shop", partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def daily(context):
        return {day: pd.DataFrame({"day": [day]}) for day in context.partition_keys}
"""


@pytest.fixture
def shop(workshop):
    workshop.write("maker.py", MAKER)
    return workshop


@pytest.mark.parametrize(
    ("name", "rows"),
    [("frame", [{"n": 10}, {"n": 20}]), ("arrow", [{"n": 2}]), ("lazy", [{"n": 3}])],
)
def test_an_input_comes_as_its_annotation_says(shop, name, rows):
    assert shop.run("features/basket", f"features/{name}").success
    assert shop.rows(f"features/{name}") == rows


def test_the_table_is_the_one_that_queries_see(shop):
    shop.table("q", "SELECT count(*) AS c FROM features.basket")
    shop.run("features/basket", "features/q")
    assert shop.rows("features/q") == [{"c": 2}]
    assert shop.metadata("features/basket")["dagster/row_count"] == 2


def test_a_run_over_partitions_returns_one_frame_for_each(shop):
    assert shop.run("features/daily", partitions=["mon", "tue"]).success
    assert [row["day"] for row in shop.rows("features/daily")] == ["mon", "tue"]
