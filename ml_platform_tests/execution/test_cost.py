"""What a step costs is measured, also when it fails."""

import pytest

from ml_platform.execution.cost import measured


def test_the_peak_of_memory_is_that_of_the_block():
    with measured() as large:
        held = bytearray(200_000_000)
        held[::4096] = b"x" * len(held[::4096])
    del held
    with measured() as small:
        sum(range(1000))
    assert large.peak_memory_bytes > small.peak_memory_bytes + 100_000_000


def test_a_block_that_fails_has_cost_something_too():
    def fail():
        with measured() as cost:
            costs.append(cost)
            sum(range(100_000))
            raise RuntimeError

    costs = []
    with pytest.raises(RuntimeError):
        fail()
    (cost,) = costs
    assert cost.seconds > 0
    assert cost.cpu_seconds > 0
