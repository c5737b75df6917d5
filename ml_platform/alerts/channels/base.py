"""What the kinds of channels share: how they are declared, and how their secrets are read.

A kind of channel is a pydantic model of what a person declares, with the two methods of `Channel`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ml_platform.alerts.channels.channel import NotDeliveredError, Receipt, RefusedError
from ml_platform.alerts.channels.facts import cleaned
from ml_platform.alerts.message import Message
from ml_platform.kernel.environment import resolve, variables_in

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Made = TypeVar("Made")

_ALLOWANCES = (2900, 1900, 1200, 700, 400, 200, 100, 50)


def secret(description: str, *, default: Any = "", must_be_named: bool = False) -> Any:
    """A field that no message, no representation and no rendered text shows.

    Args:
        description: what it is.
        default: for a field that may be left out; `...` for one that may not.
        must_be_named: it has to be `${NAME}`, so that the file itself holds no secret.
    """
    extra: dict[str, Any] = {"must_be_named": must_be_named, "secret": True}
    return Field(default, description=description, repr=False, json_schema_extra=extra)


def is_secret(info: "FieldInfo") -> bool:
    """Whether what was given for a field may not be shown."""
    return isinstance(info.json_schema_extra, dict) and bool(info.json_schema_extra.get("secret"))


class Declared(BaseModel, ABC):
    """What can be said of a channel of any kind. Making one contacts nobody and reads no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field("", description="How rules call it; the word before the colon, if left out.")
    time_zone: str = Field(
        "UTC", description="The zone of its readers; times are told in it and in UTC."
    )

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no such time zone; allowed are names as Asia/Seoul") from None
        return name

    @field_validator("*")
    @classmethod
    def _names_its_secrets(cls, value: Any, info: Any) -> Any:
        extra = cls.model_fields[info.field_name].json_schema_extra
        if isinstance(extra, dict) and extra.get("must_be_named"):
            for one in value if isinstance(value, tuple) else (value,):
                if one and not variables_in(str(one)):
                    raise ValueError(
                        "a secret may not stand in the file; write ${NAME} and set that variable"
                    )
        return value

    @property
    def subject(self) -> str:
        """The channel, as messages call it."""
        return f"channel {self.name}"

    @property
    def zone(self) -> ZoneInfo:
        """The zone of its readers."""
        return ZoneInfo(self.time_zone)

    def rendered(self, message: Message) -> str:
        """What would be sent, as text; it holds no secret."""
        return self._shown(cleaned(message))

    def send(self, message: Message, *, key: str, thread: str = "") -> Receipt:
        """Hand the message over; see `Channel.send`."""
        return self._send(cleaned(message), key, thread)

    @abstractmethod
    def _shown(self, message: Message) -> str:
        """What would be sent of a message that is cleaned."""

    @abstractmethod
    def _send(self, message: Message, key: str, thread: str) -> Receipt:
        """Hand over a message that is cleaned."""


class Remote(Declared):
    """A channel that asks a server."""

    timeout_s: float = Field(
        15.0, gt=0, le=120, description="How long the server may take for its whole answer."
    )


class Posted(Remote):
    """A channel whose server takes JSON, up to a size."""

    largest: ClassVar[int]

    def _shown(self, message: Message) -> str:
        return readable(self._payload(message))

    def _payload(self, message: Message) -> dict[str, Any]:
        """What is posted, its texts shortened until the server takes it."""
        return shrunk(
            self.subject,
            lambda allowance: self._worded(message, allowance),
            self._size,
            self.largest,
        )

    def _size(self, payload: dict[str, Any]) -> int:
        """How large the server counts it; in bytes, unless a kind of channel says otherwise."""
        return len(as_json(payload))

    @abstractmethod
    def _worded(self, message: Message, allowance: int) -> dict[str, Any]:
        """What would be posted with each text no longer than `allowance` characters."""


class Secrets:
    """Reads `${NAME}` in the fields of one channel, and remembers what may not be shown."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self.values: list[str] = []

    def __call__(self, text: str) -> str:
        """The text with its variables filled in.

        Raises:
            SettingsError: a variable is not set.
        """

        def remember(value: str) -> str:
            self.values.append(value)
            return value

        return resolve(text, self._subject, encode=remember)


def not_delivered(
    subject: str, given: str, *, fix: str = "", retry_after_s: float | None = None
) -> NotDeliveredError:
    """The error of a receiver that did not take a message now."""
    fix = fix or "nothing; it is tried again"
    error = NotDeliveredError(subject, given, fix=fix)
    error.retry_after_s = retry_after_s
    return error


def shrunk(
    subject: str, build: Callable[[int], Made], size: Callable[[Made], int], limit: int
) -> Made:
    """What `build` makes with the largest allowance, in characters a text, that is within limits.

    Raises:
        RefusedError: even the smallest is too large.
    """
    for allowance in _ALLOWANCES:
        made = build(allowance)
        if size(made) <= limit:
            return made
    raise RefusedError(subject, f"the message is larger than {limit}", fix="send less in it")


def as_json(payload: Mapping[str, Any]) -> bytes:
    """The bytes that are sent; letters of every alphabet as they are."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def readable(payload: Mapping[str, Any]) -> str:
    """The payload as people read it."""
    return json.dumps(payload, ensure_ascii=False, indent=2)
