"""Text messages over Twilio: one line that fits, as each segment is paid for.

Source: Twilio, "Programmable Messaging API: Message resource", and its error dictionary.
"""

import base64
import re
from typing import Literal, Self
from urllib.parse import quote, urlencode

from pydantic import Field, field_validator, model_validator

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.channels.base import Remote, Secrets, not_delivered, secret
from ml_platform.alerts.channels.channel import ClosedError, Receipt
from ml_platform.alerts.channels.sms import alphabet, segments, simpler
from ml_platform.alerts.channels.text import clipped, line, shortened, token, utf16
from ml_platform.alerts.channels.wire import Answer, Line
from ml_platform.alerts.message import Message
from ml_platform.kernel.errors import PlatformError

LONGEST = 1600
_FEWEST_WORDS = 40

_CLOSING = {
    20003: "the account's SID or token is wrong",
    20404: "the account is not known",
    21211: "the number is not valid",
    21212: "the sender's number is not valid",
    21214: "the number cannot be reached",
    21408: "the account may not send to that country",
    21606: "the sender's number cannot send",
    21608: "a trial account sends to verified numbers only",
    21610: "the receiver unsubscribed with STOP",
    21614: "the number is not one of a mobile telephone",
}
_PASSING = frozenset({20429, 20500, 21611, 30001, 30022, 63038})


class TwilioChannel(Remote):
    """A mobile telephone: one number, so that a receipt says whether it was reached."""

    type: Literal["twilio"] = Field("twilio", description="A text message, over Twilio.")
    account_sid: str = Field(description="The account (AC...); it may be ${NAME}.")
    auth_token: str = secret("The account's token, as ${NAME}.", default=..., must_be_named=True)
    to: str = Field(description="The number to tell, as +82212345678; it may be ${NAME}.")
    from_number: str = Field("", description="The number that sends; or messaging_service_sid.")
    messaging_service_sid: str = Field("", description="The service that sends (MG...).")
    status_callback: str = Field("", description="Where Twilio tells what became of a message.")
    most_segments: int = Field(
        3, ge=1, le=10, description="How many segments one message may cost."
    )
    api_url: str = Field("https://api.twilio.com", description="Where Twilio's API is.")

    @field_validator("to", "from_number")
    @classmethod
    def _is_a_number(cls, given: str) -> str:
        if given and "${" not in given and not _is_e164(given):
            raise ValueError("no number of the form +82212345678 (E.164)")
        return given

    @model_validator(mode="after")
    def _one_sender(self) -> Self:
        if bool(self.from_number) == bool(self.messaging_service_sid):
            raise ValueError("either from_number or messaging_service_sid is needed, not both")
        return self

    def _shown(self, message: Message) -> str:
        text = sms(message, self.most_segments)
        count = segments(text)
        sender = self.from_number or self.messaging_service_sid
        size = f"{count} segment{'s' * (count > 1)} of {alphabet(text).name}"
        return f"From: {sender}\nTo: {self.to}\nBody: {text}\n({size})\n"

    def _send(self, message: Message, key: str, thread: str) -> Receipt:
        secrets = Secrets(self.subject)
        account = secrets(self.account_sid)
        login = base64.b64encode(f"{account}:{secrets(self.auth_token)}".encode()).decode()
        path = f"/2010-04-01/Accounts/{quote(account, safe='')}/Messages.json"
        headers = {
            "authorization": f"Basic {login}",
            "content-type": "application/x-www-form-urlencoded",
            "idempotency-key": token(key),
        }
        body = urlencode(self._form(message, secrets)).encode()
        url = secrets(self.api_url).rstrip("/") + path
        wire = Line(self.subject, url, self.timeout_s, [*secrets.values, login])
        answer = wire.post(body, headers)
        if answer.is_good and answer.fields.get("sid"):
            return self._receipt(answer, thread)
        raise self._failure(answer, wire)

    def _form(self, message: Message, secrets: Secrets) -> dict[str, str]:
        to = secrets(self.to)
        if not _is_e164(to):
            raise ClosedError(self.subject, "its number is not one", allowed="+82212345678")
        form = {
            "To": to,
            "From": secrets(self.from_number),
            "MessagingServiceSid": secrets(self.messaging_service_sid),
            "StatusCallback": secrets(self.status_callback),
            "Body": sms(message, self.most_segments),
        }
        return {name: value for name, value in form.items() if value}

    def _receipt(self, answer: Answer, thread: str) -> Receipt:
        found = answer.fields
        code = found.get("error_code")
        return Receipt(
            id=str(found["sid"]), thread=thread, remark=f"Twilio warns: {code}" if code else ""
        )

    def _failure(self, answer: Answer, wire: Line) -> PlatformError:
        code, words = answer.fields.get("code"), str(answer.fields.get("message", ""))
        told = clipped(wire.hidden(line(words or answer.text)), 200) or "nothing"
        given = f"Twilio says {code or 'no code'}: {told} ({answer.status})"
        if code in _PASSING or answer.is_good:
            return not_delivered(self.subject, given, retry_after_s=answer.retry_after_s)
        if code in _CLOSING:
            return ClosedError(self.subject, given, fix=f"correct it: {_CLOSING[code]}")
        return wire.failure(answer, said=f"{code}: {told}")


def sms(message: Message, most_segments: int) -> str:
    """One line with the whole link where there is room for it, else without, never half of it.

    The fewest segments are taken that hold the link and the beginning of the title.
    """
    words = simpler(line(message.body or _words(message)))
    url = said.first_url(message)
    needed = min(len(words), _FEWEST_WORDS)
    for count in range(1, most_segments + 1):
        shown = _fitting(words, f" {url}" if url else "", count)
        if len(shown) - (len(url) + 1 if url else 0) >= needed:
            return shown
    return _fitting(words, "", most_segments) or "?"


def _words(message: Message) -> str:
    compared = message.observed and f" {message.observed}"
    compared += f" (expected {message.expected})" if compared and message.expected else ""
    gathered = f": {len(message.items)} messages" if message.items else ""
    return f"{said.headline(message)}{compared}{gathered}"


def _fitting(words: str, link: str, count: int) -> str:
    """As much of the words as fit, with the link, into so many segments; empty if none do."""

    def fits(text: str) -> bool:
        return utf16(text + link) <= LONGEST and segments(text + link) <= count

    shown = shortened(words[:LONGEST], fits, end="..." if words.isascii() else "")
    return shown + link if shown else ""


def _is_e164(number: str) -> bool:
    return re.fullmatch(r"\+[1-9][0-9]{6,14}", number) is not None
