"""A table's schema as it is declared in YAML: read, turned into pandera, checked, proposed.

Here: the words of a schema, what each means for a column, and the first declaration for a table
that has none. pandera runs the rules, all of them, so that one look shows every fault. Not here:
Great Expectations (suite.py), and what a result looks like (result.py).
"""

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_platform.checks.result import (
    EXAMPLES,
    CheckResult,
    Outcome,
    Severity,
    collect,
    counted,
    single_names,
    text_of,
)
from ml_platform.kernel.errors import DataError, DeclarationError, Where, closest

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pandera
    import pyarrow as pa

Word = Literal["integer", "number", "text", "boolean", "date", "timestamp"]
"""What the values of a column are, whatever library holds them."""

WORDS: tuple[Word, ...] = get_args(Word)
ORDERED: tuple[Word, ...] = ("integer", "number", "date", "timestamp")
"""The types that `min` and `max` have a meaning for."""

Scalar = bool | int | float | datetime | date | str
Mask = NDArray[np.bool_]


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


def check_schema(schema: TableSchema, table: "pd.DataFrame | pa.Table") -> CheckResult:
    """Check a table against its schema; every rule is looked at and nothing is changed.

    A column that is missing is one failure; its other rules are not looked at. Rows whose value is
    not of the declared type fail `type` and no other rule of that column.
    """
    frame, faults = single_names(_as_frame(table))
    rules = list(_rules(schema, frame))
    errors = _errors(_pandera(schema, rules), frame)
    outcomes = [*faults, *_presence(schema, frame)]
    outcomes += [_outcome(rule, errors.get(rule.name), frame) for rule in rules]
    return collect((_with_severity(one, schema.severity) for one in outcomes), len(frame))


def to_pandera(schema: TableSchema) -> "pandera.DataFrameSchema":
    """The same schema for pandera, to be used without the rest of the platform.

    It takes pandas frames of any dtypes; columns that the schema names and the frame does not have
    are pandera's own `column_in_dataframe` failures.
    """
    return _pandera(schema, list(_rules(schema)))


def column_schema(schema: TableSchema) -> dict[str, Any]:
    """The schema as plain data for a catalogue, in the parts that a table's metadata has.

    Returns:
        `columns`: a list of name, type, description and constraints (nullable, unique, other);
        `constraints`: a list of sentences about the table.
    """
    return {
        "columns": [_catalogue_entry(name, one) for name, one in schema.columns.items()],
        "constraints": [expected for _, expected in _table_words(schema)],
    }


def propose(table: "pd.DataFrame | pa.Table") -> str:
    """A first schema for a table, as YAML that the same table passes; a person then tightens it.

    Raises:
        DataError: the table has no columns or two of the same name.
    """
    import yaml

    frame, faults = single_names(_as_frame(table))
    if faults or frame.columns.empty:
        given = str(faults[0].observed) if faults else "it has no columns"
        raise DataError("table", given, fix="give each column a name of its own, then propose")
    columns = {name: _propose_column(_plain(frame[name])) for name in frame.columns}
    declared: dict[str, Any] = {"columns": columns}
    if key := _propose_key(frame, columns):
        declared["key"] = key
    declared |= {"extra_columns": "forbid"} | ({"min_rows": 1} if len(frame) else {})
    head = f"# Proposed from {counted(len(frame), 'row')}: read it, tighten it, describe it.\n"
    body = yaml.safe_dump(declared, sort_keys=False, allow_unicode=True, width=100)
    if yaml.safe_load(body) != declared:  # it leaves line breaks of other alphabets bare
        body = yaml.safe_dump(declared, sort_keys=False, width=100)
    return head + body


# --- What a declaration may say


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
    if not next(iter(_rules(schema)), None) and not _required(schema):
        raise place.refuse(
            "it declares no rule, so that it could never fail",
            fix="declare at least one column (ml-platform checks propose TABLE makes a start)",
        )


