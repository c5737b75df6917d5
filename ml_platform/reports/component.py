"""`Report`: a page of sections, each a query over the tables with a picture or a table of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import dagster as dg
from pydantic import Field, field_validator, model_validator

from ml_platform.execution.component import AssetComponent, Declared, Made, Step, text_of
from ml_platform.execution.picture import Chart, markdown_image, png
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.kernel.errors import Where
from ml_platform.reports.page import Origin, Section, html
from ml_platform.storage.engine import connect
from ml_platform.storage.query import attach, planned
from ml_platform.storage.syntax import TableName, tables_named_in


class ChartField(Declared):
    """What to draw of a section's rows."""

    kind: Literal["line", "bar"] = Field(default="line", description="Lines, or bars.")
    x: str = Field(description="The column along the bottom.")
    y: list[str] = Field(description="The columns to draw.", min_length=1, max_length=6)
    band: list[str] | None = Field(
        default=None, description="Two columns, lower and upper, with the space between filled."
    )
    unit: str = Field(default="", description="Stands at the vertical axis.")

    @field_validator("band")
    @classmethod
    def _has_two(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(value) != len(("lower", "upper")):
            raise ValueError("a band has two columns, lower and upper")
        return value

    def chart(self) -> Chart:
        """The chart; the section's heading is its title."""
        band = (self.band[0], self.band[1]) if self.band else None
        return Chart(self.kind, self.x, tuple(self.y), band, unit=self.unit)


class SectionField(Declared):
    """A part of the page."""

    heading: str = Field(description="Stands above it.")
    text: str = Field(default="", description="What the reader should see in it.")
    sql: str | None = Field(
        default=None, description="The query whose rows it shows, or the .sql file that holds it."
    )
    chart: ChartField | None = Field(default=None, description="A picture of the rows.")
    rows: int | None = Field(
        default=None, ge=0, description="How many rows to print; none where there is a chart."
    )

    @model_validator(mode="after")
    def _shows_rows_of_a_query(self) -> "SectionField":
        if (self.chart or self.rows is not None) and not self.sql:
            raise ValueError("`chart` and `rows` need `sql`")
        return self

    def query(self, folder: Path) -> tuple[str, Path | None]:
        """The query and, if it has one, its file."""
        if self.sql and self.sql.endswith(".sql"):
            path = folder / self.sql
            return text_of(path, f"section '{self.heading}'"), path
        return self.sql or "", None


@dg.scaffold_with(ExampleScaffolder)
class Report(AssetComponent):
    """A page for people who do not open this UI: one HTML file, its older versions kept."""

    scaffold_example: ClassVar[dict[str, Any]] = {
        "key": "reports/NAME",
        "title": "NAME",
        "sections": [{"heading": "The first rows", "sql": "FROM features.NAME", "rows": 10}],
    }
    scaffold_files: ClassVar[dict[str, str]] = {}

    title: str = Field(description="Stands at the top.")
    sections: list[SectionField] = Field(description="The parts of the page.", min_length=1)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset."""
        queries = [section.query(context.path) for section in self.sections]
        reads = sorted(
            {
                name
                for sql, path in queries
                if sql
                for name in tables_named_in(sql, Where(path) if path else None)
            },
            key=str,
        )

        def make(step: Step) -> Made:
            return self._publish(step, queries, reads)

        code = "\0".join(sql for sql, _ in queries)
        asset = self.asset(context, make, reads=reads, kinds=["html"], code=code)
        return dg.Definitions(assets=[asset])

    def _publish(
        self, step: Step, queries: list[tuple[str, Path | None]], reads: list[TableName]
    ) -> Made:
        with connect(step.store.memory_limit) as connection:
            attach(connection, step.store, reads, step.project)
            sections = [
                _filled(field, _rows(connection, field, sql, path))
                for field, (sql, path) in zip(self.sections, queries, strict=True)
            ]
        origin = Origin(
            step.project, step.run_id, [str(name) for name in reads], datetime.now(tz=UTC)
        )
        page = html(self.title, sections, origin).encode()
        url = step.store.publish(
            step.project, step.key, "report.html", page, keep_versions=self.keep_versions
        )
        return Made(None, _shown(url, page, sections))


def _rows(connection: Any, field: SectionField, sql: str, path: Path | None) -> Any:
    if not sql:
        return None
    return planned(connection, sql, path, subject=f"SQL of section '{field.heading}'").df()


def _filled(field: SectionField, frame: Any) -> Section:
    if frame is None:
        return Section(field.heading, field.text)
    picture = png(field.chart.chart(), frame) if field.chart else None
    count = field.rows if field.rows is not None else (0 if field.chart else 20)
    rows = frame.head(count).astype(object).where(frame.head(count).notna(), None)
    return Section(
        field.heading,
        field.text,
        picture,
        rows.to_dict("records"),
        max(0, len(frame) - count) if count else 0,
    )


def _shown(url: str, page: bytes, sections: list[Section]) -> dict[str, Any]:
    """The page's place, and its pictures as a preview."""
    pictures = [
        f"### {section.heading}\n\n{markdown_image(section.picture, section.heading)}"
        for section in sections
        if section.picture
    ]
    metadata: dict[str, Any] = {"dagster/uri": dg.MetadataValue.path(url), "bytes": len(page)}
    if pictures:
        metadata["preview"] = dg.MetadataValue.md("\n\n".join(pictures))
    return metadata
