"""What the words of a scenario's declaration are made of: lengths of time, names, functions.

What belongs here: what both its triggers and its steps are written with. No Dagster.
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from ml_platform.kernel.errors import DeclarationError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?([smhd])")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def seconds(value: Any) -> float:
    """A length of time as people write it: 30s, 2m, 1.5h, 7d.

    >>> seconds("2m"), seconds("1.5h")
    (120.0, 5400.0)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"'{value}' is no length of time; write it like 30s, 2m, 1.5h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def _checked_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"'{value}' is no name; write it in lower case, of letters, digits and _")
    return value


def _checked_function(value: str) -> str:
    if not re.fullmatch(r"[\w.]+:\w+", value):
        raise ValueError(f"'{value}' names no function; write it like package.module:function")
    return value


Duration = Annotated[float | str, BeforeValidator(seconds)]
Name = Annotated[str, BeforeValidator(_checked_name)]
Function = Annotated[str, BeforeValidator(_checked_function)]


class Part(BaseModel):
    """A part of a declaration: a word that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def given_of(part: BaseModel, kinds: tuple[str, ...]) -> list[str]:
    """Which of its kinds a part has."""
    return [kind for kind in kinds if getattr(part, kind) is not None]


def one_of(part: BaseModel, subject: str, kinds: tuple[str, ...]) -> None:
    """Refuse a part that has none of its kinds, or several.

    Raises:
        DeclarationError: it names what was given and what may be.
    """
    given = given_of(part, kinds)
    if len(given) != 1:
        raise DeclarationError(
            subject, f"it has {' and '.join(given) or 'no kind'}",
            allowed=f"one of {', '.join(kinds)}",
        )  # fmt: skip
