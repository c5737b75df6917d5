"""What holds for every kind of channel: every kind of event arrives, whatever it says.

The golden files show one message as each channel sends it: `ML_PLATFORM_WRITE_GOLDEN=1 pytest
ml_platform_tests/alerts/channels` writes them anew; read the difference before it is committed.
"""

import pytest

from ml_platform_tests.alerts.channels.conftest import EVENTS, FAILED, KINDS

TOLD = {"slack": str, "teams": str, "webhook": str}


def said(kind, arrived):
    """All that a reader of the arrived message can see."""
    if kind == "email":
        plain, page = (
            part.get_content() for part in arrived.walk() if part.get_content_maintype() == "text"
            and not part.get_filename()
        )  # fmt: skip
        return f"{arrived['Subject']}\n{plain}\n{page}"
    return str(arrived)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", EVENTS)
def test_every_kind_of_event_arrives_at_every_kind_of_channel(reach, kind, what):
    there = reach(kind)
    there.send(EVENTS[what])
    (arrived,) = there.arrived()
    assert EVENTS[what].title[:30] in said(kind, arrived) or kind == "twilio"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sent_is_what_was_looked_at_before(reach, golden, kind):
    there = reach(kind)
    golden(kind, there.channel.rendered(FAILED).replace("\r\n", "\n") + "\n")
