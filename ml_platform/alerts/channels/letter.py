"""A message as a letter: a page for mail readers and browsers, and the same as plain text."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.channels.markup import blocks, plain
from ml_platform.alerts.channels.text import clipped
from ml_platform.alerts.message import Message

if TYPE_CHECKING:
    from jinja2 import Template

LONGEST_TEXT = 20_000
"""How much of a text a letter holds, in characters; the rest is behind its links."""

_COMPARED = ("Observed", "Expected")


def html(message: Message, zone: ZoneInfo, remark: str = "") -> str:
    """The page: one column of at most 600 pixels, light or dark as the reader has it.

    Args:
        message: what to tell, cleaned.
        zone: the readers' time zone.
        remark: a sentence at the end, such as why an attachment is missing.
    """
    known = [] if message.body else said.facts(message, zone)
    return _page().render(
        message=message,
        colours=said.COLOURS,
        kind=said.kind(message),
        place=said.place(message),
        headline=said.headline(message),
        summary="" if message.body else clipped(message.summary, LONGEST_TEXT),
        body=blocks(clipped(message.body, LONGEST_TEXT)),
        compared=[one for one in known if one.label in _COMPARED],
        facts=[one for one in known if one.label not in _COMPARED],
        failure="" if message.body else clipped(message.failure_message, LONGEST_TEXT),
        digest=said.digest(message) if message.items and not message.body else None,
        links=said.links(message),
        origin=said.origin(message),
        remark=remark,
    )


def text(message: Message, zone: ZoneInfo, remark: str = "", longest: int = LONGEST_TEXT) -> str:
    """The same facts as plain text.

    Args:
        message: what to tell, cleaned.
        zone: the readers' time zone.
        remark: a sentence at the end.
        longest: how much of each of its long texts is told, in characters.
    """
    middle = _own_text(message, longest) if message.body else _known(message, zone, longest)
    links = "\n".join(f"{one.label}: {one.url}" for one in said.links(message))
    parts = (said.headline(message), *middle, links, remark, said.origin(message))
    return "\n\n".join(filter(None, parts)) + "\n"


def _own_text(message: Message, longest: int) -> list[str]:
    return [plain(blocks(clipped(message.body, longest))).strip("\n")]


def _known(message: Message, zone: ZoneInfo, longest: int) -> list[str]:
    known = said.facts(message, zone)
    width = max((len(one.label) for one in known), default=0) + 2
    facts = "\n".join(f"{one.label + ':':<{width}}{clipped(one.value, longest)}" for one in known)
    return [
        clipped(message.summary, longest),
        _digest(message) if message.items else "",
        facts,
        clipped(message.failure_message, longest),
    ]


def _digest(message: Message) -> str:
    found = said.digest(message)
    counts = [f"{n:>5}  {word}  {rule}".rstrip() for word, rule, n in found.counts]
    titles = [f"- [{one.severity}] {one.text}\n  {one.url}".rstrip() for one in found.newest]
    more = [f"and {found.more} more"] if found.more else []
    return "\n".join([*counts, "", *titles, *more])


@cache
def _page() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("letter.html")
