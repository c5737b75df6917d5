"""A plan gets the least engine that gives what it asks; a heavy one is not loaded before."""

import subprocess
import sys

import pytest

from ml_platform.execution.engines.choice import engine_of
from ml_platform.execution.profile import Plan

ENGINES = {
    "nothing asked": (Plan(), "InThisProcess"),
    "several at a time": (Plan(max_parallel=2), "LocalPool"),
    "a limit of memory": (Plan(memory_bytes=2**30), "LocalPool"),
    "a limit of time": (Plan(timeout_s=1), "LocalPool"),
    "Ray": (Plan(engine="ray"), "OnRay"),
}


@pytest.mark.parametrize("case", ENGINES)
def test_a_plan_gets_its_engine(case):
    plan, name = ENGINES[case]
    assert type(engine_of(plan, print)).__name__ == name


def test_neither_ray_nor_psutil_is_loaded_for_the_steps_own_process():
    program = """
import sys
import ml_platform.components
from ml_platform.execution.engines.choice import engine_of
from ml_platform.execution.profile import Plan
engine_of(Plan(), print)
print([m for m in ("ray", "cloudpickle", "ml_platform.execution.engines.pool") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
