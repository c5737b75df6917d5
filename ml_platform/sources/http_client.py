"""One polite HTTP client: what may pass is tried again, what a person has to change is told.

It knows nothing of records or pages.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, quote_plus

from ml_platform.kernel.environment import hide
from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    PlatformError,
    SettingsError,
    UnavailableError,
)

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

_LONGEST_SHOWN = 200
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")
_TOO_MANY = 429


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server and how often to try.

    Attributes:
        timeout_s: how long one answer may take, from the connection to its last byte.
        attempts: how often one page is asked for, the first time included.
        first_wait_s: the longest wait after the first attempt; it doubles with each one.
        longest_wait_s: the longest wait of all; a Retry-After beyond it ends the attempts.

    Raises:
        DeclarationError: a number is not positive.
    """

    timeout_s: float = 30.0
    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("timeout_s", "attempts", "first_wait_s", "longest_wait_s"):
            if getattr(self, name) <= 0:
                raise DeclarationError(
                    name, f"{getattr(self, name)}", allowed="a number greater than 0"
                )


@dataclass(frozen=True)
class Answer:
    """A good answer: its body, the kind that it says it is of, and where the next page is."""

    status: int
    content_type: str
    body: bytes
    next_url: str | None


class Client:
    """Asks one API, with the same headers each time.

    Args:
        subject: the API, as messages call it.
        headers: what to send besides.
        secrets: what no message and no log line may show.
        patience: how long to wait and how often to try.
        sleep: waits so many seconds between two attempts.

    Raises:
        SettingsError: a header cannot be sent.
    """

    def __init__(
        self,
        subject: str,
        headers: Mapping[str, str],
        secrets: Sequence[str],
        patience: Patience,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx

        self._subject, self._patience, self._sleep = subject, patience, sleep
        encoded = [form(one) for one in secrets for form in (quote, quote_plus, _quoted_whole)]
        self.secrets = [*secrets, *encoded]
        self._filter = _Hiding(self.secrets)
        try:
            self._http = httpx.Client(headers=headers, timeout=patience.timeout_s)
        except UnicodeEncodeError:
            raise self._bad_header("a character is not ASCII") from None

    def __enter__(self) -> Self:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._filter)
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._filter)

    def get(self, url: str, params: Mapping[str, str] | None) -> Answer:
        """The answer of one address.

        Raises:
            DeclarationError: the address is wrong, or the server refuses the request.
            SettingsError: the server refuses the login, or a header cannot be sent.
            NotFoundError: the server knows no such path.
            UnavailableError: no good answer after all attempts; it says how often and how long.
        """
        import tenacity

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TransientError),
            stop=self._is_enough,
            wait=self._wait_s,
            sleep=self._sleep,
            retry_error_callback=self._given_up,
        )
        answer: Answer = attempts(self._once, url, params)
        return answer

    def same_host(self, url: str, current: str) -> str:
        """The absolute form of a link on the current page.

        Raises:
            DataError: it leads to another host, which must not get this one's headers.
        """
        import httpx

        here, there = httpx.URL(current), httpx.URL(current).join(url)
        if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
            raise DataError(
                self._subject,
                f"the next page is said to be on {there.scheme}://{there.netloc.decode()}",
                allowed=f"pages on {here.scheme}://{here.netloc.decode()}",
                fix="use the base URL to which the links lead",
            )
        return str(there)

    def _once(self, url: str, params: Mapping[str, str] | None) -> Answer:
        import httpx

        try:
            address = httpx.URL(url).copy_merge_params(params or {})
            with self._http.stream("GET", address) as response:
                body = self._body_of(response)
        except httpx.TimeoutException as error:
            raise _TransientError(
                f"no whole answer within {self._patience.timeout_s:g} s ({type(error).__name__})"
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise DeclarationError(
                self._subject, self._hidden(str(error)), fix="correct the base URL and the path"
            ) from None
        except httpx.LocalProtocolError:
            raise self._bad_header("it holds a line end or another forbidden character") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _TransientError(f"{type(error).__name__}: {self._hidden(str(error))}") from error
        return self._judged(response, body)

    def _body_of(self, response: "httpx.Response") -> bytes:
        """The whole body; a server that sends it drop by drop is not waited for without end."""
        import httpx

        deadline = time.monotonic() + self._patience.timeout_s
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer goes on and on", request=response.request)
        return bytes(body)

    def _judged(self, response: "httpx.Response", body: bytes) -> Answer:
        if response.is_success:
            link = response.links.get("next", {}).get("url")
            kind = response.headers.get("content-type", "")
            return Answer(response.status_code, kind, body, link)
        said = self._hidden(beginning(body))
        words = f"it answered {response.status_code} {response.reason_phrase}: {said}"
        if response.status_code == _TOO_MANY or response.is_server_error:
            raise _TransientError(words, _retry_after_s(response.headers.get("retry-after")))
        raise self._refusal(response, words)

    def _refusal(self, response: "httpx.Response", words: str) -> PlatformError:
        if response.is_redirect:
            place = self._hidden(response.headers.get("location", ""))
            return DeclarationError(
                self._subject,
                f"it answered {response.status_code}: moved to {place}",
                fix="declare the new address; redirects are not followed, as headers may be secret",
            )
        kinds: dict[int, tuple[type[PlatformError], str]] = {
            401: (SettingsError, "correct the login in the headers' environment variables"),
            403: (SettingsError, "ask for the right, or correct the login in the environment"),
            404: (NotFoundError, "correct base_url and path"),
            410: (NotFoundError, "correct base_url and path"),
        }
        kind, fix = kinds.get(
            response.status_code, (DeclarationError, "correct the path, params and headers")
        )
        return kind(self._subject, words, fix=fix)

    def _is_enough(self, state: "RetryCallState") -> bool:
        asked = _failure(state).retry_after_s or 0.0
        return (
            state.attempt_number >= self._patience.attempts or asked > self._patience.longest_wait_s
        )

    def _wait_s(self, state: "RetryCallState") -> float:
        import tenacity

        asked = _failure(state).retry_after_s
        if asked is not None:
            return asked
        jitter = tenacity.wait_random_exponential(
            multiplier=self._patience.first_wait_s, max=self._patience.longest_wait_s
        )
        return jitter(state)

    def _given_up(self, state: "RetryCallState") -> Any:
        failure = _failure(state)
        times = f"{state.attempt_number} attempt{'s' * (state.attempt_number > 1)}"
        took = f"no good answer after {times} in {state.seconds_since_start or 0:.1f} s"
        asked = failure.retry_after_s
        wait = f", and asks to wait {asked:g} s" if asked is not None else ""
        raise UnavailableError(
            self._subject,
            f"{took}; the last time {failure.words}{wait}",
            fix="look whether it runs and can be reached from here; then try again",
        ) from failure

    def _bad_header(self, given: str) -> SettingsError:
        return SettingsError(
            self._subject,
            f"a header cannot be sent: {given}",
            fix="look at the environment variables in the headers for line ends and the like",
        )

    def _hidden(self, text: str) -> str:
        return hide(text, self.secrets)


class _TransientError(Exception):
    """A failure that the next attempt may not meet."""

    def __init__(self, words: str, retry_after_s: float | None = None) -> None:
        super().__init__(words)
        self.words, self.retry_after_s = words, retry_after_s


class _Hiding(logging.Filter):
    """Keeps secrets out of the lines that the HTTP library logs for each request."""

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide(record.getMessage(), self._secrets), ()
        return True


def beginning(body: bytes) -> str:
    """The first characters of an answer, on one line."""
    text = " ".join(body[: 4 * _LONGEST_SHOWN].decode("utf-8", "replace").split())
    return f"{text[:_LONGEST_SHOWN]}..." if len(text) > _LONGEST_SHOWN else text or "nothing"


def _failure(state: "RetryCallState") -> _TransientError:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, _TransientError) else _TransientError("it was not asked")


def _retry_after_s(header: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or a date (RFC 9110)."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(tz=UTC)).total_seconds())


def _quoted_whole(text: str) -> str:
    return quote(text, safe="")
