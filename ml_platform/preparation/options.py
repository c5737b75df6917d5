"""The words that a preparation takes, and AutoClean's for the same things.

AutoClean's names are kept (`missing_num`, `encode_categ`, `extract_datetime`, ...), with its own
spellings as aliases: `linreg` is `linear`, `winz` is `iqr`, `label` is `ordinal`, False is `off`.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from ml_platform.kernel.errors import DeclarationError
from ml_platform.preparation.columns import Kind
from ml_platform.preparation.race import CATEGORY_METHODS, NUMBER_METHODS

OFF, AUTO, DELETE = "off", "auto", "delete"

KINDS: tuple[str, ...] = get_args(Kind)

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "mode": (AUTO, "manual"),
    "duplicates": (AUTO, OFF, "exact"),
    "missing_num": (AUTO, OFF, DELETE, *NUMBER_METHODS),
    "missing_categ": (AUTO, OFF, DELETE, "own", *CATEGORY_METHODS),
    "outliers": (AUTO, OFF, DELETE, "iqr", "zscore", "flag", "forest"),
    "encode_categ": (AUTO, OFF, "onehot", "ordinal", "target", "frequency", "hashing"),
    "extract_datetime": (AUTO, OFF, "Y", "M", "D", "h", "m", "s"),
    "text": (OFF, "string", "minhash", "gap"),
}

ALIASES: Mapping[str, Mapping[Any, str]] = {
    "mode": {},
    "duplicates": {True: AUTO},
    "missing_num": {"linreg": "linear", "gradient_boosted": "boosted"},
    "missing_categ": {"logreg": "logistic"},
    "outliers": {"winz": "iqr"},
    "encode_categ": {"label": "ordinal", "one-hot": "onehot"},
    "extract_datetime": {},
    "text": {},
}

COLUMN_WORDS: Mapping[str, str] = {
    "outliers": "outliers",
    "encode": "encode_categ",
    "dates": "extract_datetime",
    "text": "text",
}
"""What one column may say for itself, beside `missing` and `kind`, and the option it stands for."""


def word(option: str, given: object, subject: str = "") -> str:
    """An option's value by its own name.

    Raises:
        DeclarationError: it is none of the allowed words.
    """
    aliases, allowed = ALIASES[option], ALLOWED[option]
    if (given is False or given is None) and OFF in allowed:
        return OFF
    found = aliases.get(given, given) if isinstance(given, (str, bool)) else given
    if isinstance(found, str) and found in allowed:
        return found
    near = get_close_matches(str(given), [*allowed, *map(str, aliases)], 1)
    raise DeclarationError(
        subject or f"option {option}",
        f"{given!r}",
        allowed=", ".join(allowed),
        fix=f"did you mean '{near[0]}'?" if near else "",
    )


def of_list(
    given: object, columns: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> tuple[object, Mapping[str, Mapping[str, Any]]]:
    """AutoClean's way to say an encoding: ["onehot"] of all, ["onehot", ["shop", 3]] of some.

    Args:
        given: what `encode_categ` says; anything but a list is given back.
        columns: what columns say for themselves, which counts more.
        names: the table's columns, for those that are named by position.

    Returns:
        The word for all columns, and what columns say with the list's word among it.

    Raises:
        DeclarationError: it is another kind of list.
    """
    if not isinstance(given, (list, tuple)):
        return given, columns
    if len(given) == 1:
        return given[0], columns
    if len(given) != 2 or not isinstance(given[1], (list, tuple)):  # noqa: PLR2004 - a word, a list
        raise DeclarationError(
            "option encode_categ",
            f"{given!r}",
            allowed="a word, or a list of a word and the columns it is for",
        )
    said = {name: dict(what) for name, what in columns.items()}
    for one in given[1]:
        is_place = isinstance(one, int) and -len(names) <= one < len(names)
        said.setdefault(names[one] if is_place else str(one), {}).setdefault("encode", given[0])
    return OFF, said


def column_word(column: str, what: str, given: object, *, is_number: bool) -> str:
    """What one column says for itself; `missing` has words for numbers, others for categories."""
    if what == "missing":
        option = "missing_num" if is_number else "missing_categ"
    else:
        option = COLUMN_WORDS[what]
    return word(option, given, f"column '{column}', {what}")


def check_known(option: str, names: Sequence[str], known: tuple[str, ...]) -> None:
    """Refuse names of columns that are not there."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise DeclarationError(
                f"column '{name}' in `{option}`",
                "there is no such column",
                allowed=", ".join(known),
                fix=f"did you mean '{near[0]}'?" if near else "",
            )


def check_columns(columns: Mapping[str, Mapping[str, Any]], known: tuple[str, ...]) -> None:
    """Refuse columns that are not there and words that no column has."""
    check_known("columns", tuple(columns), known)
    for name, said in columns.items():
        unknown = sorted(set(said) - {"missing", "kind", *COLUMN_WORDS})
        if unknown:
            raise DeclarationError(
                f"column '{name}' in `columns`",
                f"it says {', '.join(unknown)}",
                allowed=", ".join(["kind", "missing", *COLUMN_WORDS]),
            )
        if said.get("kind", "text") not in KINDS:
            raise DeclarationError(
                f"column '{name}', kind", f"{said['kind']!r}", allowed=", ".join(KINDS)
            )
