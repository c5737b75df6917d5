"""Microsoft Teams: an Adaptive Card 1.4 to a webhook of the Workflows app.

The older connectors (`*.webhook.office.com`) are retired and refused where they are declared.
"""

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.channels import markup
from ml_platform.alerts.channels.base import (
    Posted,
    Secrets,
    as_json,
    not_delivered,
    secret,
)
from ml_platform.alerts.channels.channel import ClosedError, Receipt
from ml_platform.alerts.channels.text import clipped, line, token
from ml_platform.alerts.channels.wire import Line
from ml_platform.alerts.message import Message

LARGEST_BODY = 27_000
"""In bytes: Teams refuses about 28 KB."""

_STYLES = {"info": "accent", "warning": "warning", "resolved": "good"}
_ACTIONS, _COUNTS, _TITLE = 4, 20, 200
_SHORTEST_URL = 160
_RETIRED = (
    "the connectors of *.webhook.office.com are retired; in Teams, open the channel's Workflows, "
    "choose 'Post to a channel when a webhook request is received', and take its address"
)
_WORDS_OF_FAILURE = ("delivery failed", "http error")


class TeamsChannel(Posted):
    """A channel of Microsoft Teams."""

    largest = LARGEST_BODY

    type: Literal["teams"] = Field("teams", description="Microsoft Teams, by a workflow.")
    url: str = secret("The address of the workflow's webhook, as ${NAME}.", default=...)

    @field_validator("url")
    @classmethod
    def _is_a_workflow(cls, url: str) -> str:
        if is_retired(url):
            raise ValueError(_RETIRED)
        if "sig=" in url:
            raise ValueError("it is a secret; write ${NAME} and set that variable")
        return url

    def _worded(self, message: Message, allowance: int) -> dict[str, Any]:
        return payload(message, self, allowance)

    def _send(self, message: Message, key: str, thread: str) -> Receipt:
        secrets = Secrets(self.subject)
        url = secrets(self.url)
        if is_retired(url):
            raise ClosedError(self.subject, _RETIRED, fix="set its variable to the new address")
        wire = Line(self.subject, url, self.timeout_s, secrets.values)
        headers = {"content-type": "application/json", "idempotency-key": token(key)}
        answer = wire.post(as_json(self._payload(message)), headers)
        if not answer.is_good:
            raise wire.failure(answer)
        words = answer.text.lower()
        if answer.fields.get("error") or any(one in words for one in _WORDS_OF_FAILURE):
            given = f"it answered {answer.status}: {clipped(wire.hidden(line(answer.text)), 200)}"
            raise not_delivered(self.subject, given, retry_after_s=answer.retry_after_s)
        return Receipt(id=answer.headers.get("x-ms-workflow-run-id", ""), thread=thread)


def is_retired(url: str) -> bool:
    """Whether it is the address of an Office 365 connector."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = (parts.hostname or "").rstrip(".")
    old = host == "outlook.office.com" and parts.path.startswith("/webhook")
    return old or host == "webhook.office.com" or host.endswith(".webhook.office.com")


def payload(message: Message, channel: TeamsChannel, allowance: int) -> dict[str, Any]:
    """The message with each of its texts no longer than `allowance` characters."""
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "fallbackText": clipped(said.headline(message), _TITLE),
        "body": [_head(message), *_middle(message, channel, allowance), _foot(message)],
        "actions": [
            {"type": "Action.OpenUrl", "title": one.label, "url": one.url}
            for one in said.links(message)[:_ACTIONS]
        ],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _head(message: Message) -> dict[str, Any]:
    kind = said.kind(message)
    over = " · ".join(filter(None, (kind.upper(), clipped(said.place(message), _TITLE))))
    over += " · TEST" if message.is_sample else ""
    title = clipped(message.title or message.event_type or "…", _TITLE)
    return {
        "type": "Container",
        "style": _STYLES.get(kind, "attention"),
        "bleed": True,
        "items": [
            _literal(over, size="Small", weight="Bolder"),
            _literal(title, size="Medium", weight="Bolder"),
        ],
    }


def _foot(message: Message) -> dict[str, Any]:
    return _literal(clipped(said.origin(message), _TITLE) or "…", size="Small", isSubtle=True)


def _literal(text: str, **look: Any) -> dict[str, Any]:
    """The text as it is: within a run nothing is Markdown."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **look}]}


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True}


def _escaped(text: str) -> str:
    """The text so that Markdown makes neither a link nor emphasis of it."""
    for sign in "\\*[]`~":
        text = text.replace(sign, f"\\{sign}")
    return text


def _linked(text: str, url: str, allowance: int) -> str:
    shown = _escaped(clipped(text, allowance))
    return f"[{shown}]({url})" if url and len(url) <= max(allowance, _SHORTEST_URL) else shown


def _middle(message: Message, channel: TeamsChannel, allowance: int) -> list[dict[str, Any]]:
    if message.body:
        return [_block(one) for one in markup.blocks(clipped(message.body, allowance))]
    known = said.facts(message, channel.zone)
    facts = [{"title": f.label, "value": _linked(f.value, f.url, allowance)} for f in known]
    summary, failure = (
        clipped(one, allowance) for one in (message.summary, message.failure_message)
    )
    return [
        *([_literal(summary)] if summary else []),
        *(_digest(message, allowance) if message.items else []),
        *([{"type": "FactSet", "facts": facts}] if facts else []),
        *([_literal(failure, fontType="Monospace", size="Small")] if failure else []),
    ]


def _block(block: markup.Block) -> dict[str, Any]:
    if block.kind == "code":
        return _literal(block.code or " ", fontType="Monospace", size="Small")
    text = "".join(_span(one) for one in block.spans)
    if block.kind == "heading":
        return {**_markdown(text), "weight": "Bolder", "size": "Medium"}
    return _markdown(f"- {text}" if block.kind == "bullet" else text)


def _span(span: markup.Span) -> str:
    shown = _escaped(span.text)
    shapes = {"bold": f"**{shown}**", "link": f"[{shown}]({span.url})"}
    return shapes.get(span.kind, shown)


def _digest(message: Message, allowance: int) -> list[dict[str, Any]]:
    found = said.digest(message)
    facts = [
        {"title": f"{n:,} {word}", "value": _escaped(clipped(rule, allowance)) or "-"}
        for word, rule, n in found.counts[:_COUNTS]
    ]
    titles = [
        f"- {one.severity}: {_linked(one.text, one.url, min(allowance, 300))}"
        for one in found.newest
    ]
    more = [_literal(f"and {found.more:,} more", isSubtle=True)] if found.more else []
    return [{"type": "FactSet", "facts": facts}, _markdown("\n".join(titles)), *more]
