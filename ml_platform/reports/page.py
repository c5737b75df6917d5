"""A report as one HTML file that needs nothing else: text, tables and pictures."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ml_platform.storage.shown import shown


@dataclass(frozen=True)
class Section:
    """A part of a report: a heading, a text, a picture (PNG), a table of rows."""

    heading: str
    text: str = ""
    picture: bytes | None = None
    rows: Sequence[dict[str, Any]] = ()
    more_rows: int = 0


@dataclass(frozen=True)
class Origin:
    """Where the numbers of a report come from: its project, run, and tables read."""

    project: str
    run_id: str
    tables: Sequence[str]
    made_at: datetime


def html(title: str, sections: Sequence[Section], origin: Origin) -> str:
    """The page. All that is data is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["shown"] = shown
    environment.filters["is_number"] = lambda value: isinstance(value, int | float)
    environment.filters["data_uri"] = _data_uri
    page = environment.get_template("page.html")
    return page.render(title=title, sections=sections, origin=origin)


def _data_uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()
