"""A look that may hang, with an end: it goes on in a thread of its own, and nobody waits for it.

What belongs here: the wait, the end, and that a look which still hangs is not begun again.
"""

import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from ml_platform.kernel.errors import UnavailableError

_T = TypeVar("_T")


class LookBrokenOffError(BaseException):
    """Raised in the thread of a look whose time is over; no `except Exception` holds it up."""


@dataclass
class _Look:
    thread: threading.Thread
    lock: threading.Lock
    is_over: bool = False


_FAREWELL_S = 1.0
"""So long a look that was broken off has to leave, before it counts as one that hangs."""

_hanging: dict[str, threading.Thread] = {}


def limited(
    work: Callable[[], _T],
    seconds: float,
    subject: str,
    key: str,
    break_off: Callable[[], bool] = lambda: False,
) -> _T:
    """What `work` returns or raises, if it ends within `seconds`.

    Python that runs is broken off where it is. What waits in the operating system or in a library
    is left to itself, unless `break_off` knows how to end it.

    Args:
        work: the look.
        seconds: how long to wait for it.
        subject: what messages call it.
        key: the look as the only one of its kind; a second is not begun while one hangs.
        break_off: ends what the look waits for, and says whether it could; it may be called at
            any moment.

    Raises:
        UnavailableError: it took longer, or an earlier one still hangs.
    """
    if key in _hanging and _hanging[key].is_alive():
        raise UnavailableError(
            subject, "an earlier look at it still hangs", fix="see what it waits for"
        )
    done: Future[_T] = Future()
    look = _Look(threading.Thread(target=lambda: _run(work, done, look), daemon=True, name=key),
                 threading.Lock())  # fmt: skip
    look.thread.start()
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():  # the look's own
            raise
    _hanging[key] = look.thread
    _end(look, break_off)
    look.thread.join(_FAREWELL_S)
    raise UnavailableError(
        subject, f"it has not ended within {seconds:,.0f} s", fix="make it quicker, or give it more"
    )


def _run(work: Callable[[], _T], done: "Future[_T]", look: _Look) -> None:
    try:
        found = work()
        with look.lock:
            look.is_over = True
        done.set_result(found)
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
        with look.lock:
            look.is_over = True
        done.set_exception(error)


def _end(look: _Look, break_off: Callable[[], bool]) -> None:
    if break_off():
        return
    with look.lock:  # not in a thread that has left the look
        if not look.is_over and look.thread.ident is not None:
            number, raised = ctypes.c_ulong(look.thread.ident), ctypes.py_object(LookBrokenOffError)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(number, raised)
