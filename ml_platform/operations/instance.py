"""The Dagster instance of one host: prepared once, and told which process executes which run.

`LocalInstance` is named in dagster.yaml as `instance_class`, so every process of Dagster builds it:
webserver, daemon, code servers, run workers, steps and the command line. It adds three things to
Dagster's own instance: defaults that do not depend on the working folder, a storage that many
processes may open at once when it is new, and the name of a run's process on the run.

    python -m ml_platform.operations.instance [folder]

prepares the instance of a folder with a dagster.yaml (`DAGSTER_HOME`, else this folder).
"""

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

# Not public in Dagster 1.13; test_instance.py names what each is needed for.
from dagster._core.instance import InstanceRef
from dagster._serdes import ConfigurableClassData

from ml_platform.kernel.errors import ConflictError, NotFoundError, SettingsError
from ml_platform.kernel.marks import RUN_VARIABLE
from ml_platform.operations.alone import be_the_only_one
from ml_platform.operations.history import locked
from ml_platform.operations.processes import (
    Life,
    ProcessName,
    end,
    started_by,
)

if TYPE_CHECKING:
    from psutil import Process

_log = logging.getLogger("dagster.daemon")

RUN_PROCESS_TAG = ".dagster/ml_platform_process"
"""The run's id and its process. Dagster hides tags with this prefix; retries inherit the tag, so
the id tells whose it is."""

CONCURRENT_RUNS_VARIABLE = "ML_PLATFORM_MAX_CONCURRENT_RUNS"
"""How many runs go on at once."""

_DEFAULT_CONCURRENT_RUNS = 2
# A queued run whose code server does not answer waits for it, an hour if need be. Dagster's default
# fails it at once, and nothing repeats it: whoever asked for it before the server went believes
# that it is being done.
_UNREACHABLE = {"max_user_code_failure_retries": 720, "user_code_failure_retry_delay": 5}
# dagster.yaml is read from the working folder, and this made in it, when DAGSTER_HOME is not set.
_TEMPORARY_HOME = ".tmp_dagster_home_"


class LocalInstance(dg.DagsterInstance):
    """Dagster's instance, on which each run says in which process it is executed.

    The mark is set by the executing process itself, just before it records the run's start. So it
    is there for every started run, whoever launched it, and it is right: the process alone knows
    its host and its pid namespace. When another process records that the run failed or was
    canceled while the run's own process is gone, what that left behind is ended first.
    """

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """No keys of its own in dagster.yaml."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """What holds where dagster.yaml says nothing: all files under `data_folder(base_dir)`."""
        folder = data_folder(base_dir)
        return {
            **InstanceRef.config_defaults(str(folder)),
            "storage": _configured(
                "ml_platform.operations.history", "LocalStorage", {"base_dir": str(folder)}
            ),
            "run_coordinator": _configured(
                "dagster._core.run_coordinator",
                "QueuedRunCoordinator",
                {"max_concurrent_runs": concurrent_runs(), **_UNREACHABLE},
            ),
        }

    def handle_new_event(self, event: dg.EventLogEntry, **options: Any) -> None:
        """Record an event; see the class for what happens before some of them.

        Every event of every process comes through here, so this is where a run's start is seen by
        the process that executes it, and its failure by the one that declares it.
        """
        kind = event.dagster_event_type
        if kind == dg.DagsterEventType.RUN_START:
            self._mark(event.run_id)
        elif kind in {dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED}:
            self._end_remains(event.run_id)
        super().handle_new_event(event, **options)

    def add_daemon_heartbeat(self, daemon_heartbeat: Any) -> None:
        """Note that a daemon lives; a second one ends here, before it has done anything.

        Each of its threads comes by before its first turn. Dagster would log an error and let it go
        on; a thread that ends makes the daemon end.
        """
        try:
            be_the_only_one(Path(self.root_directory))
        except ConflictError as error:
            _log.error("%s", error)
            raise SystemExit(1) from error
        super().add_daemon_heartbeat(daemon_heartbeat)

    def dispose(self) -> None:
        """Close what is open; Dagster's own forgets the storage of ticks."""
        super().dispose()
        if self.schedule_storage is not None:
            self.schedule_storage.dispose()

    def _mark(self, run_id: str) -> None:
        os.environ[RUN_VARIABLE] = run_id
        self.add_run_tags(run_id, {RUN_PROCESS_TAG: f"{run_id} {ProcessName.own()}"})

    def _end_remains(self, run_id: str) -> None:
        run = self.get_run_by_id(run_id)
        process = process_of(run) if run else None
        if process is None or process.life() is not Life.GONE:
            return
        if remains := started_by(run_id, process.started):
            self.report_engine_event(_ended(remains, end(remains)), run)


