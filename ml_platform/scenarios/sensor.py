"""The sensor of a scenario: a round of looking, and the runs that it asks for.

What it remembers is in Dagster's cursor, which is kept together with the requests.
"""

import dagster as dg

from ml_platform.kernel.clock import Clock, system_clock
from ml_platform.kernel.errors import UnavailableError
from ml_platform.kernel.settings import Settings
from ml_platform.scenarios.recorder import Recorder, recorder_here
from ml_platform.scenarios.steps.place import (
    PROJECT_TAG,
    SCENARIO_TAG,
    TRIGGER_TAG,
    start_config,
)
from ml_platform.scenarios.triggers import Cursor, Round, Start, Watch, go_round
from ml_platform.scenarios.watch.files import look_at_files
from ml_platform.scenarios.watch.look import Look
from ml_platform.scenarios.watch.tables import look_at_tables
from ml_platform.scenarios.words import ScenarioWords, Trigger
from ml_platform.storage.tables import TableStore

SHORTEST_S = 5
LONGEST_S = 30
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def scenario_sensor(
    project: str, scenario: ScenarioWords, clock: Clock = system_clock
) -> dg.SensorDefinition:
    """The sensor that looks at a scenario's triggers and starts its job."""

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = clock().timestamp()
        done = go_round(
            scenario.triggers,
            Cursor.read(context.cursor, now),
            now,
            watcher(project),
            is_running=is_running(context.instance, project, scenario.name),
        )
        _record(context, recorder_here(), project, scenario, done)
        requests = [_request(one) for one in done.starts]
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=done.cursor.text())
        return dg.SensorResult(skip_reason=_sentence(done), cursor=done.cursor.text())

    running = dg.DefaultSensorStatus.RUNNING
    return dg.SensorDefinition(
        name=f"{scenario.name}_triggers",
        evaluation_fn=evaluate,
        job_name=scenario.name,  # the job itself would be taken as one to be bound anew
        minimum_interval_seconds=interval(scenario),
        default_status=running if scenario.active else dg.DefaultSensorStatus.STOPPED,
        description=f"Looks at the triggers of {scenario.name}, and starts it.",
    )


def interval(scenario: ScenarioWords) -> int:
    """How often to tick, in seconds: as often as the most impatient trigger asks, within bounds."""
    waits = [float(LONGEST_S)]
    for one in scenario.triggers:
        if not one.time:
            waits += [float(one.every), float(one.grace) or LONGEST_S]
    return int(max(SHORTEST_S, min(waits)))


def watcher(project: str) -> Watch:
    """Looks at what a trigger of a project watches."""

    def watch(trigger: Trigger) -> Look:
        if trigger.tables:
            settings = Settings.from_environment()
            store = TableStore(settings.storage_root, settings.memory_limit)
            return look_at_tables(store, project, trigger.tables.keys, trigger.tables.partitions)
        files = trigger.files
        assert files  # noqa: S101 - for mypy: times are not watched, and there is no other kind
        return look_at_files(files.paths, files.pattern, files.by, files.marker)

    return watch


def is_running(instance: dg.DagsterInstance, project: str, scenario: str) -> bool:
    """Whether a run of the scenario has not ended."""
    tags = {PROJECT_TAG: project, SCENARIO_TAG: scenario}
    return bool(instance.get_runs_count(dg.RunsFilter(tags=tags, statuses=_UNFINISHED)))


def _request(start: Start) -> dg.RunRequest:
    trigger = ", ".join(start.triggers)
    return dg.RunRequest(
        run_key=start.run_key,
        run_config=start_config(trigger, start.params),
        tags={TRIGGER_TAG: trigger},
    )


def _record(
    context: dg.SensorEvaluationContext,
    recorder: Recorder,
    project: str,
    scenario: ScenarioWords,
    done: Round,
) -> None:
    """Write the evaluations down; a record that cannot be written holds no scenario up."""
    try:
        recorder.record(project, scenario.name, done.evaluations)
    except UnavailableError as error:
        context.log.warning(str(error))


def _sentence(done: Round) -> str:
    said = [f"{one.trigger}: {one.decision}, {one.reason}" for one in done.evaluations]
    return "; ".join(said) or "No trigger is due."
