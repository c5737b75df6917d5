"""A Ray cluster that a scenario starts for its steps, and ends whatever becomes of them."""

import importlib.util

import pytest

from ml_platform.execution.clusters import local

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(600),  # a Ray takes half a minute to start on a busy machine
]


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_cluster_is_there_between_its_two_steps_and_ended_even_after_a_failure(stage):
    start = {"name": "crunch", "nodes": 1, "hold": "5m"}
    stage.declare(
        {"name": "begin", "start_cluster": start},
        {"name": "again", "start_cluster": {**start, "nodes": 2}},
        {"name": "fails", "run_python": {"function": "operator:truediv"}},
        {"name": "end", "if": "always", "stop_cluster": "crunch"},
        {"name": "twice", "if": "always", "stop_cluster": "crunch"},
    )
    try:
        result = stage.run()
        [begun, again, end, twice] = [
            stage.metadata(result, step)["output"] for step in ("begin", "again", "end", "twice")
        ]
        assert (begun["nodes"], again["nodes"]) == (1, 2)
        assert begun["address"] == again["address"]
        assert begun["address"].startswith("127.0.0.1:")
        assert (end["stopped"], twice) == (True, {"stopped": False})
        assert not result.success
        assert [one for one in local.places() if one.lease()] == []
    finally:
        for place in local.places():
            local.stopped(place.name)


def test_a_cluster_that_is_not_there_is_stopped_already(stage):
    stage.declare({"name": "end", "stop_cluster": "crunch"})
    result = stage.run()
    assert stage.metadata(result, "end")["reason"] == "there was none"
