"""The record of a scenario as one HTML file that needs nothing else: why it ran, or did not.

What belongs here: rows in, a page out. No Dagster, no database.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ml_platform.scenarios.recorder import Row

MOST_ROWS = 500
"""So many rows of a trigger are shown, the newest."""


@dataclass(frozen=True)
class Shown:
    """A trigger on the page: its rows, the newest first, and that which was asked about."""

    project: str
    name: str
    kind: str
    rows: Sequence[Row]
    older: int
    asked: Row | None
    answer: str


def html(
    scenario: str,
    rows: Sequence[Row],
    made_at: datetime,
    asked: float | None = None,
    *,
    is_served: bool = False,
) -> str:
    """The page. All that is data is escaped.

    Args:
        scenario: its name.
        rows: what is recorded of it, the oldest first.
        made_at: the present moment.
        asked: a moment of which the page says what held then, in seconds since 1970.
        is_served: whether a moment can be asked about on the page itself.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["moment"] = _moment
    names = sorted({(row.project, row.trigger) for row in rows})
    return environment.get_template("page.html").render(
        scenario=scenario,
        made_at=made_at.timestamp(),
        triggers=[_shown(project, name, rows, asked) for project, name in names],
        runs_url=_runs_url,
        asked="" if asked is None else f"{datetime.fromtimestamp(asked, tz=UTC):%Y-%m-%dT%H:%M}",
        is_served=is_served,
    )


def _shown(project: str, name: str, rows: Sequence[Row], asked: float | None) -> Shown:
    own = [row for row in rows if (row.project, row.trigger) == (project, name)]
    newest = own[::-1][:MOST_ROWS]
    row = None if asked is None else next((one for one in own[::-1] if one.first_at <= asked), None)
    answer = ""
    if asked is not None:
        what = f"{row.decision}, for {row.reason}" if row else "nothing was recorded by then"
        answer = f"At {_moment(asked)}: {what}."
    return Shown(project, name, own[-1].kind, newest, len(own) - len(newest), row, answer)


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M:%S}"


def _runs_url(run_key: str) -> str:
    """Where the webserver lists the run that was asked for under a key."""
    webserver = (os.environ.get("ML_PLATFORM_UI_URL") or "http://127.0.0.1:3000").rstrip("/")
    return f"{webserver}/runs?q[0]={quote(f'tag:dagster/run_key={run_key}', safe='')}"
