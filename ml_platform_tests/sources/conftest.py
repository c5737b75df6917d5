"""What tests of several sources stand on."""

import json
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest


@pytest.fixture
def free_port():
    """A port on which nothing listens: held, so that nobody takes it, but not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@dataclass(frozen=True)
class Reply:
    """One answer of the scripted server.

    Attributes:
        body: sent as JSON, or as it is when it is bytes.
        status: the status.
        headers: sent besides.
        hang: says nothing until the server is stopped.
        cut: closes the connection after half of the body.
        drip: sends the body a byte at a time, with such a pause, in seconds.
    """

    body: object = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    hang: bool = False
    cut: bool = False
    drip: float = 0.0


@dataclass
class ScriptedServer:
    """A real HTTP server that gives its replies in turn, the last one for ever."""

    replies: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answers(self, *replies):
        self.replies[:] = [
            one if isinstance(one, Reply) or callable(one) else Reply(one) for one in replies
        ]
        return self.url

    def reply_to(self, request):
        self.requests.append(request)
        one = self.replies[min(len(self.requests), len(self.replies)) - 1]
        return one(request) if callable(one) else one

    @property
    def params(self):
        return [request["params"] for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        address = urlsplit(self.path)
        params = dict(parse_qsl(address.query, keep_blank_values=True))
        request = {"path": address.path, "params": params, "headers": dict(self.headers)}
        reply = self.server.script.reply_to(request)
        if reply.hang:
            self.server.script.stopped.wait(60)
        else:
            self._send(reply)

    def _send(self, reply):
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if reply.drip:
            self._drip(body, reply.drip)
        else:
            self.wfile.write(body[: len(body) // 2] if reply.cut else body)

    def _drip(self, body, pause):
        # The client does not wait for the end.
        with suppress(OSError):
            for byte in body:
                if self.server.script.stopped.wait(pause):
                    return
                self.wfile.write(bytes([byte]))

    def log_message(self, *_args):
        """Tests print nothing."""


@contextmanager
def scripted_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.script = script = ScriptedServer(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        script.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server():
    with scripted_server() as script:
        yield script


@pytest.fixture
def other_server():
    with scripted_server() as script:
        yield script