def _declared(value: Scalar, word: Word | None, place: _Place, field: str) -> Any:
    """A bound or an allowed value as the type that the column has.

    Raises:
        DeclarationError: the value is not of the column's type.
    """
    if word in ("date", "timestamp"):
        value = _moment(value, word, place, field)
    elif not (word is None or (_PYTHON[word](value) and not _endless(value))):
        raise place.refuse(
            f"'{field}' holds {value!r}, which is not {_article(word)}",
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
    if not isinstance(value, datetime) or (word == "date" and not _is_midnight(value)):
        raise place.refuse(
            f"'{field}' holds {given!r}, which is not {_article(word)}",
            allowed="2010-02-05" if word == "date" else "2010-02-05 or 2010-02-05T13:30:00",
        )
    return value.date() if word == "date" else _in_utc(value)


def _endless(value: Scalar) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _article(word: str) -> str:
    return {"integer": "an integer", "text": "text"}.get(word, f"a {word}")


def _less(left: Any, right: Any) -> bool:
    return bool(left < right)


# --- What the words of types mean


def _is_midnight(value: datetime) -> bool:
    return value.tzinfo is None and value.time() == time()


def _in_utc(value: datetime) -> datetime:
    """Without a zone, in UTC; what has no zone is taken to be in UTC already."""
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _is_number(value: object) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value) and value == int(value)


def _is_date(value: object) -> bool:
    return isinstance(value, date) and (not isinstance(value, datetime) or _is_midnight(value))


_PYTHON: dict[Word, Callable[[Any], bool]] = {
    "integer": _is_integer,
    "number": _is_number,
    "text": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, (bool, np.bool_)),
    "date": _is_date,
    "timestamp": lambda value: isinstance(value, datetime),
}
"""For a column of mixed Python values: whether one that is not missing is of the type."""


def _as_frame(table: "pd.DataFrame | pa.Table") -> "pd.DataFrame":
    """The table as pandas; Arrow's own types stay, so that integers beside gaps stay exact."""
    import pandas as pd

    return table if isinstance(table, pd.DataFrame) else table.to_pandas(types_mapper=pd.ArrowDtype)


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The column with one of the few dtypes that the rules know.

    Numbers with a fraction become float64, where NaN is missing: in Arrow's and pandas' own
    types a NaN counts as a value. Times with a zone become times in UTC without one. Categories,
    decimals and days become Python's values.
    """
    import pandas as pd

    dtype = column.dtype
    if pd.api.types.is_float_dtype(dtype):
        return pd.Series(column.to_numpy(dtype="float64", na_value=np.nan), column.index)
    if isinstance(dtype, pd.ArrowDtype) and _arrow_needs_python(dtype):
        return column.astype(object)
    if isinstance(dtype, pd.CategoricalDtype):
        return column.astype(object)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _zoneless(column)
    return column


def _arrow_needs_python(dtype: "pd.ArrowDtype") -> bool:
    from pyarrow import types

    kind = dtype.pyarrow_dtype
    return bool(types.is_decimal(kind) or types.is_date(kind) or types.is_dictionary(kind))


def _zoneless(column: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    if isinstance(column.dtype, pd.ArrowDtype):
        column = pd.Series(column.array.to_numpy(), column.index)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column


def _of_type(column: "pd.Series[Any]", word: Word | None) -> Mask:
    """For each row whether its value is of the type; a missing one is."""
    missing = column.isna().to_numpy(dtype=bool)
    if word is None or missing.all():
        return np.ones(len(column), dtype=bool)
    if column.dtype == object:
        return missing | _objects_of_type(column.to_numpy()[~missing], word, missing)
    fitting: Mask = missing | _dtype_of_type(column, word)
    return fitting


def _objects_of_type(values: Any, word: Word, missing: Mask) -> Mask:
    """The same for Python's values, given those that are there."""
    result = ~missing
    # Nearly all such columns are texts, which need no look at each value: 10 times faster.
    if set(map(type, values)) == {str}:
        return result & (word == "text")
    fits = _PYTHON[word]
    result[result] = np.fromiter(map(fits, values), dtype=bool, count=len(values))
    return result


