"""Small pictures of a table, for metadata in the UI and for reports: lines, bars, bands."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ml_platform.kernel.errors import DataError, closest

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

INK = "#767b86"
"""A grey that is read on white and on the dark ground of a UI or a page; the picture has none."""

COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626", "#0891b2")
"""Told apart by people who see few colours, on light and on dark ground."""


@dataclass(frozen=True)
class Chart:
    """What to draw of a table.

    Attributes:
        kind: `line` for what goes on in time, `bar` for what is compared.
        x: the column along the bottom.
        y: the columns drawn, each in a colour of its own.
        band: two columns between which the space is filled, lower and upper, in the last line's
            colour.
        title: stands above.
        unit: stands at the vertical axis.
    """

    kind: Literal["line", "bar"]
    x: str
    y: tuple[str, ...]
    band: tuple[str, str] | None = None
    title: str = ""
    unit: str = ""


def png(chart: Chart, frame: "pd.DataFrame", size: tuple[float, float] = (8.0, 3.6)) -> bytes:
    """The chart as a PNG, `size` in inches at 120 points each.

    Raises:
        DataError: a column that it names is not in the table.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _refuse_unknown(chart, list(frame.columns))
    # A Figure of its own, not pyplot's: steps of one process may draw at the same time.
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if chart.kind == "line":
        _lines(axes, chart, frame)
    else:
        _bars(axes, chart, frame)
    _dress(axes, chart)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True, metadata={"Software": None})
    return buffer.getvalue()


def markdown_image(picture: bytes, text: str) -> str:
    """A picture within Markdown, as the Dagster UI shows it."""
    return f"![{text}](data:image/png;base64,{base64.b64encode(picture).decode()})"


def _refuse_unknown(chart: Chart, columns: Sequence[str]) -> None:
    for name in (chart.x, *chart.y, *(chart.band or ())):
        if name not in columns:
            raise DataError(
                f"chart '{chart.title}'",
                f"the table has no column '{name}'",
                allowed=closest(name, [str(column) for column in columns]),
            )


def _lines(axes: "Axes", chart: Chart, frame: "pd.DataFrame") -> None:
    if chart.band:
        lower, upper = (frame[name].astype(float) for name in chart.band)
        label, colour = " to ".join(chart.band), COLOURS[len(chart.y) - 1]
        axes.fill_between(
            frame[chart.x], lower, upper, color=colour, alpha=0.3, linewidth=0, label=label
        )
    for name, colour in zip(chart.y, COLOURS, strict=False):
        axes.plot(
            frame[chart.x], frame[name].astype(float), color=colour, label=name, linewidth=1.6
        )


def _bars(axes: "Axes", chart: Chart, frame: "pd.DataFrame") -> None:
    labels = [str(value) for value in frame[chart.x]]
    width = 0.8 / len(chart.y)
    for number, (name, colour) in enumerate(zip(chart.y, COLOURS, strict=False)):
        places = [place - 0.4 + width * (number + 0.5) for place in range(len(labels))]
        axes.bar(places, frame[name].astype(float), width=width, color=colour, label=name)
    every = max(1, len(labels) // 16)
    axes.set_xticks(range(0, len(labels), every), labels[::every])
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xlabel(chart.x, fontsize=11, color=INK)


def _dress(axes: "Axes", chart: Chart) -> None:
    axes.set_title(chart.title, loc="left", fontsize=12, color=INK)
    axes.set_ylabel(chart.unit, fontsize=11, color=INK)
    axes.tick_params(labelsize=11, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(INK)
    axes.grid(axis="y", color=INK, alpha=0.3)
    axes.yaxis.set_major_formatter(lambda value, _: _short(value))
    if len(chart.y) > 1 or chart.band:
        axes.legend(fontsize=11, frameon=False, labelcolor=INK, loc="best")


def _short(value: float) -> str:
    """A number as people say it: 12.5M, 300k.

    >>> _short(12_500_000), _short(300_000), _short(0.25)
    ('12.5M', '300k', '0.25')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
