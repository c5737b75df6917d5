"""Clusters on Kubernetes: dagster-ray's client against an API server of a few routes.

The server is a fake, with an operator that gives every RayCluster a head; what dagster-ray, the
client of Kubernetes and the platform do to it is real, and so is the Ray that the head's address
leads to.
"""

import base64
import importlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

import dagster as dg
import pytest
import yaml

from ml_platform.execution.clusters import local
from ml_platform.execution.clusters.kuberay import CODE_LOCATION, LABEL, held_on_kubernetes
from ml_platform.execution.clusters.sensor import cluster_definitions
from ml_platform.execution.engines.ray import answers
from ml_platform.execution.profile import Cluster
from ml_platform.execution.recording import materialisations
from ml_platform.kernel.errors import (
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from ml_platform_tests.ports import free_port

MANIFEST = Path(__file__).parents[3] / "deploy" / "kubernetes" / "raycluster.yaml"
PATCH = ("PATCH", True)

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Dagster's own, when it copies a sensor.
    pytest.mark.filterwarnings("ignore:Parameter `owners` of initializer"),
]


class ApiServer(ThreadingHTTPServer):
    """Objects by their paths, a token for each RayCluster, and a log of what was asked."""

    def __init__(self, token):
        super().__init__(("127.0.0.1", 0), Handler)
        self.token, self.objects, self.asked = token, {}, []
        self.state, self.refuses = "ready", None

    def reconcile(self, path):
        """Do what the operator does when an object is new."""
        made = self.objects[path]
        folder, _, name = path.rpartition("/")
        made["metadata"] |= {
            "name": made["metadata"].get("name", name),
            "namespace": path.split("/")[5],
            "creationTimestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        made["metadata"].setdefault("annotations", {})
        if folder.endswith("rayclusters"):
            made["status"] = {
                "state": self.state,
                "endpoints": {"dashboard": "8265"},
                "head": {"serviceIP": "10.0.0.9", "serviceName": f"{name}-head-svc"},
            }
        elif folder.endswith("rayjobs"):
            cluster = path.replace("rayjobs", "rayclusters") + "-pods"
            self.objects[cluster] = {"metadata": {}, "spec": made["spec"]["rayClusterSpec"]}
            self.reconcile(cluster)
            made["status"] = {
                "jobDeploymentStatus": "Waiting",
                "rayClusterName": cluster.rpartition("/")[2],
            }

    def of(self, plural):
        return {p.rpartition("/")[2]: one for p, one in self.objects.items() if f"/{plural}/" in p}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlparse(self.path)
        if found := re.fullmatch(r"/api/v1/namespaces/ray/secrets/(.+)", url.path):
            data = {"auth_token": base64.b64encode(self.server.token.encode()).decode()}
            return self.answer(200, {"metadata": {"name": found[1]}, "data": data})
        if url.path.endswith(("rayclusters", "rayjobs")):
            wanted = parse_qs(url.query).get("labelSelector", [""])[0]
            pairs = dict(one.split("=") for one in wanted.split(",") if one)
            items = [
                one
                for path, one in self.server.objects.items()
                if path.startswith(url.path + "/")
                and pairs.items() <= one["metadata"].get("labels", {}).items()
            ]
            return self.answer(200, {"items": items})
        one = self.server.objects.get(url.path.removesuffix("/status"))
        return self.answer(200, one) if one else self.answer(404, {"reason": "NotFound"})

    def do_POST(self):
        body = self.body()
        path = f"{urlparse(self.path).path}/{body['metadata']['name']}"
        if self.server.refuses:
            return self.answer(self.server.refuses, {"reason": "Forbidden"})
        if path in self.server.objects:
            return self.answer(409, {"reason": "AlreadyExists"})
        self.server.objects[path] = body
        self.server.reconcile(path)
        return self.answer(201, body)

    def do_PATCH(self):
        one = self.server.objects[self.path]
        for change in self.body():
            *folders, last = (
                unquote(part).replace("~1", "/") for part in change["path"].split("/")[1:]
            )
            place = one
            for folder in folders:
                place = place[folder]
            place[last] = change["value"]
        return self.answer(200, one)

    def do_DELETE(self):
        self.server.objects.pop(self.path, None)
        return self.answer(200, {"status": "Success"})

    def body(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.command, self.path, body))
        return body

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """A folder with profiles' manifest and a kubeconfig, and the API server that this names."""
    monkeypatch.setenv("ML_PLATFORM_PROFILES", str(tmp_path / "profiles.yaml"))
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path / "home"))
    (tmp_path / "raycluster.yaml").write_text(MANIFEST.read_text())
    server = ApiServer("a-token")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    named = [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": named,
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    # It reads the variable when it is imported.
    loader = importlib.import_module("kubernetes.config.kube_config")
    monkeypatch.setattr(loader, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    yield server
    server.shutdown()
    server.server_close()


def declared(kind="kuberay", **words):
    return Cluster(name="pods", kind=kind, idle_s=60, manifest="raycluster.yaml", **words)


def within_step(cluster, then=lambda reached: None):
    """Hold a cluster in the step of an asset, and do something with it."""

    @dg.asset(group_name="shop")
    def held():
        with held_on_kubernetes(cluster) as reached:
            then(reached)

    return dg.materialize([held], raise_on_error=True)


def test_steps_share_a_cluster_of_the_manifest_and_leave_it_to_its_lock(installation):
    seen = []
    for _ in range(2):
        within_step(declared(), seen.append)
    ((name, made),) = installation.of("rayclusters").items()
    assert {one.address for one in seen} == {f"ray://{name}-head-svc.ray.svc.cluster.local:10001"}
    assert {one.token for one in seen} == {"a-token"}
    wanted = yaml.safe_load(MANIFEST.read_text())["spec"]
    for group in [wanted["headGroupSpec"], *wanted["workerGroupSpecs"]]:
        group["template"]["spec"]["containers"][0]["env"] = []  # as dagster-ray adds it
    assert {word: made["spec"][word] for word in wanted} == wanted
    assert made["metadata"]["labels"][LABEL] == "pods"
    assert made["metadata"]["labels"][CODE_LOCATION] == "shop"
    locks = [json.loads(one) for one in made["metadata"]["annotations"].values()]
    assert len(locks) == 2
    assert all(one["ttl_seconds"] == 60 and one["heartbeat_at"] for one in locks)
    assert not installation.of("leases")


def test_a_job_of_a_step_is_gone_after_it_and_says_how_long_its_pods_may_outlive_a_crash(
    installation,
):
    def then(_):
        ((_, job),) = installation.of("rayjobs").items()
        assert job["spec"]["submissionMode"] == "InteractiveMode"
        assert job["spec"]["shutdownAfterJobFinishes"] is True
        assert job["spec"]["ttlSecondsAfterFinished"] == 60
        seen.append(job)

    seen = []
    within_step(declared("kuberay_job"), then)
    assert seen
    assert not installation.of("rayjobs")


def sweep(instance):
    """Ask the sensor as the daemon does, and run what it asks for."""
    from dagster_ray.kuberay.client import RayClusterClient

    repository = cluster_definitions().get_repository_def()
    context = dg.build_sensor_context(instance=instance, repository_def=repository)
    context._code_location_origin = dg._core.remote_origin.RegisteredCodeLocationOrigin("shop")
    sensor = repository.get_sensor_def("sweep_kuberay_clusters")
    asked = [
        one
        for one in sensor(context, raycluster_client=RayClusterClient())
        if isinstance(one, dg.RunRequest)
    ]
    for one in asked:
        job = repository.get_job("delete_kuberay_clusters")
        job.execute_in_process(run_config=one.run_config, instance=instance)
    return asked


def test_the_sensor_deletes_a_cluster_when_its_lock_has_run_out_and_not_before(
    installation, tmp_path, instances
):
    (tmp_path / "profiles.yaml").write_text(
        "cloud: {engine: ray, cluster: {name: pods, kind: kuberay, manifest: raycluster.yaml}}"
    )
    within_step(declared())
    ((_, made),) = installation.of("rayclusters").items()
    with instances() as instance:
        assert not sweep(instance)
        assert installation.of("rayclusters")
        notes = made["metadata"]["annotations"]
        for name, lock in notes.items():
            long_ago = str(datetime.now() - timedelta(hours=1))  # noqa: DTZ005 - as dagster-ray
            notes[name] = json.dumps({**json.loads(lock), "heartbeat_at": long_ago})
        assert sweep(instance)
    assert not installation.of("rayclusters")


def test_pods_that_do_not_come_up_are_told_with_where_to_look(installation):
    installation.state = "failed"
    with pytest.raises(UnavailableError, match="transitioned into `failed`"):
        within_step(declared())


def test_a_service_account_that_may_not_is_told_what_to_ask(installation):
    installation.refuses = 403
    with pytest.raises(UnavailableError, match="says 403"):
        within_step(declared())


def test_an_api_server_that_does_not_answer_is_told(installation, tmp_path):
    config = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", config))
    with pytest.raises(UnavailableError, match="cannot be reached"):
        within_step(declared())


@pytest.fixture
def client_server(installation, tmp_path):
    """Ray's client server, as every head of KubeRay has one, before a Ray of real processes."""
    lease = local.started("pods", nodes=1, cpus=2, for_s=600)
    place = local.place_of("pods")
    installation.token = place.token.read_text()
    port = str(free_port())
    where = ["--address", lease.address, "--host", "127.0.0.1", "--port", port, "--mode", "legacy"]
    environ = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(place.token),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "ray.util.client.server", *where],
            env=environ,
            stdout=log,
            stderr=log,
        )
    try:
        while not answers(f"127.0.0.1:{port}"):
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
        local.stopped("pods")


