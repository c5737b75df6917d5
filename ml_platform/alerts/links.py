"""The signed link by which an incident is acknowledged: who has it may do that and nothing else."""

import base64
import hmac
from hashlib import sha256

from ml_platform.kernel.errors import DataError

_PURPOSE = b"ml-platform acknowledge\0"


def signed(dedup_key: str, secret: bytes) -> str:
    """The token for an incident, of letters that a URL carries as they are."""
    return f"{_encoded(dedup_key.encode())}.{_encoded(_signature(dedup_key, secret))}"


def incident_of(token: str, secret: bytes) -> str:
    """The incident of a token.

    Raises:
        DataError: it was not signed here; it may be cut off or changed.
    """
    body, _, signature = token.partition(".")
    try:
        dedup_key, given = _decoded(body).decode(), _decoded(signature)
    except ValueError:
        dedup_key, given = "", b""
    if not dedup_key or not hmac.compare_digest(given, _signature(dedup_key, secret)):
        raise DataError(
            "link",
            "it was not signed by this installation",
            fix="open the whole link of the message",
        )
    return dedup_key


def _signature(dedup_key: str, secret: bytes) -> bytes:
    return hmac.new(secret, _PURPOSE + dedup_key.encode(), sha256).digest()[:18]


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
