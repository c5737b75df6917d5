"""Ports for servers that tests start in a moment, or kill and start again."""

import secrets
import socket

_FIRST, _LAST = 20_000, 32_000
"""Below those that Linux gives to whoever connects somewhere, or asks for any."""


def free_port():
    """A port on which nothing listens, and that nobody gets by accident before its server."""
    while True:
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
