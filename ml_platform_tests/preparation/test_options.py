"""Every word that a preparation takes, AutoClean's spellings among them, and what is none."""

import pytest

from ml_platform.kernel.errors import DeclarationError
from ml_platform.preparation.options import (
    ALIASES,
    ALLOWED,
    COLUMN_WORDS,
    check_columns,
    check_known,
    column_word,
    of_list,
    word,
)


@pytest.mark.parametrize(
    ("option", "given", "found"),
    [
        ("missing_num", "linreg", "linear"),
        ("missing_num", "knn", "knn"),
        ("missing_num", False, "off"),
        ("missing_categ", "logreg", "logistic"),
        ("missing_categ", False, "off"),
        ("outliers", "winz", "iqr"),
        ("encode_categ", "label", "ordinal"),
        ("encode_categ", "one-hot", "onehot"),
        ("encode_categ", False, "off"),
        ("duplicates", True, "auto"),
        ("duplicates", False, "off"),
        ("extract_datetime", "D", "D"),
        ("extract_datetime", False, "off"),
        ("text", None, "off"),
        ("mode", "manual", "manual"),
    ],
)
def test_autocleans_spellings_are_understood(option, given, found):
    assert word(option, given) == found


@pytest.mark.parametrize("option", ALLOWED)
def test_every_word_is_itself_and_every_alias_means_one_of_them(option):
    assert all(word(option, one) == one for one in ALLOWED[option])
    assert set(ALIASES[option].values()) <= set(ALLOWED[option])


@pytest.mark.parametrize("option", ALLOWED)
@pytest.mark.parametrize("given", ["nonsense", 3, 1.5, ["auto"], {"a": 1}, ("linear",), b"auto"])
def test_what_is_no_word_is_refused_with_the_words(option, given):
    with pytest.raises(DeclarationError) as refused:
        word(option, given)
    assert option in refused.value.subject
    assert ALLOWED[option][0] in refused.value.allowed


@pytest.mark.parametrize(("option", "given"), [("mode", False), ("mode", None), ("outliers", True)])
def test_true_and_false_are_words_only_where_they_say_something(option, given):
    with pytest.raises(DeclarationError):
        word(option, given)


def test_a_near_miss_is_told_the_likely_word():
    with pytest.raises(DeclarationError, match="did you mean 'median'"):
        word("missing_num", "medain")


def test_missing_means_one_thing_of_numbers_and_another_of_categories():
    assert column_word("x", "missing", "mean", is_number=True) == "mean"
    with pytest.raises(DeclarationError, match="column 'x', missing"):
        column_word("x", "missing", "mean", is_number=False)
    for what in COLUMN_WORDS:
        assert column_word("x", what, False, is_number=False) == "off"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("onehot", ("onehot", {})),
        (["onehot"], ("onehot", {})),
        (["label", ["a", 2]], ("off", {"a": {"encode": "label"}, "c": {"encode": "label"}})),
        (["label", [-1]], ("off", {"c": {"encode": "label"}})),
        (["label", []], ("off", {})),
        (["label", [9]], ("off", {"9": {"encode": "label"}})),
    ],
)
def test_autocleans_lists_name_columns_by_name_or_place(given, found):
    assert of_list(given, {}, ["a", "b", "c"]) == found


def test_what_a_column_says_itself_counts_before_a_list():
    own = {"a": {"encode": "hashing", "missing": "own"}}
    assert of_list(["onehot", ["a"]], own, ["a"]) == ("off", own)


@pytest.mark.parametrize("given", [[], ["onehot", "a"], ["onehot", ["a"], 3]])
def test_another_kind_of_list_is_refused(given):
    with pytest.raises(DeclarationError):
        of_list(given, {}, ["a"])


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"shpo": {}}, "did you mean 'shop'"),
        ({"shop": {"fill": 1}}, "fill"),
        ({"shop": {"kind": "colour"}}, "colour"),
    ],
)
def test_columns_that_are_not_there_and_words_that_none_has_are_refused(columns, told):
    with pytest.raises(DeclarationError, match=told):
        check_columns(columns, ("shop", "x"))


def test_columns_that_are_there_may_say_all_there_is():
    said = dict.fromkeys(COLUMN_WORDS, "off") | {"kind": "number", "missing": "mean"}
    check_columns({"shop": said}, ("shop",))
    check_known("target", ("shop",), ("shop",))
    with pytest.raises(DeclarationError, match="`target`"):
        check_known("target", ("x",), ("shop",))
