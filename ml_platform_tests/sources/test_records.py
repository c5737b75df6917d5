"""Lists of JSON objects as tables."""

import json

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError
from ml_platform.sources import records
from ml_platform.sources.records import table_of
from ml_platform.sources.shape import Shape


def read(items, shape=None):
    return table_of(items, shape or Shape(), "api x", lambda index: f"record {index + 1}")


def test_each_kind_of_value_has_its_type_and_gaps_are_null():
    table = read([{"a": 1, "b": "x", "c": None}, {"a": 2.5, "d": True, "e": {"f": [1, "é"]}}])
    assert table.to_pylist() == [
        {"a": 1.0, "b": "x", "c": None, "d": None, "e": None},
        {"a": 2.5, "b": None, "c": None, "d": True, "e": '{"f": [1, "é"]}'},
    ]
    kinds = [pa.float64(), pa.string(), pa.null(), pa.bool_(), pa.string()]
    assert table.schema.types == kinds


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "i": st.none() | st.integers(-(2**63), 2**63 - 1),
                "f": st.none() | st.floats(allow_nan=False),
                "s": st.none() | st.text('aé"\\\n{ 😀'),
                "b": st.none() | st.booleans(),
            },
        ),
        min_size=1,
    )
)
def test_what_json_holds_comes_back_unchanged(items):
    parsed = json.loads(json.dumps(items))
    names = list(dict.fromkeys(name for item in items for name in item))
    assume(names)
    table = read(parsed)
    assert table.num_rows == len(items)
    assert table.to_pylist() == [{name: item.get(name) for name in names} for item in items]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"a": 1}, {"a": "x"}], "record 2, column 'a': \"x\" is text, where .* before it are int"),
        ([{"a": True}, {"a": None}, {"a": 1}], "record 3, column 'a': 1 is integer"),
        ([{"a": [1]}, {"a": 1}], "record 2, column 'a': 1 is integer, .* nested"),
        ([{"a": 1}, [1]], r"record 2: \[1\] is not an object"),
        ([{"a": 1}, {"a": 2**63}], "record 2, column 'a': 9223372036854775808 is a number of more"),
        ([{"a": -(2**63) - 1}], "record 1, column 'a': -9223372036854775809 is a number of more"),
    ],
)
def test_the_first_value_of_another_kind_is_named(items, message):
    with pytest.raises(DataError, match=message):
        read(items)


def test_a_declared_type_takes_values_of_several_kinds():
    items = [{"code": 2**70, "n": "1.5"}, {"code": 1, "n": 2}, {"code": "A", "n": None}]
    table = read(items, Shape(dtypes={"code": "string", "n": "float"}))
    assert table.to_pydict() == {"code": [str(2**70), "1", "A"], "n": [1.5, 2.0, None]}


def test_a_value_that_a_declared_type_refuses_is_named_by_its_record():
    items = [{"day": "2010-02-05"}, {"day": "05-02-2010"}]
    with pytest.raises(DataError, match="record 2, column 'day': '05-02-2010' is not of type date"):
        read(items, Shape(dtypes={"day": "date"}))


def test_no_record_gives_an_empty_table_of_the_declared_columns():
    table = read([], Shape(("a",), {"a": "b"}, {"a": "integer"}))
    assert (table.num_rows, table.schema) == (0, pa.schema([("b", pa.int64())]))


def test_kinds_hold_across_batches(monkeypatch):
    monkeypatch.setattr(records, "BATCH_ROWS", 2)
    table = read([{"a": 1}, {"a": 2}, {"a": 0.5, "b": "late"}])
    assert table.to_pydict() == {"a": [1.0, 2.0, 0.5], "b": [None, None, "late"]}


def test_a_long_value_is_cut_in_a_message():
    with pytest.raises(DataError) as caught:
        read([{"a": 1}, {"a": "x" * 500}])
    assert len(str(caught.value)) < 300
