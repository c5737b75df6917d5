"""What each service takes, written down from its own pages and checked on what it receives.

Every function insists on the shape and the limits, and returns the payload.
"""

import re
from email import message_from_bytes
from email.policy import SMTP

from slack_sdk.models.blocks import Block
from standardwebhooks import Webhook


def utf16(text):
    return len(text.encode("utf-16-le")) // 2


def slack(payload):
    import json

    assert utf16(json.dumps(payload, ensure_ascii=False)) <= 13_000
    assert 0 < len(payload["text"]) <= 300 * 5
    (attachment,) = payload["attachments"]
    assert re.fullmatch(r"#[0-9A-F]{6}", attachment["color"])
    blocks = attachment["blocks"]
    assert 0 < len(blocks) <= 50
    for made, read in zip(blocks, Block.parse_all(blocks), strict=True):
        # The SDK's own limits; of a kind that it does not know it makes nothing.
        assert read.to_dict()["type"] == made["type"]
        read.validate_json()
        _SLACK[made["type"]](made)
    return payload


def _slack_header(block):
    assert block["text"]["type"] == "plain_text"
    assert 1 <= utf16(block["text"]["text"]) <= 150


def _slack_text(text, limit):
    assert text["type"] == "mrkdwn"
    assert 1 <= utf16(text["text"]) <= limit
    # Only links of ours and entities: a bare < or & would be a mention or a broken letter.
    rest = re.sub(r"<https?://[^<>|\s]+\|[^<>]*>", "", text["text"])
    rest = re.sub(r"&(amp|lt|gt);", "", rest)
    assert not re.search(r"[<>&]", rest), text["text"]


def _slack_section(block):
    assert ("text" in block) != ("fields" in block)
    if "text" in block:
        _slack_text(block["text"], 3000)
    else:
        assert 1 <= len(block["fields"]) <= 10
        for one in block["fields"]:
            _slack_text(one, 2000)


def _slack_actions(block):
    assert 1 <= len(block["elements"]) <= 25
    assert len({one["action_id"] for one in block["elements"]}) == len(block["elements"])
    for one in block["elements"]:
        assert one["type"] == "button"
        assert 1 <= len(one["text"]["text"]) <= 75
        assert one["url"].startswith(("http://", "https://"))
        assert len(one["url"]) <= 3000


def _slack_context(block):
    assert 1 <= len(block["elements"]) <= 10
    for one in block["elements"]:
        _slack_text(one, 3000)


_SLACK = {
    "header": _slack_header,
    "section": _slack_section,
    "actions": _slack_actions,
    "context": _slack_context,
}


def teams(payload, body):
    assert len(body) <= 28_000
    assert payload["type"] == "message"
    (attachment,) = payload["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["body"]
    for one in card["body"]:
        _teams_element(one)
    assert len(card["actions"]) <= 6
    for one in card["actions"]:
        assert one["type"] == "Action.OpenUrl"
        assert one["title"]
        assert one["url"].startswith(("http://", "https://"))
    return payload


def _teams_element(one):
    if one["type"] == "Container":
        assert one["style"] in {"default", "emphasis", "good", "attention", "warning", "accent"}
        assert one["items"]
        for inner in one["items"]:
            _teams_element(inner)
    elif one["type"] == "RichTextBlock":
        assert all(run["type"] == "TextRun" and run["text"] for run in one["inlines"])
        assert {run.get("size", "Default") for run in one["inlines"]} <= {
            *("Default", "Small", "Medium")
        }
    elif one["type"] == "FactSet":
        assert one["facts"]
        assert all(fact["title"] and fact["value"] for fact in one["facts"])
    else:
        assert one["type"] == "TextBlock"
        assert one["text"]
        assert one["wrap"] is True


def webhook(request, secrets):
    assert len(request.body) < 20_000
    assert request.headers["content-type"] == "application/json"
    for secret in secrets:
        Webhook(secret).verify(request.body, request.headers)
    payload = request.json
    assert set(payload) == {"type", "timestamp", "data"}
    return payload


def twilio(form):
    assert re.fullmatch(r"\+[1-9]\d{6,14}", form["To"])
    assert ("From" in form) != ("MessagingServiceSid" in form)
    assert 1 <= len(form["Body"]) <= 1600
    assert "\n" not in form["Body"]
    return form


def sentry(event):
    assert re.fullmatch(r"[0-9a-f]{32}", event["event_id"])
    assert event["platform"] == "python"
    assert event["level"] in {"fatal", "error", "warning", "info", "debug"}
    assert event["timestamp"]
    assert 1 <= len(event["logentry"]["formatted"]) <= 8192
    assert all(len(name) <= 32 and 1 <= len(tag) <= 200 for name, tag in event["tags"].items())
    assert all(isinstance(one, str) and one for one in event["fingerprint"])
    assert re.fullmatch(r"[^\s/]{1,64}", event.get("environment", "production"))
    assert len(event.get("transaction", "")) <= 200
    return event


def letter(raw):
    """The letter, parsed; no line of it is longer than SMTP carries (RFC 5321, 4.5.3.1.6)."""
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    mail = message_from_bytes(raw, policy=SMTP)
    assert not mail.defects
    for name in ("From", "Subject", "Date", "Message-ID", "Auto-Submitted"):
        assert len(mail.get_all(name)) == 1, name
    both = mail if mail.get_content_type() == "multipart/alternative" else mail.get_payload(0)
    assert [one.get_content_type() for one in both.iter_parts()] == ["text/plain", "text/html"]
    return mail
