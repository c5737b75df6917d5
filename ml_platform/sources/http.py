"""A JSON API of another system as a table: pages asked for in turn, with patience where it helps.

What may pass (no connection, a hang, 429, 5xx) is tried again with exponential back-off and full
jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), waiting as long
as a Retry-After asks; what a person has to change is told at once. No message holds the value of an
environment variable.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from ml_platform.kernel.environment import hide, resolve, variables_in
from ml_platform.kernel.errors import DataError, DeclarationError, closest
from ml_platform.sources.http_client import Answer, Client, Patience, beginning
from ml_platform.sources.records import shown, table_of
from ml_platform.sources.shape import Shape
from ml_platform.sources.window import Window, filled, is_windowed, unused

if TYPE_CHECKING:
    import pyarrow as pa

Pagination = Literal["none", "page", "cursor", "link"]

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class HttpSource:
    """An API that answers with JSON.

    Texts may hold `${NAME}` of the environment and, except in headers, `{start}`, `{end}` or
    `{last_day}` of a partition's window.

    Attributes:
        base_url: where the API is, such as `https://api.example.org`.
        path: what is asked for there, such as `/v1/conditions`.
        params: the query's parameters.
        headers: what to send besides, such as `Authorization: Bearer ${TOKEN}`.
        records: the field that holds the list of records, as in `data.items`; empty when the
            answer is the list itself.
        pagination: `none`; `page`: numbers in `page_param` from `first_page` on until a page is
            empty; `cursor`: what `cursor_field` says goes into `cursor_param` until it is null or
            missing; `link`: the address of rel="next" in the Link header (RFC 8288).
        page_param: the parameter of the page's number.
        first_page: the number of the first page.
        cursor_field: the field that holds the next page's cursor, as in `meta.next`.
        cursor_param: the parameter of the cursor.
        most_pages: how many pages are believed before the API is taken to have no end.
        patience: how long to wait and how often to try.
        shape: the columns to take, their new names and their types.

    Raises:
        DeclarationError: the URL is none of HTTP, or the pagination is unknown or incomplete.
    """

    base_url: str
    path: str = ""
    params: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    records: str = ""
    pagination: Pagination = "none"
    page_param: str = "page"
    first_page: int = 1
    cursor_field: str = ""
    cursor_param: str = "cursor"
    most_pages: int = 10_000
    patience: Patience = field(default_factory=Patience)
    shape: Shape = field(default_factory=Shape)

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://", "${")):
            raise DeclarationError(
                self.subject, "the base URL is not one of HTTP", allowed="http://... or https://..."
            )
        if self.pagination not in get_args(Pagination):
            raise DeclarationError(
                self.subject,
                f"pagination '{self.pagination}' is unknown",
                allowed=closest(self.pagination, list(get_args(Pagination))),
            )
        if self.pagination == "cursor" and not self.cursor_field:
            raise DeclarationError(
                self.subject,
                "pagination by cursor needs to know where the cursor is",
                fix="declare cursor_field, such as meta.next",
            )

    @property
    def subject(self) -> str:
        """The source, as messages call it."""
        return f"API {self.base_url.rstrip('/')}{self.path}"


def read_api(
    source: HttpSource,
    window: Window | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    progress: Callable[[int], None] = lambda _rows: None,
    sleep: Callable[[float], None] = time.sleep,
) -> "pa.Table":
    """All records of the API, from all its pages.

    Args:
        source: what to ask for.
        window: the span of time, for `{start}` and `{end}`.
        environ: where `${NAME}` is looked up.
        progress: is told the number of records so far, after each page.
        sleep: waits so many seconds between two attempts.

    Raises:
        DeclarationError: the window and the placeholders do not fit.
        SettingsError: a variable is missing, or the API refuses the login.
        NotFoundError: the API knows no such path.
        DataError: another refusal, or an answer that is not as declared.
        UnavailableError: no good answer after all attempts.
    """
    texts = [source.path, source.base_url, *source.params.values()]
    if window and not any(map(is_windowed, texts)):
        raise unused(source.subject)

    def text_of(text: str) -> str:
        return resolve(filled(text, window, source.subject), source.subject, environ)

    headers = {
        name: resolve(text, source.subject, environ) for name, text in source.headers.items()
    }
    secrets = _secrets(source, headers, environ)
    url = text_of(source.base_url).rstrip("/") + text_of(source.path)
    params = {name: text_of(text) for name, text in source.params.items()}
    records: list[Any] = []
    with Client(source.subject, headers, secrets, source.patience, sleep) as client:
        for found in _pages(source, client, url, params):
            records += found
            progress(len(records))
    return table_of(records, source.shape, source.subject, lambda index: f"record {index + 1}")


def _secrets(
    source: HttpSource, headers: Mapping[str, str], environ: Mapping[str, str]
) -> list[str]:
    """Every value that came from the environment, also as a part of a header."""
    texts = [source.base_url, source.path, *source.params.values(), *source.headers.values()]
    named = [name for text in texts for name in variables_in(text)]
    return [environ[name] for name in named if name in environ] + [
        value for name, value in headers.items() if variables_in(source.headers[name])
    ]


def _pages(
    source: HttpSource, client: Client, url: str, params: Mapping[str, str]
) -> Iterator[list[Any]]:
    """The records of page after page, until the API says that there is no more."""
    place: _Place | None = _Place(url, dict(params))
    if source.pagination == "page":
        place = _Place(url, {**params, source.page_param: str(source.first_page)})
    asked: set[str] = set()
    last: list[Any] = []
    while place:
        _refuse_endless(source, place, asked)
        answer = client.get(place.url, place.params)
        body = _json(source, client, answer) if answer.body else None
        found = _records(source, client, body) if answer.body else []
        if source.pagination == "page" and found and found == last:
            raise _endless(source, f"page {len(asked)} is the same as the one before")
        yield found
        last, place = found, _next(source, client, place, answer, body, found)


@dataclass(frozen=True)
class _Place:
    """Where a page is; the parameters are None when the URL holds them already."""

    url: str
    params: dict[str, str] | None

    def __str__(self) -> str:
        return f"{self.url} {json.dumps(self.params, sort_keys=True)}"


def _refuse_endless(source: HttpSource, place: _Place, asked: set[str]) -> None:
    if str(place) in asked:
        raise _endless(source, f"after {len(asked)} pages it leads to one that was read already")
    if len(asked) >= source.most_pages:
        raise _endless(source, f"there are more than {source.most_pages} pages")
    asked.add(str(place))


def _endless(source: HttpSource, given: str) -> DataError:
    return DataError(
        source.subject,
        f"the pagination by {source.pagination} has no end: {given}",
        fix="compare pagination and its fields with the API's documentation, or raise most_pages",
    )


def _next(
    source: HttpSource, client: Client, place: _Place, answer: Answer, body: Any, found: list[Any]
) -> _Place | None:
    """Where the next page is, or None after the last."""
    if source.pagination == "page" and found and place.params is not None:
        number = int(place.params[source.page_param]) + 1
        return _Place(place.url, {**place.params, source.page_param: str(number)})
    if source.pagination == "cursor" and (cursor := _cursor(source, client, body)):
        return _Place(place.url, {**(place.params or {}), source.cursor_param: cursor})
    if source.pagination == "link" and answer.next_url:
        return _Place(client.same_host(answer.next_url, place.url), None)
    return None


def _cursor(source: HttpSource, client: Client, body: Any) -> str | None:
    cursor = body
    for name in source.cursor_field.split("."):
        cursor = cursor.get(name) if isinstance(cursor, dict) else None
    if cursor is None:
        return None
    if isinstance(cursor, bool | dict | list):
        raise DataError(
            source.subject,
            f"the cursor at '{source.cursor_field}' is {hide(shown(cursor), client.secrets)}",
            allowed="a text, a number, or null after the last page",
            fix="correct cursor_field",
        )
    return str(cursor)


def _json(source: HttpSource, client: Client, answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError as error:
        said = hide(beginning(answer.body), client.secrets)
        raise DataError(
            source.subject,
            f"the answer is no JSON ({answer.content_type or 'of no stated kind'}): {said}",
            fix="correct the path, or ask for JSON with a header Accept: application/json",
        ) from error


def _records(source: HttpSource, client: Client, body: Any) -> list[Any]:
    """The list at `records`, which is walked field by field."""
    for name in filter(None, source.records.split(".")):
        if not isinstance(body, dict) or name not in body:
            there = closest(name, list(body)) if isinstance(body, dict) else ""
            raise DataError(
                source.subject,
                f"the answer has no field '{name}' for records: {source.records}",
                allowed=there or f"it is {hide(shown(body), client.secrets)}",
                fix="correct records; dots lead into an object, as in data.items",
            )
        body = body[name]
    if isinstance(body, list):
        return body
    lists = (
        [name for name in body if isinstance(body[name], list)] if isinstance(body, dict) else []
    )
    raise DataError(
        source.subject,
        f"records: '{source.records}' leads to {hide(shown(body), client.secrets)}",
        allowed=f"a list of objects{f', such as {lists[0]}' if lists else ''}",
        fix="correct records; dots lead into an object, as in data.items",
    )