def _dtype_of_type(column: "pd.Series[Any]", word: Word) -> Mask:
    """The same for a column whose dtype says what its values are."""
    from pandas.api import types

    dtype = column.dtype
    if word == "integer" and types.is_float_dtype(dtype):
        return np.asarray(np.isfinite(column) & (column == np.floor(column)), dtype=bool)
    if word == "date" and types.is_datetime64_any_dtype(dtype):
        midnight: Mask = (column.dt.normalize() == column).to_numpy(dtype=bool)
        return midnight
    holds = {
        "boolean": types.is_bool_dtype(dtype),
        "integer": types.is_integer_dtype(dtype),
        "number": types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype),
        "text": types.is_string_dtype(dtype),
        "timestamp": types.is_datetime64_any_dtype(dtype),
    }
    return np.full(len(column), holds.get(word, False))


# --- The rules


@dataclass(frozen=True)
class _Rule:
    """One rule: `holds` says it for each row, or for the whole when it gives a single bool."""

    word: str
    expected: str
    columns: tuple[str, ...]
    holds: "Callable[[pd.DataFrame], Mask | bool]"
    per_column: bool = True
    measure: "Callable[[pd.DataFrame], float] | None" = None

    @property
    def name(self) -> str:
        """One name for one rule: a table has each word once for each of its columns."""
        return f"{self.word}: {', '.join(self.columns)}" if self.columns else self.word


def _rules(schema: TableSchema, frame: "pd.DataFrame | None" = None) -> Iterator[_Rule]:
    """Every rule of the schema; with a frame, those that can be looked at there."""
    for name, column in schema.columns.items():
        if frame is None or name in frame.columns:
            yield from _column_rules(name, column)
    for rule in _table_rules(schema):
        if frame is None or set(rule.columns) <= set(frame.columns):
            yield rule


def _column_rules(name: str, column: Column) -> Iterator[_Rule]:
    for word, expected in _column_words(column):
        holds = _COLUMN_RULES[word]
        yield _Rule(
            word,
            expected,
            (name,),
            lambda frame, holds=holds: holds(_plain(frame[name]), column),  # type: ignore[misc]
            measure=_missing_share(name) if word == "max_missing_share" else None,
        )


def _table_rules(schema: TableSchema) -> Iterator[_Rule]:
    for word, expected in _table_words(schema):
        if word in ("min_rows", "max_rows"):
            yield _Rule(word, expected, (), _row_bound(schema, word), per_column=False, measure=len)
        elif word in ("key", "ordered_by"):
            columns: list[str] = getattr(schema, word)
            mask = _key_holds if word == "key" else _order_holds
            yield _Rule(word, expected, tuple(columns), _over(columns, mask), per_column=False)


def _column_words(column: Column) -> Iterator[tuple[str, str]]:
    """The rules that a column declares, each with what it expects in words."""
    if column.type:
        yield "type", f"every value is {_article(column.type)}"
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


def _table_words(schema: TableSchema) -> Iterator[tuple[str, str]]:
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


def _is_there(column: "pd.Series[Any]", _: Column) -> Mask:
    return column.notna().to_numpy(dtype=bool)


def _few_missing(column: "pd.Series[Any]", rule: Column) -> Mask | bool:
    """All rows hold while the share is kept; once it is not, each missing row is shown."""
    missing = column.isna().to_numpy(dtype=bool)
    limit = rule.max_missing_share
    within = limit is None or not len(column) or missing.mean() <= limit
    return np.ones(len(column), dtype=bool) if within else ~missing


def _type_holds(column: "pd.Series[Any]", rule: Column) -> Mask:
    return _of_type(column, rule.type)


