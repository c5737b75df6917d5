"""A fingerprint of many things: what changes it, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.scenarios.watch.look import Look, Tally, gathered

things = st.lists(
    st.tuples(st.text(max_size=8), st.integers(0, 99), st.floats(0, 1e10), st.text(max_size=4)),
    unique_by=lambda thing: thing[0],
    max_size=8,
)


def tally(found):
    made = Tally()
    for one in found:
        made.add(*one)
    return made


@given(things, st.randoms())
def test_the_order_does_not_matter(found, random):
    mixed = random.sample(found, len(found))
    assert tally(found) == tally(mixed)
    assert len(tally(found).fingerprint) == 32


@given(things, st.data())
def test_anything_more_less_or_other_is_seen(found, data):
    before = tally(found).fingerprint
    assert tally([*found, ("another name", 0, 0.0, "")]).fingerprint != before
    if found:
        index = data.draw(st.integers(0, len(found) - 1))
        rest = [*found[:index], *found[index + 1 :]]
        name, size, at, stamp = found[index]
        assert tally(rest).fingerprint != before
        assert tally([*rest, (name, size + 1, at, stamp)]).fingerprint != before
        assert tally([*rest, (name, size, at, stamp + "x")]).fingerprint != before


def test_it_says_what_is_the_newest():
    made = tally([("a.csv", 10, 0.0, ""), ("b.csv", 2000, 86400.0, ""), ("c.csv", 1, 5.0, "")])
    assert made.sentence("in") == (
        "in: 3 files, 2,011 bytes, newest b.csv of 1970-01-02 00:00:00 UTC"
    )
    assert Tally().sentence("in") == "in: nothing there"


@pytest.mark.parametrize(
    ("what", "handled", "parts", "need_all", "expected"),
    [
        ("the first look", None, "AB", True, "A,B"),
        ("any: one is enough", "A,B", "AC", False, "A,C"),
        ("all: one is not enough", "A,B", "AC", True, "A,B"),
        ("all: both have changed", "A,B", "DC", True, "D,C"),
        ("another number of things is a change of what is declared", "A,B", "A", True, "A"),
    ],
)
def test_one_of_them_or_all_of_them(what, handled, parts, need_all, expected):
    assert gathered(handled, Look(tuple(parts), ""), need_all=need_all) == expected
