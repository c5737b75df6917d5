"""`PreparedTable` in a project: the table, its cells, its receipt, and what was learnt."""

import json
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_platform.features import prepared
from ml_platform.kernel.errors import DataError, NotFoundError
from ml_platform.kernel.names import TableKey

RAW, TABLE = TableKey("raw", "orders"), TableKey("features", "orders")
CELLS = TableKey("features", "orders_cells")


def orders(rows=300, seed=0):
    """Shops with loads that go missing together, amounts as text, and a few rows twice."""
    rng = np.random.default_rng(seed)
    shop = rng.integers(0, 6, rows)
    frame = pd.DataFrame(
        {
            "shop": [f"shop {one}" for one in shop],
            "load": rng.normal(10, 1, rows) + 5 * shop,
            "open": rng.normal(20, 1, rows) + 4 * shop,
            "amount": [f"{value:.2f} €" for value in rng.uniform(5, 50, rows)],
            "late": rng.integers(0, 2, rows),
        }
    )
    frame.loc[rng.random(rows) < 0.1, ["load", "open"]] = np.nan
    return pd.concat([frame, frame.head(4)], ignore_index=True)


@pytest.fixture
def shop(workshop):
    workshop.store.write("shop", RAW, orders())
    return workshop


def declare(workshop, **fields):
    fields = {"key": "features/orders", "table": "raw/orders", **fields}
    workshop.declare("PreparedTable", "prepared", **fields)


def test_a_table_is_prepared_with_its_cells_receipt_and_preparation_beside_it(shop):
    declare(shop)
    assert shop.run().success
    rows = shop.store.read("shop", TABLE).to_pandas()
    cells = shop.store.read("shop", CELLS).to_pandas()
    assert len(rows) == len(cells) == 300
    assert not rows.isna().any().any()
    assert set(cells.dtypes) == {np.dtype("uint8")}
    assert list(cells.columns) == list(orders().columns)
    raw = orders().head(300)
    assert ((cells["load"] & 8) > 0).tolist() == raw["load"].isna().tolist()
    assert (cells["amount"] == 1).all()


def test_the_asset_shows_receipt_page_figures_and_version(shop):
    declare(shop)
    shop.run()
    shown = shop.metadata("features/orders")
    assert "304 rows came, 300 left." in shown["receipt"]
    assert shown["rows_dropped"] == 4
    assert shown["dagster/row_count"] == 300
    missing = int(orders().head(300)["load"].isna().sum())
    assert shown["cells_filled"] == 2 * missing
    assert "features/<wbr>orders" in shown["receipt_page"] or "<h1>features/orders</h1>" in (
        Path(shown["receipt_page"]).read_text()
    )
    kept = prepared.find(shop.store, "shop", TABLE)
    assert shown["preparation_version"] == kept.version
    data = json.loads(shop.store.document("shop", TABLE, "receipt.json"))
    assert data["preparation_version"] == kept.version
    assert data["receipt"]["rows_left"] == 300
    assert shop.metadata("features/orders_cells")["dagster/row_count"] == 300


def test_what_was_kept_prepares_the_same_rows_in_the_same_way(shop):
    declare(shop)
    shop.run()
    again = prepared.find(shop.store, "shop", TABLE).preparation.apply(orders()).frame
    rows = shop.store.read("shop", TABLE).to_pandas()
    pd.testing.assert_frame_equal(again.reset_index(drop=True), rows, check_dtype=False)


def test_sql_joins_the_cells_by_position(shop):
    declare(shop)
    shop.table(
        "filled",
        "SELECT o.load, c.load AS done FROM features.orders AS o "
        "POSITIONAL JOIN features.orders_cells AS c WHERE c.load & 8 > 0",
    )
    assert shop.run().success
    rows = shop.store.read("shop", TABLE).to_pandas()
    wanted = rows["load"][orders().head(300)["load"].isna()].tolist()
    assert [row["load"] for row in shop.rows("features/filled")] == wanted
    assert len(wanted) > 10


def test_both_tables_are_assets_that_wait_for_the_raw_table(shop):
    declare(shop)
    graph = shop.load().definitions.resolve_asset_graph()
    for key in ("orders", "orders_cells"):
        parents = graph.get(dg.AssetKey(["features", key])).parent_keys
        assert {one.to_user_string() for one in parents} == {"raw/orders"}


@pytest.mark.parametrize("asked", ["features/orders", "features/orders_cells"])
def test_either_of_the_two_can_be_asked_for_alone(shop, asked):
    declare(shop)
    outcome = shop.run(asked)
    assert outcome.success
    assert [one.what for one in outcome.happenings if one.kind == "made"] == [asked]
    assert shop.store.rows("shop", TABLE) == shop.store.rows("shop", CELLS) == 300


