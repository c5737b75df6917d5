"""`clear`: empty tables or partitions of them; what was there stays as a version."""

from collections.abc import Sequence

import dagster as dg

from ml_platform.kernel.errors import NotFoundError, closest
from ml_platform.kernel.names import TableKey
from ml_platform.scenarios.course import Course, Outcome, Result
from ml_platform.scenarios.step_words import Clear
from ml_platform.scenarios.steps.partitions import chosen_partitions
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.templates import filled


def clear(words: Clear, course: Course, place: Place) -> Result:
    """Empty them; one that is empty already is none the worse.

    Raises:
        NotFoundError: the project has no such table, or it no such partition.
    """
    graph = place.repository.asset_graph
    known = {key.to_user_string() for key in graph.executable_asset_keys}
    for table in words.tables:
        if table not in known:
            raise NotFoundError(
                f"table {table}", "the project has none of this name",
                allowed=closest(table, sorted(known)),
            )  # fmt: skip
    said = filled(words.partitions, course.known())
    removed = {table: _emptied(table, said, place) for table in words.tables}
    return Result(Outcome.success, {"removed": removed})


def _emptied(table: str, said: str | Sequence[str] | None, place: Place) -> list[str]:
    """What was removed of a table: its partitions, or `all` where it has none."""
    store, key = place.store(), TableKey.parse(table)
    there = store.partitions(place.project, key)
    if said is not None:
        node = place.repository.asset_graph.get(dg.AssetKey(key.parts))
        wanted = chosen_partitions(table, node.partitions_def, said)
        there = [one for one in there if one in wanted]
    for one in there:
        store.remove(place.project, key, one)
    return [one or "all" for one in there]
