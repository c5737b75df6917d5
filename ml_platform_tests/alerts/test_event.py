"""Every kind of event, on every kind of channel: what each would send says what happened."""

from datetime import UTC, datetime

import pytest

from ml_platform.alerts.channels.declared import KINDS as CHANNELS
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.compose import Place, message_of
from ml_platform.alerts.event import KINDS, OURS, Event
from ml_platform.alerts.rules import Rule

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

DECLARED = {
    "folder": {},
    "email": {"host": "smtp.example.org", "sender": "p@example.org", "to": ["t@example.org"]},
    "slack": {"webhook_url": "${X}"},
    "teams": {"url": "${X}"},
    "webhook": {"url": "https://example.org", "secrets": ["${X}"]},
    "twilio": {
        "account_sid": "${X}", "auth_token": "${X}", "from_number": "+15005550006",
        "to": "+82212345678",
    },
    "sentry": {"dsn": "${X}"},
    "apprise": {"url": "${X}"},
}  # fmt: skip


def test_every_kind_of_channel_is_tried():
    assert set(DECLARED) == set(CHANNELS)


@pytest.mark.parametrize("channel", sorted(DECLARED))
def test_each_kind_of_event_can_be_told_there(channel):
    target = channel_of({"name": channel, "type": channel, **DECLARED[channel]})
    for number, kind in enumerate(sorted(KINDS)):
        happened = Event(
            id=f"e{number}", type=kind, at=NOON, project="shop", subject="s", what="판매 표 😀",
            asset_key="raw/sales",
        )  # fmt: skip
        made, wrong = message_of(happened, Rule(name="r", channels=[channel]), Place())
        assert wrong == ""
        text = target.rendered(made)
        # One segment of a text message holds 70 such signs; the end of a title is cut there.
        assert channel == "twilio" or "판매" in text, kind
        assert KINDS[kind].sentence in text, kind


def test_families_are_first_words_and_ours_are_known():
    assert set(KINDS) > OURS
    for kind in KINDS:
        made = Event(id="e", type=kind, at=NOON, project="p", subject="s", what="w")
        assert made.family == kind.split(".")[0]
        assert made.kind is KINDS[kind]
