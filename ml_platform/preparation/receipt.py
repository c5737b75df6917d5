"""The receipt of a preparation: what was found in each column, what was done, and how well.

It is data first (`Receipt`), which is written as JSON beside a table, shown as Markdown in a user
interface, and as a page of its own.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.columns import Column, Columns, Mask
from ml_platform.preparation.filling import Judged
from ml_platform.preparation.fitted import CLIPPED, FILLED, RECODED, REFUSED, Cells
from ml_platform.preparation.gaps import side_by_side, together
from ml_platform.storage.shown import shown

if TYPE_CHECKING:
    from markupsafe import Markup

BINS = 12
PICTURED_ROWS = 10_000
"""Of more rows every n-th is looked at for means and pictures; counts are of all."""

_PATTERNS = 5
_COUNTS = ("rows", "gaps", "filled", "clipped", "recoded", "refused")
_HEADER = (
    "column",
    "kind",
    "gaps",
    "filled by",
    "error on hidden cells",
    "clipped",
    "before",
    "after",
)
_BARS = "▁▂▃▄▅▆▇█"

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Findings:
    """What learning saw: sentences by column, how its fills did, CPU seconds by step."""

    found: Mapping[str, list[str]]
    judged: Mapping[str, Judged]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class ColumnReceipt:
    """One column.

    kind: what it holds. found: sentences. method, errors: how its gaps are filled, and how far each
    candidate was off on hidden cells (RMSE / standard deviation of a number, share of wrong ones of
    a category). recoverable: whether any did better than the simplest. before, after: what its
    values are like.
    """

    name: str
    kind: str
    rows: int
    found: list[str]
    gaps: int = 0
    filled: int = 0
    clipped: int = 0
    recoded: int = 0
    refused: int = 0
    method: str = ""
    errors: Mapping[str, float] = field(default_factory=dict)
    recoverable: bool = True
    seconds: float = 0.0
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """A table: rows that came and left, why some did not, columns missing together, each column.

    learnt_from: how many of the rows taught it, where that were not all.
    """

    rows: int
    rows_left: int
    dropped: Mapping[str, int]
    together: list[tuple[tuple[str, ...], int]]
    columns: list[ColumnReceipt]
    seconds: Mapping[str, float]
    learnt_from: int | None = None

    def to_json(self) -> str:
        """All of it, for a program."""
        return json.dumps(asdict(self), ensure_ascii=False, default=str)

    def column(self, name: str) -> ColumnReceipt:
        """The receipt of one column."""
        return next(column for column in self.columns if column.name == name)

    def to_markdown(self) -> str:
        """All of it, for a person: a table, and what deserves a sentence."""
        lines = [f"{self.rows:,} rows came, {self.rows_left:,} left."]
        if self.learnt_from is not None:
            lines += [f"- learnt from a sample of {self.learnt_from:,} rows, within the budget"]
        lines += [f"- dropped: {count:,} ({reason})" for reason, count in self.dropped.items()]
        lines += ["", f"| {' | '.join(_HEADER)} |"]
        lines += ["| --- | --- | ---: | --- | --- | ---: | --- | --- |"]
        lines += [_line(column) for column in self.columns]
        if self.together:
            lines += ["", "Missing together:"]
            lines += [f"- {', '.join(names)}: {count:,} rows" for names, count in self.together]
        lines += ["", *(f"- **{c.name}**: {'; '.join(c.found)}" for c in self.columns if c.found)]
        lost = [column.name for column in self.columns if not column.recoverable]
        if lost:
            lines += ["", f"Not recoverable (nothing beat the simplest fill): {', '.join(lost)}."]
        return "\n".join(lines)

    def to_html(self, title: str = "Preparation", origin: str = "") -> str:
        """All of it as a page that needs nothing else; all that is data is escaped.

        Args:
            title: stands above, like the table's name.
            origin: a line below it: when, and by what, it was made.
        """
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
        )
        environment.filters |= {"shown": shown, "zip": zip, "ranked": _ranked}
        environment.filters["breakable"] = _breakable
        page = environment.get_template("receipt.html")
        return page.render(receipt=self, facts=self._facts(), title=title, origin=origin)

    def _facts(self) -> dict[str, float]:
        """The figures of the whole table; cells that were not touched are not told."""
        cells = {
            what: sum(getattr(column, what) for column in self.columns)
            for what in ("filled", "clipped", "recoded", "refused")
        }
        return {
            "rows came": self.rows,
            "rows left": self.rows_left,
            **({"rows learnt from": self.learnt_from} if self.learnt_from is not None else {}),
            "columns": len(self.columns),
            **{f"cells {what}": count for what, count in cells.items() if count},
            "CPU seconds": round(sum(self.seconds.values()), 2),
        }


def _ranked(errors: Mapping[str, float]) -> list[tuple[str, float]]:
    """Candidates and their errors, the best first; one that could not be judged is left out."""
    known = [(name, error) for name, error in errors.items() if np.isfinite(error)]
    return sorted(known, key=lambda pair: pair[1])


def _breakable(text: str) -> "Markup":
    """A text as HTML whose long names may be broken after each underscore."""
    from markupsafe import Markup, escape

    return Markup("_<wbr>").join(escape(part) for part in text.split("_"))


def _line(column: ColumnReceipt) -> str:
    error = column.errors.get(column.method)
    said = "" if error is None else f"{error:.3f}"
    simple = column.errors.get("median", column.errors.get("most_frequent"))
    if simple is not None and error is not None:
        said += f" (simplest {simple:.3f})"
    cells = [
        column.name,
        column.kind,
        f"{column.gaps:,}" if column.gaps else "",
        column.method if column.gaps else "",
        said,
        f"{column.clipped:,}" if column.clipped else "",
        _picture(column.before),
        _picture(column.after),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _picture(like: Mapping[str, Any]) -> str:
    counts = like.get("counts") or []
    most = max(counts, default=0)
    return "".join(_BARS[(len(_BARS) - 1) * count // most] for count in counts) if most else ""


def write_receipt(
    findings: Findings,
    columns: Columns,
    made: Columns,
    cells: Cells,
    keep: Mask,
    dropped: Mapping[str, int],
) -> Receipt:
    """The receipt of rows that were prepared by what was learnt."""
    gaps = side_by_side([column.missing() for column in columns.values()], len(keep))
    written = [
        _column_receipt(name, column, made.get(name), missing, cells[name], findings)
        for (name, column), missing in zip(columns.items(), gaps.T, strict=True)
    ]
    return Receipt(
        rows=len(keep),
        rows_left=int(keep.sum()),
        dropped=dict(dropped),
        together=together(gaps, tuple(columns))[:_PATTERNS],
        columns=written,
        seconds=dict(findings.seconds),
    )


def added_up(parts: Sequence[Receipt], learnt: Receipt) -> Receipt:
    """The receipt of a table that was prepared in parts.

    Counts are of all rows; what values are like before and after is told of those that taught.
    """
    return Receipt(
        rows=sum(part.rows for part in parts),
        rows_left=sum(part.rows_left for part in parts),
        dropped=_summed(part.dropped for part in parts),
        together=_most(_summed(dict(part.together) for part in parts)),
        columns=[
            _column_of([part.column(one.name) for part in parts], one) for one in learnt.columns
        ],
        seconds=dict(learnt.seconds),
    )


def _column_of(parts: Sequence[ColumnReceipt], learnt: ColumnReceipt) -> ColumnReceipt:
    return replace(learnt, **{what: sum(getattr(part, what) for part in parts) for what in _COUNTS})


def _summed(counts: Iterable[Mapping[_Key, int]]) -> dict[_Key, int]:
    total: Counter[_Key] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _most(patterns: Mapping[tuple[str, ...], int]) -> list[tuple[tuple[str, ...], int]]:
    return sorted(patterns.items(), key=lambda pair: pair[1], reverse=True)[:_PATTERNS]


def _column_receipt(
    name: str,
    column: Column,
    after: Column | None,
    gaps: Mask,
    cells: NDArray[np.uint8],
    findings: Findings,
) -> ColumnReceipt:
    judged = findings.judged.get(name)
    edges = _edges(column)
    before = _like(column, edges)
    return ColumnReceipt(
        name=name,
        kind=column.kind,
        rows=len(column.values),
        found=list(findings.found.get(name, [])),
        gaps=int(np.count_nonzero(gaps)),
        method=judged.chosen if judged else "",
        errors=dict(judged.errors) if judged else {},
        recoverable=judged.recoverable if judged else True,
        seconds=judged.seconds if judged else 0.0,
        before=before,
        after={} if after is None else dict(before) if after is column else _like(after, edges),
        **_counts(cells),
    )


def _counts(cells: NDArray[np.uint8]) -> dict[str, int]:
    bits = {"recoded": RECODED, "refused": REFUSED, "clipped": CLIPPED, "filled": FILLED}
    return {what: int(np.count_nonzero((cells & bit) != 0)) for what, bit in bits.items()}


def _edges(column: Column) -> NDArray[np.float64] | None:
    """The bins of a number's picture: from its 1st to its 99th percentile, the rest at the ends."""
    if column.kind not in ("number", "flag"):
        return None
    known = column.values[:: len(column.values) // PICTURED_ROWS + 1]
    known = np.sort(known[~np.isnan(known)])
    if not len(known):
        return None
    low, high = known[len(known) // 100], known[-(len(known) // 100) - 1]
    with np.errstate(over="ignore", invalid="ignore"):  # see `_like`
        is_wide = 0 < high - low < np.inf
        return np.linspace(low, high, BINS + 1)[1:-1] if is_wide else None


def _like(column: Column, edges: NDArray[np.float64] | None) -> dict[str, Any]:
    """What values are like: a number's mean, deviation and histogram; a category's levels."""
    if column.kind == "category":
        some = column.values[:: len(column.values) // PICTURED_ROWS + 1]
        count = np.bincount(some[some >= 0], minlength=len(column.levels))
        first = [str(level) for level in column.levels[:BINS]]
        return {"levels": first, "counts": count[:BINS].tolist(), "different": len(column.levels)}
    if column.kind not in ("number", "flag"):
        return {}
    known = column.values[:: len(column.values) // PICTURED_ROWS + 1]
    known = known[~np.isnan(known)]
    if not len(known):
        return {}
    with np.errstate(over="ignore", invalid="ignore"):  # 1e308 twice is beyond what can be told
        said = {"mean": float(known.mean()), "std": float(known.std())}
    said |= {"min": float(known.min()), "max": float(known.max())}
    if edges is None:
        return said
    counts = np.bincount(np.searchsorted(edges, known), minlength=BINS)
    width = float(edges[1] - edges[0])
    said |= {"low": float(edges[0]) - width, "high": float(edges[-1]) + width}
    return {**said, "counts": counts.tolist()}
