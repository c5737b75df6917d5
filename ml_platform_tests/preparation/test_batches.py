"""A table prepared batch by batch is the table prepared at once, by the same sample."""

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.preparation.batches import Batches
from ml_platform.preparation.transformer import AutoPrepare

ROWS = 9_000
BUDGET_MB = 4.5
"""Room for about 2,600 rows of these seven columns."""


def trips(rows=ROWS, seed=0):
    """Trips with loads that go missing together, whole seats, and rows that come again far away."""
    rng = np.random.default_rng(seed)
    line = rng.integers(0, 5, rows)
    frame = pd.DataFrame(
        {
            "trip": rng.permutation(10 * rows)[:rows],
            "line": np.where(rng.random(rows) < 0.05, None, [f"line {one}" for one in line]),
            "left": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), "min"),
            "load": rng.normal(10, 1, rows) + 5 * line,
            "fare": [f"{value:.2f} €" for value in rng.uniform(1, 9, rows)],
            "seats": rng.integers(20, 60, rows),
            "late": rng.integers(0, 2, rows),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "load"] = np.nan
    frame.loc[::701, "load"] = 900.0
    again = frame.iloc[[5, 17, 4000]]
    return pd.concat([frame, again], ignore_index=True)


@pytest.fixture
def table(tmp_path):
    def made(frame):
        frame.to_parquet(tmp_path / "rows.parquet")
        return duckdb.connect().sql(f"FROM '{tmp_path / 'rows.parquet'}'")

    return made


def all_of(batches):
    """The rows and the cells of all batches."""
    parts = list(batches.prepared())
    assert len(parts) > 2
    return (
        pa.Table.from_batches([part.rows for part in parts]),
        pa.Table.from_batches([part.cells for part in parts]),
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encode_categ": "off", "outliers": "delete"},
        {"missing_num": "delete", "indicators": True, "outliers": "flag"},
        {"duplicates": "off", "duplicate_keys": ["line", "seats"], "target": "late"},
        {"missing_num": "off", "missing_categ": "own", "extract_datetime": "off"},
    ],
    ids=lambda options: ", ".join(options) or "auto",
)
def test_rows_cells_and_counts_are_those_of_the_whole_table_at_once(table, options):
    frame = trips()
    batches = Batches(AutoPrepare(**options), table(frame), BUDGET_MB)
    batches.learn()
    assert 1_000 < batches.learnt_from < len(frame) / 2
    rows, cells = all_of(batches)
    whole = batches.preparation.apply(frame)
    pd.testing.assert_frame_equal(
        rows.to_pandas(), whole.frame.reset_index(drop=True), check_dtype=False
    )
    pd.testing.assert_frame_equal(cells.to_pandas(), whole.cells.reset_index(drop=True))
    told = batches.receipt
    assert (told.rows, told.rows_left) == (whole.receipt.rows, whole.receipt.rows_left)
    assert told.dropped == whole.receipt.dropped
    for column in told.columns:
        other = whole.receipt.column(column.name)
        assert (column.gaps, column.filled, column.clipped) == (
            other.gaps, other.filled, other.clipped,
        )  # fmt: skip
    assert told.together == whole.receipt.together


def test_the_receipt_says_that_a_sample_taught(table):
    batches = Batches(AutoPrepare(), table(trips()), BUDGET_MB)
    batches.learn()
    all_of(batches)
    said = f"learnt from a sample of {batches.learnt_from:,} rows"
    assert said in batches.receipt.to_markdown()
    assert f"{batches.learnt_from:,}" in batches.receipt.to_html()


def test_whole_numbers_stay_integers_where_no_row_can_leave_in_parts(table):
    batches = Batches(AutoPrepare(encode_categ="off"), table(trips()), BUDGET_MB)
    batches.learn()
    assert batches.schema.field("seats").type == pa.int64()
    assert batches.schema.field("load").type == pa.float64()
    assert batches.schema.field("line").type == pa.string()


def test_a_column_that_is_passed_on_keeps_its_type(table):
    frame = trips().assign(late=lambda one: one["late"].astype("int8"))
    batches = Batches(AutoPrepare(target="late"), table(frame), BUDGET_MB)
    batches.learn()
    rows, _ = all_of(batches)
    assert rows.schema.field("late").type == pa.int8()


def test_what_was_learnt_elsewhere_prepares_a_large_table_too(table):
    preparation = AutoPrepare().fit(trips(seed=1))
    batches = Batches(preparation, table(trips()), BUDGET_MB)
    rows, _ = all_of(batches)
    pd.testing.assert_frame_equal(
        rows.to_pandas(),
        preparation.apply(trips()).frame.reset_index(drop=True),
        check_dtype=False,
    )
    assert batches.receipt.learnt_from is None


def test_gaps_in_a_key_make_no_duplicates_and_gaps_in_whole_rows_do(table):
    frame = pd.concat([trips(), pd.DataFrame({"line": [None] * 4})], ignore_index=True)
    by_key = Batches(
        AutoPrepare(duplicates="off", duplicate_keys=["line", "trip"]), table(frame), BUDGET_MB
    )
    by_key.learn()
    all_of(by_key)
    known = frame["line"].notna()[:ROWS][[5, 17, 4000]].sum()
    assert sum(by_key.receipt.dropped.values()) == known
    whole = Batches(AutoPrepare(duplicates="exact"), table(frame), BUDGET_MB)
    whole.learn()
    all_of(whole)
    assert whole.receipt.dropped == {"duplicates": 3 + 3}


def test_near_duplicates_are_refused_for_only_a_whole_table_can_tell(table):
    batches = Batches(AutoPrepare(near_duplicates={"line": 0.9}), table(trips()), BUDGET_MB)
    with pytest.raises(DeclarationError, match="near_duplicates"):
        batches.learn()


def test_a_budget_without_room_for_rows_is_refused(table):
    with pytest.raises(DataError, match=r"budget_mb: 0\.1"):
        Batches(AutoPrepare(), table(trips()), 0.1).learn()