@pytest.mark.fault
def test_a_table_is_made_by_the_ray_to_which_a_cluster_of_kubernetes_leads(
    installation, client_server, workshop, monkeypatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for kind in ("kuberay", "kuberay_job"):
        cluster = {"name": "pods", "kind": kind, "manifest": "raycluster.yaml"}
        workshop.table(
            "counted",
            "SELECT $partition AS part",
            partitions={"keys": list("abcdef")},
            execution={
                "engine": "ray",
                "max_parallel": 2,
                "cluster": {**cluster, "reached_at": client_server},
            },
        )
        outcome = workshop.run(partitions=list("abcdef"))
        assert outcome.success, outcome.failures
        recorded = [one.partition for one in materialisations(workshop.instance, outcome.run_id)]
        assert sorted(recorded) == list("abcdef")
    patched = [
        body for verb, path, body in installation.asked if (verb, "rayjobs" in path) == PATCH
    ]
    assert [change["path"] for body in patched for change in body] == ["/spec/jobId"]


MANIFESTS = {
    "there is none": (None, NotFoundError, "there is no manifest"),
    "of something else": ("kind: Pod", DeclarationError, "no manifest of a RayCluster"),
    "no YAML": ("a: [", DeclarationError, "write it as YAML"),
    "where no sensor looks": (
        "{kind: RayCluster, metadata: {namespace: far}, spec: {}}",
        DeclarationError,
        "no sensor looks",
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_will_not_do_is_told_before_anything_is_made(case, installation, tmp_path):
    text, error, said = MANIFESTS[case]
    (tmp_path / "raycluster.yaml").unlink()
    if text is not None:
        (tmp_path / "raycluster.yaml").write_text(text)
    with pytest.raises(error, match=said):
        within_step(declared())
    assert not installation.asked


def test_a_client_that_is_not_installed_is_told_with_what_to_install(installation, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(SettingsError, match=r"ml-platform\[kuberay\]"):
        within_step(declared())
