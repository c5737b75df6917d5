"""A project is let in by a real webserver when all of it can be loaded, and not otherwise."""

import base64
import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

import ml_platform
from ml_platform_tests.ports import free_port

STARTED = (
    "{ locationStatusesOrError { ... on WorkspaceLocationStatusEntries { entries { name "
    "updateTimestamp } } } }"
)
WORKSPACE = """
load_from:
  - python_module:
      module_name: ml_platform.definitions
      attribute: quickstart
      location_name: quickstart
"""


@pytest.fixture
def server(tmp_path):
    """Dagster's webserver, which knows the quickstart."""
    (tmp_path / "served").mkdir()
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    program = Path(sys.executable).parent / "dagster-webserver"
    process = subprocess.Popen(
        [program, "-h", "127.0.0.1", "-p", str(port), "-w", tmp_path / "workspace.yaml"],
        env={**os.environ, "DAGSTER_HOME": str(tmp_path / "served")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not answers(address):
        assert process.poll() is None
        time.sleep(0.2)
    yield address
    process.terminate()
    process.wait()


def answers(address):
    try:
        return httpx.get(f"{address}/server_info").is_success
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def refusing():
    """A server that lets nobody in; its address, and who said to be whom."""
    heard = []

    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(self.headers["Authorization"])
            self.send_error(401)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as http:
        threading.Thread(target=http.serve_forever).start()
        yield f"http://127.0.0.1:{http.server_port}", heard
        http.shutdown()


def loaded_at(address):
    """When the server last loaded each code location, in seconds since 1970."""
    said = httpx.post(f"{address}/graphql", json={"query": STARTED}).json()
    entries = said["data"]["locationStatusesOrError"]["entries"]
    return {one["name"]: one["updateTimestamp"] for one in entries}


def deployed(stage, project, server):
    stage.declare({"name": "deploy", "deploy": {"project": project, "server": server}})
    result = stage.run()
    outcome = stage.outcomes(result).get("deploy") if result.success else "FAILED"
    return outcome, result


def reason(result):
    [event] = [one for one in result.all_events if one.is_step_failure]
    return event.step_failure_data.error_display_string


def test_the_server_loads_a_project_anew_that_can_be_loaded_and_no_other(stage, server):
    before = loaded_at(server)
    outcome, result = deployed(stage, "quickstart", server)
    assert outcome == "SUCCESS"
    assert stage.metadata(result, "deploy")["output"] == {"deployed": True, "server": server}
    after = loaded_at(server)
    assert after["quickstart"] > before["quickstart"]

    _, result = deployed(stage, "nowhere", server)
    assert "it stays as it was" in reason(result)
    assert "no such folder under defs/" in reason(result)
    _, result = deployed(stage, "demand", server)
    assert "code location demand of" in reason(result)
    assert loaded_at(server) == after


def test_a_project_of_which_a_part_is_broken_is_not_let_in(stage, server, tmp_path, monkeypatch):
    before = loaded_at(server)
    copy = tmp_path / "changed"
    shutil.copytree(Path(ml_platform.__file__).parent, copy / "ml_platform")
    with (copy / "ml_platform" / "defs" / "quickstart" / "defs.yaml").open("a") as file:
        file.write("---\ntype: [nothing\n")
    monkeypatch.setenv("PYTHONPATH", str(copy))
    _, result = deployed(stage, "quickstart", server)
    assert "it stays as it was" in reason(result)
    assert "quickstart/defs.yaml:" in reason(result)
    assert loaded_at(server) == before


def test_who_calls_a_server_is_not_shown(stage, server):
    calling = server.replace("//", "//anna:letmein@")
    _, result = deployed(stage, "quickstart", calling)
    assert stage.metadata(result, "deploy")["output"]["server"] == server
    _, result = deployed(stage, "demand", calling)
    assert f"code location demand of {server}" in reason(result)
    assert "letmein" not in str(result.all_events)


def test_a_login_is_sent_and_is_in_no_error(stage):
    with refusing() as (address, heard):
        _, result = deployed(stage, "quickstart", address.replace("//", "//anna:let%40me@"))
    assert heard == [f"Basic {base64.b64encode(b'anna:let@me').decode()}"]
    assert f"webserver {address}" in reason(result)
    assert "401" in reason(result)
    assert "let%40me" not in str(result.all_events)
    assert "let@me" not in str(result.all_events)


def test_a_server_that_is_not_there_is_told_with_what_to_do(stage):
    _, result = deployed(stage, "quickstart", "http://127.0.0.1:9")
    assert "webserver http://127.0.0.1:9" in reason(result)
    assert "ML_PLATFORM_UI_URL" in reason(result)
