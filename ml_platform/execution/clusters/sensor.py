"""What sweeps clusters that were left: sensors, in code locations whose installation has clusters.

A cluster of this machine ends by itself; its sensor is for those whose keeper could not. On
Kubernetes the sensor is dagster-ray's, which deletes RayClusters that nobody holds.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_platform.execution.clusters.local import swept
from ml_platform.execution.profile import Cluster, profiles
from ml_platform.kernel.errors import DeclarationError

EVERY_S = 60


def cluster_definitions() -> dg.Definitions:
    """The sensors that the clusters of the profiles need; nothing where there are none."""
    kinds = {one.kind for one in _clusters()}
    parts = [_of_this_machine()] if "local" in kinds else []
    parts += [_on_kubernetes()] if kinds - {"local"} else []
    return dg.Definitions.merge(*parts)


def _clusters() -> Iterator[Cluster]:
    try:
        found = profiles()
    except DeclarationError:
        return  # every table that names a profile says what is wrong with their file
    for one in found.values():
        if isinstance(one.cluster, Cluster):
            yield one.cluster


def _of_this_machine() -> dg.Definitions:
    @dg.sensor(
        name="sweep_clusters",
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends what is left of Ray clusters of this machine that nobody holds.",
    )
    def sweep_clusters(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        found = [f"{one.name}: {one.why}, {one.ended} processes ended" for one in swept()]
        for line in found:
            context.log.warning(line)
        return dg.SkipReason("; ".join(found) or "nothing was left")

    return dg.Definitions(sensors=[sweep_clusters])


def _on_kubernetes() -> dg.Definitions:
    from dagster_ray.kuberay import KubeRayClusterClientResource
    from dagster_ray.kuberay.jobs import delete_kuberay_clusters
    from dagster_ray.kuberay.sensors import cleanup_expired_kuberay_clusters

    # dagster-ray's is stopped until somebody starts it by hand, in every new instance.
    @dg.sensor(
        name="sweep_kuberay_clusters",
        job=delete_kuberay_clusters,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Deletes RayClusters that no step holds any more.",
    )
    def sweep_kuberay_clusters(
        context: dg.SensorEvaluationContext, raycluster_client: dg.ResourceParam[Any]
    ) -> Any:
        # A context has its resources once, so the sensor itself cannot be called with this one.
        look: Any = cleanup_expired_kuberay_clusters._raw_fn  # noqa: SLF001 - nothing public has it
        return look(context, raycluster_client=raycluster_client)

    return dg.Definitions(
        sensors=[sweep_kuberay_clusters],
        jobs=[delete_kuberay_clusters],
        resources={"raycluster_client": KubeRayClusterClientResource()},
    )
