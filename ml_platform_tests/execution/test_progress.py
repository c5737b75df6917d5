"""The progress of a backfill counts its partitions, and says what went wrong."""

import io

import pytest
from rich.console import Console

from ml_platform.execution.launch import Happening
from ml_platform.execution.progress import counted_on

TABLE = "features/sales"
SAID = {
    "a failed partition": ("troubled", "b failed: [x] is broken"),
    "a failed check": ("checked", "n is empty"),
    "a failed step": ("failed", "1 of 2 partitions failed"),
}


def shown(*happenings, total=4):
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=False)
    with counted_on(console, TABLE, total) as tell:
        for one in happenings:
            tell(one)
    return text.getvalue()


def test_partitions_of_the_table_are_counted_and_no_others():
    kinds = {"a": "made", "b": "made", "c": "kept"}
    made = [Happening(kind, TABLE, partition=part) for part, kind in kinds.items()]
    found = shown(*made, Happening("made", "features/other", partition="a"))
    assert "features/sales" in found
    assert "3/4 partitions" in found


@pytest.mark.parametrize("case", SAID)
def test_what_goes_wrong_is_said_as_it_is(case):
    kind, said = SAID[case]
    assert said in shown(Happening(kind, "features__sales", passed=False, message=said))


def test_a_failed_partition_counts_as_done_and_a_passed_check_says_nothing():
    failed = Happening("troubled", "features__sales", message="b failed")
    other = Happening("troubled", "features__sales_schema", message="it waits in vain")
    passed = Happening("checked", "features/sales: schema", True, "all is well")
    found = shown(failed, other, passed)
    assert "1/4 partitions" in found
    assert "all is well" not in found
    assert "in vain" not in found


def test_an_error_that_was_told_when_it_came_is_not_told_again_with_the_steps_failure():
    came = Happening("troubled", "features__sales", message="b failed: it is empty")
    step = Happening("failed", "features__sales", passed=False, message="1 of 2\nb: it is empty")
    found = shown(came, step)
    assert found.count("it is empty") == 1
    assert "1 of 2" in found
    assert shown(step).count("it is empty") == 1
