"""Values of any kind as parameters of a run: what JSON and an expression know, and bounded.

What belongs here: from what a database, a function or a caller gave to plain values.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from ml_platform.kernel.errors import DataError

MOST_CHARACTERS = 16_000
"""The largest parameters of one look, as JSON; they are kept with every run and every tick."""

DEEPEST = 8
_LONGEST_TEXT = 1_000


def plain_value(value: Any) -> Any:
    r"""A value of a database as JSON has it: times in ISO 8601, numbers as numbers, else text.

    >>> plain_value(Decimal("2.50")), plain_value(b"\x01"), plain_value(float("nan"))
    (2.5, '01', None)
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (float, Decimal)):
        return _number(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    text = value.hex() if isinstance(value, (bytes, memoryview)) else str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _number(value: float | Decimal) -> int | float | None:
    if not math.isfinite(value):
        return None
    return int(value) if isinstance(value, Decimal) and value == int(value) else float(value)


def checked_params(given: Any, subject: str) -> dict[str, Any]:
    """Parameters that somebody else made, if a run can keep them.

    Raises:
        DataError: they are no mapping by names, hold something that is no plain value, or are too
            many or too deep.
    """
    if not isinstance(given, Mapping):
        raise DataError(subject, f"{type(given).__name__} is no mapping of parameters by name",
                        allowed='a mapping, like {"n": 1}')  # fmt: skip
    made = {str(name): _checked(value, subject, DEEPEST) for name, value in given.items()}
    size = len(json.dumps(made))
    if size > MOST_CHARACTERS:
        raise DataError(
            subject, f"{size:,} characters of parameters", allowed=f"up to {MOST_CHARACTERS:,}",
            fix="give the name of a table or a file that holds them",
        )  # fmt: skip
    return made


def fitting(parts: Sequence[Mapping[str, Any]], room: int = MOST_CHARACTERS) -> list[Any]:
    """The first parts of a list, as many as there is room for."""
    kept: list[Any] = []
    for one in parts:
        room -= len(json.dumps(one))
        if room < 0:
            break
        kept.append(one)
    return kept


def _checked(value: Any, subject: str, depth: int) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if depth and isinstance(value, Mapping):
        return {str(name): _checked(one, subject, depth - 1) for name, one in value.items()}
    if depth and isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_checked(one, subject, depth - 1) for one in value]
    raise DataError(
        subject, f"a value of type {type(value).__name__} cannot be kept",
        allowed=f"None, finite numbers, texts, lists and dicts of these, up to {DEEPEST} deep",
    )  # fmt: skip
