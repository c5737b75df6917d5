"""What the commands, the page and the sensor have in common: this installation's own alerts."""

from collections.abc import Mapping

from ml_platform.alerts.channels.channel import Channel
from ml_platform.alerts.channels.declared import channel_of, channels_of
from ml_platform.alerts.compose import Place
from ml_platform.alerts.links import signed
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.settings import AlertSettings
from ml_platform.kernel.errors import NotFoundError

INBOX = "inbox"


def known_channels() -> Mapping[str, Channel]:
    """The installation's channels; one folder, `inbox`, where none are declared.

    Raises:
        DeclarationError: channels.yaml does not declare channels.
    """
    try:
        return channels_of()
    except NotFoundError:
        return {INBOX: channel_of({"name": INBOX, "type": "folder"})}


def outbox_here() -> Outbox:
    """The outbox that the environment names."""
    return Outbox(AlertSettings.from_environment().url)


def place_of(settings: AlertSettings) -> Place:
    """What titles and links say of the installation."""
    return Place(settings.ui_url, settings.environment)


def ack_url(settings: AlertSettings, dedup_key: str) -> str:
    """The link by which an incident is acknowledged."""
    return f"{settings.ack_url}/ack/{signed(dedup_key, settings.secret())}"
