"""`build` and `run_checks`: assets that are made, and checks that are run, in runs of their own."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from ml_platform.execution.backfill import RANGE_END, RANGE_START
from ml_platform.execution.component import beta_used_on_purpose
from ml_platform.kernel.errors import DeclarationError, NotFoundError
from ml_platform.scenarios.course import Course, Outcome, Result
from ml_platform.scenarios.step_words import Build
from ml_platform.scenarios.steps.child import ended, run_child
from ml_platform.scenarios.steps.needed import Judge, batches
from ml_platform.scenarios.steps.partitions import stretches
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.templates import filled


def build_assets(build: Build, course: Course, place: Place) -> Result:
    """Make the assets that are selected, those of the same partitions in one run.

    The first run that fails is the last one.

    Raises:
        DeclarationError: the selection cannot be read.
        NotFoundError: it selects nothing, or a table has no such partition.
    """
    graph = place.repository.asset_graph
    known = course.known()
    chosen = _chosen(filled(build.selection, known), graph, upstream=build.upstream)
    said = filled(build.partitions, known)
    judge = Judge(
        place.instance, graph, place.project, None if build.only == "all" else place.store()
    )
    if said is not None and not any(graph.get(key).is_partitioned for key in chosen):
        raise NotFoundError(f"partitions of '{build.selection}'", "none of its tables has any")
    for key in graph.toposorted_asset_keys:
        if key in chosen:
            judge.ask(key, build.only, said)
    if not judge.needed:
        return Result(Outcome.success, {"made": []}, "nothing of it has to be made")
    results: list[Result] = []
    for keys, partitions in batches(judge.needed, graph):
        for stretch in _stretches(graph, keys, partitions):
            results.append(_made(keys, stretch, place))
            if results[-1].outcome is Outcome.failed:
                return joined(results)
    return joined(results)


def joined(results: Sequence[Result]) -> Result:
    """Several runs as one result: the worst outcome, and all that was made."""
    worst = max(results, key=lambda one: one.outcome.rank)
    outputs = [one.output for one in results]
    return Result(
        worst.outcome,
        {
            "run_id": outputs[-1]["run_id"],
            "made": sorted({key for one in outputs for key in one["made"]}),
            "failed_checks": [name for one in outputs for name in one["failed_checks"]],
        },
        "; ".join(filter(None, (one.reason for one in results))),
    )


def _made(keys: Sequence[dg.AssetKey], stretch: list[str] | None, place: Place) -> Result:
    job = place.repository.get_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
    tags = {RANGE_START: stretch[0], RANGE_END: stretch[-1]} if stretch else {}
    return ended(run_child(job, place, tags=tags), place)


def _stretches(
    graph: Any, keys: Sequence[dg.AssetKey], partitions: list[str] | None
) -> list[list[str]] | list[None]:
    """The partitions of each run: neighbours together where all the assets allow it."""
    if partitions is None:
        return [None]
    policies = [graph.get(key).backfill_policy for key in keys]
    if any(one is not None and one.max_partitions_per_run is not None for one in policies):
        return [[one] for one in partitions]
    return stretches(list(graph.get(keys[0]).partitions_def.get_partition_keys()), partitions)


def _chosen(selection: str, graph: Any, *, upstream: bool) -> set[dg.AssetKey]:
    makeable: set[dg.AssetKey] = set(graph.executable_asset_keys)
    found = _selected(selection, graph, upstream=upstream) & makeable
    if not found:
        raise NotFoundError(
            f"selection '{selection}'", "no asset of the project is in it",
            allowed=", ".join(sorted(one.to_user_string() for one in graph.executable_asset_keys)),
        )  # fmt: skip
    return found


def run_checks(selection: str, course: Course, place: Place) -> Result:
    """Run all checks of the assets that are selected, and make none of these.

    Raises:
        DeclarationError: the selection cannot be read.
        NotFoundError: none of them has a check.
    """
    graph = place.repository.asset_graph
    selection = filled(selection, course.known())
    assets = _selected(selection, graph)
    checks = {one for one in graph.asset_check_keys if one.asset_key in assets}
    if not checks:
        raise NotFoundError(f"checks of '{selection}'", "none of these assets has any")
    job = place.repository.get_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection=set(), asset_check_selection=checks)
    return ended(run_child(subset, place), place, must_pass=True)


def _selected(text: str, graph: Any, *, upstream: bool = False) -> set[dg.AssetKey]:
    try:
        with beta_used_on_purpose("Parameter `include_sources`"):
            selection = dg.AssetSelection.from_string(text)
            return set((selection.upstream() if upstream else selection).resolve(graph))
    except (dg.DagsterError, ValueError) as error:
        raise DeclarationError(
            f"selection '{text}'", str(error).splitlines()[0],
            allowed="Dagster's words, like group:demand, key:raw/sales, tag:domain=retail, +key:x",
        ) from error  # fmt: skip
