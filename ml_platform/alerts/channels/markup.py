"""The little Markdown of a rule's own text, read once and written as each channel needs it.

Headings, bullets, fenced code and paragraphs; in a line bold, `code`, links and bare addresses.
What is none of these is text. Nothing in it can become markup of the channel.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ml_platform.alerts.channels.text import clipped, shown_url

_LABEL = 300
"""No link is longer than what a channel may have to cut."""

_INLINE = re.compile(
    r"`(?P<code>[^`\n]+)`|\*\*(?P<bold>[^*\n]+)\*\*"
    r"|\[(?P<label>[^\]\n]+)\]\((?P<target>[^)\s]+)\)|(?P<bare>https?://[^\s<>()\[\]]*[^\s<>()\[\].,;:!?'\"])"
)


@dataclass(frozen=True)
class Span:
    """A piece of a line; `url` for a link."""

    kind: Literal["text", "bold", "code", "link"]
    text: str
    url: str = ""


@dataclass(frozen=True)
class Block:
    """A heading, a bullet, a paragraph (its spans) or fenced code (its text as it is)."""

    kind: Literal["heading", "bullet", "paragraph", "code"]
    spans: tuple[Span, ...] = ()
    code: str = ""


def blocks(text: str) -> list[Block]:
    """The blocks of a text; a fence that nobody closed lasts until the end."""
    found: list[Block] = []
    paragraph: list[str] = []
    fenced: list[str] | None = None
    for line in [*text.split("\n"), ""]:
        if line.strip().startswith("```"):
            _end(paragraph, found)
            if fenced is not None:
                found.append(Block("code", code="\n".join(fenced)))
            fenced = None if fenced is not None else []
        elif fenced is not None:
            fenced.append(line)
        else:
            _take(line.strip(), paragraph, found)
    if fenced:
        found.append(Block("code", code="\n".join(fenced[:-1])))
    return found


def _take(line: str, paragraph: list[str], found: list[Block]) -> None:
    """A line outside of fences."""
    marked = re.match(r"(#{1,6}|[-*+])\s+(.*)", line)
    if marked:
        _end(paragraph, found)
        kind: Literal["heading", "bullet"] = "heading" if marked[1][0] == "#" else "bullet"
        found.append(Block(kind, spans(marked[2])))
    elif line:
        paragraph.append(line)
    else:
        _end(paragraph, found)


def _end(paragraph: list[str], found: list[Block]) -> None:
    if paragraph:
        found.append(Block("paragraph", spans("\n".join(paragraph))))
        paragraph.clear()


def spans(line: str) -> tuple[Span, ...]:
    """The pieces of a line."""
    found, end = [], 0
    for match in _INLINE.finditer(line):
        found.append(Span("text", line[end : match.start()]))
        found.append(_span(match))
        end = match.end()
    found.append(Span("text", line[end:]))
    return tuple(one for one in found if one.text)


def _span(match: re.Match[str]) -> Span:
    if match["code"]:
        return Span("code", match["code"])
    if match["bold"]:
        return Span("bold", match["bold"])
    url = shown_url(match["target"] or match["bare"])
    return Span("link", match["label"] or match["bare"], url) if url else Span("text", match[0])


def slack(text: str, escape: Callable[[str], str]) -> str:
    """The text as Slack's mrkdwn, which has bold and links of its own kind."""
    return "\n".join(_slack_block(one, escape) for one in blocks(text))


def _slack_block(block: Block, escape: Callable[[str], str]) -> str:
    if block.kind == "code":
        return f"```\n{escape(block.code.replace('```', ''))}\n```"
    said = "".join(_slack_span(one, escape) for one in block.spans)
    return {"heading": f"*{said.replace('*', '')}*", "bullet": f"• {said}"}.get(block.kind, said)


def _slack_span(span: Span, escape: Callable[[str], str]) -> str:
    said = escape(clipped(span.text, _LABEL) if span.kind == "link" else span.text)
    shapes = {"bold": f"*{said}*", "code": f"`{said}`", "link": f"<{span.url}|{said}>"}
    return shapes.get(span.kind, said)


def plain(parts: Sequence[Block]) -> str:
    """The blocks as text alone, each link followed by its address."""
    return "\n".join(_plain_block(one) for one in parts)


def _plain_block(block: Block) -> str:
    if block.kind == "code":
        return "\n".join(f"    {one}" for one in block.code.split("\n"))
    said = "".join(_plain_span(one) for one in block.spans)
    return {"heading": f"\n{said}", "bullet": f"- {said}"}.get(block.kind, f"\n{said}")


def _plain_span(span: Span) -> str:
    return f"{span.text} ({span.url})" if span.url and span.url != span.text else span.text
