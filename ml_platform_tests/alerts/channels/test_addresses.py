"""Which addresses a webhook may lead to."""

import socket

import pytest

from ml_platform.alerts.channels.addresses import is_public, public_address
from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError

INSIDE = [
    "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1",
    "::1", "::", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "::ffff:10.0.0.1",
    "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_this_machine_and_of_private_networks_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111"])
def test_others_are(address):
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "::1"])
def test_however_this_machine_is_written_it_is_refused(host):
    with pytest.raises(ClosedError, match="allow_private: true"):
        public_address(host, 80, "channel x")


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", _leads_to("8.8.8.8", "10.0.0.1"))
    with pytest.raises(ClosedError, match=r"leads to 10\.0\.0\.1"):
        public_address("receiver.example", 443, "channel x")


def test_a_public_name_leads_to_its_address(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", _leads_to("8.8.8.8"))
    assert public_address("receiver.example", 443, "channel x") == "8.8.8.8"


def test_a_name_that_nobody_knows_may_be_known_later():
    with pytest.raises(NotDeliveredError, match="is not known"):
        public_address("receiver.invalid", 443, "channel x")


def test_a_name_that_cannot_be_one_is_no_crash():
    with pytest.raises(NotDeliveredError):
        public_address("a" * 70 + ".example", 443, "channel x")


def _leads_to(*addresses):
    """The name server is the outside here."""
    return lambda host, port, **_kind: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses
    ]
