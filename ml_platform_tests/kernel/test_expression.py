"""Conditions: what they may say, what they say of values, and what they can never do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.kernel.expression import FILTERS, MOST_SIGNS, compiled

NAMES = ("outcome", "failures", "tags", "rows", "title")
VALUES = {
    "outcome": "FAILED",
    "failures": 3,
    "tags": {"team": "shop"},
    "rows": [1, 2],
    "title": "a b",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("outcome == 'FAILED'", True),
        ("outcome != 'FAILED' or failures >= 3", True),
        ("outcome in ['WARNING', 'FAILED'] and not failures < 3", True),
        ("failures * 2 + 1 > 6 and failures % 2 == 1", True),
        ("tags.team == 'shop'", True),
        ("tags['team'] == 'tools'", False),
        ("rows | length > 2", False),
        ("rows[1] == 2", True),
        ("title | upper == 'A B'", True),
        ("tags.nobody is defined", False),
        ("'yes' if failures > 2 else ''", True),
        ("'b' in title", True),
        ("(failures - 1) / 2 == 1.0", True),
        ("outcome ~ failures == 'FAILED3'", True),
    ],
)
def test_a_condition_says_what_it_reads_like(text, holds):
    assert compiled(text, NAMES).holds(VALUES) is holds


@pytest.mark.parametrize(
    ("text", "given", "allowed"),
    [
        ("outcom == 1", "there is no name 'outcom'", "outcome (did you mean this?)"),
        ("failures | uper", "there is no filter 'uper'", "upper (did you mean this?)"),
        ("failures is devined", "there is no test 'devined'", "defined (did you mean this?)"),
        ("outcome ==", "", "names, values"),
        ("outcome == 1 extra", "", "names, values"),
        ("", "", "names, values"),
        ("range(10 ** 9)", "a call", "names, values"),
        ("9 ** 9 ** 9", "a power", "names, values"),
        ("title[::2]", "a slice", "names, values"),
        ("title.upper()", "a call", "names, values"),
        ("{'a': 1}", "a mapping", "names, values"),
        ("title | replace('a', 'bb')", "there is no filter 'replace'", "abs"),
        ("title | map('upper')", "there is no filter 'map'", "abs"),
        ("''.__class__.__mro__", "", ""),
    ],
)
def test_what_it_must_not_hold_is_refused_before_it_ever_runs(text, given, allowed):
    if "__class__" in text:  # it can be read; it finds nothing, for attributes are keys
        with pytest.raises(DataError):
            compiled(text, NAMES).value(VALUES)
        return
    with pytest.raises(DeclarationError) as caught:
        compiled(text, NAMES)
    assert given in caught.value.given
    assert allowed in caught.value.allowed


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("(" * 400 + "1" + ")" * 400, "within each other"),
        ("-" * 900 + "1", "within each other"),
        ("1" + " + 1" * 200, "within each other"),
        ("not " * 200 + "1", "within each other"),
        ("1" + " + 1" * MOST_SIGNS, "characters long"),
    ],
)
def test_one_that_is_too_deep_or_too_long_is_refused(text, given):
    with pytest.raises(DeclarationError, match=given):
        compiled(text, NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title * 1000000000 == ''", "takes numbers"),
        ("'%1000000000d' % failures == ''", "takes numbers"),
        ("rows * 1000000000 == []", "takes numbers"),
        ("1 / (failures - 3) > 1", "division by zero"),
        ("title > failures", "not supported"),
        ("tags.nobody == 1", "has no attribute 'nobody'"),
        ("tags.nobody", "has no attribute 'nobody'"),
        ("rows[7] > 1", ""),
        ("title.upper == 1", "has no attribute 'upper'"),
        ("title + failures == 1", "takes numbers"),
    ],
)
def test_values_that_do_not_fit_are_told_and_cost_nothing(text, said):
    with pytest.raises(DataError) as caught:
        compiled(text, NAMES).holds(VALUES)
    assert said in caught.value.given
    assert text in caught.value.subject


def test_numbers_cannot_be_made_to_grow_without_end():
    product = " * ".join(["999999999999999999999999999999"] * 20)
    with pytest.raises(DataError, match="ordinary size"):
        compiled(product, ()).value({})


def test_a_name_that_is_allowed_but_not_given_is_told():
    with pytest.raises(DataError, match="'failures' is undefined"):
        compiled("failures > 1", NAMES).holds({})


def test_the_names_that_it_asks_for_are_known():
    assert compiled("failures > 1 and tags.team == outcome", NAMES).names == (
        "failures",
        "outcome",
        "tags",
    )


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_comparing_numbers_is_pythons_own(left, right):
    made = compiled("rows <= failures", NAMES)
    assert made.holds({"rows": left, "failures": right}) is (left <= right)


@given(st.text(max_size=60))
def test_any_text_is_either_an_expression_or_a_told_mistake(text):
    try:
        told = str(compiled(text, NAMES).value(VALUES))
    except (DeclarationError, DataError) as mistake:
        told = mistake.given
    assert told or text.strip()


@given(st.lists(st.sampled_from(sorted(FILTERS)), max_size=40), st.text(max_size=50))
def test_no_chain_of_filters_makes_much_out_of_little(chain, text):
    made = compiled(" | ".join(["title", *chain]), NAMES)
    try:
        found = made.value({"title": text})
    except DataError:
        return
    assert len(str(found)) <= 10 * len(text) + 400
