"""Whatever comes is prepared and told, or refused by name: no other error, warning or change."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError
from ml_platform.preparation.transformer import AutoPrepare

NAN, INF = float("nan"), float("inf")
ROWS = 60

OPTIONS = [
    {},
    {"indicators": True, "outliers": "flag", "encode_categ": "ordinal"},
    {"outliers": "forest", "missing_num": "neural", "missing_categ": "logreg"},
    {"missing_num": "knn", "missing_categ": "own", "encode_categ": False},
    {"outliers": "zscore", "missing_num": "time", "encode_categ": "hashing", "text": "minhash"},
    {"mode": "manual"},
    {"missing_num": "delete", "missing_categ": "delete", "outliers": "delete"},
]


def assert_promises_are_kept(frame, **options):
    """Prepare a table and look at all that must hold whatever is in it."""
    before = frame.copy(deep=True)
    prepare = AutoPrepare(**options)
    made = prepare.fit_transform(frame)
    prepared = prepare.apply(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert made.index.equals(frame.index)
    assert list(made) == list(prepare.get_feature_names_out())
    assert len(set(made)) == len(made.columns)
    pd.testing.assert_frame_equal(prepare.transform(frame), made)
    assert sum(prepared.receipt.dropped.values()) == len(frame) - len(prepared.frame)
    assert not set(prepared.frame.index) - set(frame.index)
    if options.get("missing_num") != "delete" and options.get("mode") != "manual":
        left = [name for name in made if made[name].isna().any()]
        assert not set(left) - without_any_value(prepared, frame)
    prepared.receipt.to_json(), prepared.receipt.to_markdown()
    assert not changed_in_secret(before, prepared)
    return prepared


def without_any_value(prepared, frame):
    """Columns of which no value is known: nothing can fill them."""
    names = dict(zip(map(str, frame.columns), frame.columns, strict=True))
    return {
        column.name
        for column in prepared.receipt.columns
        if column.gaps == column.rows and column.name in names
    }


def changed_in_secret(before, prepared):
    """Number columns with a cell that is not as it came, and whose mask says that it is."""
    found = []
    for name in prepared.frame:
        column = before.get(name)
        if (
            column is None
            or not isinstance(column.dtype, np.dtype)
            or column.dtype.kind not in "if"
        ):
            continue
        given_, made = column.loc[prepared.frame.index], prepared.frame[name]
        if len(given_) != len(made) or made.dtype == object:
            continue
        cells = prepared.cells[name].to_numpy()
        differs = (given_.to_numpy() != made.to_numpy()) & ~(given_.isna() & made.isna()).to_numpy()
        found += [name] if (differs & (cells == 0)).any() else []
    return found


def some(values, every=5):
    """Values for all rows, every fifth missing."""
    cells = [values[row % len(values)] for row in range(ROWS)]
    return pd.Series([None if row % every == 0 else cell for row, cell in enumerate(cells)])


def numbers(seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(size=ROWS) * scale


TABLES = {
    "one row": pd.DataFrame({"a": [1.5], "b": ["x"], "t": [pd.Timestamp("2024-01-01")]}),
    "one row of nothing": pd.DataFrame({"a": [NAN], "b": [None]}),
    "two rows": pd.DataFrame({"a": [1.5, NAN], "b": ["x", None]}),
    "nothing in it": pd.DataFrame(
        {"z": [None] * ROWS, "f": NAN, "s": pd.array([None] * ROWS, "string")}
    ),
    "constants": pd.DataFrame({"k": 1.0, "w": ["q"] * ROWS, "x": some([1.5])}),
    "infinities": pd.DataFrame({"i": [INF, -INF, 1.0] * 20, "x": numbers()}),
    "only infinities": pd.DataFrame({"i": [INF, -INF] * 30, "x": numbers()}),
    "the largest floats": pd.DataFrame(
        {"i": some([1e308, -1e308, 1.0]).astype(float), "x": some(numbers())}
    ),
    "large floats with gaps": pd.DataFrame(
        {"i": some(numbers(0, 1e307)), "j": some(numbers(1, 1e307), 7)}
    ),
    "the smallest floats": pd.DataFrame({"i": some(numbers(0, 1e-300)), "j": numbers(1, 5e-324)}),
    "lists and mappings": pd.DataFrame({"u": [[1, 2], {"a": 1}, None] * 20, "x": some(numbers())}),
    "sets": pd.DataFrame({"u": [{1}, {2}, None] * 20}),
    "zones": pd.DataFrame(
        {
            "t": [
                pd.Timestamp("2024-01-01", tz="UTC"),
                pd.Timestamp("2024-01-02", tz="Asia/Seoul"),
                pd.Timestamp("2024-01-03"),
            ]
            * 20
        }
    ),
    "nullable": pd.DataFrame(
        {
            "i": some(range(ROWS)).astype("Int64"),
            "f": some(numbers()).astype("Float64"),
            "b": some([True, False]).astype("boolean"),
            "s": some(["a", "b"]).astype("string"),
        }
    ),
    "arrow": pd.DataFrame(
        {
            "i": some(range(ROWS)).astype("int64[pyarrow]"),
            "s": some(["a", "b"]).astype("string[pyarrow]"),
            "t": pd.Series(pd.date_range("2024", periods=ROWS)).astype("timestamp[us][pyarrow]"),
            "d": pd.Series([dt.date(2024, 1, 1 + row % 28) for row in range(ROWS)]).astype(
                "date32[pyarrow]"
            ),
        }
    ),
    "categorical": pd.DataFrame(
        {
            "w": pd.Categorical(some(["u", "v"]), categories=["u", "v", "never"]),
            "n": pd.Categorical(some([1, 2]), ordered=True),
            "f": pd.Categorical(some([1.5, 2.5])),
        }
    ),
    "a word among numbers": pd.DataFrame({"i": [*map(str, range(ROWS - 1)), "oops"]}),
    "all types at once": pd.DataFrame(
        {"m": [1, "a", None, 2.5, True, dt.date(2024, 1, 1), Decimal("1.5"), b"x", [1], 10**30] * 6}
    ),
    "flags with gaps": pd.DataFrame({"b": some([True, False]), "x": some(numbers())}),
    "complex": pd.DataFrame({"z": numbers() + 1j}),
    "durations": pd.DataFrame({"z": pd.to_timedelta(range(ROWS), unit="h")}),
    "periods": pd.DataFrame({"z": pd.period_range("2024-01", periods=ROWS, freq="M")}),
    "intervals": pd.DataFrame({"z": pd.interval_range(0, ROWS)}),
    "sparse": pd.DataFrame({"z": pd.arrays.SparseArray([0, 0, 1.0] * 20)}),
    "integers beyond floats": pd.DataFrame({"z": [2**60 + row for row in range(ROWS)]}),
    "integers beyond all": pd.DataFrame(
        {"z": [10**400 + row for row in range(ROWS)]}, dtype=object
    ),
    "one index for all": pd.DataFrame({"a": some(numbers())}).set_axis([0] * ROWS),
    "names that are none": pd.DataFrame(
        {None: some(numbers()), 0: 1, 1.5: some([*"ab"]), ("x", 1): numbers()}
    ),
    "names in levels": pd.DataFrame(
        numbers().reshape(30, 2), columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    ),
    "an empty name": pd.DataFrame({"": some(numbers()), " ": some([*"xy"])}),
    "names that would be made": pd.DataFrame(
        {
            "a": some(numbers()),
            "a_missing": some(numbers(1)),
            "a_outlier": 1,
            "c": some([*"xy"]),
            "c_x": 2,
            "row_outlier": 3,
        }
    ),
    "all different": pd.DataFrame({"z": [f"key {row}" for row in range(ROWS)]}),
    "the ends of time": pd.DataFrame(
        {"t": some([dt.date(1, 1, 1), dt.date(9999, 12, 31)]), "a": some(numbers())}
    ),
    "no date at all": pd.DataFrame({"t": pd.to_datetime([None] * ROWS)}),
    "nothing but gaps together": pd.DataFrame(
        {name: some(numbers(seed)) for seed, name in enumerate("abc")}
    ),
}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_this_kind_is_prepared(table, options):
    frame = TABLES[table]
    if options.get("outliers") == "forest":
        # Without a number there is no forest.
        measured = pd.Series(numbers()[: len(frame)], frame.index, name="measured")
        frame = pd.concat([frame, measured], axis=1)
    assert_promises_are_kept(frame, **options)


def test_a_decimal_that_must_not_be_looked_at_is_a_gap():
    frame = pd.DataFrame({"a": [Decimal("sNaN"), Decimal("1.5")] * 5}, dtype=object)
    assert AutoPrepare(duplicates=False).prepare(frame).frame["a"].tolist() == [1.5] * 10


def test_a_forest_without_a_number_is_refused():
    with pytest.raises(DataError, match="0 number columns"):
        AutoPrepare(outliers="forest").fit(pd.DataFrame({"c": [*"abc"]}))


@pytest.mark.parametrize(
    ("table", "name", "told"),
    [
        ("infinities", "i", "infinities"),
        ("a word among numbers", "i", "oops"),
        ("nothing in it", "z", "no value"),
        ("constants", "k", "constant"),
        ("lists and mappings", "u", "JSON"),
        ("zones", "t", "time zones"),
        ("all different", "z", "left out"),
        ("sparse", "z", "fewer than 10"),
    ],
)
def test_what_was_found_is_in_the_receipt(table, name, told):
    assert told in "; ".join(AutoPrepare().prepare(TABLES[table]).receipt.column(name).found)


@pytest.mark.parametrize(
    ("frame", "subject", "given_"),
    [
        (pd.DataFrame({"a": []}), "rows to learn", "none"),
        (pd.DataFrame(index=range(3)), "rows to learn", "0 feature"),
        (pd.DataFrame(), "rows to learn", "none"),
        (pd.DataFrame(np.ones((3, 2)), columns=["a", "a"]), "column 'a'", "2 columns"),
        (pd.DataFrame(np.ones((3, 2)), columns=["1", 1]), "column '1'", "2 columns"),
        (pd.DataFrame(np.ones((3, 3)), columns=["b", "a", "b"]), "column 'b'", "2 columns"),
    ],
)
def test_a_table_that_cannot_be_prepared_is_refused_by_name(frame, subject, given_):
    with pytest.raises(DataError) as refused:
        AutoPrepare().fit(frame)
    assert subject in refused.value.subject
    assert given_ in refused.value.given


def plain():
    """A table that holds nothing unusual."""
    return pd.DataFrame(
        {
            "x": some(numbers()).astype(float),
            "n": range(ROWS),
            "c": some(["u", "v", "w"]),
            "t": pd.date_range("2024-01-01", periods=ROWS, freq="7h"),
            "b": [True, False] * 30,
        }
    )


def test_a_column_that_is_missing_later_is_named():
    prepare = AutoPrepare().fit(plain())
    with pytest.raises(DataError, match="'c'") as refused:
        prepare.transform(plain().drop(columns=["c"]))
    assert refused.value.fix


def test_columns_in_another_order_and_more_of_them_make_no_difference():
    prepare = AutoPrepare().fit(plain())
    other = plain()[["b", "t", "n", "x", "c"]].assign(more=1)
    pd.testing.assert_frame_equal(prepare.transform(other), prepare.transform(plain()))


@pytest.mark.parametrize(
    "changed",
    [
        {"x": "object"},
        {"x": "Float64"},
        {"n": "string"},
        {"n": "float32"},
        {"n": "Int64"},
        {"c": "category"},
        {"c": "string[pyarrow]"},
        {"t": "string"},
        {"t": "timestamp[us][pyarrow]"},
        {"b": "object"},
        {"b": "boolean"},
        {"b": "int8"},
    ],
    ids=str,
)
def test_the_same_values_in_another_type_are_the_same(changed):
    prepare = AutoPrepare().fit(plain())
    made = prepare.transform(plain().astype(changed))
    pd.testing.assert_frame_equal(made, prepare.transform(plain()))


def test_an_empty_table_is_prepared_by_what_was_learnt():
    prepare = AutoPrepare(indicators=True, outliers="forest").fit(plain())
    made = prepare.transform(plain().iloc[:0])
    assert len(made) == 0
    assert list(made) == list(prepare.get_feature_names_out())


def test_levels_that_nobody_knew_leave_no_gap():
    prepare = AutoPrepare().fit(plain())
    made = prepare.transform(plain().assign(c="new", n=-1, x=1e300))
    assert made[["c_u", "c_v", "c_w"]].eq(0).all().all()
    assert not made.isna().any().any()


def test_cells_that_no_longer_fit_are_refused_and_told():
    prepare = AutoPrepare().fit(plain())
    prepared = prepare.apply(plain().assign(n=["many"] * 3 + list(range(3, ROWS))))
    assert prepared.cells["n"].tolist()[:4] == [2 | 8, 2 | 8, 2 | 8, 0]
    assert prepared.receipt.column("n").refused == 3
    assert not prepared.frame["n"].isna().any()


def test_a_million_different_values_are_neither_columns_nor_levels():
    rows = 1_000_000
    frame = pd.DataFrame({"key": [f"k{row}" for row in range(rows)], "x": np.arange(rows) % 97.5})
    prepare = AutoPrepare(duplicates=False)
    made = prepare.fit_transform(frame)
    assert list(made) == ["x"]
    assert "left out" in " ".join(prepare.receipt_.column("key").found)


NUMBERS = st.one_of(st.none(), st.floats(), st.floats(-100, 100), st.integers(-(2**70), 2**70))
WORDS = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.sampled_from(["a", "b", "12", "1,5", "yes", "no", "2024-01-02"]),
)
OBJECTS = st.one_of(
    NUMBERS,
    WORDS,
    st.booleans(),
    st.binary(max_size=3),
    st.decimals().filter(lambda cell: not cell.is_snan()),  # pandas itself fails to compare these
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.timedeltas(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
    st.complex_numbers(),
)
NAMES = st.one_of(
    st.text(max_size=3), st.integers(0, 3), st.none(), st.sampled_from(["a", "a_missing"])
)


@st.composite
def frames(draw):
    """Tables of up to 72 rows, columns of all sorts under any names."""
    rows = draw(st.integers(0, 12))
    names = draw(st.lists(NAMES, max_size=4))
    cells = [
        draw(
            st.lists(draw(st.sampled_from([NUMBERS, WORDS, OBJECTS])), min_size=rows, max_size=rows)
        )
        for _ in names
    ]
    columns = [pd.Series(column, dtype=object).infer_objects() for column in cells]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(rows))
    times = draw(st.sampled_from([1, 1, 6]))  # enough rows for what needs forty
    return pd.concat([frame.set_axis(names, axis=1)] * times, ignore_index=True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frame=frames(), options=st.sampled_from(OPTIONS))
def test_any_table_is_prepared_or_refused_by_name(frame, options):
    try:
        assert_promises_are_kept(frame, **options)
    except DataError as error:
        refused = error
    else:
        return
    assert refused.subject
    assert refused.given
