"""One look at the drift of a table: what was compared, the figures, a report and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml_platform.checks.drift import Figure, Limits, bars, compare, report, worst
from ml_platform.checks.profile import Profile, Values, values_of
from ml_platform.checks.reference import Against, Champion, Place, compared
from ml_platform.checks.result import counted
from ml_platform.execution.picture import Chart, markdown_image, png

_NAMED = 5
"""So many drifted columns are named in the sentence; the report has all."""


@dataclass(frozen=True)
class Drift:
    """What a look has found.

    Attributes:
        summary: a sentence.
        reference: what the table was compared with; empty where there was nothing yet.
        rows: how many rows were looked at.
        figures: all figures of all columns.
        report: all of them as Markdown.
        picture: the column that has drifted most, as Markdown; empty where none has.
    """

    summary: str
    reference: str = ""
    rows: int = 0
    figures: Sequence[Figure] = ()
    report: str = ""
    picture: str = ""

    @property
    def drifted(self) -> list[Figure]:
        """The figures over their limit."""
        return [one for one in self.figures if one.is_drift]

    @property
    def columns(self) -> list[str]:
        """The columns that have drifted."""
        return list(dict.fromkeys(one.column for one in self.drifted))


def look(
    place: Place,
    against: Against,
    limits: Limits,
    made: Sequence[str] = (),
    champion: Champion | None = None,
) -> Drift:
    """Compare a table with its reference.

    Raises:
        NotFoundError: the table, or a partition that is named, has no data.
        DataError: the table has not the columns that are named.
    """
    found = compared(place, against, made, champion)
    if isinstance(found, str):
        return Drift(found[:1].upper() + found[1:] + ".")
    now = values_of(found.rows, place.columns)
    figures = compare(found.before, now, limits)
    said = _said(figures, found.about)
    return Drift(
        said,
        found.about,
        found.rows.num_rows,
        figures,
        report(figures, said),
        _picture(figures, found.before, now),
    )


def _said(figures: Sequence[Figure], about: str) -> str:
    by_column: dict[str, list[str]] = {}
    for one in figures:
        if one.is_drift:
            by_column.setdefault(one.column, []).append(f"{one.name} {one.value:.2f}")
    looked = counted(len({one.column for one in figures}), "column")
    if not by_column:
        return f"No drift in {looked} against {about}."
    named = [f"{name} ({', '.join(told)})" for name, told in by_column.items()]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    verb = "has" if len(named) == 1 else "have"
    listed = ", ".join(named[:_NAMED])
    return f"{len(named)} of {looked} {verb} drifted against {about}: {listed}{more}."


def _picture(
    figures: Sequence[Figure], before: Mapping[str, Profile], now: Mapping[str, Values]
) -> str:
    import pandas as pd

    most = worst(figures)
    if most is None:
        return ""
    labels, first, second = bars(before[most.column], now[most.column])
    frame = pd.DataFrame({most.column: labels, "reference": first, "now": second})
    title = f"{most.column}: share of rows"
    chart = Chart("bar", most.column, ("reference", "now"), title=title)
    return markdown_image(png(chart, frame, size=(7.0, 3.0)), title)
