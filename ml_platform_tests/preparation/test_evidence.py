"""A category is guessed from the groups of its row, and only by keys that were seen to help."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.preparation.evidence import (
    Sight,
    band_of,
    bands_of,
    choose_keys,
    learn_evidence,
    said_by,
    with_bands,
)
from ml_platform.preparation.roles import Rows

ROWS = 2_000
DRAW = np.random.default_rng(0)
STORE = DRAW.integers(0, 20, ROWS)
LUCK = DRAW.integers(0, 20, ROWS)
MARKET = STORE % 4
SIZE = np.where(MARKET == 2, 100.0, 10.0) + DRAW.normal(size=ROWS)


def rows():
    return Rows({"size": SIZE}, {"store": STORE, "luck": LUCK}, None, ROWS)


def sight():
    return Sight(rows(), np.arange(ROWS))


def hidden(every=10):
    seen = MARKET.copy()
    seen[::every] = -1
    return seen, np.arange(0, ROWS, every)


def test_the_groups_of_a_row_tell_its_category():
    seen, where = hidden()
    evidence = learn_evidence(seen, rows(), 4, ["store"], {})
    assert (evidence.predict(rows().take(where)) == MARKET[where]).all()


def test_without_evidence_it_is_the_most_frequent():
    target = np.array([1, 1, 1, 0, 2])
    some = Rows({}, {"store": np.array([0, 0, 0, 1, 1])}, None, 5)
    evidence = learn_evidence(target, some, 3, ["store"], {})
    nowhere = Rows({}, {"store": np.array([-1, 7, 99])}, None, 3)
    assert evidence.predict(nowhere).tolist() == [1, 1, 1]


def test_few_rows_of_a_group_are_drawn_to_the_whole():
    target = np.r_[np.zeros(98, int), 1, np.ones(50, int)]
    store = np.r_[np.zeros(98, int), 1, np.full(50, 2)]
    scores = learn_evidence(target, Rows({}, {"s": store}, None, 149), 2, ["s"], {}).tables["s"]
    one_row, fifty_rows = scores[1], scores[2]
    assert 0 < one_row[1] - one_row[0] < fifty_rows[1] - fifty_rows[0]


def test_missing_and_unseen_groups_say_nothing():
    table = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]])
    assert said_by(table, np.array([1, -1, 2, 50])).tolist() == [[3, 4], [0, 0], [0, 0], [0, 0]]


def test_the_key_that_tells_is_chosen_and_the_one_of_luck_is_not():
    _, where = hidden()
    keys, is_right = choose_keys(MARKET, where, sight(), 4, ["luck", "store"])
    assert keys == ["store"]
    assert is_right.all()


def test_no_key_is_chosen_when_none_helps():
    _, where = hidden(2)
    keys, is_right = choose_keys(MARKET, where, sight(), 4, ["luck"])
    assert is_right.mean() == pytest.approx(max(np.bincount(MARKET[where])) / len(where), abs=0.05)
    assert keys in ([], ["luck"])


def test_a_number_tells_by_its_bands():
    edges = bands_of({"size": SIZE, "none": np.full(ROWS, np.nan)})
    assert list(edges) == [band_of("size")]
    banded = with_bands(rows(), edges)
    seen, where = hidden()
    evidence = learn_evidence(seen == 2, banded, 2, [band_of("size")], edges)
    found = evidence.predict(rows().take(where))  # it makes the bands itself
    assert (found == (MARKET[where] == 2)).mean() > 0.97
    missing = Rows({"size": np.full(1, np.nan)}, {}, None, 1)
    assert with_bands(missing, edges).keys[band_of("size")].tolist() == [-1]


def test_keys_of_many_groups_are_tried_by_all_rows_and_others_by_some():
    _, where = hidden()
    few = np.union1d(where, np.arange(0, ROWS, 40))
    some = rows().take(few)
    by_few = choose_keys(MARKET, where, Sight(some, few), 4, ["store"])[1]
    by_all = choose_keys(MARKET, where, Sight(some, few, {"store": STORE}), 4, ["store"])[1]
    assert by_few.mean() < by_all.mean() == 1.0


@given(codes=st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 3)), min_size=1, max_size=30))
def test_the_evidence_of_a_group_is_the_log_of_its_share_over_the_wholes(codes):
    key, target = np.array(codes).T
    evidence = learn_evidence(target, Rows({}, {"k": key}, None, len(key)), 4, ["k"], {})
    share = np.exp(evidence.prior)
    for group in range(max(key.max(), 0) + 1):
        count = np.bincount(target[key == group], minlength=4)
        expected = np.log((count + 0.5 * share) / (count.sum() + 0.5) / share)
        if key.max() >= 0:
            assert evidence.tables["k"][group] == pytest.approx(expected)
    assert evidence.tables["k"][-1].tolist() == [0, 0, 0, 0]
