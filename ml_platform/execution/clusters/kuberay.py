"""Ray clusters on Kubernetes, as KubeRay's operator makes them, through dagster-ray's resources.

A profile names the manifest of a RayCluster, the same file that `kubectl apply` takes. dagster-ray
makes the object, waits for its head and keeps a lock with a heartbeat on it; its sensor deletes
what nobody holds any more. The pods of a RayJob the operator takes away when its driver is gone.
"""

import base64
import contextlib
import importlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from ml_platform.execution.profile import Cluster, profiles_file
from ml_platform.kernel.errors import (
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)

LABEL = "ml-platform/cluster"
"""On a RayCluster: the name in the profile, by which steps find the one that they share."""

CODE_LOCATION = "dagster/code-location"
"""On a RayCluster: whose sensor deletes it. Dagster says it only in runs that it has launched."""

NAMESPACES = "DAGSTER_RAY_NAMESPACES"
"""The variable that tells dagster-ray's sensor where to look."""

START_S = 900.0
"""How long the pods may take: new nodes and images of a few gigabytes are common."""

BEAT_S = 10.0


@dataclass(frozen=True)
class Reached:
    """A cluster whose head can be used.

    Attributes:
        address: of Ray's client server, as `ray://host:port`.
        token: what it asks of its users; empty when it asks for none.
        joined: to be called when this process has connected to it.
    """

    address: str
    token: str
    joined: Callable[[], None]


@contextlib.contextmanager
def held_on_kubernetes(cluster: Cluster) -> Iterator[Reached]:
    """A cluster for as long as the block lasts; called within a Dagster step.

    Raises:
        SettingsError: the client of Kubernetes is not installed.
        NotFoundError: there is no such manifest.
        DeclarationError: it is not that of a RayCluster, or lies where no sensor looks.
        UnavailableError: Kubernetes cannot be reached, or the pods do not come up.
    """
    context = dg.AssetExecutionContext.get().op_execution_context
    wanted = _labelled(cluster, _manifest(cluster), context)
    with contextlib.ExitStack() as stack:
        with _told(cluster):
            make = _shared if cluster.kind == "kuberay" else _job
            resource = make(cluster, wanted)
            stack.enter_context(resource.yield_for_execution(context))
            token = _token(resource, wanted["spec"].get("auth_options") or {})
        address = f"ray://{cluster.reached_at}" if cluster.reached_at else resource.ray_address
        yield Reached(
            address, token, lambda: _bind(resource) if cluster.kind == "kuberay_job" else None
        )


def _shared(cluster: Cluster, wanted: Mapping[str, Any]) -> Any:
    """A RayCluster that steps share, each with a lock on it that runs out when the step is gone."""
    from dagster_ray.configs import Lifecycle
    from dagster_ray.kuberay import KubeRayCluster, RayClusterConfig
    from dagster_ray.kuberay.client import RayClusterClient
    from dagster_ray.kuberay.configs import (
        ClusterSharing,
        ClusterSharingHeartbeat,
        MatchDagsterLabels,
    )

    class Shared(KubeRayCluster):
        """Lets the error be told that kept it from being made: 0.4.8 asks it for its locks then."""

        def cleanup(self, context: Any, exception: BaseException | None) -> None:
            if self.created:
                super().cleanup(context, exception)

    return Shared(
        client=RayClusterClient(),
        ray_cluster=RayClusterConfig(**wanted),
        cluster_sharing=ClusterSharing(
            enabled=True,
            ttl_seconds=cluster.idle_s,
            match_labels={LABEL: cluster.name},
            match_dagster_labels=MatchDagsterLabels(resource_key=False),
            heartbeat=ClusterSharingHeartbeat(refresh_seconds=BEAT_S),
        ),
        lifecycle=Lifecycle(connect=False),
        timeout=START_S,
    )


def _job(cluster: Cluster, wanted: Mapping[str, Any]) -> Any:
    """A RayJob of one step; the operator takes its pods away `idle_s` after its driver has gone."""
    from dagster_ray.configs import Lifecycle
    from dagster_ray.kuberay import KubeRayInteractiveJob
    from dagster_ray.kuberay.client import RayJobClient
    from dagster_ray.kuberay.resources.rayjob import InteractiveRayJobConfig, InteractiveRayJobSpec

    return KubeRayInteractiveJob(
        client=RayJobClient(),
        ray_job=InteractiveRayJobConfig(
            metadata=wanted["metadata"],
            spec=InteractiveRayJobSpec(
                ray_cluster_spec=wanted["spec"], ttl_seconds_after_finished=int(cluster.idle_s)
            ),
        ),
        lifecycle=Lifecycle(connect=False, cleanup="always"),
        timeout=START_S,
    )


