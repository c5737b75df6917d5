"""The pages of records over HTTP, and the links by which Dagster's UI leads to them.

    GET /scenarios/<project>/<scenario>?at=2026-01-31T09:10

What belongs here: which record is asked for, and the answer; how it looks is `page`'s. Whoever
reaches a page sees which files and values were looked at, so they are served where it is said.
"""

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from ml_platform.kernel.clock import Clock, system_clock
from ml_platform.kernel.errors import DeclarationError, RetryableError, SettingsError
from ml_platform.scenarios.page import html
from ml_platform.scenarios.recorder import Recorder

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

VARIABLE = "ML_PLATFORM_WHY_URL"
"""Where the pages are served; without it Dagster's UI has no links to them."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)


def page_url(project: str, scenario: str, environ: Mapping[str, str] = os.environ) -> str:
    """Where the record of a scenario can be read; empty where no pages are served."""
    base = (environ.get(VARIABLE) or "").rstrip("/")
    return f"{base}/scenarios/{quote(project)}/{quote(scenario)}" if base else ""


def moment_of(text: str) -> datetime:
    """A moment that a person has written, in UTC, which is also meant where it says no zone.

    Raises:
        DeclarationError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: before the year 1 in UTC
        raise DeclarationError(
            f"moment {text}", "this is no moment", allowed="like 2026-01-31T09:10, in UTC"
        ) from None


def route(recorder: Recorder, clock: Clock = system_clock) -> "Route":
    """What answers for the pages of all scenarios."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import HTMLResponse, PlainTextResponse
    from starlette.routing import Route

    async def page(request: "Request") -> "Response":
        path, at = request.path_params, request.query_params.get("at", "")
        status, said = await run_in_threadpool(
            answered, recorder, path["project"], path["scenario"], at, clock()
        )
        found = HTMLResponse if status == _FOUND else PlainTextResponse
        return found(said, status, headers=_HEADERS)

    return Route("/scenarios/{project}/{scenario}", page, methods=["GET"])


_FOUND = 200


def answered(
    recorder: Recorder, project: str, scenario: str, at: str, now: datetime
) -> tuple[int, str]:
    """The page of a scenario, or why there is none: the status of HTTP, and the text."""
    try:
        asked = moment_of(at).timestamp() if at else None
        rows = recorder.rows(project, scenario)
    except DeclarationError as error:
        return 400, str(error)
    except (SettingsError, RetryableError) as error:
        _log.warning("%s", error)
        return 503, "the record cannot be read now; try again"
    if not rows:
        return 404, f"scenario {scenario} of {project}: no look at its triggers is recorded"
    return _FOUND, html(scenario, rows, now, asked, is_served=True)
