"""Slack: what its answers mean, threads, and what must not be markup."""

from dataclasses import replace

import pytest

from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError, RefusedError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.kernel.errors import DeclarationError
from ml_platform_tests.alerts.channels.conftest import FAILED
from ml_platform_tests.alerts.conftest import Reply


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("invalid_auth", ClosedError),
        ("token_revoked", ClosedError),
        ("channel_not_found", ClosedError),
        ("not_in_channel", ClosedError),
        ("is_archived", ClosedError),
        ("ratelimited", NotDeliveredError),
        ("internal_error", NotDeliveredError),
        ("msg_blocks_too_long", RefusedError),
        ("invalid_blocks", RefusedError),
        ("something_new", RefusedError),
    ],
)
def test_an_answer_of_success_that_says_no_is_a_no(reach, code, error):
    there = reach("slack-token")
    there.http.answers(Reply(200, {"ok": False, "error": code}))
    with pytest.raises(error, match=code):
        there.send(FAILED)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(404, "no_service"), ClosedError),
        (Reply(403, "action_prohibited"), ClosedError),
        (Reply(410, "channel_is_archived"), ClosedError),
        (Reply(400, "invalid_payload"), RefusedError),
        (Reply(500, "rollup_error"), NotDeliveredError),
        (Reply(200, "invalid_token"), ClosedError),
        (Reply(200, "<html>please log in</html>"), NotDeliveredError),
    ],
)
def test_a_webhook_says_in_a_word_what_is_wrong(reach, reply, error):
    there = reach("slack")
    there.http.answers(reply)
    with pytest.raises(error):
        there.send(FAILED)


def test_a_bot_asked_too_often_waits_as_it_is_told(reach):
    there = reach("slack-token")
    there.http.answers(Reply(200, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}))
    with pytest.raises(NotDeliveredError) as caught:
        there.send(FAILED)
    assert caught.value.retry_after_s == 30


def test_a_bot_puts_what_belongs_together_into_one_thread(reach):
    there = reach("slack-token")
    first = there.send(FAILED)
    again = there.send(FAILED, key="later", thread=first.thread)
    opening, reply = there.arrived()
    assert first.id == first.thread == again.thread == "1503435956.000247"
    assert "thread_ts" not in opening
    assert reply["thread_ts"] == first.thread
    assert opening["channel"] == "C0123"
    assert there.http.requests[0].path == "/api/chat.postMessage"
    assert there.http.requests[0].headers["authorization"] == "Bearer xoxb-very-secret-token"


def test_what_slack_warns_of_is_a_remark(reach):
    there = reach("slack-token")
    there.http.answers(Reply(200, {"ok": True, "ts": "1.2", "warning": "missing_charset"}))
    assert there.send(FAILED).remark == "Slack warns: missing_charset"


def test_nobody_is_called_by_a_text(reach):
    there = reach("slack")
    title = "<!channel> <@U123> <https://evil.example|click> & more"
    there.send(replace(FAILED, title=title, summary=title, observed=title, failure_message=title))
    (payload,) = there.arrived()
    text = str(payload["attachments"][0]["blocks"][1:])
    assert "<!" not in text
    assert "<@" not in text
    assert "evil.example|" not in text.replace("&lt;https://evil.example|", "")
    assert "&lt;!channel&gt;" in payload["text"]


def test_code_within_a_failure_cannot_end_its_block(reach):
    there = reach("slack")
    there.send(replace(FAILED, failure_message="a ``` *b* ``` c"))
    (payload,) = there.arrived()
    (block,) = [one for one in payload["attachments"][0]["blocks"] if "```" in str(one)]
    assert block["text"]["text"] == "```\na ''' *b* ''' c\n```"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "either webhook_url or token"),
        ({"webhook_url": "${A}", "token": "${B}", "channel": "C1"}, "not both"),
        ({"token": "${B}"}, "needs the id of a channel"),
        ({"token": "xoxb-1", "channel": "C1"}, "may not stand in the file"),
        ({"webhook_url": "https://hooks.slack.com/services/T/B/xyz"}, "it is a secret"),
    ],
)
def test_a_declaration_that_cannot_work_is_told_at_once(changes, words):
    with pytest.raises(DeclarationError, match=words) as caught:
        channel_of({"type": "slack", **changes})
    assert "xyz" not in str(caught.value)
    assert "xoxb-1" not in str(caught.value)
