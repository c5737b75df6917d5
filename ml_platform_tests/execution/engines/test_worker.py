"""What a worker does with its orders; the pool's tests kill it in every way."""

import pickle
from multiprocessing import Pipe
from threading import Thread

import cloudpickle
import pytest

from ml_platform.execution.engines.worker import LINE, REPORT, limited, serve
from ml_platform.execution.work import Made, Order, Work
from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore


def work(make=lambda step: Made(None, {"limit": step.store.memory_limit})):
    return Work("shop", TableKey("raw", "a"), TableStore("nowhere", "2GiB"), "run", "run", make)


@pytest.fixture
def channel():
    """The pool's end of a channel, at whose other end a worker serves until it is closed."""
    ours, theirs = Pipe()
    worker = Thread(target=serve, args=(theirs,))
    worker.start()
    with ours:
        yield ours
    worker.join()


@pytest.mark.parametrize(("memory", "limit"), [(None, "2GiB"), (1000, "700B")])
def test_queries_may_take_less_than_the_partition_may(memory, limit):
    assert limited(work(), memory).store.memory_limit == limit


def test_each_order_gets_its_report_after_the_lines_that_it_said(channel):
    def make(step):
        step.log("so far")
        return Made(None, {"part": step.partition})

    channel.send_bytes(cloudpickle.dumps(work(make)))
    for part in "ab":
        channel.send_bytes(pickle.dumps((Order(part), None)))
        assert channel.recv_bytes() == LINE + b"so far"
        message = channel.recv_bytes()
        assert message.startswith(REPORT)
        assert pickle.loads(message[1:]).made.metadata == {"part": part}


def test_work_that_cannot_be_read_is_told_for_every_order(channel):
    channel.send_bytes(b"no pickle")
    for part in "ab":
        channel.send_bytes(pickle.dumps((Order(part), None)))
        report = pickle.loads(channel.recv_bytes()[1:])
        assert report.order == Order(part)
        assert report.trouble.kind == "UnpicklingError"
