"""What this room uses of Dagster that is not public, and what stops working when it changes.

Read this first when a test of this room fails after an upgrade of Dagster.
"""

import ast
import importlib
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[2] / "ml_platform" / "operations"

EVENT_LOG = "dagster._core.storage.event_log.sqlite.sqlite_event_log:SqliteEventLogStorage"
TICKS = "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage:SqliteScheduleStorage"
RUNS = "dagster._core.storage.runs.sqlite.sqlite_run_storage"
USED = {
    "dagster._core.instance:InstanceRef.config_defaults": "history lies in var/dagster",
    "dagster._core.storage.sqlite_storage:DagsterSqliteStorage": "many open a new instance",
    EVENT_LOG: "a step is quick",
    f"{EVENT_LOG}Watchdog": "the UI tells of a run's events as they come",
    TICKS: "a quiet tick is cheap",
    f"{RUNS}:SqliteRunStorage": "an instance opens quickly",
    "dagster._core.storage.sqlite:create_db_conn_string": "an instance opens quickly",
    "dagster._core.storage.sqlite:SQLITE_BUSY_TIMEOUT_SECONDS": "writers wait for each other",
    "dagster._serdes:ConfigurableClassData": "dagster.yaml's defaults are replaced",
    "dagster._core.launcher:CheckRunHealthResult": "run monitoring is answered",
    "dagster._core.launcher:WorkerStatus": "run monitoring is answered",
}
OVERRIDDEN = {
    f"{EVENT_LOG}._connect": "a step is quick",
    f"{TICKS}.connect": "a quiet tick is cheap",
    f"{TICKS}._has_instigators_table": "a quiet tick is cheap",
    f"{TICKS}.has_built_index": "a quiet tick is cheap",
    f"{EVENT_LOG}.watch": "the UI tells of a run's events as they come",
    f"{EVENT_LOG}Watchdog._process_log": "the UI tells of a run's events as they come",
    "dagster:DagsterInstance.add_daemon_heartbeat": "a second daemon does nothing",
    "dagster:DagsterInstance.dispose": "the storage of ticks is closed",
    "dagster:DagsterInstance.handle_new_event": "runs are marked, remains are ended",
    "dagster:DefaultRunLauncher.register_instance": "an instance without marks is refused",
    "dagster:DefaultRunLauncher.supports_check_run_worker_health": "run monitoring asks at all",
    "dagster:DefaultRunLauncher.check_run_worker_health": "run monitoring is answered",
}


@pytest.mark.parametrize(("name", "promise"), [*USED.items(), *OVERRIDDEN.items()])
def test_dagster_still_has_what_a_promise_stands_on(name: str, promise: str) -> None:
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    assert found is not None, f"{name} is no more: '{promise}' has to be kept in another way"


def test_every_private_name_that_the_room_imports_is_listed_here() -> None:
    listed = {tuple(name.split(".config_defaults")[0].split(":")) for name in USED}
    imported = {
        (node.module, alias.name)
        for file in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and "dagster._" in (node.module or "")
        for alias in node.names
    }
    assert imported == listed
