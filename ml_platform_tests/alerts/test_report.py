"""Whether alerts reach anybody."""

import pytest

from ml_platform.alerts.report import Reach, reaches, unanswered


def reach(channel="chat", told=10, dead=0, incidents=10, acknowledged=5, ignored=0, alone=0):
    return Reach("shop/r", channel, told, dead, incidents, acknowledged, ignored, alone)


@pytest.mark.parametrize(
    ("found", "days", "said"),
    [
        (reach(), 30, ""),
        (reach(told=700), 30, "noisy: 23 messages a day"),
        (reach(alone=6), 30, "noisy: most incidents go away by themselves"),
        (reach(incidents=4, alone=4), 30, ""),
        (reach(dead=2), 30, "2 could not be delivered"),
        (reach(told=30), 0.1, "noisy: 30 messages a day"),
    ],
)
def test_a_rule_on_a_channel_is(found, days, said):
    assert found.verdict(days) == said


def test_a_channel_is_named_when_nobody_answers_on_it():
    found = [
        reach("chat", acknowledged=0, incidents=3),
        reach("chat", acknowledged=0, incidents=3),
        reach("mail", acknowledged=0),
        reach("mail", acknowledged=1),
        reach("new", acknowledged=0, incidents=4),
    ]
    assert unanswered(found) == ["chat"]


def test_rows_without_incidents_are_read_as_none():
    row = {"rule": "a", "channel": "b", "told": 2, "dead": None}
    row |= dict.fromkeys(("incidents", "acknowledged", "ignored", "by_themselves"), 0)
    assert reaches([row]) == [Reach("a", "b", 2, 0, 0, 0, 0, 0)]
