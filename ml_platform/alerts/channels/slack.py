"""Slack: Block Kit over an incoming webhook, or with a bot's token, which can keep threads.

Limits: docs.slack.dev, "Block Kit reference", and 12,000 characters for the whole message, as
larger ones are refused (`msg_blocks_too_long`) though no page says so.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.channels import markup
from ml_platform.alerts.channels.base import (
    Posted,
    Secrets,
    as_json,
    not_delivered,
    secret,
)
from ml_platform.alerts.channels.channel import ClosedError, Receipt, RefusedError
from ml_platform.alerts.channels.text import clipped, line, token, utf16
from ml_platform.alerts.channels.wire import Answer, Line
from ml_platform.alerts.message import Message
from ml_platform.kernel.errors import PlatformError

LARGEST_MESSAGE = 12_000
_HEADER, _SECTION, _FIELD, _FIELDS, _BUTTON, _COUNTS = 150, 3000, 2000, 10, 75, 20
_SHORTEST_URL = 160

_CLOSING = frozenset({
    "access_denied", "account_inactive", "action_prohibited", "channel_is_archived",
    "channel_not_found", "ekm_access_denied", "enterprise_is_restricted", "invalid_auth",
    "invalid_token", "is_archived", "missing_scope", "no_active_hooks", "no_permission",
    "no_service", "no_service_id", "no_team", "not_allowed_token_type", "not_authed",
    "not_in_channel", "org_login_required", "restricted_action", "team_disabled",
    "token_expired", "token_revoked", "two_factor_setup_required", "user_not_found",
})  # fmt: skip
_PASSING = frozenset({
    "accesslimited", "fatal_error", "internal_error", "rate_limited", "ratelimited",
    "request_timeout", "rollup_error", "service_unavailable", "team_added_to_org",
    "message_limit_exceeded",
})  # fmt: skip


class SlackChannel(Posted):
    """A channel of a Slack workspace."""

    largest = LARGEST_MESSAGE

    type: Literal["slack"] = Field("slack", description="Slack, by webhook or by a bot's token.")
    webhook_url: str = secret(
        "The address of an incoming webhook, as ${NAME}; it knows no threads."
    )
    token: str = secret("A bot's token (xoxb-...), as ${NAME}.", must_be_named=True)
    channel: str = Field("", description="With a token: the channel's id, such as C0123456.")
    api_url: str = Field("https://slack.com/api", description="With a token: where Slack's API is.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.webhook_url) == bool(self.token):
            raise ValueError("either webhook_url or token and channel are needed, not both")
        if self.token and not self.channel:
            raise ValueError("channel: a token needs the id of a channel")
        if "hooks.slack.com/services/" in self.webhook_url:
            raise ValueError("webhook_url: it is a secret; write ${NAME} and set that variable")
        return self

    def _worded(self, message: Message, allowance: int) -> dict[str, Any]:
        return payload(message, self, allowance)

    def _size(self, payload: dict[str, Any]) -> int:
        return utf16(as_json(payload).decode())

    def _send(self, message: Message, key: str, thread: str) -> Receipt:
        secrets = Secrets(self.subject)
        made = self._payload(message)
        headers = {"content-type": "application/json; charset=utf-8", "idempotency-key": token(key)}
        if self.token:
            url = f"{secrets(self.api_url).rstrip('/')}/chat.postMessage"
            headers["authorization"] = f"Bearer {secrets(self.token)}"
            made |= {"channel": secrets(self.channel), "unfurl_links": False}
            made |= {"thread_ts": thread} if thread else {}
        else:
            url = secrets(self.webhook_url)
        wire = Line(self.subject, url, self.timeout_s, secrets.values)
        answer = wire.post(as_json(made), headers)
        return self._receipt(answer, wire, thread)

    def _receipt(self, answer: Answer, wire: Line, thread: str) -> Receipt:
        found = answer.fields
        code = "" if found.get("ok") is True else str(found.get("error", "") or line(answer.text))
        if answer.is_good and (not code or (not self.token and code == "ok")):
            at = str(found.get("ts", ""))
            warned = found.get("warning", "")
            remark = f"Slack warns: {warned}" if warned else ""
            return Receipt(id=at, thread=thread or at, remark=remark)
        raise self._failure(answer, wire, code)

    def _failure(self, answer: Answer, wire: Line, code: str) -> PlatformError:
        given = f"Slack says {clipped(wire.hidden(code), 200) or 'nothing'} ({answer.status})"
        if code in _CLOSING:
            fix = "look at the token, its scopes, and whether the app is in the channel"
            return ClosedError(self.subject, given, fix=fix)
        if code in _PASSING:
            return not_delivered(self.subject, given, retry_after_s=answer.retry_after_s)
        if not answer.is_good:
            return wire.failure(answer, said=code)
        if answer.fields.get("ok") is False:
            return RefusedError(self.subject, given, fix="look at what it says of the message")
        # No answer of Slack's own: a proxy or a login page stands in between.
        return not_delivered(self.subject, given, fix="look at what answers in place of Slack")


def escaped(text: str) -> str:
    """The text so that Slack shows it as it is: no link, no mention of everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_BEGUN = re.compile(r"<[^>]*$|&[a-z]{0,3}$")
