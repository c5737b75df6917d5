"""One HTTP POST to a receiver, and what its answer means for the message.

No redirect is followed: it would carry the message, and secrets, to a place nobody declared.
"""

import functools
import json
import logging
import os
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from ml_platform.alerts.channels.base import not_delivered
from ml_platform.alerts.channels.channel import ClosedError, RefusedError
from ml_platform.alerts.channels.text import clipped, line
from ml_platform.kernel.environment import hide
from ml_platform.kernel.errors import PlatformError

if TYPE_CHECKING:
    import httpx

_LARGEST_ANSWER = 65_536
_LONGEST_SHOWN = 200
_LONGEST_WAIT_S = 86_400.0
# A path such as /hook is no secret, and hiding it would tear holes into sentences.
_SHORTEST_SECRET, _SHORTEST_SEGMENT = 8, 16
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
    "apprise",
    "urllib3.connectionpool",
)
PASSING = frozenset({408, 425, 429})
"""What passes by itself."""

CLOSING = frozenset({401, 403, 404, 405, 410})
"""What services answer when the address or the token is wrong: every later message meets it too."""


@dataclass(frozen=True)
class Answer:
    """What a receiver said."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_good(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110 calls them so

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body's fields, where it is a JSON object; else none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def retry_after_s(self) -> float | None:
        """How long it asks to wait, if it does."""
        return retry_after_s(self.headers.get("retry-after", ""))


@dataclass(frozen=True)
class Line:
    """A way to one receiver.

    Attributes:
        subject: the channel, as messages call it.
        url: where to; it counts as a secret.
        timeout_s: how long one answer may take, from the connection to its last byte.
        secrets: what else no message and no log line may show.
    """

    subject: str
    url: str = field(repr=False)
    timeout_s: float
    secrets: Sequence[str] = field(default=(), repr=False)

    def post(
        self,
        content: bytes,
        headers: Mapping[str, str],
        *,
        through: "Way | None" = None,
    ) -> Answer:
        """The receiver's answer, whatever its status.

        Args:
            content: the body, sent as it is.
            headers: of the request.
            through: the checked address to connect to, in place of what the name leads to.

        Raises:
            NotDeliveredError: no answer, or none in time.
            ClosedError: the address or a header cannot be one.
        """
        import httpx

        way = through or Way()
        with self.quiet():
            try:
                with way.client(self.timeout_s) as client:
                    request = client.build_request(
                        "POST", self.url, content=content, headers=headers
                    )
                    with client.stream("POST", **way.leads(request, content)) as response:
                        return self.read(response)
            except httpx.TimeoutException as error:
                raise not_delivered(
                    self.subject, f"no whole answer within {self.timeout_s:g} s"
                ) from error
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                raise self.wrong("its address is not one of HTTP") from None
            except (httpx.LocalProtocolError, UnicodeError):
                raise self.wrong("a header holds a line end or letters beyond ASCII") from None
            except (httpx.TransportError, httpx.DecodingError) as error:
                said = self.hidden(str(error)) or "the connection ended"
                raise not_delivered(self.subject, f"{type(error).__name__}: {said}") from None

    def read(self, response: "httpx.Response") -> Answer:
        """The answer; one that comes drop by drop or has no end is not waited for."""
        deadline = time.monotonic() + self.timeout_s
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _LARGEST_ANSWER:
                break
            if time.monotonic() > deadline:
                raise not_delivered(self.subject, f"no whole answer within {self.timeout_s:g} s")
        return Answer(response.status_code, response.headers, bytes(body))

    def wrong(self, given: str) -> ClosedError:
        """The error of what no receiver could be reached by."""
        return ClosedError(self.subject, given, fix="correct the channel's declaration or variable")

    def hidden(self, text: str) -> str:
        """The text without the secrets, also as they look within an address."""
        secrets = [*self.secrets, *_secrets_in(self.url)]
        forms = [form(one) for one in secrets for form in (str, quote, quote_plus)]
        return hide(text, forms)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep secrets out of the lines that the HTTP library logs for each request."""
        hiding = _Hiding(self)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(hiding)
        try:
            yield
        finally:
            for name in _LOGGERS:
                logging.getLogger(name).removeFilter(hiding)

    def failure(
        self,
        answer: Answer,
        *,
        closing: frozenset[int] = CLOSING,
        passing: frozenset[int] = PASSING,
        said: str = "",
    ) -> PlatformError:
        """The error of an answer that is not good.

        Args:
            answer: what was answered.
            closing: the statuses that every later message would meet too.
            passing: those that a later attempt may not meet, besides 5xx.
            said: what the answer says, where a channel can tell better than its first words.
        """
        words = self.hidden(said or line(answer.text)) or "nothing"
        given = f"it answered {answer.status}: {clipped(words, _LONGEST_SHOWN)}"
        if answer.status in passing or answer.status >= 500:  # noqa: PLR2004 - RFC 9110, 15.6
            return not_delivered(self.subject, given, retry_after_s=answer.retry_after_s)
        if 300 <= answer.status < 400:  # noqa: PLR2004 - RFC 9110, 15.4
            return ClosedError(
                self.subject,
                f"it answered {answer.status}: the address has moved",
                fix="declare the new address; redirects are not followed, as the message is for "
                "the declared one alone",
            )
        if answer.status in closing:
            return ClosedError(self.subject, given, fix="correct the address or the token")
        return RefusedError(self.subject, given, fix="look at what it says of the message")


@dataclass(frozen=True)
class Way:
    """Which address to connect to; empty for whatever the name leads to."""

    address: str = ""

    def client(self, timeout_s: float) -> "httpx.Client":
        """What connects: with an address to that alone, without the environment's proxies."""
        import httpx

        trust = _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        if not self.address:
            return httpx.Client(timeout=timeout_s, verify=trust)
        return httpx.Client(
            timeout=timeout_s, trust_env=False, transport=httpx.HTTPTransport(verify=trust)
        )

    def leads(self, request: "httpx.Request", content: bytes) -> dict[str, Any]:
        """What to ask for: the certificate and the Host header stay those of the name."""
        url, extensions = request.url, dict(request.extensions)
        if self.address:
            extensions["sni_hostname"] = url.host
            url = url.copy_with(host=self.address)
        return {
            "url": url,
            "content": content,
            "headers": request.headers,
            "extensions": extensions,
        }


@functools.lru_cache(maxsize=1)
def _trust(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """The authorities of these variables, or those that come with the library.

    They are read once: to read them takes ten times as long as to send a message.
    """
    import httpx

    return httpx.create_ssl_context()


class _Hiding(logging.Filter):
    """Replaces secrets in log lines."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._line.hidden(record.getMessage()), ()
        return True


def _secrets_in(url: str) -> list[str]:
    """The address, its password, its query's values and the longer parts of its path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    segments = [one for one in parts.path.split("/") if len(one) >= _SHORTEST_SEGMENT]
    values = [value for _, value in parse_qsl(parts.query)]
    inside = [parts.path.strip("/"), parts.query, parts.password or "", *values]
    return [url, *segments, *(one for one in inside if len(one) >= _SHORTEST_SECRET)]


def retry_after_s(header: str) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3).

    A wait of more than a day is taken as one day.
    """
    header = header.strip()
    if re.fullmatch(r"[0-9]+", header):
        return min(_LONGEST_WAIT_S, float(header[:12]))
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    wait = (at - datetime.now(tz=UTC)).total_seconds()
    return min(_LONGEST_WAIT_S, max(0.0, wait))
