"""The tables as a Dagster resource, and what a write shows of itself in the UI."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.kernel.settings import Settings
from ml_platform.storage.lineage import Source
from ml_platform.storage.shown import shown
from ml_platform.storage.tables import TableStore, Written

if TYPE_CHECKING:
    import pyarrow as pa

PREVIEW_ROWS = 5
_PREVIEW_WIDTH = 40


class Tables(dg.ConfigurableResource[Any]):
    """All tables of the installation; by default where the environment says."""

    root: str = ""
    memory_limit: str = ""

    def store(self) -> TableStore:
        """The store; nothing is created or contacted yet."""
        settings = Settings.from_environment()
        return TableStore(
            self.root or settings.storage_root, self.memory_limit or settings.memory_limit
        )


def metadata_of(written: Written, preview: "pa.Table | None" = None) -> dict[str, Any]:
    """What the UI shows of a written table or partition: rows, columns, place, first rows."""
    columns = [dg.TableColumn(name, kind) for name, kind in written.columns.items()]
    metadata: dict[str, Any] = {
        "dagster/row_count": written.rows,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/uri": dg.MetadataValue.path(written.url),
        "bytes": written.bytes,
    }
    if preview is not None:
        metadata["preview"] = dg.MetadataValue.md(markdown_table(preview.to_pylist()))
    return metadata


def lineage_metadata(sources: Mapping[str, Sequence[Source]]) -> dict[str, Any]:
    """Column lineage as the UI shows it; nothing where none is known."""
    deps = {
        column: [dg.TableColumnDep(dg.AssetKey(table.key.parts), name) for table, name in found]
        for column, found in sources.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)} if deps else {}


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table; whatever is in a cell stays in it."""
    if not rows:
        return "*no rows*"
    header = "| " + " | ".join(_cell(name) for name in rows[0]) + " |"
    rule = "|" + " --- |" * len(rows[0])
    lines = ["| " + " | ".join(map(_cell, row.values())) + " |" for row in rows]
    return "\n".join([header, rule, *lines])


def _cell(value: object) -> str:
    text = (
        " ".join(shown(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")
    )
    return text if len(text) <= _PREVIEW_WIDTH else text[: _PREVIEW_WIDTH - 1] + "…"
