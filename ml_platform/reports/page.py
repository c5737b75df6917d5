"""A report as one HTML file that needs nothing else: text, tables and pictures."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


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
    environment.filters["cell"] = cell
    environment.filters["is_number"] = lambda value: isinstance(value, int | float)
    environment.filters["data_uri"] = _data_uri
    page = environment.get_template("page.html")
    return page.render(title=title, sections=sections, origin=origin)


def cell(value: object) -> str:
    """A value as a reader wants it: 1,234.57 and 2010-02-05.

    >>> cell(1234.567), cell(0.0389), cell(None), cell(True)
    ('1,234.57', '0.0389', '', 'True')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="minutes").removesuffix(" 00:00")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
    return str(value)


def _data_uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()