def data_folder(base_dir: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where an instance keeps its files: `$ML_PLATFORM_HOME/dagster`, else `var/dagster`.

    The latter lies beside the dagster.yaml. Dagster gives the folder of that file as `base_dir`
    or, when `DAGSTER_HOME` is not set, a temporary folder within it: what is kept there would be
    lost when `dagster dev` ends.
    """
    if home := environ.get("ML_PLATFORM_HOME"):
        return Path(home).absolute() / "dagster"
    base = Path(base_dir).absolute()
    beside = base.parent if base.name.startswith(_TEMPORARY_HOME) else base
    return beside / "var" / "dagster"


def concurrent_runs(environ: Mapping[str, str] = os.environ) -> int:
    """How many runs may go on at once: two, or what the environment says.

    Raises:
        SettingsError: the variable holds no positive whole number.
    """
    text = environ.get(CONCURRENT_RUNS_VARIABLE) or str(_DEFAULT_CONCURRENT_RUNS)
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(
            f"environment variable {CONCURRENT_RUNS_VARIABLE}",
            f"'{text}'",
            allowed="a whole number from 1",
            fix="set it to the number of runs that this host can carry at once, or unset it",
        )
    return int(text)


def process_of(run: dg.DagsterRun) -> ProcessName | None:
    """The process that executes a run; None before its start and for runs marked by nobody."""
    run_id, _, name = run.tags.get(RUN_PROCESS_TAG, "").partition(" ")
    return ProcessName.parse(name) if run_id == run.run_id else None


def prepare(folder: Path) -> Path:
    """Make the instance of a folder with a dagster.yaml whole; nothing when it is already.

    Safe for many processes at once. It is what a database needs before several start in parallel;
    the default SQLite needs it no more.

    Returns:
        Where local files are kept.

    Raises:
        NotFoundError: there is no dagster.yaml.
    """
    if not (folder / "dagster.yaml").is_file():
        raise NotFoundError(
            f"instance {folder}",
            "there is no dagster.yaml in this folder",
            fix="name the folder that holds it, or set DAGSTER_HOME to it",
        )
    place = data_folder(str(folder))
    with locked(place, "prepare"), dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.get_runs_count()
    return place


def main(arguments: list[str]) -> int:
    """`python -m ml_platform.operations.instance [folder]`."""
    folder = arguments[0] if arguments else os.environ.get("DAGSTER_HOME") or "."
    try:
        place = prepare(Path(folder).absolute())
    except NotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"the instance is ready; its files are in {place}\n")
    return 0


def _configured(module: str, name: str, config: Mapping[str, Any]) -> ConfigurableClassData:
    import yaml

    return ConfigurableClassData(module, name, yaml.safe_dump(dict(config)))


def _ended(remains: "list[Process]", survivors: "list[Process]") -> str:
    pids = ", ".join(str(one.pid) for one in remains)
    text = f"The run's process is gone; ended what it had started: process {pids}."
    if survivors:
        text += f" These could not be ended: {', '.join(str(one.pid) for one in survivors)}."
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
