"""Tables for assets that people write in Python: `@dg.asset` returns a frame, this stores it.

The key of the asset is the table's, as everywhere: `key=["features", "basket"]`. An input gets what
its annotation says: a pandas DataFrame (also without one), an Arrow table, or a DuckDB relation.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ml_platform.kernel.errors import DeclarationError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.engine import scan_of
from ml_platform.storage.resource import PREVIEW_ROWS, Tables, metadata_of


class TableIOManager(dg.ConfigurableIOManager):
    """Stores what an asset returns as the table of its key, in its group's project."""

    tables: dg.ResourceDependency[Tables]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a frame; for a run over several partitions, a mapping of partition to frame."""
        if obj is None:
            return
        store, project, key = self.tables.store(), _project(context), _key(context)
        if not context.has_asset_partitions:
            written = store.write(project, key, obj)
            with store.relation(project, key) as rows:
                shown = metadata_of(written, rows.limit(PREVIEW_ROWS).to_arrow_table())
            context.add_output_metadata(shown)
            return
        for partition, rows in _by_partition(context, obj).items():
            written = store.write(project, key, rows, partition=partition)
        context.add_output_metadata(metadata_of(written))

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the table, or those of its partitions that the step depends on."""
        upstream = context.upstream_output
        if upstream is None:
            raise DeclarationError("an input", "it belongs to no asset")
        store, project, key = self.tables.store(), _project(upstream), _key(upstream)
        partitions = list(context.asset_partition_keys) if context.has_asset_partitions else []
        return _as_asked(context.dagster_type.typing_type, store, project, key, partitions)


def _as_asked(wanted: Any, store: Any, project: str, key: TableKey, partitions: list[str]) -> Any:
    import duckdb
    import pyarrow as pa

    if wanted is duckdb.DuckDBPyRelation:
        return duckdb.sql(f"FROM {scan_of(store.urls(project, key, partitions))}")
    table = store.read(project, key, partitions=partitions)
    return table if wanted is pa.Table else table.to_pandas()


def _by_partition(context: dg.OutputContext, obj: Any) -> Mapping[str, Any]:
    keys = list(context.asset_partition_keys)
    if isinstance(obj, Mapping):
        return obj
    if len(keys) == 1:
        return {keys[0]: obj}
    raise DeclarationError(
        f"asset {context.asset_key.to_user_string()}",
        f"one frame for {len(keys)} partitions",
        allowed="a mapping of partition to frame",
        fix="return a mapping, or set backfill_policy to one partition a run",
    )


def _key(context: dg.OutputContext) -> TableKey:
    return TableKey.parse("/".join(context.asset_key.path))


def _project(context: dg.OutputContext) -> str:
    return context.asset_spec.group_name or "default"
