"""`build` and `run_checks`: assets that are made, and checks that are run, in runs of their own."""

from typing import Any

import dagster as dg

from ml_platform.execution.component import beta_used_on_purpose
from ml_platform.kernel.errors import DeclarationError, NotFoundError
from ml_platform.scenarios.course import Outcome, Result
from ml_platform.scenarios.steps.child import ended, run_child
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.words import Build


def build_assets(build: Build, place: Place) -> Result:
    """Make the assets that are selected, in a run of their own.

    Raises:
        DeclarationError: the selection cannot be read.
        NotFoundError: it selects nothing.
    """
    job = place.repository.get_implicit_global_asset_job_def()
    graph = place.repository.asset_graph
    chosen = _selected(build.selection, graph) & graph.executable_asset_keys
    if not chosen:
        raise NotFoundError(
            f"selection '{build.selection}'", "no asset of the project is in it",
            allowed=", ".join(sorted(one.to_user_string() for one in graph.executable_asset_keys)),
        )  # fmt: skip
    if build.only == "missing":
        chosen = {key for key in chosen if _is_missing(place.instance, key, build.partition)}
    if not chosen:
        return Result(Outcome.success, {"made": []}, "all of it is there")
    subset = job.get_subset(asset_selection=chosen)
    return ended(run_child(subset, place, partition_key=build.partition), place)


def _is_missing(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> bool:
    if partition is not None:
        return partition not in instance.get_materialized_partitions(key)
    return instance.get_latest_materialization_event(key) is None


def run_checks(selection: str, place: Place) -> Result:
    """Run all checks of the assets that are selected, and make none of these.

    Raises:
        DeclarationError: the selection cannot be read.
        NotFoundError: none of them has a check.
    """
    graph = place.repository.asset_graph
    assets = _selected(selection, graph)
    checks = {one for one in graph.asset_check_keys if one.asset_key in assets}
    if not checks:
        raise NotFoundError(f"checks of '{selection}'", "none of these assets has any")
    job = place.repository.get_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection=set(), asset_check_selection=checks)
    return ended(run_child(subset, place), place, must_pass=True)


def _selected(text: str, graph: Any) -> set[dg.AssetKey]:
    try:
        with beta_used_on_purpose("Parameter `include_sources`"):
            return set(dg.AssetSelection.from_string(text).resolve(graph))
    except (dg.DagsterError, ValueError) as error:
        raise DeclarationError(
            f"selection '{text}'", str(error).splitlines()[0],
            allowed="Dagster's words, like group:demand, key:raw/sales, tag:domain=retail, +key:x",
        ) from error  # fmt: skip