def _where_comparable(
    holds: "Callable[[pd.Series[Any], Column], Any]",
) -> "Callable[[pd.Series[Any], Column], Mask]":
    """Ask `holds` only about values that are there and of the type; all other rows pass."""

    def over_all(column: "pd.Series[Any]", rule: Column) -> Mask:
        asked = column.notna().to_numpy(dtype=bool) & _of_type(column, rule.type)
        result = np.ones(len(column), dtype=bool)
        if asked.any():
            result[asked] = np.asarray(holds(column[asked], rule), dtype=bool)
        return result

    return over_all


def _value(value: Any, rule: Column) -> Any:
    return _declared(value, rule.type, _Place("schema", None), "value")


def _comparable(column: "pd.Series[Any]", rule: Column) -> "pd.Series[Any]":
    """Python's moments without zones, its days without times; other columns as they are."""
    import pandas as pd

    if column.dtype != object or rule.type not in ("date", "timestamp"):
        return column
    days = rule.type == "date"
    plain = [_in_utc(one) if isinstance(one, datetime) else one for one in column]
    values = [one.date() if days and isinstance(one, datetime) else one for one in plain]
    return pd.Series(values, column.index, dtype=object)


def _against(column: "pd.Series[Any]", bound: Any) -> Any:
    """The bound in the form that a comparison with this column takes."""
    import pandas as pd

    return pd.Timestamp(bound) if pd.api.types.is_datetime64_any_dtype(column.dtype) else bound


@_where_comparable
def _at_least(column: "pd.Series[Any]", rule: Column) -> Any:
    return _comparable(column, rule) >= _against(column, _value(rule.min, rule))


@_where_comparable
def _at_most(column: "pd.Series[Any]", rule: Column) -> Any:
    return _comparable(column, rule) <= _against(column, _value(rule.max, rule))


@_where_comparable
def _is_allowed(column: "pd.Series[Any]", rule: Column) -> Any:
    values = [_against(column, _value(value, rule)) for value in rule.allowed or ()]
    return _comparable(column, rule).isin(values)


@_where_comparable
def _is_match(column: "pd.Series[Any]", rule: Column) -> Any:
    pattern = re.compile(rule.matches or "")
    return [pattern.fullmatch(text) is not None for text in column]


@_where_comparable
def _is_unique(column: "pd.Series[Any]", rule: Column) -> Any:
    return ~_comparable(column, rule).duplicated(keep=False)


_COLUMN_RULES: "dict[str, Callable[[pd.Series[Any], Column], Mask | bool]]" = {
    "type": _type_holds,
    "nullable": _is_there,
    "max_missing_share": _few_missing,
    "unique": _is_unique,
    "min": _at_least,
    "max": _at_most,
    "allowed": _is_allowed,
    "matches": _is_match,
}


def _missing_share(name: str) -> "Callable[[pd.DataFrame], float]":
    return lambda frame: float(_plain(frame[name]).isna().mean()) if len(frame) else 0.0


def _row_bound(schema: TableSchema, word: str) -> "Callable[[pd.DataFrame], bool]":
    if word == "min_rows":
        return lambda frame: len(frame) >= (schema.min_rows or 0)
    return lambda frame: schema.max_rows is None or len(frame) <= schema.max_rows


def _over(
    columns: list[str], mask: "Callable[[pd.DataFrame], Mask]"
) -> "Callable[[pd.DataFrame], Mask]":
    return lambda frame: mask(frame[columns].apply(_plain) if len(frame) else frame[columns])


def _key_holds(frame: "pd.DataFrame") -> Mask:
    """A missing part of a key counts as a value: two rows with the same gap are the same row."""
    return ~frame.duplicated(keep=False).to_numpy(dtype=bool)


