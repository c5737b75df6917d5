"""The first declaration for a table that has none."""

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_platform.checks.proposal import propose, propose_checks
from ml_platform.checks.schema import read_schema
from ml_platform.checks.validation import check_schema
from ml_platform.kernel.errors import DataError


def filled(values, dtype):
    def series(many):
        return pd.Series(many, dtype=dtype)

    return st.lists(st.one_of(st.none(), values), max_size=12).map(series)


days = st.dates(date(1700, 1, 1), date(2200, 1, 1))


moments = st.datetimes(*map(datetime.fromisoformat, ("1700-01-01", "2200-01-01")))


columns = st.one_of(
    filled(st.integers(-(2**63), 2**63 - 1), "Int64"),
    filled(st.integers(-(2**63), 2**63 - 1), pd.ArrowDtype(pa.int64())),
    filled(st.floats(), "float64"),
    filled(st.floats(), pd.ArrowDtype(pa.float64())),
    filled(st.text(), object),
    filled(st.text(), "string"),
    filled(st.sampled_from(["a", "on", "1", "null", "2010-02-05"]), "category"),
    filled(st.booleans(), "boolean"),
    filled(st.booleans(), object),
    filled(days, object),
    filled(days, pd.ArrowDtype(pa.date32())),
    filled(moments, "datetime64[ns]"),
    filled(moments.map(lambda one: one.replace(tzinfo=UTC)), "datetime64[us, Asia/Tokyo]"),
    filled(st.decimals(-1000, 1000, places=2), object),
    filled(st.one_of(st.integers(), st.text(), st.floats(), st.binary(), days), object),
)


@st.composite
def frames(draw):
    names = draw(st.lists(st.text(), min_size=1, max_size=4, unique=True))
    made = [draw(columns) for _ in names]
    height = min(len(one) for one in made)
    return pd.DataFrame({name: one.iloc[:height] for name, one in zip(names, made, strict=True)})


@settings(deadline=None, max_examples=150)
@given(frames())
def test_a_table_passes_the_schema_that_was_proposed_for_it(frame):
    text = propose(frame)
    declared = read_schema(yaml.safe_load(text))
    found = check_schema(declared, frame)
    assert found.passed, text + found.markdown()
    assert list(declared.columns) == list(frame.columns)


def test_a_proposal_says_what_a_person_would_notice():
    rows = 200
    frame = pd.DataFrame(
        {
            "store": [one // 10 for one in range(rows)],
            "week": pd.to_datetime(["2010-02-05"] * rows) + pd.to_timedelta(range(rows), "W") % 70,
            "kind": ["a", "b"] * (rows // 2),
            "price": [1.0] * rows,
            "seat": [float(one) if one % 8 else None for one in range(rows)],
        }
    )
    frame["week"] = pd.Timestamp("2010-02-05") + pd.to_timedelta(
        [7 * (i % 10) for i in range(rows)], "D"
    )
    made = yaml.safe_load(propose(frame))
    assert made == {
        "columns": {
            "store": {"type": "integer", "min": 0},
            "week": {"type": "date"},
            "kind": {"type": "text", "allowed": ["a", "b"]},
            "price": {"type": "number", "min": 0},
            "seat": {"type": "integer", "nullable": True, "max_missing_share": 0.2, "min": 0},
        },
        "key": ["store", "week"],
        "extra_columns": "forbid",
        "min_rows": 1,
    }


def test_texts_that_a_declaration_would_take_for_templates_are_not_proposed():
    frame = pd.DataFrame({"a": ["x", "{{ y }}"] * 10})
    assert yaml.safe_load(propose(frame))["columns"] == {"a": {"type": "text"}}


@pytest.mark.parametrize(("later", "passed"), [("{{ y }}", True), (None, False)])
def test_a_proposal_is_pasted_as_it_stands_and_checks_the_next_delivery(workshop, later, passed):
    made = pa.table({"a": ["{{ y }}"] * 20, "b": ["m", "n"] * 10, "c": [None, 0.5] * 10})
    workshop.write("checks/defs.yaml", propose_checks("features/a", made))
    text = f"'{later}'" if later else "NULL"
    workshop.table("a", f"SELECT {text} AS a, 'n' AS b, 0.5::DOUBLE AS c")
    checked = [one for one in workshop.run().happenings if one.kind == "checked"]
    assert [one.passed for one in checked] == [passed]


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame([[1, 2]], columns=["a", "a"])])
def test_nothing_is_proposed_for_columns_without_names_of_their_own(frame):
    with pytest.raises(DataError, match=r"^table raw/a: .*(no columns|there more than once)"):
        propose_checks("raw/a", frame)


@pytest.mark.real_data
@pytest.mark.skipif("ML_PLATFORM_DATA_DIR" not in os.environ, reason="needs real data")
@pytest.mark.parametrize(
    "name", ["store_sales.csv", "delivery_real.parquet", "delivery_197k.parquet"]
)
def test_real_tables_pass_what_is_proposed_for_them(name):
    file = Path(os.environ["ML_PLATFORM_DATA_DIR"]) / name
    frame = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    found = check_schema(read_schema(yaml.safe_load(propose(frame))), frame)
    assert found.passed, found.markdown()
    assert found.rows == len(frame)
