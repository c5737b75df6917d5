"""`${NAME}` in a declaration: filled from the environment when a step runs, hidden in messages.

`${NAME:-value}` takes the value after `:-` where the variable is not set, as in a shell.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping

from ml_platform.kernel.errors import SettingsError, closest

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def variables_in(text: str) -> list[str]:
    """The names of the environment variables that a text asks for, in order."""
    return [match[1] for match in _VARIABLE.finditer(text)]


def resolve(
    text: str,
    subject: str,
    environ: Mapping[str, str] = os.environ,
    encode: Callable[[str], str] = str,
) -> str:
    """The text with each `${NAME}` replaced by that variable's value, passed through `encode`.

    Raises:
        SettingsError: a variable without a default is not set; it names the variable and near
            names, never a value.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name in environ:
            return encode(environ[name])
        if match[2] is not None:
            return match[2]
        near = closest(name, list(environ))
        raise SettingsError(
            subject,
            f"the environment variable {name} is not set",
            allowed=near.partition(",")[0] if "did you mean" in near else "",
            fix=f"set {name} where the platform is started",
        )

    return _VARIABLE.sub(value_of, text)


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret in it replaced by `***`."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
