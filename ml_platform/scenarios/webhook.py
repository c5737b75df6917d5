"""The address at which scenarios are called: a small web application of its own.

    POST /scenarios/<project>/<scenario>/<trigger>

A call is signed as Standard Webhooks says (headers webhook-id, webhook-timestamp and
webhook-signature; HMAC-SHA256 over the three of id, time and body), no more than five minutes ago.
Its body is a JSON object, the run's parameters, or empty. It is answered once it is on the disk:
202 for a new call, 200 for one that is known already, so that a caller may repeat it.
"""

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.clock import Clock, system_clock
from ml_platform.kernel.environment import resolve
from ml_platform.kernel.errors import (
    ConflictError,
    DataError,
    RetryableError,
    SettingsError,
)
from ml_platform.scenarios.calls import Calls, Hook
from ml_platform.scenarios.pages import route
from ml_platform.scenarios.recorder import recorder_here
from ml_platform.scenarios.watch.plain import MOST_CHARACTERS, checked_params

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

DEFAULT_PORT = 3002
LONGEST_ID = 256
SHORTEST_KEY = 24
"""As Standard Webhooks says."""

_log = logging.getLogger(__name__)

Answer = tuple[int, str]


def app(calls: Calls, clock: Clock = system_clock, more: "Sequence[Route]" = ()) -> "Starlette":
    """The application.

    Args:
        calls: where calls are kept, and which triggers take them.
        clock: for the time at which a call came.
        more: what is served beside.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.routing import Route

    async def take(request: "Request") -> "JSONResponse":
        body = await _limited(request)
        if body is None:
            return _response((413, f"a body has up to {MOST_CHARACTERS:,} bytes"))
        hook = Hook(**request.path_params)
        now = clock().timestamp()
        return _response(
            await run_in_threadpool(answered, calls, hook, dict(request.headers), body, now)
        )

    path = "/scenarios/{project}/{scenario}/{trigger}"
    return Starlette(routes=[Route(path, take, methods=["POST"]), *more])


def answered(
    calls: Calls, hook: Hook, headers: Mapping[str, str], body: bytes, now: float
) -> Answer:
    """Take a call, or say why not: the status of HTTP, and a sentence."""
    try:
        secret = calls.secret_of(hook, now)
        if secret is None:
            return 404, "no trigger of this name takes calls"
        if not _is_signed(headers, body, resolve(secret, str(hook))):
            return 401, "the signature does not fit, or is not of these minutes"
        call_id = headers["webhook-id"]
        is_new = calls.add(hook, call_id, _params(body, hook), now)
    except DataError as error:
        return 400, f"{error.given}; allowed: {error.allowed}"
    except ConflictError as error:
        return 409, error.given
    except (SettingsError, RetryableError) as error:
        _log.warning("%s", error)
        return 503, "calls cannot be taken now; try again"
    return (202, "taken") if is_new else (200, "known already")


def serve(host: str = "127.0.0.1", port: int = DEFAULT_PORT, *, with_pages: bool = False) -> None:
    """Take calls, and show the pages of records where that is asked for, until told to end."""
    import uvicorn

    recorder = recorder_here()
    served = app(Calls(recorder.url), more=[route(recorder)] if with_pages else [])
    uvicorn.run(served, host=host, port=port, log_level="warning", server_header=False)


async def _limited(request: "Request") -> bytes | None:
    """The body; None where it is larger than parameters may be."""
    taken = b""
    async for chunk in request.stream():
        taken += chunk
        if len(taken) > MOST_CHARACTERS:
            return None
    return taken


def _is_signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    if len(headers.get("webhook-id", "")) > LONGEST_ID:
        return False
    verifier = Webhook(_key(secret))
    try:
        verifier.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # not base64, not UTF-8, no such parts
        return False
    return True


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) < SHORTEST_KEY:
        raise SettingsError(
            "key of a webhook", "what its variable holds is none (it is not shown)",
            allowed=f"whsec_ and at least {SHORTEST_KEY} random bytes in base64",
        )  # fmt: skip
    return key


def _params(body: bytes, hook: Hook) -> dict[str, Any]:
    try:
        given = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise DataError(
            str(hook), "the body is no JSON", allowed='an object, as {"n": 1}'
        ) from None
    return checked_params(given, str(hook))


def _response(answer: Answer) -> "JSONResponse":
    from starlette.responses import JSONResponse

    status, said = answer
    return JSONResponse({"detail": said}, status, headers={"Cache-Control": "no-store"})
