"""The page on which a message is acknowledged: a small web application of its own.

Dagster's webserver offers no public way to add a page to it, so this one stands beside it. Opening
a link changes nothing, for mail scanners open them all; only its button acknowledges.
"""

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from ml_platform.alerts.incidents import Incident, State
from ml_platform.alerts.links import incident_of
from ml_platform.alerts.message import Message
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.routing import acknowledge
from ml_platform.kernel.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

LONGEST_NAME = 80
LARGEST_FORM_BYTES = 4096

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem;
  color: #1d2433; background: #fff; }}
h1 {{ font-size: 1.25rem; overflow-wrap: anywhere; }}
p, label {{ overflow-wrap: anywhere; white-space: pre-line; }}
input, button {{ font: inherit; padding: .5rem .75rem; border: 1px solid #8792a8;
  border-radius: .375rem; }}
button {{ background: #1f4fd1; border-color: #1f4fd1; color: #fff; cursor: pointer; }}
</style></head><body><main><h1>{title}</h1>
{content}
</main></body></html>
"""


def app(outbox: Outbox, secret: bytes) -> "Starlette":
    """The application: `/ack/<token>`.

    Args:
        outbox: where incidents are.
        secret: with which links are signed.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.routing import Route

    async def answer(request: "Request") -> "HTMLResponse":
        name = _name_in(await _limited(request)) if request.method == "POST" else ""
        token = request.path_params["token"]
        is_post = request.method == "POST"
        return await run_in_threadpool(_answer, outbox, secret, token, is_post=is_post, name=name)

    return Starlette(routes=[Route("/ack/{token}", answer, methods=["GET", "POST"])])


async def _limited(request: "Request") -> bytes:
    """The form's bytes, no more than a name could take."""
    taken = b""
    async for chunk in request.stream():
        taken += chunk
        if len(taken) > LARGEST_FORM_BYTES:
            break
    return taken[:LARGEST_FORM_BYTES]


def _name_in(form: bytes) -> str:
    given = parse_qs(form.decode("utf-8", "replace")).get("by", [""])[0]
    return " ".join(given.split())[:LONGEST_NAME]


def _answer(
    outbox: Outbox, secret: bytes, token: str, *, is_post: bool, name: str
) -> "HTMLResponse":
    try:
        key = incident_of(token, secret)
        with outbox.book() as book:
            if is_post and name:
                acknowledge(book, key, name)
            incident, last = book.incident_of(key), book.last_of(key)
    except DataError as error:
        return _response("This link does not hold", f"<p>{escape(error.given)}.</p>", 404)
    except NotFoundError as error:
        return _response("No such incident", f"<p>{escape(error.given)}.</p>", 404)
    if incident is None or last is None:
        return _response("No such incident", "<p>It may be forgotten by now.</p>", 404)
    return _response(*_said(incident, last.message), 200)


def _said(incident: Incident, message: Message) -> tuple[str, str]:
    told = f"<p>{escape(message.summary)}</p>"
    if incident.state is State.acknowledged:
        at = f"{incident.acknowledged_at:%Y-%m-%d %H:%M} UTC"
        told += f"<p>{escape(incident.acknowledged_by)} acknowledged this at {at}.</p>"
    elif incident.state is State.resolved:
        told += f"<p>It is over since {incident.resolved_at:%Y-%m-%d %H:%M} UTC.</p>"
    else:
        told += _FORM
    return message.title, told


_FORM = f"""<form method="post">
<label>Your name <input name="by" required maxlength="{LONGEST_NAME}" autocomplete="name"></label>
<button type="submit">Acknowledge</button>
</form>
<p>Who was told hears that you have it, and it is not repeated.</p>"""


def _response(title: str, content: str, status: int) -> "HTMLResponse":
    from starlette.responses import HTMLResponse

    page = _PAGE.format(title=escape(title), content=content)
    return HTMLResponse(page, status, headers=HEADERS)