SHARE = {"imputed_share": {"type": "number", "max": 0.3}}


@pytest.mark.parametrize(("largest", "passes"), [(0.3, False), (0.5, True)])
def test_rows_of_which_too_much_was_filled_fail_a_check(shop, largest, passes):
    declare(shop, add_imputed_share=True)
    columns = {"imputed_share": {"type": "number", "max": largest}}
    shop.declare("Checks", "checks", table="features/orders", pandera={"columns": columns})
    outcome = shop.run()
    assert outcome.success == passes
    shares = shop.store.read("shop", TABLE).to_pandas()["imputed_share"]
    gaps = orders().head(300)["load"].isna()
    assert shares.tolist() == np.where(gaps, 2 / 5, 0.0).tolist()


def test_a_target_is_passed_on_and_counts_as_no_input(shop):
    raw = orders()
    raw["late"] = raw["late"].astype(float)
    raw.loc[7, "late"] = None
    shop.store.write("shop", RAW, raw)
    declare(shop, target="late", add_imputed_share=True)
    assert shop.run().success
    rows = shop.store.read("shop", TABLE).to_pandas()
    assert rows["late"].isna().sum() == 1
    assert "late" not in shop.store.read("shop", CELLS).column_names
    assert rows["imputed_share"].max() == 2 / 4


def test_options_of_the_table_and_of_single_columns_are_heard(shop):
    shop.write(
        "prepared/defs.yaml",
        """
        type: ml_platform.components.PreparedTable
        attributes:
          key: features/orders
          table: raw/orders
          mode: manual
          missing_num: mean
          duplicate_keys: [shop]
          columns:
            open: {missing: off}
            shop: {encode: onehot}
        """,
    )
    assert shop.run().success
    rows = shop.store.read("shop", TABLE).to_pandas()
    assert len(rows) == 6
    assert {name for name in rows if name.startswith("shop")} == {
        f"shop_shop {number}" for number in range(6)
    }


def test_a_prepared_table_prepares_other_rows_and_learns_nothing_from_them(shop):
    declare(shop)
    shop.store.write("shop", TableKey("raw", "new"), orders(40, seed=5).assign(load=np.nan))
    shop.declare(
        "PreparedTable", "new", key="features/new", table="raw/new", learnt_by="features/orders"
    )
    assert shop.run().success
    kept = prepared.find(shop.store, "shop", TABLE)
    wanted = kept.preparation.apply(orders(40, seed=5).assign(load=np.nan)).frame
    rows = shop.store.read("shop", TableKey("features", "new")).to_pandas()
    pd.testing.assert_frame_equal(wanted.reset_index(drop=True), rows, check_dtype=False)
    assert shop.metadata("features/new")["preparation_version"] == kept.version
    graph = shop.load().definitions.resolve_asset_graph()
    parents = graph.get(dg.AssetKey(["features", "new"])).parent_keys
    assert {one.to_user_string() for one in parents} == {"raw/new", "features/orders"}


def test_partitions_are_prepared_by_one_preparation_each_with_its_receipt(shop):
    declare(shop)
    for number, part in enumerate(["eu", "us"]):
        rows = orders(20 + number, seed=number)
        shop.store.write("shop", TableKey("raw", "new"), rows, partition=part)
    shop.declare(
        "PreparedTable", "new", key="features/new", table="raw/new", learnt_by="features/orders",
        partitions={"keys": ["eu", "us"]},
    )  # fmt: skip
    assert shop.run("features/orders").success
    assert shop.run("features/new", "features/new_cells", partitions=["eu", "us"]).success
    counts = [
        shop.metadata(key, "us")["dagster/partition_row_count"]
        for key in ("features/new", "features/new_cells")
    ]
    assert counts == [21, 21]
    assert "24 rows came" not in shop.metadata("features/new", "us")["receipt"]
    for part in ("eu", "us"):
        assert b"features/new" in shop.store.document(
            "shop", TableKey("features", "new"), f"receipt-{part}.json"
        )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"outliers": "winzz"}, "outliers: "),
        ({"columns": {"shop": {"encod": "onehot"}}}, "encode (did you mean this?)"),
        ({"durations": [["a", "b", "c"]]}, "each is a pair of columns"),
        ({"learnt_by": "features/other", "missing_num": "mean"}, "leave out missing_num"),
        ({"partitions": {"keys": ["eu"]}}, "`partitions` need `learnt_by`"),
        ({"write": "append"}, "would part the rows from their cells"),
    ],
)
def test_a_declaration_that_cannot_be_is_broken_with_what_is_wrong(shop, fields, said):
    declare(shop, **fields)
    (broken,) = shop.load().broken
    assert said in str(broken)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"columns": {"shp": {"encode": "onehot"}}}, "did you mean 'shop'?"),
        ({"columns": {"shop": {"missing": "median"}}}, "column 'shop', missing"),
        ({"table": "raw/nowhere"}, "raw/nowhere: it has no data yet"),
        ({"learnt_by": "features/orders"}, "materialise features/orders first"),
    ],
)
def test_what_the_rows_do_not_allow_fails_the_step_with_what_to_do(shop, fields, said):
    fields = {"key": "features/mine", **fields}
    declare(shop, **fields)
    outcome = shop.run("features/mine")
    assert said in outcome.failures[0].message
    assert not shop.store.exists("shop", TableKey("features", "mine"))


