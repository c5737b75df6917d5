"""What this room uses of Dagster that is not public, and what stops working when it changes.

Read this first when a test of this room fails after an upgrade of Dagster.
"""

import ast
import importlib
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

ROOM = Path(__file__).parents[2] / "ml_platform" / "alerts"

SQL_LOG = "dagster._core.storage.event_log.sql_event_log:SqlEventLogStorage"
USED = {
    SQL_LOG: "the event log is read from a cursor on",
    "dagster._core.storage.event_log.schema:SqlEventLogStorageTable": "all kinds in one query",
    "dagster._serdes:deserialize_value": "a row that cannot be read stops no other",
    "dagster._core.events:DagsterEventType": "freshness is heard",
    "dagster._core.storage.tags:WILL_RETRY_TAG": "a run that is repeated is not told as failed",
    "dagster._core.execution.backfill:BulkActionsFilter": "backfills are heard",
    "dagster._core.execution.backfill:BulkActionStatus": "backfills are heard",
    "dagster._core.scheduler.instigation:TickStatus": "ticks are heard",
}
LEANT_ON = {
    f"{SQL_LOG}.index_connection": "the event log of all runs is one table",
    "dagster._core.events:DagsterEventType.FRESHNESS_STATE_CHANGE": "freshness is heard",
    "dagster:DagsterInstance.get_ticks": "ticks are heard",
    "dagster:DagsterInstance.all_instigator_state": "ticks are heard",
    "dagster:DagsterInstance.get_backfills": "backfills are heard",
    "dagster:DagsterInstance.report_runless_asset_event": "the UI shows who acknowledged",
}


@pytest.mark.parametrize(("name", "promise"), [*USED.items(), *LEANT_ON.items()])
def test_dagster_still_has_what_a_promise_stands_on(name, promise):
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    assert found is not None, f"{name} is no more: '{promise}' has to be kept in another way"


def test_every_private_name_that_the_room_imports_is_listed_here():
    imported = {
        f"{node.module}:{alias.name}"
        for file in ROOM.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and "dagster._" in (node.module or "")
        for alias in node.names
    }
    assert imported == set(USED)


def test_on_sqlite_the_index_of_all_runs_has_every_kind_that_is_listened_to():
    from ml_platform.alerts.listening.log import TYPES

    @dg.asset
    def table():
        return 1

    @dg.asset_check(asset=table)
    def check():
        return dg.AssetCheckResult(passed=True)

    defs = dg.Definitions(assets=[table], asset_checks=[check])
    with dg.instance_for_test() as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        job.execute_in_process(instance=instance)
        instance.report_runless_asset_event(dg.AssetObservation("table"))
        with instance.event_log_storage.index_connection() as connection:
            rows = connection.execute(sa.text("SELECT DISTINCT dagster_event_type FROM event_logs"))
            found = {row[0] for row in rows}
    happened = {one.value for one in TYPES} - {
        "PIPELINE_FAILURE", "PIPELINE_CANCELED", "FRESHNESS_STATE_CHANGE",
    }  # fmt: skip
    assert happened <= found


def test_the_log_has_the_index_by_which_a_tick_does_not_grow_with_history():
    with (
        dg.instance_for_test() as instance,
        instance.event_log_storage.index_connection() as connection,
    ):
        found = sa.inspect(connection).get_indexes("event_logs")
    assert ["dagster_event_type", "id"] in [one["column_names"] for one in found]
