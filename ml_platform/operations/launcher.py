"""The launcher of one host: Dagster's own, and the answer to whether a run's process still lives.

With it Dagster's run monitoring fails runs whose process was killed, which the default launcher
leaves started for ever. It is named in dagster.yaml as `run_launcher`, beside `LocalInstance`,
whose mark on the run it reads; docs/decisions/0002-runs-end.md says how the two work together.
"""

import os
import signal

import dagster as dg

# Not public in Dagster 1.13, though every launcher of its integrations answers with them.
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from ml_platform.kernel.errors import SettingsError
from ml_platform.operations.instance import LocalInstance, process_of
from ml_platform.operations.processes import Life, ProcessName


class LocalRunLauncher(dg.DefaultRunLauncher):
    """Launches and terminates as Dagster's default does, and watches the runs of this host."""

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Take the instance that uses this launcher.

        Raises:
            SettingsError: it does not mark the processes of runs, so no run could be watched.
        """
        if not isinstance(instance, LocalInstance):
            raise SettingsError(
                "dagster.yaml, run_launcher LocalRunLauncher",
                f"the instance is a {type(instance).__name__}, which does not mark processes",
                allowed="LocalInstance",
                fix="add instance_class: {module: ml_platform.operations.instance, "
                "class: LocalInstance}",
            )
        super().register_instance(instance)

    def terminate(self, run_id: str) -> bool:
        """Ask a run to end; one that no code server executes is interrupted by its process.

        Such a run was started in a terminal, `ml-platform scenario run` for one.
        """
        if super().terminate(run_id):  # type: ignore[no-untyped-call]
            return True
        run = self._instance.get_run_by_id(run_id)
        process = process_of(run) if run and not run.is_finished else None
        if process is None or process.life() is not Life.ALIVE:
            return False
        os.kill(process.pid, signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster's run monitoring asks this launcher about every started run."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a started run is there.

        Dagster fails a run for every answer but RUNNING and SUCCESS, UNKNOWN included. So a
        process that cannot be seen from here, in another container or on another host, counts as
        running: to leave a dead run is a smaller harm than to fail and repeat a living one.
        """
        process = process_of(run)
        if process is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run has no mark of its process")
        life = process.life()
        if life is Life.GONE:
            return CheckRunHealthResult(WorkerStatus.FAILED, _gone(process))
        return CheckRunHealthResult(WorkerStatus.RUNNING, f"process {process.pid} is {life.value}")


def _gone(process: ProcessName) -> str:
    return (
        f"process {process.pid} on host {process.place.host} is gone and did not say how the run "
        "ended; it was killed, ran out of memory or went down with the machine"
    )
