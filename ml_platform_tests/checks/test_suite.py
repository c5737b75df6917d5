"""What a declared suite may say."""

from pathlib import Path

import pytest
import yaml

from ml_platform.checks.expectations import _library
from ml_platform.checks.suite import _HOUSEKEEPING, _arguments, catalogue, read_suite
from ml_platform.kernel.errors import DeclarationError, Where

BETWEEN = "expect_column_values_to_be_between"


def suite(text):
    return read_suite(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "said", "allowed"),
    [
        ("[]", "it is empty", "a list such as"),
        ("{}", "it is empty", "a list such as"),
        ("{a: {}}", "it is a: ", "a list such as"),
        ("text", "it is text", "a list such as"),
        ("- a", "rule 1: it is a", "one name with its arguments"),
        ("- {a: {}, b: {}}", "rule 1: it is a:", "one name with its arguments"),
        (f"- {BETWEEN}: 3", "are 3", "a mapping such as"),
        ("- expect_column_values_to_be_betwen: {}", "unknown expectation", f"{BETWEEN} (did you"),
        (f"- {BETWEEN}: {{colum: a}}", "unknown argument 'colum'", "column (did you mean this?)"),
        (f"- {BETWEEN}: {{min_value: 3}}", "'column' is missing", "column, mostly"),
        (f"- {BETWEEN}: {{column: a, min_value: 1, severity: warning}}", "'warning'", "warn (did"),
        (f"- {BETWEEN}: {{column: a, min_value: 2, max_value: 1}}", "2 is greater than", ""),
        (f"- {BETWEEN}: {{column: a, min_value: 9007199254740993}}", "would round", "2"),
        (
            "- expect_column_values_to_match_regex: {column: a, regex: '['}",
            "no regular",
            "Python's",
        ),
        (
            "- expect_column_values_to_match_regex_list: {column: a, regex_list: [a, '(']}",
            "'(' is no regular expression",
            "Python's",
        ),
        ("- unexpected_rows_expectation: {unexpected_rows_query: x}", "on databases only", ""),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_with_what_is_allowed(text, said, allowed):
    with pytest.raises(DeclarationError) as refused:
        suite(text)
    assert said in str(refused.value)
    assert allowed in refused.value.allowed


def test_a_refusal_tells_the_object_the_place_in_the_list_and_the_line():
    good = {"expect_column_to_exist": {"column": "a"}}
    with pytest.raises(DeclarationError) as refused:
        read_suite(
            [good, {BETWEEN: {"colum": "a"}}],
            subject="suite of raw/sales",
            where=Where(Path("d.yaml"), 4),
        )
    assert str(refused.value).startswith(f"d.yaml:4: suite of raw/sales, rule 2 {BETWEEN}: ")


def test_every_expectation_for_frames_is_known_with_its_arguments_and_no_other():
    with _library() as gx:
        expectations = gx.expectations
    for name, (file, on_frames) in catalogue().items():
        kind = getattr(expectations, file.stem)
        assert kind.expectation_type == name
        words, required = _arguments(name)
        assert set(words) == set(kind.__fields__) - _HOUSEKEEPING
        assert set(required) <= set(words)
        assert on_frames == (
            "Pandas"
            in kind.schema()["properties"]["metadata"]["properties"]["supported_data_sources"][
                "const"
            ]
        )
