"""Real receivers of messages on this machine: an HTTP server and a mail server, each scripted."""

import json
import socket
import ssl
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass(frozen=True)
class Reply:
    """One answer of the HTTP receiver.

    Attributes:
        status: the status.
        body: sent as it is when it is bytes or text, else as JSON.
        headers: sent besides.
        hang: says nothing until the receiver is stopped.
        drip: sends the body a byte at a time, with such a pause, in seconds.
        cut: ends the connection before any answer.
    """

    status: int = 200
    body: object = b"ok"
    headers: dict = field(default_factory=dict)
    hang: bool = False
    drip: float = 0.0
    cut: bool = False

    @property
    def content(self):
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Request:
    """What came to the HTTP receiver; the names of headers are in lower case."""

    path: str
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class HttpReceiver:
    """Takes every POST; gives its replies in turn, the last one for ever."""

    url: str = ""
    port: int = 0
    requests: list = field(default_factory=list)
    replies: list = field(default_factory=lambda: [Reply()])
    stopped: threading.Event = field(default_factory=threading.Event)

    def answers(self, *replies):
        self.replies[:] = replies
        self.requests.clear()
        return self

    def take(self, request):
        self.requests.append(request)
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        return reply(request) if callable(reply) else reply


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        size = int(self.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.receiver.take(Request(self.path, headers, self.rfile.read(size)))
        if reply.hang:
            self.server.receiver.stopped.wait(60)
        elif not reply.cut:
            self._send(reply)
        self.close_connection = True

    def do_GET(self):
        """A redirect that somebody followed comes as this, and is counted."""
        self.do_POST()

    def _send(self, reply):
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.content)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not reply.drip:
            self.wfile.write(reply.content)
            return
        # The sender does not wait for the end.
        with suppress(OSError):
            for byte in reply.content:
                if self.server.receiver.stopped.wait(reply.drip):
                    return
                self.wfile.write(bytes([byte]))

    def log_message(self, *_args):
        """Tests print nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Say nothing of a sender that went away, or does not trust the certificate."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def http_receiver(certificate=None):
    """A receiver on a free port; over TLS when it is given a certificate's file."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if certificate else "http"
    port = server.server_port
    server.receiver = receiver = HttpReceiver(f"{scheme}://127.0.0.1:{port}", port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class MailReceiver:
    """A mail server that keeps what it takes.

    Attributes:
        letters: the mails, parsed; `envelopes` has their (sender, receivers).
        refuses: an answer of its own for some receivers, such as `550 no such user`.
        after_data: what it answers when it has read a letter.
    """

    port: int = 0
    letters: list = field(default_factory=list)
    raw: list = field(default_factory=list)
    envelopes: list = field(default_factory=list)
    refuses: dict = field(default_factory=dict)
    after_data: str = "250 taken"
    logins: list = field(default_factory=list)
    encrypted: list = field(default_factory=list)

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):  # noqa: N802 - aiosmtpd's
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's
        if self.after_data.startswith("250"):
            self.raw.append(envelope.original_content)
            self.letters.append(message_from_bytes(envelope.original_content, policy=SMTP))
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            self.encrypted.append(bool(server.transport.get_extra_info("ssl_object")))
        return self.after_data

    def login(self, server, session, envelope, mechanism, auth_data):
        taken = isinstance(auth_data, LoginPassword) and auth_data.password == b"s3cret:word"
        self.logins.append(taken)
        return AuthResult(success=taken, handled=False)


class _Controller(Controller):
    """On a free port, which is known once the server listens."""

    def factory(self):
        with warnings.catch_warnings():
            # As TLS it counts only the one that begins after a greeting.
            warnings.filterwarnings("ignore", message="Requiring AUTH while not requiring TLS")
            return super().factory()

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_receiver(certificate=None, security="none", must_log_in=False, **answers):
    """A mail server on a free port; `security` as channels declare it."""
    receiver = MailReceiver(**answers)
    options = {"enable_SMTPUTF8": True}
    if security != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if security == "tls":
            options["ssl_context"] = context
        else:
            options |= {"tls_context": context, "require_starttls": True}
    if must_log_in:
        options |= {"authenticator": receiver.login, "auth_required": True}
        options["auth_require_tls"] = security == "starttls"
    controller = _Controller(receiver, hostname="127.0.0.1", port=0, **options)
    controller.start()
    receiver.port = controller.port
    try:
        yield receiver
    finally:
        controller.stop()


@pytest.fixture
def receiver():
    with http_receiver() as one:
        yield one


@pytest.fixture
def other_receiver():
    with http_receiver() as one:
        yield one


@pytest.fixture
def mailbox():
    with mail_receiver() as one:
        yield one


@pytest.fixture
def closed_port():
    """A port on which nothing listens: held, so that nobody takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A file with the key and the certificate of 127.0.0.1, localhost and receiver.example."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.DNSName("receiver.example")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([*names, x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "server.pem"
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return file
