"""The options of a preparation in YAML are those of the engine, word for word."""

import inspect
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from ml_platform.execution import preparing
from ml_platform.execution.preparing import ColumnOptions, PreparationOptions, options_of
from ml_platform.preparation.options import ALIASES, ALLOWED, COLUMN_WORDS, word
from ml_platform.preparation.transformer import AutoPrepare

LITERALS = {
    "mode": PreparationOptions.model_fields["mode"].annotation,
    "duplicates": preparing.Duplicates,
    "missing_num": preparing.Missing,
    "missing_categ": preparing.MissingCategory,
    "outliers": preparing.Outliers,
    "encode_categ": preparing.Encode,
    "extract_datetime": preparing.Dates,
    "text": preparing.Text,
}


def test_every_option_of_the_engine_can_be_declared_and_no_other():
    declared = set(PreparationOptions.model_fields)
    engine = set(inspect.signature(AutoPrepare.__init__).parameters) - {"self"}
    assert engine - declared == {"target"}  # a table has one; a model's is its own
    assert declared <= engine


def test_what_is_not_declared_is_as_in_the_engine():
    defaults = inspect.signature(AutoPrepare.__init__).parameters
    for name, field in PreparationOptions.model_fields.items():
        assert field.default == defaults[name].default, name
    assert options_of(PreparationOptions()) == {}


@pytest.mark.parametrize("option", ALLOWED)
def test_the_words_of_an_option_are_the_engines_with_their_aliases(option):
    declared = get_args(LITERALS[option])
    assert {word(option, one) for one in declared} == set(ALLOWED[option])
    assert set(ALIASES[option]) <= set(declared)


def test_a_column_says_for_itself_what_the_engine_hears():
    assert set(ColumnOptions.model_fields) == {"missing", *COLUMN_WORDS}
    missing = ColumnOptions.model_fields["missing"].annotation
    words = get_args(get_args(missing)[0])
    assert set(words) == {*get_args(preparing.Missing), *get_args(preparing.MissingCategory)}


DECLARED = """
outliers: off
missing_num: linreg
durations: [[ordered_at, delivered_at]]
columns:
  shop: {encode: target, missing: own}
"""


def test_a_declaration_becomes_what_the_engine_takes():
    options = options_of(PreparationOptions.model_validate(yaml.safe_load(DECLARED)))
    assert options == {
        "outliers": False,
        "missing_num": "linreg",
        "durations": [("ordered_at", "delivered_at")],
        "columns": {"shop": {"encode": "target", "missing": "own"}},
    }
    AutoPrepare(**options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"outliers": "winzer"},
        {"missing_num": True},
        {"outlier_param": 0},
        {"budget_s": -1},
        {"columns": {"a": {"colour": "red"}}},
        {"durations": [["a"]]},
    ],
    ids=str,
)
def test_what_the_engine_could_not_do_is_refused_on_loading(wrong):
    with pytest.raises(ValidationError):
        PreparationOptions.model_validate(wrong)
