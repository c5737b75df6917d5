"""Sentry: each message is an event; those of one check join one issue.

The envelope is the SDK's, posted by the channel itself, so that it knows whether it was taken. The
SDK is never started here: its client and its hooks would be the whole process's.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.channels.base import Remote, Secrets, as_json, readable, secret, shrunk
from ml_platform.alerts.channels.channel import ClosedError, Receipt
from ml_platform.alerts.channels.letter import text as letter_text
from ml_platform.alerts.channels.text import clipped
from ml_platform.alerts.channels.wire import Answer, Line
from ml_platform.alerts.message import Message
from ml_platform.kernel.clock import system_clock

LARGEST_EVENT = 200_000
_MESSAGE, _TAG = 8000, 200
_LEVELS = {"info": "info", "warning": "warning", "error": "error", "critical": "fatal"}
_TAGS = {
    "project": "project",
    "scenario": "scenario",
    "asset": "asset_key",
    "partition": "partition",
    "check": "check_name",
    "run_id": "run_id",
    "owner": "owner",
    "rule": "rule_id",
    "event_type": "event_type",
}
_AGENT = "ml-platform-alerts/1"
_ALL = ("", "error", "default")


class SentryChannel(Remote):
    """A project of Sentry, or of what speaks its protocol."""

    type: Literal["sentry"] = Field("sentry", description="Sentry, by the project's DSN.")
    dsn: str = secret("The project's DSN, as ${NAME}.", default=...)
    release: str = Field("", description="The version of what runs, as Sentry groups it.")

    def _shown(self, message: Message) -> str:
        return readable(self._event(message, "0" * 32, system_clock()))

    def _event(self, message: Message, event_id: str, now: datetime) -> dict[str, Any]:
        return shrunk(
            self.subject,
            lambda allowance: event(message, self, event_id, now, allowance),
            lambda made: len(as_json(made)),
            LARGEST_EVENT,
        )

    def _send(self, message: Message, key: str, thread: str) -> Receipt:
        from sentry_sdk.envelope import Envelope
        from sentry_sdk.utils import BadDsn, Dsn

        secrets, now = Secrets(self.subject), system_clock()
        try:
            login = Dsn(secrets(self.dsn)).to_auth(_AGENT)
        except (BadDsn, ValueError):
            raise ClosedError(
                self.subject,
                "its DSN is not one",
                allowed="https://<public key>@<host>/<project's number>",
                fix="correct the variable that holds it",
            ) from None
        # The same id for every attempt: Sentry drops the second event of an id.
        event_id = hashlib.sha256(key.encode()).hexdigest()[:32]
        envelope = Envelope(headers={"event_id": event_id, "sent_at": now.isoformat()})
        envelope.add_event(self._event(message, event_id, now))  # type: ignore[arg-type]
        headers = {
            "content-type": "application/x-sentry-envelope",
            "x-sentry-auth": login.to_header(),
        }
        wire = Line(
            self.subject, login.get_api_url(), self.timeout_s, [*secrets.values, login.public_key]
        )
        answer = wire.post(envelope.serialize(), headers)
        if answer.is_good:
            return Receipt(id=str(answer.fields.get("id", event_id)), thread=thread)
        raise wire.failure(_with_limits(answer))


def _with_limits(answer: Answer) -> Answer:
    """The answer with the wait that Sentry asks for in its own header, where no other says it."""
    limits = answer.headers.get("x-sentry-rate-limits", "")
    if "retry-after" in answer.headers or not limits:
        return answer
    waits = [one.strip().split(":") for one in limits.split(",")]
    ours = [wait[0] for wait in waits if len(wait) < 2 or set(wait[1].split(";")) & set(_ALL)]  # noqa: PLR2004 - seconds:categories
    longest = max((one for one in ours if re.fullmatch(r"[0-9]{1,9}", one)), key=int, default="")
    return Answer(answer.status, {**answer.headers, "retry-after": longest}, answer.body)


def event(
    message: Message, channel: SentryChannel, event_id: str, now: datetime, allowance: int
) -> dict[str, Any]:
    """The event, each text of it no longer than Sentry keeps."""
    resolved = said.kind(message) == "resolved"
    at = message.occurred_at or now
    tags = {tag: clipped(getattr(message, name), _TAG) for tag, name in _TAGS.items()}
    tags["status"] = message.status.value
    words = letter_text(message, channel.zone, longest=allowance)
    made = {
        "event_id": event_id,
        "timestamp": (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat(),
        "platform": "python",
        "level": "info" if resolved else _LEVELS[message.severity.value],
        "logger": f"ml_platform.{clipped(message.event_type, 100)}",
        "logentry": {"formatted": clipped(_first_line(message), _MESSAGE)},
        "transaction": clipped("/".join(filter(None, (message.project, _thing(message)))), _TAG),
        "environment": re.sub(r"[\s/]+", "-", clipped(message.environment, 60)),
        "release": channel.release,
        "tags": {name: value for name, value in tags.items() if value},
        "contexts": {"run": {"id": clipped(message.run_id, _TAG), "url": message.run_url}},
        "extra": {
            "told": clipped(words, 4 * allowance),
            "observed": clipped(message.observed, allowance),
            "expected": clipped(message.expected, allowance),
            **{one.label: one.url for one in said.links(message)},
        },
        "fingerprint": fingerprint(message),
    }
    return {name: value for name, value in made.items() if value not in ("", {})}


def _first_line(message: Message) -> str:
    return message.title or message.event_type or "message"


def _thing(message: Message) -> str:
    return message.asset_key or message.scenario or message.trigger_name


def fingerprint(message: Message) -> list[str]:
    """What joins events into one issue: the check, whatever the day; else the kind and the thing.

    What tells that it is over has an issue of its own: in the first it would count as one failure
    more.
    """
    what = ("check", message.project, message.asset_key, message.check_name)
    if not message.check_name:
        what = (message.event_type, message.project, _thing(message), "")
    over = ("resolved",) if said.kind(message) == "resolved" else ()
    return [clipped(one, _TAG) for one in (*what, *over) if one] or ["message"]
