"""What a check found, in one shape for every kind of check, and how a person reads it.

Here: the outcome of one rule, the result of many, its Markdown. Not here: how a rule is declared or
evaluated (schema.py, suite.py), nor what the orchestrator does with a result (component.py).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Severity = Literal["error", "warn"]
"""`error` stops what comes after the table, `warn` only tells."""

EXAMPLES = 5
"""How many example values and row numbers a failure shows."""
LONGEST = 80
"""The most characters that are kept of one value; a cell of free text may hold megabytes."""
MISSING = "(missing)"
_NOTHING: "NDArray[np.intp]" = np.empty(0, dtype=np.intp)


@dataclass(frozen=True)
class Outcome:
    """What one rule found.

    Attributes:
        rule: the rule's word, as it was declared ("min", "expect_column_values_to_be_between").
        passed: whether the rule holds.
        expected: what would be right, in words.
        observed: what was there, as a figure that can be followed over time where there is one:
            how many rows fail, or what the rule measured.
        words: the same for a person, where the figure alone does not say it.
        column: the column, several with ", " between, or empty for a rule about the table.
        severity: what a failure means.
        positions: the rows that fail, counted from zero; empty for a rule about the whole.
        examples: the first failing values, as they are in the table.
    """

    rule: str
    passed: bool
    expected: str
    observed: str | float
    column: str = ""
    words: str = ""
    severity: Severity = "error"
    positions: "NDArray[np.intp]" = field(default_factory=lambda: _NOTHING)
    examples: Sequence[object] = ()

    @property
    def label(self) -> str:
        """Column and rule, as one name."""
        return f"{self.column}: {self.rule}" if self.column else self.rule


@dataclass(frozen=True)
class Failure:
    """One broken rule, as a line of the table that a person reads.

    Attributes:
        rows: how many rows fail; None when the rule is about the table or column as a whole.
        share: the same as a share of all rows, 0 to 1.
        examples: up to five different failing values as text, in the order of the table.
        first_rows: the first five failing rows, counted from zero as pandas and DuckDB do.
    """

    rule: str
    column: str
    severity: Severity
    expected: str
    observed: str
    rows: int | None
    share: float | None
    examples: tuple[str, ...]
    first_rows: tuple[int, ...]


@dataclass(frozen=True)
class CheckResult:
    """What all rules of a check found.

    Attributes:
        passed: whether every rule holds, those with severity `warn` too.
        severity: `error` when a rule with that severity is broken, or when none is; else `warn`.
        summary: one sentence ("3 of 6,435 rows break 2 rules").
        rows: how many rows the table has.
        rules: how many rules were looked at.
        failing_rows: how many rows break at least one rule.
        failing_rules: how many rules are broken.
        observed: for each rule what was there: a figure or words, by "column: rule".
        expected: for each rule what would be right, by the same names.
        failures: the broken rules, those that stop first.
    """

    passed: bool
    severity: Severity
    summary: str
    rows: int
    rules: int
    failing_rows: int
    failing_rules: int
    observed: dict[str, str | float]
    expected: dict[str, str]
    failures: tuple[Failure, ...]

    def markdown(self) -> str:
        """The summary and the table of failures; no value from the data can break it."""
        if not self.failures:
            return f"{escaped(self.summary)}\n"
        lines = [_line(_HEADINGS), _line(["---"] * len(_HEADINGS))]
        lines += [_line([escaped(cell) for cell in _cells(one)]) for one in self.failures]
        return f"{escaped(self.summary)}\n\n" + "\n".join(lines) + "\n"


def collect(outcomes: Iterable[Outcome], rows: int) -> CheckResult:
    """Put the outcomes of a check over a table of `rows` rows together."""
    found = list(outcomes)
    broken = sorted((one for one in found if not one.passed), key=lambda one: one.severity)
    failing_rows = _union(broken, rows)
    names = _distinct([one.label for one in found])
    return CheckResult(
        passed=not broken,
        severity="warn" if broken and broken[0].severity == "warn" else "error",
        summary=_summary(broken, len(found), failing_rows, rows),
        rows=rows,
        rules=len(found),
        failing_rows=failing_rows,
        failing_rules=len(broken),
        observed={name: one.observed for name, one in zip(names, found, strict=True)},
        expected={name: one.expected for name, one in zip(names, found, strict=True)},
        failures=tuple(_failure(one, rows) for one in broken),
    )


def single_names(frame: "pd.DataFrame") -> "tuple[pd.DataFrame, list[Outcome]]":
    """The frame ready to be checked: rows counted from zero, names as text and each once.

    Values are not copied. A name that is there twice is a failure of its own and its first column
    is the one that is checked.
    """
    import pandas as pd

    names = pd.Index([str(name) for name in frame.columns])
    twice = sorted(set(names[names.duplicated()]))
    clean = frame.set_axis(names, axis=1).set_axis(pd.RangeIndex(len(frame)), axis=0)
    if not twice:
        return clean, []
    outcome = Outcome(
        "column names",
        passed=False,
        expected="each name once",
        observed=f"there more than once: {', '.join(twice)}",
        column=", ".join(twice),
    )
    return clean.loc[:, ~names.duplicated()], [outcome]


def text_of(value: object) -> str:
    """A value as one line of text: what cannot be seen is spelt out, what is long is cut.

    >>> text_of(""), text_of(None), text_of(2.5)
    ("''", '(missing)', '2.5')
    """
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):  # type: ignore[call-overload]
        return MISSING
    if isinstance(value, str):
        return _visible(value) if value.strip() == value != "" else _visible(repr(value))
    return _visible(_plain_text(value))


def escaped(text: str) -> str:
    r"""Text that Markdown shows as it is, in a table's cell too.

    >>> print(escaped("a|b sales_usd <b>"))
    a\|b sales_usd \<b\>
    """
    marked = re.sub(r"([\\`*\[\]<>|~#&$!])", r"\\\1", _one_line(text))
    # Between letters an underscore means nothing, and column names stay readable as plain text.
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", marked)


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(6435, "row")
    ('1 row', '6,435 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


_HEADINGS = ["rule", "column", "severity", "expected", "observed", "rows", "share", "examples"]
_HEADINGS += ["first rows (from 0)"]


def _cells(one: Failure) -> list[str]:
    rows = "" if one.rows is None else f"{one.rows:,}"
    share = "" if one.share is None else _percent(one.share)
    first = ", ".join(str(number) for number in one.first_rows)
    words = [one.rule, one.column, one.severity, one.expected, one.observed]
    return [*(_cut(word, 2 * LONGEST) for word in words), rows, share, _listed(one), first]


def _listed(one: Failure) -> str:
    return ", ".join(one.examples)


def _percent(share: float) -> str:
    """A share in percent; what is not zero is never shown as zero, nor what is not all as all."""
    if 0 < share < 0.0001:  # noqa: PLR2004 - the smallest share that two digits show
        return "< 0.01 %"
    if 0.9999 < share < 1:  # noqa: PLR2004 - and the largest
        return "> 99.99 %"
    return f"{share:.2%}".replace("%", " %")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else _code(char) for char in text)


def _code(char: str) -> str:
    """A character that has no picture, as Python would write it."""
    return char.encode("unicode_escape").decode("ascii")


def _visible(text: str) -> str:
    return _cut(_one_line(text[: LONGEST + 1]), LONGEST)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _plain_text(value: object) -> str:
    """A number without its library's name, a day without its midnight, anything else as it is."""
    plain: Any = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, (dict, list, tuple)):
        parts = plain.items() if isinstance(plain, dict) else enumerate(plain)
        named = isinstance(plain, dict)
        return ", ".join(f"{key}: {text_of(one)}" if named else text_of(one) for key, one in parts)
    return str(plain).removesuffix(" 00:00:00")


