"""What a declared schema may say, and what it expects in words."""

from pathlib import Path

import pytest
import yaml

from ml_platform.checks.schema import Column, TableSchema, column_schema, read_schema
from ml_platform.kernel.errors import DeclarationError, Where


def schema(text):
    return read_schema(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "said", "allowed"),
    [
        (
            "columns: {a: {type: int}}",
            "column 'a': 'type' is 'int'",
            "integer (did you mean this?)",
        ),
        ("columns: {a: {typ: text}}", "column 'a': unknown word 'typ'", "type (did you mean"),
        ("colums: {a: {}}", "unknown word 'colums'", "columns (did you mean this?)"),
        ("columns: [a]", "'columns' is ['a']", "a mapping from the name"),
        ("columns: {a: integer}", "column 'a': it is 'integer'", "a mapping of type,"),
        ("[a]", "it is ['a']", "a mapping of description"),
        ("{}", "could never fail", ""),
        ("{columns: {a: {required: false, nullable: true}}}", "could never fail", ""),
        ("{extra_columns: forbid}", "no table could pass", ""),
        ("columns: {a: {min: 3}}", "'min' needs a type that has an order", "integer, number"),
        ("columns: {a: {type: text, max: b}}", "'max' needs a type", "integer, number"),
        ("columns: {a: {type: integer, min: 3, max: 2}}", "min 3 is greater than max 2", ""),
        (
            "columns: {a: {type: date, min: 2011-01-01, max: '2010-01-01'}}",
            "is greater than max",
            "",
        ),
        ("columns: {a: {type: integer, min: 2.5}}", "which is not an integer", ""),
        ("columns: {a: {type: number, min: .nan}}", "which is not a number", ""),
        ("columns: {a: {type: number, min: true}}", "which is not a number", ""),
        ("columns: {a: {type: date, min: 3}}", "which is not a date", "2010-02-05"),
        ("columns: {a: {type: date, min: 2010-02-05T12:00:00}}", "which is not a date", ""),
        ("columns: {a: {type: timestamp, min: noon}}", "not a timestamp", "2010-02-05T13:30:00"),
        ("columns: {a: {type: text, allowed: [1]}}", "holds 1, which is not text", ""),
        ("columns: {a: {allowed: []}}", "'allowed' is empty", ""),
        ("columns: {a: {type: text, matches: '['}}", "is no regular expression", "Python's"),
        ("columns: {a: {type: integer, matches: x}}", "'matches' needs type text", ""),
        ("columns: {a: {max_missing_share: 0.1}}", "may not be missing at all", ""),
        ("columns: {a: {nullable: true, max_missing_share: 2}}", "'max_missing_share' is 2", ""),
        ("{columns: {store: {}}, key: [stor]}", "names 'stor'", "store (did you mean this?)"),
        ("{columns: {store: {}}, ordered_by: [d]}", "'ordered_by' names 'd'", "store"),
        ("{columns: {a: {}}, min_rows: 3, max_rows: 2}", "min_rows 3 is greater than", ""),
        ("{columns: {a: {}}, extra_columns: no}", "'extra_columns' is False", "allow"),
        ("{columns: {a: {}}, severity: warning}", "is 'warning'", "warn (did you mean this?)"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_with_what_is_allowed(text, said, allowed):
    with pytest.raises(DeclarationError) as refused:
        schema(text)
    assert said in str(refused.value)
    assert allowed in refused.value.allowed


def test_a_refusal_tells_the_object_and_the_line():
    where = Where(Path("defs.yaml"), 12)
    with pytest.raises(DeclarationError, match="raw/sales") as refused:
        read_schema({"columns": {"a": {"type": "int"}}}, subject="schema of raw/sales", where=where)
    assert str(refused.value).startswith("defs.yaml:12: schema of raw/sales, column 'a'")


def test_every_word_of_a_declaration_has_a_sentence_and_a_default():
    for model in (Column, TableSchema):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert not field.is_required(), name


def test_a_catalogue_gets_names_types_and_constraints_as_plain_data():
    made = column_schema(
        schema(
            "{columns: {d: {type: date, description: Friday, min: 2010-02-05, unique: true}, "
            "o: {required: false, nullable: true}}, key: [d], max_rows: 9}"
        )
    )
    assert made == {
        "columns": [
            {
                "name": "d",
                "type": "date",
                "description": "Friday",
                "constraints": {
                    "nullable": False,
                    "unique": True,
                    "other": ["at least 2010-02-05"],
                },
            },
            {
                "name": "o",
                "type": "any",
                "description": "",
                "constraints": {
                    "nullable": True,
                    "unique": False,
                    "other": ["the column may be absent"],
                },
            },
        ],
        "constraints": ["d together are there only once", "at most 9 rows"],
    }
