"""Which partitions a declaration means: one, a list, a range, or `previous_month` and the like."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from ml_platform.kernel.clock import Clock, system_clock
from ml_platform.kernel.errors import DeclarationError, NotFoundError, closest

UNITS = ("hour", "day", "week", "month", "year")
WORDS = tuple(f"{which}_{unit}" for unit in UNITS for which in ("current", "previous"))


def chosen_partitions(
    table: str,
    definition: dg.PartitionsDefinition[Any] | None,
    said: str | Sequence[str] | None,
    clock: Clock = system_clock,
) -> list[str]:
    """The partitions of a table that are meant, in their order; nothing said means all.

    Raises:
        NotFoundError: the table has no such partition.
        DeclarationError: a time is meant, and the table is not divided by time.
    """
    known = list(definition.get_partition_keys()) if definition else []
    if said is None:
        return known
    meant: set[str] = set()
    for one in [said] if isinstance(said, str) else said:
        if one in WORDS:
            meant.update(_at_time(table, definition, one, clock()))
        elif ".." in one:
            first, _, last = one.partition("..")
            start = _place(table, known, first) if first else 0
            stop = _place(table, known, last) if last else len(known) - 1
            meant.update(known[start : stop + 1])
        else:
            meant.add(known[_place(table, known, one)])
    return [one for one in known if one in meant]


def stretches(known: Sequence[str], chosen: Sequence[str]) -> list[list[str]]:
    """The chosen ones in runs of neighbours, as one run of Dagster makes a range."""
    places = {key: n for n, key in enumerate(known)}
    found: list[list[str]] = []
    for key in sorted(chosen, key=places.__getitem__):
        if found and places[key] == places[found[-1][-1]] + 1:
            found[-1].append(key)
        else:
            found.append([key])
    return found


def _place(table: str, known: Sequence[str], partition: str) -> int:
    if partition not in known:
        raise NotFoundError(
            f"partition '{partition}' of {table}",
            "there is none" if known else "the table has no partitions",
            allowed=f"{known[0]} to {known[-1]}: {closest(partition, list(known[-40:]))}, "
            f"first..last, {', '.join(WORDS)}" if known else "",
        )  # fmt: skip
    return known.index(partition)


def _at_time(
    table: str, definition: dg.PartitionsDefinition[Any] | None, word: str, now: datetime
) -> list[str]:
    """The partitions that touch the hour, day, week, month or year that a word means."""
    if not isinstance(definition, dg.TimeWindowPartitionsDefinition):
        raise DeclarationError(
            f"partitions of {table}", f"'{word}', and the table is not divided by time",
            allowed="the names of partitions",
        )  # fmt: skip
    which, _, unit = word.partition("_")
    start = begin_of(unit, now.astimezone(ZoneInfo(definition.timezone)))
    end = begin_of(unit, start + _ROOMY[unit])
    if which == "previous":
        start, end = begin_of(unit, start - timedelta(hours=1)), start
    found = [
        key
        for key in definition.get_partition_keys()
        if (window := definition.time_window_for_partition_key(key)).start < end
        and window.end > start
    ]
    if not found:
        raise NotFoundError(
            f"partitions of {table}", f"none from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}",
            allowed=f"up to {definition.get_last_partition_key()}",
            fix="a partition is there once its time is over; `previous_` is what often is meant",
        )  # fmt: skip
    return found


_ROOMY = {
    "hour": timedelta(hours=1),
    "day": timedelta(hours=36),
    "week": timedelta(days=7, hours=12),
    "month": timedelta(days=40),
    "year": timedelta(days=380),
}
"""Added to a unit's beginning, it lies within the next one, summer time or not."""


def begin_of(unit: str, moment: datetime) -> datetime:
    """When the hour, day, week (from Monday), month or year of a moment began."""
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if unit == "year" else day
