"""A function that a declaration names, like package.module:function. No Dagster."""

import importlib
from collections.abc import Callable
from typing import Any

from ml_platform.kernel.errors import NotFoundError, closest


def found(path: str) -> Callable[..., Any]:
    """The function of a path like package.module:function.

    Raises:
        NotFoundError: there is none.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise NotFoundError(f"function {path}", str(error), fix="install or correct it") from error
    one = getattr(module, name, None)
    if not callable(one):
        there = [other for other, value in vars(module).items() if callable(value)]
        raise NotFoundError(
            f"function {path}", f"the module has no function '{name}'", allowed=closest(name, there)
        )
    return one  # type: ignore[no-any-return]
