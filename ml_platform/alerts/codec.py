"""Messages and events as JSON text, for the outbox; what is written can be read again."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from ml_platform.alerts.event import Event
from ml_platform.alerts.message import Attachment, Message, Severity, Status

_TIMES = {"last_ok_at", "occurred_at", "started_at", "at"}


def message_to_text(message: Message) -> str:
    """The message as JSON."""
    # Escaped, so that no letter is left that a database could refuse.
    return json.dumps(_message_to_plain(message), separators=(",", ":"))


def message_from_text(text: str) -> Message:
    """The message of a text that `message_to_text` wrote."""
    return _message_from_plain(json.loads(text))


def event_to_text(event: Event) -> str:
    """The event as JSON."""
    plain = asdict(event) | {"severity": event.severity.value if event.severity else None}
    return json.dumps(_without_defaults(plain, Event), default=_as_text)


def event_from_text(text: str) -> Event:
    """The event of a text that `event_to_text` wrote."""
    found = _with_times(json.loads(text))
    found["owners"] = tuple(found.get("owners", ()))
    if found.get("severity"):
        found["severity"] = Severity(found["severity"])
    return Event(**found)


def _message_to_plain(message: Message) -> dict[str, Any]:
    found = {one.name: getattr(message, one.name) for one in fields(Message)}
    found["items"] = [_message_to_plain(one) for one in message.items]
    found["attachments"] = [
        [one.name, one.media_type, base64.b64encode(one.content).decode()]
        for one in message.attachments
    ]
    for name in _TIMES & found.keys():
        found[name] = _as_text(found[name]) if found[name] else None
    return _without_defaults(found, Message)


def _message_from_plain(plain: Mapping[str, Any]) -> Message:
    found = _with_times(plain)
    found["severity"] = Severity(found["severity"])
    found["status"] = Status(found.get("status", Status.firing))
    found["items"] = tuple(_message_from_plain(one) for one in found.get("items", ()))
    found["attachments"] = tuple(
        Attachment(name, media_type, base64.b64decode(content))
        for name, media_type, content in found.get("attachments", ())
    )
    return Message(**found)


def _without_defaults(plain: Mapping[str, Any], of: type) -> dict[str, Any]:
    defaults = {one.name: one.default for one in fields(of)}
    return {
        name: value
        for name, value in plain.items()
        if value not in ((), {}, []) and value != defaults[name]
    }


def _with_times(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if name in _TIMES and value else value
        for name, value in plain.items()
    }


def _as_text(value: datetime) -> str:
    return value.isoformat()