def _union(broken: list[Outcome], rows: int) -> int:
    hit = np.zeros(rows, dtype=bool)
    for one in broken:
        hit[one.positions] = True
    return int(hit.sum())


def _distinct(labels: list[str]) -> list[str]:
    """The labels, with a number behind those that were there before."""
    seen: dict[str, int] = {}
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
    count: dict[str, int] = {}
    names = []
    for label in labels:
        count[label] = count.get(label, 0) + 1
        names.append(f"{label} ({count[label]})" if seen[label] > 1 else label)
    return names


def _summary(broken: list[Outcome], rules: int, failing_rows: int, rows: int) -> str:
    if not broken:
        return f"{counted(rules, 'rule')} checked, all hold for {counted(rows, 'row')}"
    by_row = sum(1 for one in broken if len(one.positions))
    whole = len(broken) - by_row
    verbs = "breaks" if failing_rows == 1 else "break"
    parts = []
    if by_row:
        total = counted(rows, "row")
        parts.append(f"{failing_rows:,} of {total} {verbs} {counted(by_row, 'rule')}")
    if whole:
        parts.append(f"{counted(whole, 'rule')} about the whole table or column {_fail(whole)}")
    only = " (warnings only)" if broken[0].severity == "warn" else ""
    return "; ".join(parts) + only


def _fail(number: int) -> str:
    return "fails" if number == 1 else "fail"


def _failure(one: Outcome, rows: int) -> Failure:
    number = len(one.positions) or None
    return Failure(
        rule=one.rule,
        column=one.column,
        severity=one.severity,
        expected=one.expected,
        observed=one.words or _figure(one.observed),
        rows=number,
        share=number / rows if number else None,
        examples=tuple(dict.fromkeys(text_of(value) for value in one.examples))[:EXAMPLES],
        first_rows=tuple(int(position) for position in one.positions[:EXAMPLES]),
    )


def _figure(observed: str | float) -> str:
    return observed if isinstance(observed, str) else f"{observed:,.10g}"
