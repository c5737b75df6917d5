"""Which partitions a declaration means, at a given time."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from ml_platform.kernel.errors import DeclarationError, NotFoundError
from ml_platform.scenarios.steps.partitions import begin_of, chosen_partitions, stretches

MONTHS = dg.TimeWindowPartitionsDefinition(
    start="2025-10-01", end="2026-04-01", fmt="%Y-%m-%d", cron_schedule="0 0 1 * *"
)
DAYS = dg.TimeWindowPartitionsDefinition(
    start="2026-03-25", end="2026-04-05", fmt="%Y-%m-%d",
    cron_schedule="0 0 * * *", timezone="Europe/Zurich",
)  # fmt: skip
STORES = dg.StaticPartitionsDefinition(["a", "b", "c", "d"])
MARCH_30 = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)  # half past midnight in Zurich, summer time


@pytest.mark.parametrize(
    ("definition", "said", "expected"),
    [
        (STORES, None, "a b c d"),
        (STORES, "b", "b"),
        (STORES, ["d", "a"], "a d"),
        (STORES, "b..c", "b c"),
        (STORES, "..b", "a b"),
        (STORES, ["c..", "a"], "a c d"),
        (DAYS, "current_day", "2026-03-30"),
        (DAYS, "previous_day", "2026-03-29"),
        (DAYS, "current_hour", "2026-03-30"),
        (DAYS, "previous_hour", "2026-03-29"),
        (DAYS, "previous_week", "2026-03-25 2026-03-26 2026-03-27 2026-03-28 2026-03-29"),
        (MONTHS, "previous_month", "2026-02-01"),
        (MONTHS, "current_day", "2026-03-01"),
        (MONTHS, "previous_year", "2025-10-01 2025-11-01 2025-12-01"),
        (MONTHS, ["previous_month", "current_month"], "2026-02-01 2026-03-01"),
    ],
)
def test_words_mean_these_partitions(definition, said, expected):
    found = chosen_partitions("raw/sales", definition, said, lambda: MARCH_30)
    assert " ".join(found) == expected


@pytest.mark.parametrize(
    ("definition", "said", "error", "told"),
    [
        (STORES, "e", NotFoundError, "a to d"),
        (STORES, "b..e", NotFoundError, "partition 'e' of raw/sales"),
        (STORES, "current_day", DeclarationError, "not divided by time"),
        (None, "a", NotFoundError, "the table has no partitions"),
        (MONTHS, "current_yaer", NotFoundError, "current_year"),
        (DAYS, "previous_month", NotFoundError, "none from 2026-02-01"),
    ],
)
def test_what_is_not_there_is_told(definition, said, error, told):
    with pytest.raises(error) as found:
        chosen_partitions("raw/sales", definition, said, lambda: MARCH_30)
    assert told in str(found.value)


def test_neighbours_are_made_together():
    assert stretches("abcdef", ["f", "a", "b", "d"]) == [["a", "b"], ["d"], ["f"]]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("hour", "2026-03-29 22"), ("day", "2026-03-29 00"), ("week", "2026-03-23 00"),
     ("month", "2026-03-01 00"), ("year", "2026-01-01 00")],
)  # fmt: skip
def test_a_unit_begins(unit, expected):
    assert f"{begin_of(unit, MARCH_30):%Y-%m-%d %H}" == expected
