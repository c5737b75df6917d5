"""Any system of one's own, over Standard Webhooks 1.0: a signed JSON body of less than 20 kB.

Source: the Standard Webhooks specification, version 1.0 (2023).
"""

import binascii
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.channels.addresses import public_address
from ml_platform.alerts.channels.base import (
    Posted,
    Secrets,
    as_json,
    secret,
)
from ml_platform.alerts.channels.channel import ClosedError, Receipt
from ml_platform.alerts.channels.text import clipped, token
from ml_platform.alerts.channels.wire import Line, Way
from ml_platform.alerts.message import Message
from ml_platform.kernel.clock import system_clock
from ml_platform.kernel.errors import SettingsError

LARGEST_BODY = 19_999
"""In bytes; the specification asks for less than 20 kB."""

_CLOSING = frozenset({410})
# A receiver of one's own may be half deployed: what it lacks now it may have in an hour.
_LATER = frozenset({401, 403, 404, 405, 408, 409, 425, 429})
_SHORTEST_SECRET, _LONGEST_SECRET = 24, 64
_SHORTEST_URL = 200


class WebhookChannel(Posted):
    """A URL that takes signed JSON."""

    largest = LARGEST_BODY

    type: Literal["webhook"] = Field("webhook", description="A URL, by Standard Webhooks 1.0.")
    url: str = secret("Where to post to: https://...", default=...)
    secrets: tuple[str, ...] = secret(
        "The signing secrets (whsec_...), as ${NAME}; two while one takes the place of the other.",
        default=...,
        must_be_named=True,
    )
    headers: dict[str, str] = secret(
        "What else to send, such as Authorization: Bearer ${TOKEN}.", default={}
    )
    allow_private: bool = Field(
        default=False, description="Whether the URL may lead to this machine or a private network."
    )

    @field_validator("secrets")
    @classmethod
    def _is_signed(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not given:
            raise ValueError("at least one secret is needed to sign with")
        return given

    @field_validator("headers")
    @classmethod
    def _leaves_ours_alone(cls, given: dict[str, str]) -> dict[str, str]:
        taken = {"host", "content-length", "content-type", "transfer-encoding"}
        for name in given:
            if name.lower() in taken or name.lower().startswith("webhook-"):
                raise ValueError(f"{name} is written by the channel itself")
        return given

    def _worded(self, message: Message, allowance: int) -> dict[str, Any]:
        return payload(message, system_clock(), allowance)

    def _send(self, message: Message, key: str, thread: str) -> Receipt:
        secrets, now = Secrets(self.subject), system_clock()
        url = secrets(self.url)
        body = as_json(self._payload(message))
        headers = {name: secrets(value) for name, value in self.headers.items()}
        headers |= signed(body, key, now, [secrets(one) for one in self.secrets], self.subject)
        line = Line(self.subject, url, self.timeout_s, secrets.values)
        answer = line.post(body, headers, through=self._way(url))
        if answer.is_good:
            return Receipt(thread=thread)
        raise line.failure(answer, closing=_CLOSING, passing=_LATER)

    def _way(self, url: str) -> Way:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if not host or parts.scheme not in {"http", "https"}:
            raise ClosedError(
                self.subject, "its url is not one of HTTP", fix="write https://... with a host"
            )
        if self.allow_private:
            return Way()
        default = 443 if parts.scheme == "https" else 80
        return Way(public_address(host, port or default, self.subject))


def signed(
    body: bytes, key: str, now: datetime, secrets: list[str], subject: str
) -> Mapping[str, str]:
    """The headers by which a receiver knows who sent these very bytes, and knows doubles.

    Raises:
        SettingsError: a secret is not 24 to 64 bytes in base64.
    """
    identity = token(key)
    signatures = [_signature(one, identity, now, body, subject) for one in secrets]
    return {
        "content-type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _signature(secret: str, identity: str, now: datetime, body: bytes, subject: str) -> str:
    from standardwebhooks import Webhook

    wrong = SettingsError(
        subject,
        "a signing secret is not one of Standard Webhooks",
        allowed=f"whsec_ and {_SHORTEST_SECRET} to {_LONGEST_SECRET} random bytes in base64",
        fix="make one with: echo whsec_$(openssl rand -base64 32)",
    )
    try:
        size = len(binascii.a2b_base64(secret.removeprefix("whsec_"), strict_mode=True))
    except ValueError:
        raise wrong from None
    if not _SHORTEST_SECRET <= size <= _LONGEST_SECRET:
        raise wrong
    return Webhook(secret).sign(identity, now, body.decode())


def payload(message: Message, now: datetime, allowance: int) -> dict[str, Any]:
    """The type, the time and the facts that are known, each text no longer than `allowance`."""
    at = message.occurred_at or message.started_at or now
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    data = {
        one.name: _value(one.name, getattr(message, one.name), allowance)
        for one in fields(message)
        if one.name not in {"event_type", "items", "attachments"}
        and getattr(message, one.name) not in (None, "")
    }
    if message.items:
        data["digest"] = _digest(message, allowance)
    event = clipped(message.event_type, allowance)
    return {"type": event, "timestamp": at.isoformat(), "data": data}


def _value(name: str, value: Any, allowance: int) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None  # JSON knows no infinity
    # Half an identity or half an address is none; the cleaning bounds both.
    whole = name in said.IDENTITIES or name.endswith("_url")
    return clipped(value, allowance) if isinstance(value, str) and not whole else value


def _digest(message: Message, allowance: int) -> dict[str, Any]:
    found = said.digest(message)
    counts = [
        {"severity": word, "rule": clipped(rule, allowance), "count": n}
        for word, rule, n in found.counts[: said.NEWEST]
    ]
    newest = [
        {"severity": one.severity, "title": clipped(one.text, allowance), "url": one.url}
        if len(one.url) <= max(allowance, _SHORTEST_URL)
        else {"severity": one.severity, "title": clipped(one.text, allowance)}
        for one in found.newest
    ]
    return {"counts": counts, "newest": newest, "more": found.more}