def test_a_column_of_the_share_that_is_there_already_is_told():
    frame = pd.DataFrame({"imputed_share": [1.0, 2.0], "b": [3.0, 4.0]})
    _, done = prepared.learn(frame, {})
    with pytest.raises(DataError, match="the table has one already"):
        prepared.with_imputed_share(done)


def test_what_cannot_be_read_back_is_told_with_what_kept_it(shop):
    head = json.dumps({"version": "x", "libraries": {"pandas": "1.0"}}).encode()
    shop.store.publish("shop", TABLE, prepared.KEPT, head + b"\nno pickle")
    with pytest.raises(DataError, match="it cannot be read") as caught:
        prepared.find(shop.store, "shop", TABLE)
    assert "pandas 1.0" in str(caught.value)
    assert "materialise features/orders again" in str(caught.value)


def test_a_table_that_was_never_prepared_has_no_preparation(shop):
    with pytest.raises(NotFoundError, match=prepared.KEPT):
        prepared.find(shop.store, "shop", TABLE)


def test_replaced_preparations_and_receipts_stay_as_versions(shop):
    declare(shop, keep_versions=2)
    for _ in range(4):
        shop.run()
    folder = Path(shop.store.root) / "shop" / "features" / "orders" / ".versions"
    for name in (prepared.KEPT, "receipt.html", "receipt.json"):
        assert len(list((folder / name).iterdir())) == 2


def test_a_table_beyond_its_budget_is_prepared_batch_by_batch(shop):
    shop.store.write("shop", RAW, orders(4_000))
    declare(shop, budget_mb=2, add_imputed_share=True)
    assert shop.run().success
    rows = shop.store.read("shop", TABLE).to_pandas()
    cells = shop.store.read("shop", CELLS).to_pandas()
    assert len(rows) == len(cells)
    shown = shop.metadata("features/orders")
    assert "learnt from a sample of" in shown["receipt"]
    assert shown["rows_dropped"] == 4_004 - len(rows) >= 4
    kept = prepared.find(shop.store, "shop", TABLE)
    whole = kept.preparation.apply(orders(4_000))
    share = ((whole.cells.to_numpy() & 8) > 0).mean(axis=1)
    np.testing.assert_allclose(rows.pop("imputed_share"), share)
    pd.testing.assert_frame_equal(rows, whole.frame.reset_index(drop=True), check_dtype=False)


def test_a_budget_may_be_given_where_another_table_taught(shop):
    declare(shop)
    shop.run()
    shop.store.write("shop", TableKey("raw", "later"), orders(4_000, seed=1))
    fields = {"key": "features/later", "table": "raw/later", "learnt_by": "features/orders"}
    shop.declare("PreparedTable", "later", budget_mb=2, **fields)
    assert shop.run().success
    kept = prepared.find(shop.store, "shop", TABLE)
    pd.testing.assert_frame_equal(
        shop.store.read("shop", TableKey("features", "later")).to_pandas(),
        kept.preparation.apply(orders(4_000, seed=1)).frame.reset_index(drop=True),
        check_dtype=False,
    )


def test_a_table_stays_as_it_was_when_a_batch_cannot_be_prepared(shop, monkeypatch):
    declare(shop, budget_mb=2, retry={"attempts": 0})
    shop.store.write("shop", RAW, orders(4_000))
    shop.run()
    before = shop.store.read("shop", TABLE), shop.store.read("shop", CELLS)
    from ml_platform.preparation.transformer import AutoPrepare

    apply, times = AutoPrepare.apply, []

    def fails_at_the_third(self, *args, **kwargs):
        times.append(1)
        if len(times) == 3:
            raise OSError(28, "No space left on device")
        return apply(self, *args, **kwargs)

    monkeypatch.setattr(AutoPrepare, "apply", fails_at_the_third)
    assert not shop.run().success
    after = shop.store.read("shop", TABLE), shop.store.read("shop", CELLS)
    assert before[0].equals(after[0])
    assert before[1].equals(after[1])
