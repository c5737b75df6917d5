"""A table checked against its schema: pandera runs the rules, all of them, in one look.

Here: the rules handed to pandera, its errors, and what each says as an outcome. Not here: the rules
themselves (rules.py), Great Expectations (expectations.py), what a result looks like (result.py).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

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
from ml_platform.checks.rules import Rule, rules_of
from ml_platform.checks.schema import TableSchema, required_columns, table_words
from ml_platform.checks.words import as_frame
from ml_platform.kernel.errors import closest

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pandera
    import pyarrow as pa
    from numpy.typing import NDArray


def check_schema(schema: TableSchema, table: "pd.DataFrame | pa.Table") -> CheckResult:
    """Check a table against its schema; every rule is looked at and nothing is changed.

    A column that is missing is one failure; its other rules are not looked at. Rows whose value is
    not of the declared type fail `type` and no other rule of that column.
    """
    frame, faults = single_names(as_frame(table))
    rules = list(rules_of(schema, frame))
    errors = _errors(_pandera(schema, rules), frame)
    outcomes = [*faults, *_presence(schema, frame)]
    outcomes += [_outcome(rule, errors.get(rule.name), frame) for rule in rules]
    return collect((_with_severity(one, schema.severity) for one in outcomes), len(frame))


def to_pandera(schema: TableSchema) -> "pandera.DataFrameSchema":
    """The same schema for pandera, to be used without the rest of the platform.

    It takes pandas frames of any dtypes; columns that the schema names and the frame does not have
    are pandera's own `column_in_dataframe` failures.
    """
    return _pandera(schema, list(rules_of(schema)))


# --- pandera runs the rules


def _pandera(schema: TableSchema, rules: Sequence[Rule]) -> "pandera.DataFrameSchema":
    """All rules as pandera's; a rule's name is the check's, so that its error can be found."""
    import pandas as pd
    import pandera.pandas as pandera

    def check(rule: Rule, *, one_column: bool) -> "pandera.Check":
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
    for name in required_columns(schema):
        found = name in there
        has = "it is there" if found else f"no such column; there are {closest(name, there)}"
        yield Outcome("required", found, "the column is there", has, name)
    if schema.extra_columns == "forbid":
        extra = [name for name in there if name not in schema.columns]
        words = f"also there: {', '.join(extra)}" if extra else "no others"
        yield Outcome("extra_columns", not extra, dict(table_words(schema))["extra_columns"], words)


# --- What it found


def _outcome(rule: Rule, error: Any, frame: "pd.DataFrame") -> Outcome:
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


def _seen(rule: Rule, frame: "pd.DataFrame", failing: "NDArray[np.intp]") -> str:
    if rule.measure:
        return ""
    rows = counted(len(failing), "row")
    if rule.word == "type":
        return f"{rows}; the column is held as {frame[rule.columns[0]].dtype}"
    return rows


def _examples(rule: Rule, frame: "pd.DataFrame", failing: "NDArray[np.intp]") -> Sequence[object]:
    """The first failing values, enough of them to hold five different ones as a rule."""
    if not rule.columns or rule.word in ("nullable", "max_missing_share"):
        return []
    first = frame.iloc[failing[:200]]
    if len(rule.columns) == 1:
        return list(first[rule.columns[0]])
    return first[list(rule.columns)].to_dict("records")


def _with_severity(outcome: Outcome, severity: Severity) -> Outcome:
    return dataclasses.replace(outcome, severity=severity)
