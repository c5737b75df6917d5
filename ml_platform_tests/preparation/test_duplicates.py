"""Of rows that say the same, the first stays, whatever their cells are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.preparation.duplicates import by_key, exact, near


def column(*cells):
    return pd.Series(list(cells), dtype=object)


def texts(*cells):
    return np.array(cells, object)


@pytest.mark.parametrize(
    ("cells", "dropped"),
    [
        (["a", "b", "a"], [False, False, True]),
        ([None, np.nan, pd.NA], [False, True, True]),
        ([1, True, "1", 1.0], [False, False, False, True]),
        ([[1, 2], [1, 2], [2, 1], (1, 2)], [False, True, False, False]),
        ([{"a": [1], "b": 2}, {"b": 2, "a": [1]}, {"a": [2]}], [False, True, False]),
        ([[1], [True]], [False, False]),
        ([np.array([1, 2]), np.array([1, 2]), {3}, {3}], [False, True, False, True]),
        ([bytearray(b"x"), bytearray(b"x"), bytearray(b"y")], [False, True, False]),
    ],
)
def test_equal_rows_are_found_whatever_their_cells_are(cells, dropped):
    frame = pd.DataFrame({"x": column(*cells), "same": 1})
    assert exact(frame).tolist() == dropped


@pytest.mark.parametrize(
    "dtype", ["Int64", "string", "category", "int64[pyarrow]", "M8[ns]", "bool"]
)
def test_every_type_of_column_is_compared(dtype):
    frame = pd.DataFrame(
        {"x": pd.Series([1, 0, 1]).astype(str if dtype == "string" else "int").astype(dtype)}
    )
    assert exact(frame).tolist() == [False, False, True]


def test_rows_are_found_in_spite_of_repeated_names_and_index():
    frame = pd.DataFrame([[1, 2], [1, 3], [1, 2]], columns=["x", "x"], index=[7, 7, 7])
    assert exact(frame).tolist() == [False, False, True]
    assert by_key(frame, ["x"]).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(), pd.DataFrame({"x": []}), pd.DataFrame(index=[1, 2])]
)
def test_frames_without_rows_or_columns_have_no_duplicates(frame):
    assert exact(frame).tolist() == [False] * len(frame)


def test_a_key_tells_rows_apart_and_a_gap_in_it_says_nothing():
    frame = pd.DataFrame(
        {"id": [1, 1, None, None, 2], "part": ["a", "a", "a", "a", "a"], "v": range(5)}
    )
    assert by_key(frame, ["id", "part"]).tolist() == [False, True, False, False, False]
    assert by_key(frame, ["part"]).tolist() == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("keys", "told"), [(["ids"], r"allowed: id .did you mean this"), ([], "no key was named")]
)
def test_a_key_that_does_not_exist_is_refused(keys, told):
    with pytest.raises(DataError, match=told):
        by_key(pd.DataFrame({"id": [1], "v": [2]}), keys)


def test_the_frame_is_not_changed():
    frame = pd.DataFrame({"x": column([1], {"a": 2}, [1])})
    before = frame.copy(deep=True)
    exact(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("cells", "dropped"),
    [
        (["Joe's Pizza, New York", "Joes Pizza, New York", "Anna's Soup"], [False, True, False]),
        (["Cafe  Uno", "cafe uno", None, None], [False, True, False, False]),
        (["Xoe's Pizza, New York", "Joe's Pizza, New York"], [False, True]),
        (["same", "same", "same"], [False, True, True]),
        (["", ""], [False, True]),
        ([], []),
        (["alone"], [False]),
    ],
)
def test_texts_that_are_nearly_the_same_are_found(cells, dropped):
    assert near(texts(*cells)).tolist() == dropped


def test_rows_are_not_dropped_for_the_sake_of_a_dropped_one():
    """Each is near the next, but the first and the third are not alike."""
    chain = texts("abcdefghij", "abcdefghZZ", "abcdefZZZZ")
    assert near(chain, 0.8).tolist() == [False, True, False]


def test_a_slip_anywhere_is_found_among_many_texts():
    random = np.random.default_rng(0)
    whole = ["".join(random.choice(list("abcdefghij "), 24)).strip() + "end" for _ in range(3000)]
    slips = [
        text[:at] + "Z" + text[at + 1 :]
        for text, at in zip(whole, range(3000), strict=True)
        if at < 20
    ]
    found = near(texts(*whole, *slips))
    assert found[:3000].sum() == 0
    assert found[3000:].all()


def test_a_slip_in_the_beginning_and_one_in_the_middle_are_found_by_the_end():
    random = np.random.default_rng(0)
    whole = ["".join(random.choice(list("abcdefghij"), 30)) for _ in range(300)]
    slips = [f"Z{text[1:12]}Z{text[13:]}" for text in whole]
    assert near(texts(*whole, *slips)).tolist() == [False] * 300 + [True] * 300


@given(st.lists(st.none() | st.text("abc ", max_size=8), max_size=20), st.floats(0.5, 1))
def test_every_dropped_text_is_similar_to_an_earlier_one_that_stays(cells, similarity):
    dropped = near(texts(*cells), similarity)
    kept = [
        " ".join(t.split())
        for t, gone in zip(cells, dropped, strict=True)
        if t is not None and not gone
    ]
    for row in np.flatnonzero(dropped):
        text = " ".join(cells[row].split())
        assert any(fuzz.ratio(text, other) >= 100 * similarity for other in kept)
    assert len(set(kept)) == len(kept)


@pytest.mark.parametrize("similarity", [0, 1.1, 90, True, float("nan")])
def test_a_similarity_that_cannot_be_is_refused(similarity):
    with pytest.raises(DeclarationError, match="above 0, up to 1"):
        near(texts("a"), similarity)
