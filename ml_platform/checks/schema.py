"""A table's schema as it is declared in YAML: its words, read and refused, and told in sentences.

Here: what a declaration may say, what it cannot say, and what it expects in words. Not here: what
a type means for a column (words.py), the rules over rows (rules.py), a first declaration for a
table that has none (proposal.py).
"""

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_platform.checks.result import Severity, counted, text_of
from ml_platform.checks.words import FITS, ORDERED, Scalar, Word, article, in_utc, is_midnight
from ml_platform.kernel.errors import DeclarationError, Where, closest


class Column(BaseModel):
    """What one column has to be. A missing value breaks `nullable` and no other rule."""

    model_config = ConfigDict(extra="forbid")

    type: Word | None = Field(
        None, description="integer, number, text, boolean, date or timestamp; empty for any."
    )
    description: str = Field("", description="What the column says, with its unit.")
    required: bool = Field(default=True, description="Whether the table has to have the column.")
    nullable: bool = Field(default=False, description="Whether values may be missing.")
    max_missing_share: float | None = Field(
        None, ge=0, le=1, description="The share of rows, 0 to 1, that may be missing at most."
    )
    unique: bool = Field(default=False, description="Whether no value may be there twice.")
    min: Scalar | None = Field(None, description="The least value; itself allowed.")
    max: Scalar | None = Field(None, description="The greatest value; itself allowed.")
    allowed: list[Scalar] | None = Field(None, description="The only values that may be there.")
    matches: str | None = Field(
        None, description="A regular expression that each whole text has to match."
    )


class TableSchema(BaseModel):
    """What a table has to be."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field("", description="What one row of the table is.")
    columns: dict[str, Column] = Field(
        default_factory=dict, description="The columns, by their names."
    )
    key: list[str] = Field(
        default_factory=list, description="Columns that together are there only once."
    )
    ordered_by: list[str] = Field(
        default_factory=list, description="Columns by which the rows are in ascending order."
    )
    extra_columns: Literal["allow", "forbid"] = Field(
        "allow", description="Whether the table may have columns that are not declared."
    )
    min_rows: int | None = Field(None, ge=0, description="The least number of rows.")
    max_rows: int | None = Field(None, ge=0, description="The greatest number of rows.")
    severity: Severity = Field("error", description="error stops what follows, warn only tells.")


def read_schema(
    declared: Mapping[str, Any] | TableSchema,
    *,
    subject: str = "schema",
    where: Where | None = None,
) -> TableSchema:
    """A schema from what YAML holds, refused when it does not say something possible.

    Raises:
        DeclarationError: an unknown word, a value of the wrong kind, rules that exclude each other.
    """
    try:
        schema = TableSchema.model_validate(declared)
    except ValidationError as error:
        raise _not_understood(error, subject, where) from None
    for name, column in schema.columns.items():
        _refuse_impossible(column, _Place(f"{subject}, column '{name}'", where))
    _refuse_impossible_table(schema, _Place(subject, where))
    return schema


def typed_value(value: Any, rule: Column) -> Any:
    """A bound or an allowed value of a column that was read, as the type that it has."""
    return _declared(value, rule.type, _Place("schema", None), "value")


def required_columns(schema: TableSchema) -> list[str]:
    """The columns that have to be there: those that say so, and what the table's rules need."""
    needed = {*schema.key, *schema.ordered_by}
    return [name for name, one in schema.columns.items() if one.required or name in needed]


def column_schema(schema: TableSchema) -> dict[str, Any]:
    """The schema as plain data for a catalogue, in the parts that a table's metadata has.

    Returns:
        `columns`: a list of name, type, description and constraints (nullable, unique, other);
        `constraints`: a list of sentences about the table.
    """
    return {
        "columns": [_catalogue_entry(name, one) for name, one in schema.columns.items()],
        "constraints": [expected for _, expected in table_words(schema)],
    }


# --- What it expects, in words


def column_words(column: Column) -> Iterator[tuple[str, str]]:
    """The rules that a column declares, each with what it expects in words."""
    if column.type:
        yield "type", f"every value is {article(column.type)}"
    if not column.nullable:
        yield "nullable", "no value is missing"
    if column.max_missing_share is not None:
        yield "max_missing_share", f"at most {column.max_missing_share:.4g} of rows missing"
    if column.unique:
        yield "unique", "no value is there twice"
    if column.min is not None:
        yield "min", f"at least {text_of(column.min)}"
    if column.max is not None:
        yield "max", f"at most {text_of(column.max)}"
    if column.allowed is not None:
        yield "allowed", f"one of {', '.join(text_of(value) for value in column.allowed)}"
    if column.matches is not None:
        yield "matches", f"the whole text matches {column.matches}"


def table_words(schema: TableSchema) -> Iterator[tuple[str, str]]:
    """The rules that the table declares, each with what it expects in words."""
    if schema.key:
        yield "key", f"{', '.join(schema.key)} together are there only once"
    if schema.ordered_by:
        yield "ordered_by", f"rows ascend by {', '.join(schema.ordered_by)}"
    if schema.min_rows is not None:
        yield "min_rows", f"at least {counted(schema.min_rows, 'row')}"
    if schema.max_rows is not None:
        yield "max_rows", f"at most {counted(schema.max_rows, 'row')}"
    if schema.extra_columns == "forbid":
        yield "extra_columns", "no other columns than the declared ones"


def _catalogue_entry(name: str, column: Column) -> dict[str, Any]:
    said = ("type", "nullable", "unique")
    other = [expected for word, expected in column_words(column) if word not in said]
    if not column.required:
        other.append("the column may be absent")
    return {
        "name": name,
        "type": column.type or "any",
        "description": column.description,
        "constraints": {"nullable": column.nullable, "unique": column.unique, "other": other},
    }