def _order_holds(frame: "pd.DataFrame") -> Mask:
    """A row fails when it is less than the one before it; rows with a gap are passed over."""
    result = np.ones(len(frame), dtype=bool)
    whole = frame.dropna()
    later, earlier = whole.iloc[1:].reset_index(drop=True), whole.iloc[:-1].reset_index(drop=True)
    falls, same = np.zeros(len(later), dtype=bool), np.ones(len(later), dtype=bool)
    for name in frame.columns:
        falls |= same & (later[name] < earlier[name]).to_numpy(dtype=bool)
        same &= (later[name] == earlier[name]).to_numpy(dtype=bool)
    result[whole.index[1:][falls]] = False
    return result


# --- pandera runs them


def _pandera(schema: TableSchema, rules: Sequence[_Rule]) -> "pandera.DataFrameSchema":
    """All rules as pandera's; a rule's name is the check's, so that its error can be found."""
    import pandas as pd
    import pandera.pandas as pandera

    def check(rule: _Rule, *, one_column: bool) -> "pandera.Check":
        def holds(given: Any) -> Any:
            answer = rule.holds(given.to_frame(rule.columns[0]) if one_column else given)
            return answer if isinstance(answer, bool) else pd.Series(answer, given.index)

        # The rules treat missing values themselves, and five examples are all that is shown.
        return pandera.Check(
            holds, name=rule.name, error=rule.expected, ignore_na=False, n_failure_cases=EXAMPLES
        )

    of_column: dict[str, list[pandera.Check]] = {name: [] for name in schema.columns}
    for rule in rules:
        if rule.per_column:
            of_column[rule.columns[0]].append(check(rule, one_column=True))
    return pandera.DataFrameSchema(
        {
            name: pandera.Column(None, of_column[name], nullable=True, required=one.required)
            for name, one in schema.columns.items()
        },
        checks=[check(rule, one_column=False) for rule in rules if not rule.per_column],
        strict=schema.extra_columns == "forbid",
    )


def _errors(schema: "pandera.DataFrameSchema", frame: "pd.DataFrame") -> dict[str, Any]:
    """The errors of pandera, by the name of the rule."""
    import warnings

    import pandera.pandas as pandera

    try:
        with warnings.catch_warnings():
            # pandera joins its failure cases so; the masks that are used here come before it.
            warnings.filterwarnings(
                "ignore", "The behavior of DataFrame concatenation with empty", FutureWarning
            )
            schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        return {str(getattr(one.check, "name", one.check)): one for one in errors.schema_errors}
    return {}


def _presence(schema: TableSchema, frame: "pd.DataFrame") -> Iterator[Outcome]:
    """Which columns are there: pandera stops at names, so the words for them are made here."""
    there = [str(name) for name in frame.columns]
    for name in _required(schema):
        found = name in there
        has = "it is there" if found else f"no such column; there are {closest(name, there)}"
        yield Outcome("required", found, "the column is there", has, name)
    if schema.extra_columns == "forbid":
        extra = [name for name in there if name not in schema.columns]
        words = f"also there: {', '.join(extra)}" if extra else "no others"
        yield Outcome(
            "extra_columns", not extra, dict(_table_words(schema))["extra_columns"], words
        )


def _required(schema: TableSchema) -> list[str]:
    """The columns that have to be there: those that say so, and what the table's rules need."""
    needed = {*schema.key, *schema.ordered_by}
    return [name for name, one in schema.columns.items() if one.required or name in needed]


def _outcome(rule: _Rule, error: Any, frame: "pd.DataFrame") -> Outcome:
    """What pandera found about one rule."""
    label = ", ".join(rule.columns)
    figure = rule.measure(frame) if rule.measure else None
    if error is None:
        return Outcome(rule.word, True, rule.expected, 0 if figure is None else figure, label)  # noqa: FBT003 - passed
    answer = error.check_output
    if answer is None:
        words = f"could not be looked at: {text_of(error.failure_cases)}"
        return Outcome(rule.word, False, rule.expected, words, label)  # noqa: FBT003 - passed
    failing = (
        np.flatnonzero(~np.asarray(answer, dtype=bool)) if np.ndim(answer) else np.empty(0, int)
    )
    return Outcome(
        rule=rule.word,
        passed=False,
        expected=rule.expected,
        observed=len(failing) if figure is None else figure,
        words=_seen(rule, frame, failing),
        column=label,
        positions=failing,
        examples=_examples(rule, frame, failing),
    )


