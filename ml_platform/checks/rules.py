"""The rules of a schema as functions over a frame: which rows of it keep each one.

Here: what every word of a column or table asks of the rows. Not here: how the words are declared
(schema.py), and who runs the rules and tells what they found (validation.py).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_platform.checks.schema import Column, TableSchema, column_words, table_words, typed_value
from ml_platform.checks.words import Mask, in_utc, of_type, plain

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rule:
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


def rules_of(schema: TableSchema, frame: "pd.DataFrame | None" = None) -> Iterator[Rule]:
    """Every rule of the schema; with a frame, those that can be looked at there."""
    for name, column in schema.columns.items():
        if frame is None or name in frame.columns:
            yield from _column_rules(name, column)
    for rule in _table_rules(schema):
        if frame is None or set(rule.columns) <= set(frame.columns):
            yield rule


def _column_rules(name: str, column: Column) -> Iterator[Rule]:
    for word, expected in column_words(column):
        holds = _COLUMN_RULES[word]
        yield Rule(
            word,
            expected,
            (name,),
            lambda frame, holds=holds: holds(plain(frame[name]), column),  # type: ignore[misc]
            measure=_missing_share(name) if word == "max_missing_share" else None,
        )


def _table_rules(schema: TableSchema) -> Iterator[Rule]:
    for word, expected in table_words(schema):
        if word in ("min_rows", "max_rows"):
            yield Rule(word, expected, (), _row_bound(schema, word), per_column=False, measure=len)
        elif word in ("key", "ordered_by"):
            columns: list[str] = getattr(schema, word)
            mask = key_holds if word == "key" else _order_holds
            yield Rule(word, expected, tuple(columns), over(columns, mask), per_column=False)


# --- Of a column


def _is_there(column: "pd.Series[Any]", _: Column) -> Mask:
    return column.notna().to_numpy(dtype=bool)


def _few_missing(column: "pd.Series[Any]", rule: Column) -> Mask | bool:
    """All rows hold while the share is kept; once it is not, each missing row is shown."""
    missing = column.isna().to_numpy(dtype=bool)
    limit = rule.max_missing_share
    within = limit is None or not len(column) or missing.mean() <= limit
    return np.ones(len(column), dtype=bool) if within else ~missing


def _type_holds(column: "pd.Series[Any]", rule: Column) -> Mask:
    return of_type(column, rule.type)


def _where_comparable(
    holds: "Callable[[pd.Series[Any], Column], Any]",
) -> "Callable[[pd.Series[Any], Column], Mask]":
    """Ask `holds` only about values that are there and of the type; all other rows pass."""

    def over_all(column: "pd.Series[Any]", rule: Column) -> Mask:
        asked = column.notna().to_numpy(dtype=bool) & of_type(column, rule.type)
        result = np.ones(len(column), dtype=bool)
        if asked.any():
            result[asked] = np.asarray(holds(column[asked], rule), dtype=bool)
        return result

    return over_all


def _comparable(column: "pd.Series[Any]", rule: Column) -> "pd.Series[Any]":
    """Python's moments without zones, its days without times; other columns as they are."""
    import pandas as pd

    if column.dtype != object or rule.type not in ("date", "timestamp"):
        return column
    days = rule.type == "date"
    moments = [in_utc(one) if isinstance(one, datetime) else one for one in column]
    values = [one.date() if days and isinstance(one, datetime) else one for one in moments]
    return pd.Series(values, column.index, dtype=object)


def _against(column: "pd.Series[Any]", bound: Any) -> Any:
    """The bound in the form that a comparison with this column takes."""
    import pandas as pd

    return pd.Timestamp(bound) if pd.api.types.is_datetime64_any_dtype(column.dtype) else bound


@_where_comparable
def _at_least(column: "pd.Series[Any]", rule: Column) -> Any:
    return _comparable(column, rule) >= _against(column, typed_value(rule.min, rule))


@_where_comparable
def _at_most(column: "pd.Series[Any]", rule: Column) -> Any:
    return _comparable(column, rule) <= _against(column, typed_value(rule.max, rule))


@_where_comparable
def _is_allowed(column: "pd.Series[Any]", rule: Column) -> Any:
    values = [_against(column, typed_value(value, rule)) for value in rule.allowed or ()]
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
    return lambda frame: float(plain(frame[name]).isna().mean()) if len(frame) else 0.0


# --- Of the table


def _row_bound(schema: TableSchema, word: str) -> "Callable[[pd.DataFrame], bool]":
    if word == "min_rows":
        return lambda frame: len(frame) >= (schema.min_rows or 0)
    return lambda frame: schema.max_rows is None or len(frame) <= schema.max_rows


def over(
    columns: list[str], mask: "Callable[[pd.DataFrame], Mask]"
) -> "Callable[[pd.DataFrame], Mask]":
    """Ask `mask` about these columns only, in the dtypes that it knows."""
    return lambda frame: mask(frame[columns].apply(plain) if len(frame) else frame[columns])


def key_holds(frame: "pd.DataFrame") -> Mask:
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
