"""A function of the project's own that says whether to start, as a fingerprint and parameters.

What it returns is one of:

- None or False: there is nothing to start for.
- True, or a mapping of parameters: start. It is asked at each look, so what goes on being true
  starts again at each; a mapping that changes begins the wait for quiet anew.
- a text or a number: something that is compared with what the last run knew, as a file's time is.
"""

import hashlib
import json
import traceback
from collections.abc import Mapping
from typing import Any

from ml_platform.kernel.errors import DataError, PlatformError, UserError
from ml_platform.scenarios.functions import found
from ml_platform.scenarios.settle import State
from ml_platform.scenarios.trigger_words import PythonLook
from ml_platform.scenarios.watch.limited import limited
from ml_platform.scenarios.watch.look import Look
from ml_platform.scenarios.watch.plain import checked_params

_NOTHING = ""


def look_with_function(words: PythonLook, state: State, key: str, seconds: float) -> Look:
    """Call the function.

    Args:
        words: which, and with which arguments.
        state: what is remembered of the trigger.
        key: the look as the only one of its kind.
        seconds: how long it may take; then it is broken off.

    Raises:
        NotFoundError: there is no such function.
        UserError: the function failed; the message says where and how.
        DataError: it returned what cannot be kept.
        UnavailableError: it took too long.
    """
    subject = f"function {words.function}"
    function = found(words.function)

    def call() -> Any:
        try:
            return function(**words.arguments)
        except PlatformError:
            raise
        except Exception as error:  # whatever it is, it is the function's, and is told as such
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise UserError(
                subject, f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
            ) from error

    return _look(limited(call, seconds, subject, key), state, subject)


def _look(said: Any, state: State, subject: str) -> Look:
    if said is None or said is False:
        return Look((state.handled or _NOTHING,), f"{subject}: it says no")
    if said is True or isinstance(said, Mapping):
        params = {} if said is True else checked_params(said, subject)
        # The run's number makes the next yes another one; a first look starts no run.
        number = state.sequence + 1 if state.handled is not None else None
        seen = _NOTHING if number is None else f"{number}-{_hash(params)}"
        told = f": {json.dumps(params)}" if params else ""
        return Look((seen,), f"{subject}: it says yes{told}", params)
    if isinstance(said, (str, int, float)):
        return Look((_hash(said),), f"{subject}: it says {said}"[:300], {"value": said})
    raise DataError(
        subject, f"it returned a value of type {type(said).__name__}",
        allowed="None, True, False, a text, a number, or a mapping of parameters",
    )  # fmt: skip


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()
