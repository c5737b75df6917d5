"""What is written into the outbox is read as it was."""

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.codec import (
    event_from_text,
    event_to_text,
    message_from_text,
    message_to_text,
)
from ml_platform.alerts.event import KINDS, Event
from ml_platform.alerts.message import Attachment, Message, Severity, Status

TEXT = st.text(max_size=40)
MOMENT = st.datetimes(timezones=st.just(UTC))
ATTACHMENT = st.builds(Attachment, name=TEXT, media_type=TEXT, content=st.binary(max_size=50))


def a_message(items):
    return st.builds(
        Message,
        event_id=TEXT,
        event_type=TEXT,
        severity=st.sampled_from(Severity),
        title=TEXT,
        status=st.sampled_from(Status),
        summary=TEXT,
        body=TEXT,
        owner=TEXT,
        occurred_at=st.none() | MOMENT,
        last_ok_at=st.none() | MOMENT,
        started_at=st.none() | MOMENT,
        elapsed_s=st.none() | st.floats(0, 1e6),
        is_sample=st.booleans(),
        attachments=st.lists(ATTACHMENT, max_size=2).map(tuple),
        items=items,
    )


@given(a_message(st.lists(a_message(st.just(())), max_size=3).map(tuple)))
def test_a_message_is_read_as_it_was_written(message):
    assert message_from_text(message_to_text(message)) == message


@given(
    st.builds(
        Event,
        id=TEXT,
        type=st.sampled_from(sorted(KINDS)),
        at=MOMENT,
        project=TEXT,
        subject=TEXT,
        what=TEXT,
        order=st.integers(0, 2**62),
        owners=st.lists(TEXT, max_size=3).map(tuple),
        tags=st.dictionaries(TEXT, TEXT, max_size=3),
        severity=st.none() | st.sampled_from(Severity),
        started_at=st.none() | MOMENT,
        elapsed_s=st.none() | st.floats(0, 1e6),
        failures=st.integers(1, 9),
        facts=st.dictionaries(TEXT, TEXT | st.booleans() | st.integers(), max_size=3),
    )
)
def test_an_event_is_read_as_it_was_written(event):
    assert event_from_text(event_to_text(event)) == event
