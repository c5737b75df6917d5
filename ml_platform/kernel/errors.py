"""The tree of errors, drawn once. The class of an error says whether trying again can help.

    PlatformError
    ├── UserError            a person has to change something; trying again does not help
    │   ├── DeclarationError   YAML or SQL that does not say something possible
    │   ├── DataError          data that is not as declared
    │   ├── NotFoundError      a table, file, model or project that does not exist
    │   └── SettingsError      an environment variable or an installation that is not right
    └── RetryableError       the same call may succeed later
        ├── UnavailableError   a database, an API or a store that does not answer
        ├── ConflictError      another process wrote the same thing at the same time
        └── StorageFullError   no room left to write

Every message has four parts: which object, what was given, what is allowed, what to do.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Where:
    """A place in a file that a person wrote: `line` and `column` count from one."""

    file: Path
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [str(self.file), *(str(n) for n in (self.line, self.column) if n is not None)]
        return ":".join(parts)


class PlatformError(Exception):
    """An error with a message in four parts.

    Args:
        subject: which object is concerned, as its user calls it ("table raw/sales").
        given: what was found there.
        allowed: what would have been right; empty when there is nothing to choose from.
        fix: what the reader can do about it.
        where: the file and line, for what a person wrote in YAML or SQL.
    """

    retryable = False

    def __init__(
        self,
        subject: str,
        given: str,
        *,
        allowed: str = "",
        fix: str = "",
        where: Where | None = None,
    ) -> None:
        self.subject, self.given, self.allowed, self.fix = subject, given, allowed, fix
        self.where = where
        super().__init__(subject, given)

    def __str__(self) -> str:
        lines = [f"{self.where}: " if self.where else "", f"{self.subject}: {self.given}"]
        text = "".join(lines)
        if self.allowed:
            text += f"\n  allowed: {self.allowed}"
        if self.fix:
            text += f"\n  to do: {self.fix}"
        return text


class UserError(PlatformError):
    """A person has to change something; trying again does not help."""


class DeclarationError(UserError, ValueError):
    """YAML or SQL that does not say something possible.

    Being a ValueError, it may be raised while pydantic validates, which adds the field's path.
    """


class DataError(UserError):
    """Data that is not as declared."""


class NotFoundError(UserError):
    """A table, file, model or project that does not exist."""


class SettingsError(UserError):
    """An environment variable or an installation that is not right."""


class RetryableError(PlatformError):
    """The same call may succeed later."""

    retryable = True


class UnavailableError(RetryableError):
    """A database, an API or a store that does not answer."""


class ConflictError(RetryableError):
    """Another process wrote the same thing at the same time."""


class StorageFullError(RetryableError):
    """No room is left to write."""


def closest(word: str, allowed: list[str]) -> str:
    """`allowed` as a list to read, with the likeliest spelling of `word` first.

    >>> closest("replce", ["append", "merge", "replace"])
    'replace (did you mean this?), append, merge'
    """
    import difflib

    near = difflib.get_close_matches(word, allowed, n=1)
    rest = [one for one in allowed if one not in near]
    return ", ".join([f"{one} (did you mean this?)" for one in near] + rest)