def _seen(rule: _Rule, frame: "pd.DataFrame", failing: "NDArray[np.intp]") -> str:
    if rule.measure:
        return ""
    rows = counted(len(failing), "row")
    if rule.word == "type":
        return f"{rows}; the column is held as {frame[rule.columns[0]].dtype}"
    return rows


def _examples(rule: _Rule, frame: "pd.DataFrame", failing: "NDArray[np.intp]") -> Sequence[object]:
    """The first failing values, enough of them to hold five different ones as a rule."""
    if not rule.columns or rule.word in ("nullable", "max_missing_share"):
        return []
    first = frame.iloc[failing[:200]]
    if len(rule.columns) == 1:
        return list(first[rule.columns[0]])
    return first[list(rule.columns)].to_dict("records")


def _with_severity(outcome: Outcome, severity: Severity) -> Outcome:
    return dataclasses.replace(outcome, severity=severity)


def _catalogue_entry(name: str, column: Column) -> dict[str, Any]:
    said = ("type", "nullable", "unique")
    other = [expected for word, expected in _column_words(column) if word not in said]
    if not column.required:
        other.append("the column may be absent")
    return {
        "name": name,
        "type": column.type or "any",
        "description": column.description,
        "constraints": {"nullable": column.nullable, "unique": column.unique, "other": other},
    }


# --- A first declaration


_FEW = 12
"""Up to so many different texts are proposed as the allowed ones, each seen some ten times."""


def _propose_column(column: "pd.Series[Any]") -> dict[str, Any]:
    missing = float(column.isna().mean()) if len(column) else 0.0
    word = None if column.isna().all() else _word_of(column)
    declared: dict[str, Any] = {"type": word} if word else {}
    if missing or not len(column):
        declared["nullable"] = True
    if 0 < missing < 1:
        # Rounded up with room: the share of the next delivery is not exactly this one's.
        declared["max_missing_share"] = min(1.0, (math.floor(missing * 20) + 2) / 20)
    there = column.dropna()
    if word in ("integer", "number") and bool((there >= 0).all()):
        declared["min"] = 0
    if word == "text" and len(there) >= 10 * (different := there.nunique()) and different <= _FEW:
        declared["allowed"] = sorted(there.unique())
    return declared


def _word_of(column: "pd.Series[Any]") -> Word | None:
    """The narrowest word that holds for every value, if there is one.

    Whole numbers held as floats are integers only beside missing values, for which pandas made
    them floats; else a price that happens to be whole would be refused its cents tomorrow.
    """
    order: tuple[Word, ...] = ("boolean", "integer", "number", "text", "date", "timestamp")
    for word in order:
        floats = column.dtype.kind == "f" and column.notna().all()
        if bool(_of_type(column, word).all()) and not (word == "integer" and floats):
            return word
    return None


def _propose_key(frame: "pd.DataFrame", columns: Mapping[str, Any]) -> list[str]:
    """The first column, or pair of columns, that tells rows apart; measures are not tried."""
    from itertools import combinations

    kinds = ("integer", "text", "date", "timestamp")
    able = [name for name, one in columns.items() if one.get("type") in kinds]
    able = [name for name in able if not columns[name].get("nullable")][:8]
    tried = [[one] for one in able] + [list(pair) for pair in combinations(able, 2)]
    for names in tried if len(frame) > 1 else []:
        holds = _over(names, _key_holds)
        # The first rows tell most of them apart from a key, at a fraction of the cost.
        if bool(holds(frame.iloc[:10_000]).all()) and bool(holds(frame).all()):
            return names
    return []
