"""`ml-platform dev`: the Dagster UI, the MLflow UI and the demand project's source systems."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from ml_platform.alerts.settings import DEFAULT_PORT
from ml_platform.demo.run import source_systems
from ml_platform.demo.sample import make_sample, read_sales
from ml_platform.kernel.errors import SettingsError
from ml_platform.kernel.settings import Settings, default_home
from ml_platform.operations.instance import prepare
from ml_platform.scenarios.webhook import DEFAULT_PORT as SCENARIOS_PORT

_PATIENCE_S = 20.0
_LOOK_EVERY_S = 0.3


def run_dev(
    console: Console, port: int, mlflow_port: int, data: Path | None, alerts_port: int | None = None
) -> int:
    """Run until Ctrl-C, SIGTERM, or until one of the servers ends; returns the exit code.

    Without `alerts_port` the page on which alerts are acknowledged takes its usual port, or another
    where that is taken.
    """
    alerts = alerts_port or _free_port(DEFAULT_PORT)
    for name, number in (
        ("--port", port),
        ("--mlflow-port", mlflow_port),
        ("--alerts-port", alerts),
    ):
        _refuse_taken(name, number)
    os.environ.setdefault("ML_PLATFORM_UI_URL", f"http://127.0.0.1:{port}")
    os.environ.setdefault("ML_PLATFORM_ACK_URL", f"http://127.0.0.1:{alerts}")
    scenarios = _free_port(SCENARIOS_PORT)
    os.environ.setdefault("ML_PLATFORM_WHY_URL", f"http://127.0.0.1:{scenarios}")
    os.environ.setdefault("DAGSTER_HOME", str(default_home().parent))
    prepare(Path(os.environ["DAGSTER_HOME"]))
    settings = Settings.from_environment()
    (settings.home / "mlflow").mkdir(parents=True, exist_ok=True)
    frame = read_sales(data) if data else make_sample()
    with source_systems(frame), contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(_server(_dagster(port))),
            stack.enter_context(_server(_mlflow(mlflow_port, settings))),
            stack.enter_context(_server(["ml-platform", "alerts", "serve", "--port", str(alerts)])),
            stack.enter_context(_server(_scenarios(scenarios))),
        ]
        console.print(f"[bold]Dagster[/bold]  http://127.0.0.1:{port}")
        console.print(f"[bold]MLflow[/bold]   http://127.0.0.1:{mlflow_port}")
        console.print(f"[bold]Alerts[/bold]   {settings.home / 'alerts' / 'inbox'}")
        console.print("Ctrl-C ends all. They take some seconds to answer.")
        return _until_one_ends(servers)


def _dagster(port: int) -> Sequence[str]:
    return ["dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]


def _scenarios(port: int) -> Sequence[str]:
    return ["ml-platform", "scenario", "serve", "--pages", "--port", str(port)]


def _mlflow(port: int, settings: Settings) -> Sequence[str]:
    return [
        *("mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", settings.tracking_uri),
    ]


@contextlib.contextmanager
def _server(command: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A server in a process group of its own, so that it ends with all that it has started."""
    program = [str(Path(sys.executable).parent / command[0]), *command[1:]]
    process = subprocess.Popen(program, start_new_session=True)  # noqa: S603 - our own words
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end as Ctrl-C does; what does not listen is killed."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _until_one_ends(servers: "list[subprocess.Popen[bytes]]") -> int:
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    # Set here although Ctrl-C has a handler: who starts this in the background may ignore it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not stopped:
        for server in servers:
            if server.poll() is not None:
                return server.returncode or 1
        time.sleep(_LOOK_EVERY_S)
    return 0


def _free_port(wanted: int) -> int:
    """The port that is wanted, or any other where that is taken."""
    for number in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
            return int(probe.getsockname()[1])
    return wanted


def _refuse_taken(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SettingsError(
                f"port {port}",
                f"something listens there already ({error.strerror})",
                fix=f"end it, or give another with {name}",
            ) from error