# --- What it cannot say


@dataclass(frozen=True)
class _Place:
    """Which object is being read, for messages."""

    subject: str
    where: Where | None

    def refuse(self, given: str, *, allowed: str = "", fix: str = "") -> DeclarationError:
        return DeclarationError(self.subject, given, allowed=allowed, fix=fix, where=self.where)


def _not_understood(error: ValidationError, subject: str, where: Where | None) -> DeclarationError:
    """The first complaint of pydantic in the words of the house."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    in_column = len(path) > 1 and path[0] == "columns"
    place = _Place(f"{subject}, column '{path[1]}'" if in_column else subject, where)
    word = (path[2] if len(path) > 2 else "") if in_column else (path or [""])[0]  # noqa: PLR2004 - columns, name, field
    fields = list((Column if in_column else TableSchema).model_fields)
    if first["type"] == "extra_forbidden":
        return place.refuse(f"unknown word '{word}'", allowed=closest(word, fields))
    given = f"'{word}' is {first['input']!r}" if word else f"it is {first['input']!r}"
    if first["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        return place.refuse(given, allowed=closest(str(first["input"]), choices))
    return place.refuse(given, allowed=_kind(first["type"], fields) or first["msg"])


def _kind(complaint: str, fields: list[str]) -> str:
    kinds = {
        "model_type": f"a mapping of {', '.join(fields)}",
        "dict_type": "a mapping from the name of a column to what it has to be",
        "list_type": "a list",
        "bool_parsing": "true or false",
    }
    return kinds.get(complaint, "")


def _refuse_impossible(column: Column, place: _Place) -> None:
    _refuse_bounds(column, place)
    if column.max_missing_share is not None and not column.nullable:
        raise place.refuse(
            "'max_missing_share' is given but values may not be missing at all",
            fix="add nullable: true, or leave max_missing_share out",
        )
    if column.allowed is not None:
        _refuse_allowed(column, place)
    if column.matches is not None:
        _refuse_pattern(column, place)


def _refuse_bounds(column: Column, place: _Place) -> None:
    bounds = {word: getattr(column, word) for word in ("min", "max")}
    given = {word: value for word, value in bounds.items() if value is not None}
    if given and column.type not in ORDERED:
        raise place.refuse(
            f"'{next(iter(given))}' needs a type that has an order, not {column.type or 'any'}",
            allowed=f"type: {', '.join(ORDERED)}",
        )
    values = [_declared(value, column.type, place, word) for word, value in given.items()]
    if len(values) == len(bounds) and _less(values[1], values[0]):
        raise place.refuse(
            f"min {column.min} is greater than max {column.max}", fix="swap them or correct one"
        )


def _refuse_allowed(column: Column, place: _Place) -> None:
    if not column.allowed:
        raise place.refuse("'allowed' is empty, so that no value could pass", fix="list the values")
    for value in column.allowed:
        _declared(value, column.type, place, "allowed")


def _refuse_pattern(column: Column, place: _Place) -> None:
    if column.type != "text":
        raise place.refuse(
            f"'matches' needs type text, not {column.type or 'any'}", fix="add type: text"
        )
    try:
        re.compile(column.matches or "")
    except re.error as error:
        raise place.refuse(
            f"'matches' is no regular expression: {error}",
            allowed="Python's regular expressions, such as [A-Z]{2}[0-9]+",
        ) from None


def _refuse_impossible_table(schema: TableSchema, place: _Place) -> None:
    for word in ("key", "ordered_by"):
        for name in getattr(schema, word):
            if name not in schema.columns:
                raise place.refuse(
                    f"'{word}' names '{name}', which is not declared",
                    allowed=closest(name, list(schema.columns)),
                    fix="declare it under columns",
                )
    if None not in (low := schema.min_rows, high := schema.max_rows) and low > high:  # type: ignore[operator]
        raise place.refuse(f"min_rows {low} is greater than max_rows {high}", fix="swap them")
    if schema.extra_columns == "forbid" and not schema.columns:
        raise place.refuse(
            "it declares no column and forbids all others, so that no table could pass",
            fix="declare the columns that the table may have",
        )
    if not _has_rules(schema) and not required_columns(schema):
        raise place.refuse(
            "it declares no rule, so that it could never fail",
            fix="declare at least one column (ml-platform checks propose TABLE makes a start)",
        )


def _has_rules(schema: TableSchema) -> bool:
    of_columns = (word for one in schema.columns.values() for word, _ in column_words(one))
    return any(of_columns) or any(table_words(schema))


def _declared(value: Scalar, word: Word | None, place: _Place, field: str) -> Any:
    """A bound or an allowed value as the type that the column has.

    Raises:
        DeclarationError: the value is not of the column's type.
    """
    if word in ("date", "timestamp"):
        value = _moment(value, word, place, field)
    elif not (word is None or (FITS[word](value) and not _endless(value))):
        raise place.refuse(
            f"'{field}' holds {value!r}, which is not {article(word)}",
            fix=f'write it as text: "{value}"' if word == "text" else "correct it or the type",
        )
    return value


def _moment(value: Scalar, word: str, place: _Place, field: str) -> Scalar:
    """A date or a timestamp, written as YAML's own or as ISO text."""
    given = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # refused below with the words for its type
            value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime) or (word == "date" and not is_midnight(value)):
        raise place.refuse(
            f"'{field}' holds {given!r}, which is not {article(word)}",
            allowed="2010-02-05" if word == "date" else "2010-02-05 or 2010-02-05T13:30:00",
        )
    return value.date() if word == "date" else in_utc(value)


def _endless(value: Scalar) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _less(left: Any, right: Any) -> bool:
    return bool(left < right)
