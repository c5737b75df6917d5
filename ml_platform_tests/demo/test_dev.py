"""`ml-platform dev`: where its servers listen. That they come up is seen in test_ui.py."""

import socket

import pytest

from ml_platform.demo.dev import _free_port, _refuse_taken
from ml_platform.kernel.errors import SettingsError


@pytest.fixture
def taken():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_port_that_is_wanted_is_given_and_another_where_it_is_taken(taken):
    free = _free_port(0)
    assert _free_port(free) == free
    other = _free_port(taken)
    assert other != taken
    _refuse_taken("--alerts-port", other)


def test_a_port_that_a_person_named_is_refused_when_it_is_taken(taken):
    with pytest.raises(SettingsError, match="--alerts-port"):
        _refuse_taken("--alerts-port", taken)
