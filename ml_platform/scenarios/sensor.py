"""The sensor of a scenario: a round of looking, and the runs that it asks for.

What it remembers is in Dagster's cursor, which is kept together with the requests.
"""

import time

import dagster as dg

from ml_platform.kernel.clock import Clock, system_clock
from ml_platform.kernel.errors import RetryableError, UnavailableError
from ml_platform.kernel.marks import TRIGGER_TAG
from ml_platform.kernel.settings import Settings
from ml_platform.scenarios.called import look_at_calls
from ml_platform.scenarios.calls import Calls, Hook
from ml_platform.scenarios.pages import page_url
from ml_platform.scenarios.recorder import Recorder, recorder_here
from ml_platform.scenarios.runs import champion, ended_runs, is_running
from ml_platform.scenarios.settle import State
from ml_platform.scenarios.steps.place import start_config
from ml_platform.scenarios.trigger_words import Trigger
from ml_platform.scenarios.triggers import Cursor, Round, Start, Watch, account_of, go_round
from ml_platform.scenarios.watch.champions import look_at_champions
from ml_platform.scenarios.watch.endings import look_at_endings
from ml_platform.scenarios.watch.files import look_at_files
from ml_platform.scenarios.watch.functions import look_with_function
from ml_platform.scenarios.watch.limited import limited
from ml_platform.scenarios.watch.look import Look
from ml_platform.scenarios.watch.queries import look_at_query
from ml_platform.scenarios.watch.tables import look_at_tables
from ml_platform.scenarios.words import ScenarioWords
from ml_platform.storage.tables import TableStore

SHORTEST_S, LONGEST_S = 5, 60
"""Between two ticks of a sensor; a tick costs Dagster the same whether it looks at anything."""

_ROUND_S = 45.0
"""All looks of a round together; Dagster gives a tick sixty seconds, and then loses all of it."""


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
            watcher(context, project, scenario.name, now),
            is_running=lambda: is_running(context.instance, project, scenario.name),
        )
        _record(context, recorder_here(), project, scenario, done)
        requests = [_request(one) for one in done.starts]
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=done.cursor.text())
        return dg.SensorResult(
            skip_reason=account_of(done, scenario.triggers), cursor=done.cursor.text()
        )

    running = dg.DefaultSensorStatus.RUNNING
    return dg.SensorDefinition(
        name=f"{scenario.name}_triggers",
        evaluation_fn=evaluate,
        job_name=scenario.name,  # the job itself would be taken as one to be bound anew
        minimum_interval_seconds=interval(scenario),
        default_status=running if scenario.active else dg.DefaultSensorStatus.STOPPED,
        description=_description(project, scenario.name),
    )


def interval(scenario: ScenarioWords) -> int:
    """How often to tick, in seconds: as often as the most impatient trigger asks, within bounds."""
    waits = [float(LONGEST_S)]
    for one in scenario.triggers:
        if not one.time:
            waits += [one.interval, one.rules.grace or LONGEST_S]
    return int(max(SHORTEST_S, min(waits)))


def watcher(context: dg.SensorEvaluationContext, project: str, scenario: str, now: float) -> Watch:
    """Looks at what a trigger of a scenario watches; made for one round.

    The instance is taken from the context where it is asked, since Dagster opens it there and then.
    """
    end = time.monotonic() + _ROUND_S

    def watch(trigger: Trigger, state: State) -> Look:
        key = f"{project}/{scenario}/{trigger.name}"
        left = end - time.monotonic()
        if left <= 0:
            raise UnavailableError(
                key, f"earlier looks took all of the {_ROUND_S:.0f} s of a round"
            )
        if trigger.after_scenario:
            words = trigger.after_scenario
            other = words.project or project
            ended = ended_runs(context.instance, other, words.scenario, now)
            me = f"{project}/{scenario}"
            return look_at_endings(words, other, me, state.handled, ended, now)
        if trigger.webhook:
            hook = Hook(project, scenario, trigger.name)
            calls = Calls(recorder_here().url)
            return look_at_calls(calls, hook, trigger.webhook.secret, state.handled, now)
        if trigger.models:
            return look_at_champions(
                trigger.models.keys, lambda one: champion(context.instance, one)
            )
        return limited_look(trigger, state, project, key, left)

    return watch


def limited_look(trigger: Trigger, state: State, project: str, key: str, left: float) -> Look:
    """A look that may hang, which then ends all the same."""
    if trigger.sql:
        seconds = min(float(trigger.sql.timeout), left)
        return look_at_query(trigger.sql, key, seconds)
    if trigger.python:
        seconds = min(float(trigger.python.timeout), left)
        return look_with_function(trigger.python, state, key, seconds)
    if trigger.tables:
        keys, partitions = trigger.tables.keys, trigger.tables.partitions
        settings = Settings.from_environment()
        store = TableStore(settings.storage_root, settings.memory_limit)
        return limited(lambda: look_at_tables(store, project, keys, partitions), left, key, key)
    files = trigger.files
    assert files  # noqa: S101 - for mypy: times are not watched, and there is no other kind
    paths, pattern, by, marker = files.paths, files.pattern, files.by, files.marker
    return limited(lambda: look_at_files(paths, pattern, by, marker), left, key, key)


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
    except RetryableError as error:
        context.log.warning(str(error))


def _description(project: str, scenario: str) -> str:
    url = page_url(project, scenario)
    why = f" Why it ran, or did not: {url}" if url else ""
    return f"Looks at the triggers of {scenario}, and starts it.{why}"
