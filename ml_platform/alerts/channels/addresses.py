"""Whether an address is a public one, looked up once, so that who declares a URL cannot reach in.

A name may lead to another address the next time it is asked for; what was checked here is
connected to, and nothing is looked up again.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from ml_platform.alerts.channels.base import not_delivered
from ml_platform.alerts.channels.channel import ClosedError

_NAT64 = ip_network("64:ff9b::/96")


def public_address(host: str, port: int, subject: str) -> str:
    """An address of the host.

    Raises:
        NotDeliveredError: the name is not known now.
        ClosedError: one of its addresses is of this machine or of a private network.
    """
    found = _addresses(host, port, subject)
    inside = [one for one in found if not is_public(one)]
    if inside:
        raise ClosedError(
            subject,
            f"{host} leads to {inside[0]}, which is not public",
            allowed="hosts of the public internet",
            fix="where that is meant, declare allow_private: true",
        )
    return found[0]


def is_public(address: str) -> bool:
    """Whether it is of the public internet, also within the IPv6 forms of an IPv4 address."""
    ip = ip_address(address.partition("%")[0])
    within = _ipv4_in(ip) if isinstance(ip, IPv6Address) else None
    if within is not None:
        return is_public(str(within))
    return ip.is_global and not ip.is_multicast


def _ipv4_in(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def _addresses(host: str, port: int, subject: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise not_delivered(subject, f"{host} is not known: {error}") from error
    return [str(one[4][0]) for one in found]
