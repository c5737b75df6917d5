"""Variables: who says what they are, and what must not be seen of them.

A variable holds for a run, a scenario, a project or the platform; the narrower one wins. A secret
one is the name of an environment variable: its value is read by the step that needs it, and is in
no record, log or message. No Dagster.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.environment import hide
from ml_platform.kernel.errors import DeclarationError, SettingsError, Where

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = "***"
_SECRET_WORD = "secret"  # noqa: S105 - the word that says so


@dataclass(frozen=True)
class Secret:
    """What stands in the environment under a name; as a text it is `***`."""

    environment_variable: str

    def __str__(self) -> str:
        return HIDDEN

    def value(self, environ: Mapping[str, str]) -> str:
        """What it is.

        Raises:
            SettingsError: the environment has no such variable.
        """
        if self.environment_variable not in environ:
            raise SettingsError(
                "secret variable", f"the environment has no {self.environment_variable}",
                fix=f"set {self.environment_variable} where the platform is started",
            )  # fmt: skip
        return environ[self.environment_variable]


@dataclass(frozen=True)
class Variable:
    """A variable's value, and where it comes from."""

    name: str
    value: Any
    origin: str

    @property
    def shown(self) -> Any:
        """What may be seen of it."""
        if isinstance(self.value, Secret):
            return f"{HIDDEN} (of {self.value.environment_variable})"
        return self.value


def declared(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a declaration says them; `{secret: NAME}` is a secret one.

    >>> declared({"region": "north", "token": {"secret": "SHOP_TOKEN"}})["token"]
    Secret(environment_variable='SHOP_TOKEN')
    """
    return {name: _declared(value) for name, value in values.items()}


def _declared(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) == {_SECRET_WORD}:
        return Secret(str(value[_SECRET_WORD]))
    return value


def written(value: Any) -> Any:
    """A value as `declared` reads it."""
    if isinstance(value, Secret):
        return {_SECRET_WORD: value.environment_variable}
    return value


def resolved(layers: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Variable]:
    """Each variable by its name, in the order of the alphabet; a later layer wins."""
    found: dict[str, Variable] = {}
    for origin, values in layers:
        found |= {name: Variable(name, value, origin) for name, value in values.items()}
    return dict(sorted(found.items()))


def revealed(value: Any, environ: Mapping[str, str] = os.environ) -> Any:
    """The value with what is secret in it, for the function or database that needs it.

    Raises:
        SettingsError: the environment does not have it.
    """
    if isinstance(value, Secret):
        return value.value(environ)
    if isinstance(value, Mapping):
        return {name: revealed(one, environ) for name, one in value.items()}
    return [revealed(one, environ) for one in value] if isinstance(value, list) else value


def hidden(value: Any, names: Iterable[str], environ: Mapping[str, str] = os.environ) -> Any:
    """The value without what these environment variables hold, in any text of it."""
    secrets = [environ[name] for name in names if environ.get(name)]
    return _without(value, secrets) if secrets else value


def _without(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        return hide(value, secrets)
    if isinstance(value, Mapping):
        return {_without(name, secrets): _without(one, secrets) for name, one in value.items()}
    return [_without(one, secrets) for one in value] if isinstance(value, list) else value


def platform_variables(file: "Path") -> dict[str, Any]:
    """What a file of `name: value` says; a file that is not there says nothing.

    Raises:
        DeclarationError: it cannot be read as that.
    """
    import yaml

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise DeclarationError("variables", f"not readable: {error}", where=Where(file)) from None
    if not isinstance(found or {}, dict):
        raise DeclarationError("variables", "no mapping", allowed="name: value", where=Where(file))
    return declared({str(name): value for name, value in (found or {}).items()})
