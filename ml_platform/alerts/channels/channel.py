"""What every channel is: it lays a message out, hands it over, and says how that went."""

from dataclasses import dataclass
from typing import Protocol

from ml_platform.alerts.message import Message
from ml_platform.kernel.errors import RetryableError, UserError


class NotDeliveredError(RetryableError):
    """The receiver did not take it now; `retry_after_s` is how long it asks to wait, if it does."""

    retry_after_s: float | None = None


class RefusedError(UserError):
    """The receiver will never take this message; the next one may be taken."""


class ClosedError(UserError):
    """The receiver takes nothing more from us; the channel is off until a person looks at it."""


@dataclass(frozen=True)
class Receipt:
    """The receiver took it.

    Attributes:
        id: what the receiver calls the message; empty where it says nothing.
        thread: what later messages of the same incident are given, to appear below this one.
        remark: what a person should know all the same, such as one recipient of three refused.
    """

    id: str = ""
    thread: str = ""
    remark: str = ""


class Channel(Protocol):
    """A way to reach people. Making one contacts nobody and reads no secret."""

    @property
    def name(self) -> str:
        """As rules call it."""

    def rendered(self, message: Message) -> str:
        """What would be sent, as text: JSON, a mail, a line. It holds no secret."""

    def send(self, message: Message, *, key: str, thread: str = "") -> Receipt:
        """Hand the message over.

        Args:
            message: what to tell.
            key: the same for every attempt at this message, for receivers that know their doubles.
            thread: what the receipt of this incident's first message here said.

        Raises:
            NotDeliveredError: not now.
            RefusedError: never this message.
            ClosedError: nothing more.
            SettingsError: a secret that the channel needs is not set.
        """
