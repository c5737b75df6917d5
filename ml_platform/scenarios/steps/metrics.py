"""`compute_metrics`: figures of tables as they are, kept with each table and usable by later steps.

A table that is made tells its rows and columns by itself; this is for figures of what another run
has made, of chosen partitions, or of values. They are observations of Dagster's, so that the page
of the table shows how they have changed.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.kernel.errors import NotFoundError, closest
from ml_platform.kernel.names import TableKey
from ml_platform.scenarios.course import Course, Outcome, Result
from ml_platform.scenarios.step_words import ComputeMetrics
from ml_platform.scenarios.steps.partitions import chosen_partitions
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.templates import filled
from ml_platform.storage.engine import quote

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_LONGEST = 100
_NUMBERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(.*\)|FLOAT|DOUBLE")
_ORDERED = re.compile(rf"{_NUMBERS.pattern}|DATE|TIME[A-Z _]*|VARCHAR|BOOLEAN")
"""DuckDB's types whose values have a mean, or at least an order that people know."""


def compute_metrics(words: ComputeMetrics, course: Course, place: Place) -> Result:
    """Count the rows of the tables, and each column's missing, distinct, least and largest values.

    Raises:
        NotFoundError: the project has no such table, or it no such column, partition or no data.
    """
    said = filled(words.partitions, course.known())
    output: dict[str, Any] = {}
    for table in words.tables:
        for partition in _partitions(table, said, place):
            found = _measured(table, partition, words.columns, place)
            place.observe(_observation(table, partition, found))
            output[table if partition is None else f"{table} {partition}"] = found
    return Result(Outcome.success, output)


def _partitions(table: str, said: str | Sequence[str] | None, place: Place) -> list[str | None]:
    graph = place.repository.asset_graph
    known = {key.to_user_string() for key in graph.get_all_asset_keys()}
    if table not in known:
        raise NotFoundError(
            f"table {table}", "the project has none of this name",
            allowed=closest(table, sorted(known)),
        )  # fmt: skip
    if said is None:
        return [None]
    definition = graph.get(dg.AssetKey(TableKey.parse(table).parts)).partitions_def
    return [*chosen_partitions(table, definition, said)]


def _measured(
    table: str, partition: str | None, columns: Sequence[str], place: Place
) -> dict[str, Any]:
    store, key = place.store(), TableKey.parse(table)
    chosen = [] if partition is None else [partition]
    with store.relation(place.project, key, partitions=chosen) as relation:
        if absent := sorted(set(columns) - set(relation.columns)):
            raise NotFoundError(
                f"table {table}", f"it has no column '{absent[0]}'",
                allowed=closest(absent[0], relation.columns),
            )  # fmt: skip
        return _figures(relation, columns or relation.columns)


def _figures(relation: "DuckDBPyRelation", columns: Sequence[str]) -> dict[str, Any]:
    types = dict(zip(relation.columns, (str(one) for one in relation.types), strict=True))
    wanted = [(name, *one) for name in columns for one in _asked(quote(name), types[name])]
    asked = ", ".join(["count(*)", *(expression for *_, expression in wanted)])
    rows, *values = relation.aggregate(asked).fetchall()[0]
    found: dict[str, dict[str, Any]] = {name: {} for name in columns}
    for (name, figure, _), value in zip(wanted, values, strict=True):
        found[name][figure] = _plain(value)
    return {"rows": rows, "columns": found}


def _asked(column: str, kind: str) -> Iterator[tuple[str, str]]:
    """Which figures a column has, and how DuckDB is asked for them."""
    yield "missing", f"count(*) - count({column})"
    yield "distinct", f"approx_count_distinct({column})"
    if _ORDERED.fullmatch(kind):
        yield "least", f"min({column})"
        yield "largest", f"max({column})"
    if _NUMBERS.fullmatch(kind):
        yield "mean", f"avg({column})"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    from decimal import Decimal

    return float(value) if isinstance(value, Decimal) else str(value)[:_LONGEST]


def _observation(table: str, partition: str | None, found: dict[str, Any]) -> dg.AssetObservation:
    figures = ("missing", "distinct", "least", "largest", "mean")
    lines = [f"| column | {' | '.join(figures)} |", "|---" * (len(figures) + 1) + "|"]
    for name, one in found["columns"].items():
        cells = (str(one.get(figure, "")).replace("|", "\\|") for figure in figures)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return dg.AssetObservation(
        dg.AssetKey.from_user_string(table),
        partition=partition,
        description="Figures that a scenario has computed.",
        metadata={
            "rows": found["rows"],
            "missing_cells": sum(one["missing"] for one in found["columns"].values()),
            "columns": dg.MetadataValue.md("\n".join(lines)),
        },
    )