def _bind(resource: Any) -> None:
    """Tell the RayJob which job of Ray is its own, so that it ends with this process."""
    job = [{"op": "replace", "path": "/spec/jobId", "value": resource.runtime_job_id}]
    resource.client.update_json_patch(name=resource.name, namespace=resource.namespace, body=job)


def _token(resource: Any, auth: Mapping[str, Any]) -> str:
    """What KubeRay has put into a Secret of the cluster's name, or of the name that was given."""
    if auth.get("mode") != "token":
        return ""
    client: Any = importlib.import_module("kubernetes.client")  # it has no types

    cluster = getattr(resource, "cluster_name", resource.name)
    name = auth.get("secretName", cluster)
    secret = client.CoreV1Api().read_namespaced_secret(name, resource.namespace)
    return base64.b64decode(secret.data["auth_token"]).decode()


def _manifest(cluster: Cluster) -> dict[str, Any]:
    """What the file says, in the words of dagster-ray."""
    import yaml

    file = profiles_file().parent / (cluster.manifest or "")
    subject = f"cluster {cluster.name}"
    if not file.is_file():
        raise NotFoundError(
            subject,
            f"there is no manifest {file}",
            fix="write one; deploy/kubernetes/raycluster.yaml is one to begin with",
        )
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DeclarationError(subject, f"{file}: {error}", fix="write it as YAML") from error
    if not isinstance(found, dict) or found.get("kind") != "RayCluster" or "spec" not in found:
        raise DeclarationError(
            subject, f"{file} is no manifest of a RayCluster", allowed="kind: RayCluster"
        )
    metadata = found.get("metadata", {})
    _check_namespace(subject, file, metadata.get("namespace", "default"))
    # The name is dagster-ray's to give: steps that do not share would meet under a fixed one.
    kept = {name: metadata[name] for name in metadata.keys() - {"name"}}
    return {"metadata": kept, "spec": {_snake(name): one for name, one in found["spec"].items()}}


def _check_namespace(subject: str, file: Path, namespace: str) -> None:
    swept = os.environ.get(NAMESPACES, "ray").split(",")
    if namespace not in swept:
        raise DeclarationError(
            subject,
            f"{file} is for the namespace '{namespace}', where no sensor looks for what is left",
            allowed=", ".join(swept),
            fix=f"name one of these, or set {NAMESPACES} where the platform is started",
        )


def _labelled(
    cluster: Cluster, wanted: dict[str, Any], context: dg.OpExecutionContext
) -> dict[str, Any]:
    """With the labels by which it is shared, and by which a sensor finds what is left of it."""
    project = next(iter(context.assets_def.group_names_by_key.values()))
    labels = {LABEL: cluster.name, CODE_LOCATION: project}
    metadata = wanted["metadata"]
    return {**wanted, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **labels}}}


def _snake(name: str) -> str:
    return re.sub("([A-Z])", lambda match: "_" + match[1].lower(), name)


@contextlib.contextmanager
def _told(cluster: Cluster) -> Iterator[None]:
    """What goes wrong on the way to a cluster, in the house's words."""
    subject = f"cluster {cluster.name} on Kubernetes"
    try:
        import urllib3

        client: Any = importlib.import_module("kubernetes.client")
    except ModuleNotFoundError as error:
        raise SettingsError(
            subject, f"{error.name} is not installed", fix="pip install 'ml-platform[kuberay]'"
        ) from error
    try:
        yield
    except client.ApiException as error:
        raise UnavailableError(
            subject,
            f"the API server says {error.status} {error.reason}: {error.body}",
            fix="`kubectl auth can-i create rayclusters` tells whether it may; see "
            "deploy/kubernetes/rbac.yaml",
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise UnavailableError(
            subject, f"the API server cannot be reached: {error}", fix="look at KUBECONFIG"
        ) from error
    except (RuntimeError, TimeoutError) as error:
        raise UnavailableError(
            subject, str(error), fix=f"kubectl get pods -l {LABEL}={cluster.name}"
        ) from error
