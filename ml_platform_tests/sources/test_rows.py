"""Rows of a driver as Arrow batches."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest

from ml_platform.kernel.errors import DataError
from ml_platform.sources import rows

MOMENT = datetime.fromisoformat("2010-02-05T10:30:00.5")


def read(*chunks, told=None, declared=()):
    names = [f"c{at}" for at in range(len(chunks[0][0]))]
    schema = rows.learnt_types(
        names, chunks[0], told or {}, dict.fromkeys(declared, "string"), "query x"
    )
    return pa.Table.from_batches(rows.batches(iter(chunks), schema, "query x"), schema)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, True, False], pa.bool_()),
        ([1, None, -(2**63)], pa.int64()),
        ([1.5, None], pa.float64()),
        ([Decimal("1.25"), Decimal("-3.5"), None], pa.decimal128(38, 2)),
        ([Decimal("1E+3"), Decimal(7)], pa.decimal128(38, 0)),
        ([date(2010, 2, 5), None], pa.date32()),
        ([MOMENT, None], pa.timestamp("us")),
        ([datetime(2010, 2, 5, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        ([time(10, 30, 5, 7)], pa.time64("us")),
        ([timedelta(seconds=1.5)], pa.duration("us")),
        ([b"\x00\xff", None], pa.binary()),
        (["x", None, ""], pa.string()),
        ([None, None], pa.null()),
        ([2**63, 1], pa.decimal128(38, 0)),
    ],
)
def test_every_kind_of_value_keeps_its_type_and_itself(values, kind):
    table = read([(value,) for value in values])
    assert table["c0"].type == kind
    assert table["c0"].to_pylist() == values


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([Decimal("0.1"), 2], pa.decimal128(38, 1), [Decimal("0.1"), Decimal(2)]),
        ([Decimal("0.5"), 1.5], pa.float64(), [0.5, 1.5]),
        ([{"a": [1]}, ["é"]], pa.string(), ['{"a": [1]}', '["é"]']),
        ([UUID(int=7)], pa.string(), ["00000000-0000-0000-0000-000000000007"]),
        ([time(1, tzinfo=UTC)], pa.string(), ["01:00:00+00:00"]),
    ],
)
def test_kinds_that_arrow_has_not_or_that_fit_together_are_widened(values, kind, kept):
    table = read([(value,) for value in values])
    assert (table["c0"].type, table["c0"].to_pylist()) == (kind, kept)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (
            [[(1,), (None,), ("x",)]],
            "row 3, column 'c0': \"x\" is text, where before it .* integer",
        ),
        ([[(date(2010, 1, 1),), (1,)]], "row 2, column 'c0': 1 is integer"),
        ([[(1,), (2,)], [(3,), ("x",)]], "row 4, column 'c0': \"x\" is text, .* int64"),
        ([[(None,)], [("x",)]], "row 2, column 'c0': \"x\" is text, .* there was no value"),
        ([[(Decimal("0.1"),)], [(Decimal("0.125"),)]], "row 2, column 'c0': .* is decimal"),
    ],
)
def test_the_first_value_of_another_kind_is_told_with_its_row(chunks, message):
    with pytest.raises(DataError, match=message) as caught:
        read(*chunks)
    assert "dtypes: {c0: string}" in caught.value.fix


def test_a_declared_column_may_mix_kinds():
    assert read([(1,), ("x",), (None,)], declared=["c0"])["c0"].to_pylist() == ["1", "x", None]


def test_a_type_that_was_told_goes_before_what_is_learnt():
    told = {"c0": pa.float64(), "c1": pa.date32()}
    table = read([(1, None)], [(None, date(2010, 1, 1))], told=told)
    assert table.schema.types == [pa.float64(), pa.date32()]
    assert table.to_pydict() == {"c0": [1.0, None], "c1": [None, date(2010, 1, 1)]}
