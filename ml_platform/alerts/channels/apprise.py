"""Every other service, through the Apprise library: one URL of its kind, such as `discord://...`.

It answers yes or no: no id of the message, no thread, no wait that the service asks for.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.channels.base import Remote, Secrets, not_delivered, secret
from ml_platform.alerts.channels.channel import ClosedError, Receipt
from ml_platform.alerts.channels.letter import text as letter_text
from ml_platform.alerts.channels.text import clipped
from ml_platform.alerts.channels.wire import Line
from ml_platform.alerts.message import Message

if TYPE_CHECKING:
    from apprise import NotifyBase

_TITLE, _BODY = 250, 8000


class AppriseChannel(Remote):
    """A service that Apprise knows."""

    type: Literal["apprise"] = Field("apprise", description="Any service that Apprise knows.")
    url: str = secret("Apprise's URL of the service and the place in it, as ${NAME}.", default=...)

    def _shown(self, message: Message) -> str:
        return f"{title(message)}\n\n{body(message, self, _BODY)}"

    def _send(self, message: Message, key: str, thread: str) -> Receipt:  # noqa: ARG002 - no such service takes one
        secrets = Secrets(self.subject)
        url = secrets(self.url)
        wire = Line(self.subject, url, self.timeout_s, secrets.values)
        with wire.quiet():
            service = self._service(url)
            longest = min(_BODY, service.body_maxlen)
            taken = service.notify(
                title=title(message),
                body=body(message, self, longest),
                notify_type=_kind(message),
            )
        if not taken:
            given = f"{service.service_name} did not take the message"
            raise not_delivered(self.subject, given, fix="look at its URL, and at the service")
        return Receipt(thread=thread)

    def _service(self, url: str) -> "NotifyBase":
        import apprise

        asset = apprise.AppriseAsset(http_redirects=False, app_id="ml_platform", app_desc="alerts")
        service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if not isinstance(service, apprise.NotifyBase):
            raise ClosedError(
                self.subject,
                "Apprise does not know such a URL",
                allowed="the URLs in Apprise's list of services",
                fix="correct the channel's url or its variable",
            )
        service.socket_connect_timeout = service.socket_read_timeout = self.timeout_s
        return service


def title(message: Message) -> str:
    """The first line."""
    return clipped(said.headline(message), _TITLE)


def body(message: Message, channel: AppriseChannel, longest: int) -> str:
    """The rest, with the links at its end also where it had to be shortened."""
    whole = letter_text(message, channel.zone, longest=longest).partition("\n")[2].strip()
    links = "\n".join(f"{one.label}: {one.url}" for one in said.links(message))
    if len(whole) <= longest:
        return whole
    links = links if len(links) < longest // 2 else said.first_url(message)
    links = links if len(links) < longest // 2 else ""
    before = whole.partition(links)[0] if links else whole
    return f"{clipped(before.strip(), longest - len(links) - 2)}\n\n{links}".strip()


def _kind(message: Message) -> Any:
    from apprise import NotifyType

    kinds = {
        "info": NotifyType.INFO,
        "warning": NotifyType.WARNING,
        "resolved": NotifyType.SUCCESS,
    }
    return kinds.get(said.kind(message), NotifyType.FAILURE)
