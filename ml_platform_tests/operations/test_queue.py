"""A thousand runs launched at once wait in the queue of the repository's dagster.yaml.

The daemon's own decision which of them to start is asked, on a real storage; nothing is started.
"""

import shutil
import tracemalloc
import uuid
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.runs.schema import RunsTable
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from ml_platform.operations.instance import concurrent_runs

REPOSITORY = Path(__file__).parents[2]
LAUNCHED = 1000


@pytest.fixture
def instance(tmp_path, empty_history, monkeypatch):
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path))
    monkeypatch.setenv("ML_PLATFORM_MAX_CONCURRENT_RUNS", "3")
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    shutil.copytree(empty_history, tmp_path / "dagster")
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def launch(instance, count):
    """Put runs into the queue, as a backfill of a run a partition does, all in one transaction."""
    location = RegisteredCodeLocationOrigin("shop")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "shop")
    runs = [
        dg.DagsterRun("shop", str(uuid.uuid4()), status=dg.DagsterRunStatus.QUEUED,
                      tags={"dagster/partition": f"{number}"}, remote_job_origin=origin)
        for number in range(count)
    ]  # fmt: skip
    storage = instance.run_storage
    values = [storage._get_run_insertion_values(run) for run in runs]
    with storage.connect() as connection:
        connection.execute(RunsTable.insert(), values)
    return [run.run_id for run in runs]


def chosen(instance):
    """The runs that the daemon would start now."""
    with QueuedRunCoordinatorDaemon(interval_seconds=5) as daemon:
        config = instance.get_concurrency_config()
        found = daemon._get_runs_to_dequeue(instance, config, fixed_iteration_time=None)
    return [run.run_id for run in found]


def tell(instance, run_id, kind):
    event = dg.DagsterEvent(event_type_value=kind.value, job_name="shop")
    instance.report_dagster_event(event, run_id=run_id)


def test_of_a_thousand_launched_runs_as_many_go_on_at_once_as_the_environment_says(instance):
    waiting = launch(instance, LAUNCHED)
    begun, ended = dg.DagsterEventType.PIPELINE_STARTING, dg.DagsterEventType.PIPELINE_SUCCESS
    going = chosen(instance)
    assert going == waiting[:3]
    for run_id in going:
        tell(instance, run_id, begun)
    assert chosen(instance) == []
    tell(instance, going[1], ended)
    assert chosen(instance) == waiting[3:4]


def test_a_longer_queue_takes_no_more_memory_to_decide(instance):
    def peak():
        tracemalloc.start()
        chosen(instance)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken

    launch(instance, LAUNCHED // 5)
    chosen(instance)  # what is imported and compiled once
    short = peak()
    launch(instance, LAUNCHED)
    assert peak() < 1.5 * short


def test_a_pool_that_nobody_gave_a_limit_lets_one_step_in(instance):
    config = instance.get_concurrency_config()
    assert config.pool_config.default_pool_limit == 1
    assert config.pool_config.pool_granularity.value == "op"
    assert concurrent_runs() == config.run_queue_config.max_concurrent_runs == 3
