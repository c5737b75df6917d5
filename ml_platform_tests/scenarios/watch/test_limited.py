"""Looks that hang, and that nobody waits for."""

import threading
import time

import pytest

from ml_platform.kernel.errors import UnavailableError
from ml_platform.scenarios.watch.limited import limited


def hang(over):
    while not over.is_set():
        over.wait(0.01)


def test_what_ends_in_time_is_returned_or_raised():
    assert limited(lambda: 42, 10, "it", "a") == 42
    with pytest.raises(ZeroDivisionError):
        limited(lambda: 1 / 0, 10, "it", "a")


def test_a_timeout_of_the_look_itself_is_not_taken_for_ours():
    def times_out():
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        limited(times_out, 10, "it", "a")


def test_python_that_never_ends_is_broken_off():
    threads = []

    def turn():
        threads.append(threading.current_thread())
        while True:
            try:
                time.sleep(0.001)
            except Exception:  # noqa: BLE001 - it holds everything up that it can
                continue

    with pytest.raises(UnavailableError, match="it has not ended within"):
        limited(turn, 0.05, "it", "turn")
    threads[0].join(30)
    assert not threads[0].is_alive()
    assert limited(lambda: 42, 10, "it", "turn") == 42


def test_what_still_hangs_is_not_begun_again_and_others_go_on():
    over = threading.Event()
    with pytest.raises(UnavailableError):
        limited(over.wait, 0.05, "it", "hang", lambda: True)
    begun = []
    with pytest.raises(UnavailableError, match="still hangs"):
        limited(lambda: begun.append(1), 10, "it", "hang")
    assert begun == []
    assert limited(lambda: 42, 10, "it", "other") == 42
    over.set()


def test_what_knows_how_to_end_itself_is_told_to():
    over = threading.Event()

    def stop():
        over.set()
        return True

    with pytest.raises(UnavailableError):
        limited(lambda: hang(over), 0.05, "it", "told", stop)
    assert over.is_set()
