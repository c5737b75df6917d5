"""The shape of a source's columns: chosen, renamed, cast."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.sources.shape import Shape, arrow_type, cast_batches, first_misfit

FOUND = pa.schema([("Store", pa.int64()), ("Sales", pa.string()), ("Note", pa.string())])


def test_nothing_declared_leaves_the_columns_as_they_are():
    assert Shape().schema(FOUND, "file x") == FOUND


def test_columns_are_chosen_renamed_and_typed():
    shape = Shape(("Sales", "Store"), {"Sales": "sales_usd"}, {"Sales": "decimal(12, 2)"})
    expected = pa.schema([("sales_usd", pa.decimal128(12, 2)), ("Store", pa.int64())])
    assert shape.schema(FOUND, "file x") == expected


@pytest.mark.parametrize(
    ("shape", "missing"),
    [
        (Shape(columns=("Store", "Slaes")), "column 'Slaes' is missing"),
        (Shape(rename={"Slaes": "sales"}), "column 'Slaes' is missing"),
        (Shape(dtypes={"Slaes": "float", "Nte": "string"}), "columns 'Slaes', 'Nte' are missing"),
    ],
)
def test_a_declared_column_that_is_missing_is_named_with_its_neighbour(shape, missing):
    with pytest.raises(DataError, match=missing) as caught:
        shape.schema(FOUND, "file x")
    assert caught.value.allowed.startswith("Sales (did you mean this?)")


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(DataError, match="several columns are called Note"):
        Shape(rename={"Sales": "Note"}).schema(FOUND, "file x")


@pytest.mark.parametrize("word", ["flaot", "decimal(39,2)", "decimal(2,3)", "decimal"])
def test_an_unknown_type_is_refused_when_it_is_declared(word):
    with pytest.raises(DeclarationError) as caught:
        Shape(dtypes={"Sales": word})
    assert f"'{word}' is no type" in str(caught.value)
    assert "decimal(precision, scale)" in caught.value.allowed


def test_a_source_without_rows_has_the_declared_columns():
    shape = Shape(("a", "b"), {"a": "c"}, {"b": "date"})
    assert shape.empty() == pa.schema([("c", pa.null()), ("b", pa.date32())])


def test_the_first_value_that_does_not_fit_is_found_across_batches():
    batches = [pa.record_batch({"n": ["1", "2"]}), pa.record_batch({"n": ["3", "x", "y"]})]
    schema = pa.schema([("n", pa.int64())])
    cast = cast_batches(iter(batches), ["n"], schema, "file x", lambda row: f"row {row + 1}")
    assert next(cast).column(0).to_pylist() == [1, 2]
    with pytest.raises(DataError) as caught:
        next(cast)
    assert "file x: row 4, column 'n': 'x' is not of type int64" in str(caught.value)


@given(st.lists(st.booleans(), min_size=1, max_size=60).filter(any))
def test_the_first_misfit_is_the_first(wrong):
    column = pa.array(["x" if one else "1" for one in wrong])
    assert first_misfit(column, pa.int64()) == wrong.index(True)


def test_a_cast_never_drops_a_part_of_a_value():
    batch = pa.record_batch({"n": [1.0, 2.5]})
    rows = cast_batches(iter([batch]), ["n"], pa.schema([("n", pa.int64())]), "q", str)
    with pytest.raises(DataError, match=r"1, column 'n': 2\.5 is not of type int64"):
        list(rows)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("string", pa.string()),
        ("integer", pa.int64()),
        ("float", pa.float64()),
        ("boolean", pa.bool_()),
        ("date", pa.date32()),
        ("timestamp", pa.timestamp("us")),
        ("timestamp_utc", pa.timestamp("us", "UTC")),
        ("decimal(9,0)", pa.decimal128(9, 0)),
    ],
)
def test_every_word_has_a_type(word, kind):
    assert arrow_type(word, "column") == kind
