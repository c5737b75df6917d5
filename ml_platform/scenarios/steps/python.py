"""`run_python`: call a function; what it returns is the step's output."""

import importlib
import json
from collections.abc import Callable
from typing import Any

from ml_platform.kernel.errors import DataError, NotFoundError, closest
from ml_platform.scenarios.course import Course, Outcome, Result, variables_set
from ml_platform.scenarios.words import RunPython


def call(python: RunPython, course: Course) -> Result:
    """Call a function; its result, which has to be plain values, is the step's output.

    Raises:
        NotFoundError: there is no such function.
        DataError: it returned something that is no plain value.
    """
    arguments = {**variables_set(python.arguments, course)}
    output = found(python.function)(**arguments)
    try:
        return Result(Outcome.success, json.loads(json.dumps(output)))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"function {python.function}", f"what it returned cannot be kept: {error}",
            allowed="None, numbers, texts, lists and dicts of these",
        ) from error  # fmt: skip


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
