"""Text as receivers can take it: without control characters, and no longer than they allow.

It knows nothing of messages and channels.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable
from urllib.parse import urlsplit

Measure = Callable[[str], int]
"""How long a text is, as a receiver counts."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_NOT_IN_A_URL = re.compile(r"[\s<>|\"'`\\^{}()\[\]*]")
_LONGEST_URL = 1000
_LONGEST_KEY = 256


def lines(text: str) -> str:
    """The text with its line ends and tabs, without other control characters.

    Halves of surrogate pairs, which file names may hold, become question marks: no encoding takes
    them.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub(" ", text.encode("utf-8", "replace").decode()).strip()


def line(text: str) -> str:
    """The text on one line."""
    return " ".join(lines(text).split())


def utf16(text: str) -> int:
    """How many UTF-16 units it takes: what services written in JavaScript, C# or Java count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf8(text: str) -> int:
    """How many bytes it takes."""
    return len(text.encode())


def clipped(text: str, limit: int, measure: Measure = utf16, end: str = "…") -> str:
    """The text, or its beginning and `end` so that both are no longer than `limit`.

    A measure counts every character at least once, so of a long text only the beginning matters.

    >>> clipped("a long title", 8)
    'a long…'
    """
    return shortened(text[: limit + 1], lambda part: measure(part) <= limit, end)


def shortened(text: str, fits: Callable[[str], bool], end: str = "…") -> str:
    """The text, or as much of its beginning as fits with `end` behind it; of a short text."""
    if fits(text):
        return text
    count = bisect_right(range(len(text)), 0, key=lambda n: not fits(text[:n] + end)) - 1
    return text[:count].rstrip() + end if count >= 0 else ""


def token(key: str) -> str:
    """The key as a header can carry it: as it is, or where it could not be one, its digest.

    >>> token("rule:event"), len(token("규칙:event"))
    ('rule:event', 32)
    """
    if key.isascii() and key.isprintable() and key == key.strip() and 0 < len(key) <= _LONGEST_KEY:
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def shown_url(url: str) -> str:
    """The URL where it can be put behind a link or a button, else nothing.

    A link leads to a web page: what would run in the page (`javascript:`), would end the markup
    around it or is longer than services take is left out.
    """
    if len(url) > _LONGEST_URL or _NOT_IN_A_URL.search(url) or not url.isprintable():
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in {"http", "https"} and parts.hostname else ""