"""A link or an entity whose end is not there."""


def _clipped(text: str, limit: int) -> str:
    """The text clipped so that it is within the limit once it is escaped, and escaped."""
    return escaped(clipped(text, limit, lambda part: utf16(escaped(part))))


def payload(message: Message, channel: SlackChannel, allowance: int) -> dict[str, Any]:
    """The message with each of its texts no longer than `allowance` characters."""
    blocks = [
        _header(message),
        *_middle(message, channel, allowance),
        *_buttons(message),
        {"type": "context", "elements": [_mrkdwn(_clipped(said.origin(message), 500))]},
    ]
    colour = said.COLOURS[said.kind(message)]
    text = _clipped(said.headline(message), 300)
    return {"text": text, "attachments": [{"color": colour, "blocks": blocks, "fallback": text}]}


def _header(message: Message) -> dict[str, Any]:
    shown = clipped(message.title or message.event_type or "…", _HEADER)
    return {"type": "header", "text": {"type": "plain_text", "text": shown, "emoji": False}}


def _middle(message: Message, channel: SlackChannel, allowance: int) -> list[dict[str, Any]]:
    if message.body:
        return _sections(markup.slack(clipped(message.body, allowance), escaped))
    summary = _clipped(message.summary, allowance)
    return [
        *_sections(summary),
        *(_digest(message, allowance) if message.items else []),
        *_facts(said.facts(message, channel.zone), allowance),
        *_failure_text(message, allowance),
    ]


def _sections(text: str) -> list[dict[str, Any]]:
    """The text in as many sections as its length asks for, cut where a line or a word ends."""
    found = []
    while text.strip():
        part = clipped(text, _SECTION, end="")
        if len(part) < len(text):
            part = part[: _cut(part)]
        found.append({"type": "section", "text": _mrkdwn(part)})
        text = text[len(part) :]
    return found


def _cut(part: str) -> int:
    """Where a section may end: not within a link, nor within the three or four signs of a `<`."""
    begun = _BEGUN.search(part)
    whole = begun.start() if begun else len(part)
    cut = max(part.rfind("\n", 0, whole), part.rfind(" ", 0, whole))
    if part.rfind("<", 0, cut) > part.rfind(">", 0, cut):
        cut = part.rfind("<", 0, cut)
    return cut if cut > 0 else whole or len(part)


def _mrkdwn(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text or "…"}


def _linked(text: str, url: str, allowance: int) -> str:
    shown = _clipped(text, allowance)
    return f"<{url}|{shown}>" if url and len(url) <= max(allowance, _SHORTEST_URL) else shown


def _facts(known: Sequence[said.Fact], allowance: int) -> list[dict[str, Any]]:
    limit = min(allowance, _FIELD // 2)
    shown = [_mrkdwn(f"*{one.label}*\n{_linked(one.value, one.url, limit)}") for one in known]
    return [
        {"type": "section", "fields": shown[begin : begin + _FIELDS]}
        for begin in range(0, len(shown), _FIELDS)
    ]


def _failure_text(message: Message, allowance: int) -> list[dict[str, Any]]:
    if not message.failure_message:
        return []
    # Three backticks within would end the block.
    shown = _clipped(message.failure_message.replace("```", "'''"), min(allowance, _SECTION - 10))
    return [{"type": "section", "text": _mrkdwn(f"```\n{shown}\n```")}]


def _digest(message: Message, allowance: int) -> list[dict[str, Any]]:
    found = said.digest(message)
    counts = [
        f"*{n:,}* {word}{f' · {_clipped(rule, allowance)}' if rule else ''}"
        for word, rule, n in found.counts[:_COUNTS]
    ]
    titles = [
        f"• {one.severity}: {_linked(one.text, one.url, min(allowance, 300))}"
        for one in found.newest
    ]
    more = [f"and {found.more:,} more"] if found.more else []
    return [*_packed(counts), *_packed([*titles, *more])]


def _packed(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Whole lines in as few sections as hold them, so that no link is cut in two."""
    parts: list[str] = []
    for one in lines:
        if parts and utf16(parts[-1]) + utf16(one) < _SECTION:
            parts[-1] += f"\n{one}"
        else:
            parts.append(one)
    return [{"type": "section", "text": _mrkdwn(part)} for part in parts]


def _buttons(message: Message) -> list[dict[str, Any]]:
    buttons: list[dict[str, Any]] = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": clipped(one.label, _BUTTON)},
            "url": one.url,
            "action_id": f"link-{n}",
        }
        for n, one in enumerate(said.links(message))
    ]
    return [{"type": "actions", "elements": buttons}] if buttons else []
