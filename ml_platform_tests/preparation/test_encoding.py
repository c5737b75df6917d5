"""Categories become numbers, in columns with free names, for levels unseen and missing too."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.preparation.columns import Column
from ml_platform.preparation.encoding import free_names, learn_and_encode, learn_encoding

NAN = float("nan")
SEEN = Column("category", np.array([0, 0, 0, 1, 1, 2, -1, 0], np.int32), ("a", "b", "c"))
NEW = Column("category", np.array([2, 3, -1], np.int32), ("a", "b", "c"))


def shown(columns):
    return {name: column.values.tolist() for name, column in columns.items()}


def numbers(*values):
    return Column("number", np.array(values, np.float64))


def wide(levels, rows=1000):
    codes = np.random.default_rng(0).integers(0, levels, rows).astype(np.int32)
    return Column("category", codes, tuple(f"level {i}" for i in range(levels)))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("onehot", {"x_a": [0, 0, 0], "x_b": [0, 0, 0], "x_c": [1, 0, 0]}),
        ("ordinal", {"x_ordinal": [2, 3, NAN]}),
        ("frequency", {"x_frequency": [1 / 8, 0, 1 / 8]}),
    ],
)
def test_levels_unseen_and_missing_have_an_entry(method, expected):
    encoding = pickle.loads(pickle.dumps(learn_encoding("x", SEEN, method)))
    found = shown(encoding.apply(NEW))
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_hashing_gives_each_level_one_sign_in_one_of_the_columns():
    columns = learn_encoding("x", wide(100), "hashing", width=4).apply(wide(100))
    matrix = np.column_stack(list(shown(columns).values()))
    assert list(columns) == ["x_hash_0", "x_hash_1", "x_hash_2", "x_hash_3"]
    assert (np.abs(matrix).sum(axis=1) == 1).all()
    assert {-1.0, 0.0, 1.0} == set(matrix.ravel())
    assert (np.abs(matrix).sum(axis=0) > 100).all()
    once = learn_encoding("x", SEEN, "hashing").apply(NEW)
    assert [shown(once)["x_hash_0"][row] for row in (1, 2)] == pytest.approx([0, NAN], nan_ok=True)


def test_a_hash_is_the_same_in_every_process():
    table = learn_encoding(
        "x", Column("category", np.zeros(1, np.int32), ("a", "b")), "hashing"
    ).table
    assert [np.flatnonzero(row).tolist() for row in table[:2]] == [[1], [4]]
    assert [row.sum() for row in table[:2]] == [1.0, 1.0]


def test_target_means_are_drawn_towards_the_mean_of_all():
    target = numbers(1, 1, 1, 0, 0, 1, 0, NAN)
    encoding = learn_encoding("x", SEEN, "target", target=target)
    prior = 4 / 7
    expected = [
        (3 + 10 * prior) / 13,
        (10 * prior) / 12,
        (1 + 10 * prior) / 11,
        prior,
        10 * prior / 11,
    ]
    np.testing.assert_allclose(encoding.table[:, 0], expected)
    assert encoding.outputs == ("x_target",)


def test_a_target_of_two_classes_has_one_column_and_of_three_has_three():
    two = Column("category", np.array([0, 1] * 4, np.int32), ("no", "yes"))
    three = Column("category", np.array([0, 1, 2, -1] * 2, np.int32), ("u", "v", "w"))
    assert learn_encoding("x", SEEN, "target", target=two).outputs == ("x_target_yes",)
    encoding = learn_encoding("x", SEEN, "target", target=three)
    assert encoding.outputs == ("x_target_u", "x_target_v", "x_target_w")
    np.testing.assert_allclose(encoding.table.sum(axis=1), 1.0)


def test_training_rows_do_not_see_their_own_target():
    """A column of ids has nothing to tell; uncrossed, its means repeat the target."""
    random = np.random.default_rng(1)
    column = Column("category", random.permutation(2000).astype(np.int32) // 2, tuple(range(1000)))
    target = Column("number", random.normal(size=2000))
    encoding, crossed = learn_and_encode("id", column, "target", target=target)
    naive = encoding.apply(column)["id_target"].values
    assert np.corrcoef(naive, target.values)[0, 1] > 0.5
    assert abs(np.corrcoef(crossed["id_target"].values, target.values)[0, 1]) < 0.1


def test_cross_fitted_means_are_those_of_the_other_rows():
    random = np.random.default_rng(2)
    column, target = wide(3, 200), Column("number", random.normal(size=200))
    found = learn_and_encode("x", column, "target", target=target, random_state=7)[1]["x_target"]
    folds = np.random.default_rng(7).permutation(200) % 5
    for row in (0, 50, 199):
        others = folds != folds[row]
        same = others & (column.values == column.values[row])
        prior = target.values[others].mean()
        expected = (target.values[same].sum() + 10 * prior) / (same.sum() + 10)
        assert found.values[row] == pytest.approx(expected)


def test_other_methods_encode_training_rows_as_any_rows():
    encoding, columns = learn_and_encode("x", SEEN, "onehot")
    assert shown(columns) == shown(encoding.apply(SEEN))
    assert columns["x_a"].kind == "flag"


@pytest.mark.parametrize(
    ("levels", "target", "method"),
    [
        (10, None, "onehot"),
        (11, None, "ordinal"),
        (40, numbers(*range(1000)), "ordinal"),
        (41, None, "frequency"),
        (41, numbers(*range(1000)), "target"),
    ],
)
def test_auto_chooses_by_the_number_of_levels(levels, target, method):
    assert learn_encoding("x", wide(levels), target=target).method == method


def test_names_never_meet_those_of_the_table_nor_each_other():
    column = Column("category", np.array([0, 1, 2], np.int32), ("a", 1, "1"))
    assert learn_encoding("x", column, "onehot", taken=["x_a", "x_1"]).outputs == (
        "x_a_2",
        "x_1_2",
        "x_1_3",
    )


@given(st.lists(st.sampled_from("ab")), st.lists(st.sampled_from(["a", "a_2", "b", "b_3"])))
def test_free_names_are_free_and_as_many_as_wanted(wanted, taken):
    names = free_names(wanted, taken)
    assert len({*names, *taken}) == len(wanted) + len(set(taken))
    assert all(name[0] == want for name, want in zip(names, wanted, strict=True))


@given(
    st.integers(0, 6),
    st.lists(st.integers(-1, 5), max_size=20),
    st.sampled_from(["auto", "onehot", "ordinal", "frequency", "hashing", "target"]),
)
def test_one_row_is_encoded_as_many_are(levels, codes, method):
    values = np.minimum(np.array(codes, np.int32), levels)
    column = Column("category", values, tuple(range(levels)))
    target = Column("number", np.arange(len(codes)) * 1.0)
    encoding = learn_encoding("x", column, method, target=target)
    whole = encoding.apply(column)
    assert len(encoding.table) == levels + 2
    for row in range(len(codes)):
        one = encoding.apply(column.take(np.array([row])))
        for name in encoding.outputs:
            np.testing.assert_array_equal(one[name].values, whole[name].values[[row]])


@pytest.mark.parametrize(
    ("column", "method", "target", "told"),
    [
        (numbers(1, 2), "auto", None, "it is a number column"),
        (SEEN, "target", None, "no target for 8 rows"),
        (SEEN, "target", numbers(1, 2), "a target of 2 rows for 8 rows"),
        (
            SEEN,
            "target",
            Column("text", np.array([None] * 8, object)),
            "the target is a text column",
        ),
        (wide(1001), "onehot", None, "one-hot would make 1,001 columns"),
    ],
)
def test_what_cannot_be_encoded_is_refused_by_the_columns_name(column, method, target, told):
    with pytest.raises(DataError, match=f"column x: .*{told}"):
        learn_encoding("x", column, method, target=target)


def test_a_method_that_does_not_exist_is_refused():
    """The original took any word and did nothing."""
    with pytest.raises(DeclarationError, match=r"onehot .did you mean this"):
        learn_encoding("x", SEEN, "one-hot")
    with pytest.raises(DeclarationError, match="1 or more"):
        learn_encoding("x", SEEN, "hashing", width=0)
