"""What tests of several sources stand on."""

import socket

import pytest


@pytest.fixture
def free_port():
    """A port on which nothing listens: held, so that nobody takes it, but not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
