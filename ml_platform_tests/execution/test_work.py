"""An order ends with what was made or with trouble, which crosses from process to process whole."""

import pickle
from pathlib import Path

import pytest

from ml_platform.execution.work import Ended, Made, Order, Trouble, Work
from ml_platform.kernel.errors import DataError, StorageFullError, UnavailableError, Where
from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore

KEY = TableKey("raw", "sales")


def work(make):
    return Work("shop", KEY, TableStore("nowhere"), "run", "first", make)


TROUBLES = {
    "a person's mistake": (
        DataError("a", "empty", fix="fill it", where=Where(Path("x"), 3)),
        False,
    ),
    "what may pass": (UnavailableError("the shop", "closed"), True),
    "a full disk": (StorageFullError("table a", "no room"), True),
    "a mistake of ours": (ZeroDivisionError("by zero"), True),
}


@pytest.mark.parametrize("case", TROUBLES)
def test_what_fails_is_told_whole_and_says_whether_a_retry_can_help(case):
    error, retryable = TROUBLES[case]

    def make(step):
        raise error

    ended = pickle.loads(pickle.dumps(work(make).do(Order("a"))))
    assert ended.made is None
    assert ended.trouble.retryable is retryable
    assert ended.trouble.kind == type(error).__name__
    assert str(error) in ended.trouble.text
    assert ended.trouble.headline.endswith(str(error).splitlines()[0])
    assert ("Traceback" in ended.trouble.text) == isinstance(error, ZeroDivisionError)


def test_what_ends_the_process_is_not_taken_for_trouble():
    def make(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(make).do(Order("a"))


def test_a_step_knows_its_partition_and_what_it_says_is_in_the_report():
    def make(step):
        step.log(f"{step.partition} of {step.key}, {step.run_id}, {step.first_run_id}")
        return Made(None, {"n": 1})

    ended = work(make).do(Order("a"))
    assert ended.said == ("a of raw/sales, run, first",)
    heard = []
    assert work(make).do(Order("a"), heard.append).said == ()
    assert heard == list(ended.said)
    assert ended.cost.seconds > 0


@pytest.mark.parametrize("both", [True, False])
def test_an_order_cannot_end_both_ways_or_none(both):
    trouble = Trouble("a", "b", retryable=False)
    with pytest.raises(AssertionError):
        Ended(Order("a"), Made(None, {}) if both else None, trouble if both else None)
