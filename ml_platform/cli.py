"""`ml-platform ...`: each command calls a room and prints what it says."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ml_platform.alerts.commands import app as alerts
from ml_platform.execution.clusters.commands import app as clusters
from ml_platform.kernel.errors import DeclarationError, PlatformError
from ml_platform.kernel.names import TableKey
from ml_platform.kernel.settings import Settings
from ml_platform.scenarios.commands import app as scenarios
from ml_platform.storage.tables import TableStore

if TYPE_CHECKING:
    from ml_platform.execution.backfill import BackfillPlan
    from ml_platform.execution.launch import Outcome
    from ml_platform.execution.usage import Usage
    from ml_platform.session import Session

app = typer.Typer(
    help="The machine-learning platform from the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
checks = typer.Typer(help="Rules that a table has to keep.", no_args_is_help=True)
app.add_typer(checks, name="checks")
app.add_typer(alerts, name="alerts")
app.add_typer(clusters, name="clusters")
app.add_typer(scenarios, name="scenario")
console = Console()
errors = Console(stderr=True)

WARNING_CODE = 3
"""What a scenario that has ended with a warning exits with; 2 is a mistake in the words typed."""


class Output(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"


ProjectOption = Annotated[
    str | None, typer.Option("--project", "-p", help="Whose tables are meant by short names.")
]
DataOption = Annotated[
    Path | None, typer.Option(help="Sales and conditions in a CSV, instead of the made-up ones.")
]
PartitionOption = Annotated[str | None, typer.Option(help="The partition, where there are any.")]


def main() -> None:
    """Run the command line; a person's mistake is told in words, not as a traceback."""
    try:
        sys.exit(app(standalone_mode=False))  # what a command exits with is returned here
    except PlatformError as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(1)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        if not hasattr(error, "format_message"):  # a mistake of ours is not hidden
            raise
        errors.print(f"{error.format_message()}\n`ml-platform --help` lists the commands.")
        sys.exit(2)


def _store() -> TableStore:
    settings = Settings.from_environment()
    return TableStore(settings.storage_root, settings.memory_limit)


@app.command()
def tables(project: ProjectOption = None) -> None:
    """List the tables with their partitions, rows, size and time of writing."""
    store = _store()
    listing = Table("project", "table", "partitions", "rows", "size", "written (UTC)", box=None)
    for info in store.tables(project):
        listing.add_row(
            info.project,
            str(info.key),
            str(info.partitions),
            f"{store.rows(info.project, info.key):,}",
            _size(info.bytes),
            f"{info.modified:%Y-%m-%d %H:%M:%S}",
        )
    console.print(listing)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; tables go by their keys, raw.sales.")],
    project: ProjectOption = None,
    rows: Annotated[int, typer.Option(help="How many rows to print.")] = 20,
    output: Annotated[
        Output, typer.Option(help="How to print them; csv prints all.")
    ] = Output.table,
) -> None:
    """Ask all tables, of all projects, in SQL."""
    from ml_platform.storage.query import queried

    with queried(_store(), query, project) as found:
        if output is Output.csv:
            found.to_df().to_csv(sys.stdout, index=False)
            return
        _print_rows(found.columns, found.limit(rows).fetchall())


@app.command()
def versions(table: str, project: ProjectOption = None, partition: PartitionOption = None) -> None:
    """List the kept versions of a table: the times at which they were written."""
    store = _store()
    for version in store.versions(_owner(store, table, project), TableKey.parse(table), partition):
        console.print(version)


@app.command()
def restore(
    table: str, version: str, project: ProjectOption = None, partition: PartitionOption = None
) -> None:
    """Bring a kept version of a table back; what is there now becomes a version."""
    store = _store()
    owner = _owner(store, table, project)
    written = store.restore(owner, TableKey.parse(table), version, partition)
    console.print(f"{owner}: {table} is as of {version} again: {written.rows:,} rows")


@app.command()
def check(project: ProjectOption = None) -> None:
    """Load every project as the server does, and list what is broken."""
    from ml_platform.common import common_definitions
    from ml_platform.loading.project import load_project, project_names

    broken = 0
    for name in [project] if project else project_names():
        loaded = load_project(name, common_definitions())
        for one in loaded.broken:
            errors.print(str(one), style="red", markup=False, highlight=False, soft_wrap=True)
        broken += len(loaded.broken)
        assets = len(loaded.definitions.resolve_asset_graph().executable_asset_keys)
        console.print(f"{name}: {assets - len(loaded.broken)} assets, {len(loaded.broken)} broken")
    if broken:
        raise typer.Exit(1)


@checks.command()
def propose(
    table: Annotated[str, typer.Argument(help="The key, like raw/sales.")],
    project: ProjectOption = None,
) -> None:
    """Print a first declaration of `Checks` that the table passes, to be read and tightened."""
    from ml_platform.checks.proposal import propose_checks

    store, key = _store(), TableKey.parse(table)
    with store.relation(_owner(store, table, project), key) as rows:
        # Enough to see what a table is like; more would only take longer.
        typer.echo(propose_checks(table, rows.limit(200_000).to_arrow_table()), nl=False)


@app.command()
def backfill(
    table: Annotated[str, typer.Argument(help="The key, like raw/sales.")],
    partitions: Annotated[
        str, typer.Option(help="first..last, both included; an open end means all there are.")
    ] = "..",
    project: ProjectOption = None,
    *,
    plan: Annotated[
        bool, typer.Option("--plan", help="Tell what it would do, and start nothing.")
    ] = False,
    run: Annotated[bool, typer.Option("--run", help="Tell that, and do it; the default.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only partitions that failed or are missing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the last backfill that did not end well.")
    ] = False,
) -> None:
    """Make a range of a table's partitions, here and now."""
    from ml_platform.session import opened, project_of_table

    if sum((plan, run, resume)) > 1:
        raise typer.BadParameter("give one of --plan, --run and --resume")
    first, dots, last = partitions.partition("..")
    with opened(project_of_table(table, project)) as session:
        if resume:
            _end(_resumed(session, table))
            return
        found = session.plan(
            table, first or None, (last if dots else first) or None, only_open=failed
        )
        _print_plan(found)
        if plan:
            console.print("nothing was started; the same with --run does it")
        elif found.groups:
            _end(_backfilled(session, found))


def _print_plan(found: "BackfillPlan") -> None:
    listing = Table(box=None, show_header=False)
    for word, what in found.lines():
        listing.add_row(word, what)
    console.print(listing)


def _backfilled(session: "Session", found: "BackfillPlan") -> "list[Outcome]":
    from ml_platform.execution.progress import counted_on

    table = found.key.to_user_string()
    with counted_on(console, table, len(found.partitions) or 1) as tell:
        return session.backfill(found, tell)


def _resumed(session: "Session", table: str) -> "list[Outcome]":
    from ml_platform.execution.backfill import RANGE_END, RANGE_START
    from ml_platform.execution.launch import partitions_between
    from ml_platform.execution.progress import counted_on

    run = session.resumable(table)
    first, last = run.tags[RANGE_START], run.tags[RANGE_END]
    console.print(f"going on with run {run.run_id[:8]}, partitions {first} to {last}")
    definitions = session.project.definitions
    total = len(partitions_between(definitions, session.asset(table), first, last))
    with counted_on(console, table, total) as tell:
        return [session.resume(table, run, tell)]


def _end(outcomes: "list[Outcome]") -> None:
    bad = [outcome for outcome in outcomes if not outcome.success]
    console.print(f"{len(outcomes) - len(bad)} runs succeeded, {len(bad)} failed")
    if bad:
        console.print("`--failed` makes what is missing; `--resume` goes on with the last run")
        raise typer.Exit(1)


@app.command()
def usage(
    project: ProjectOption = None,
    days: Annotated[int, typer.Option(min=1, help="How far back to look.")] = 30,
) -> None:
    """List what each table has cost: runs, CPU seconds, peak memory, rows."""
    from datetime import timedelta

    from ml_platform.execution.usage import usage as used
    from ml_platform.kernel.clock import system_clock
    from ml_platform.session import instance_opened

    names = ("project", "table", "runs", "made", "seconds", "CPU s", "peak", "rows", "rows/s")
    listing = Table(*names, box=None)
    with instance_opened() as instance:
        for one in used(instance, system_clock() - timedelta(days=days)):
            if project in {None, one.project}:
                listing.add_row(*_usage_cells(one))
    console.print(listing)


def _usage_cells(one: "Usage") -> tuple[str, ...]:
    return (
        one.project,
        one.key,
        str(len(one.runs)),
        str(one.materialisations),
        f"{one.seconds:,.1f}",
        f"{one.cpu_seconds:,.1f}",
        _size(one.peak_memory_bytes),
        f"{one.rows:,}",
        f"{one.rows_per_second:,.0f}",
    )


@app.command()
def demo(data: DataOption = None) -> None:
    """Run the demand project, from two source systems to a forecast and a report."""
    from ml_platform.demo.run import run_demo

    if not run_demo(console, data):
        raise typer.Exit(1)


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Of the MLflow UI.")] = 5000,
    alerts_port: Annotated[
        int | None, typer.Option(help="Of the page on which alerts are acknowledged; else 3001.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Start the Dagster UI, the MLflow UI and the demand project's source systems."""
    from ml_platform.demo.dev import run_dev

    raise typer.Exit(run_dev(console, port, mlflow_port, data, alerts_port))


@scenarios.command("list")
def list_scenarios(project: ProjectOption = None) -> None:
    """List the scenarios: what starts them, what they do, how the last run has ended."""
    from ml_platform.loading.project import project_names
    from ml_platform.session import opened

    listing = Table("project", "scenario", "triggers", "steps", "last run (UTC)", "", box=None)
    for name in [project] if project else project_names():
        with opened(name) as session:
            for scenario in session.scenarios():
                triggers = ", ".join(one.name for one in scenario.triggers) or "by hand"
                off = "" if scenario.active or not scenario.triggers else " (off)"
                steps = ", ".join(one.name for one in scenario.steps)
                last = session.last_run(scenario.name)
                listing.add_row(name, scenario.name, triggers + off, steps, *last)
    console.print(listing)


@scenarios.command("run")
def run_scenario(
    name: Annotated[str, typer.Argument(help="The scenario.")],
    param: Annotated[
        list[str] | None, typer.Option("--param", help="name=value, as in YAML; may be repeated.")
    ] = None,
    project: ProjectOption = None,
    *,
    wait: Annotated[
        bool, typer.Option(help="Run it here and now, or hand it to the queue and return.")
    ] = True,
) -> None:
    """Run a scenario; exits with 0 for success, 1 for a failure, 3 for a warning."""
    from ml_platform.demo.progress import told_on
    from ml_platform.session import opened, project_of_scenario

    params = dict(_parameter(one) for one in param or [])
    with opened(project_of_scenario(name, project)) as session:
        if not wait:
            run_id = session.submit_scenario(name, params)
            console.print(f"run {run_id} is in the queue; the daemon starts it")
            return
        with told_on(console) as tell:
            outcome = session.run_scenario(name, params, tell)
    console.print(f"{name}: {outcome}")
    raise typer.Exit({"success": 0, "warning": WARNING_CODE}.get(outcome, 1))


def _parameter(text: str) -> tuple[str, Any]:
    import yaml

    name, equals, value = text.partition("=")
    try:
        found = yaml.safe_load(value)
        json.dumps(found)
    except (yaml.YAMLError, TypeError):
        found = value  # a text with signs of YAML in it, or a day, is itself
    if not equals or not name.isidentifier():
        raise DeclarationError(f"--param {text}", "no name and value", allowed="name=value")
    return name, found


@scenarios.command("kill")
def kill_scenario(
    name: Annotated[str, typer.Argument(help="The scenario.")], project: ProjectOption = None
) -> None:
    """End the runs of a scenario that wait or go on, with the runs that they have started."""
    from ml_platform.session import opened, project_of_scenario

    with opened(project_of_scenario(name, project)) as session:
        ended = session.kill_scenario(name)
    for run_id in ended:
        console.print(f"run {run_id} was told to end")
    if not ended:
        console.print("no run of it was going on")


@app.command()
def variables(
    scenario: Annotated[
        str | None, typer.Argument(help="Those that a run of it has; else the projects' own.")
    ] = None,
    project: ProjectOption = None,
    forget: Annotated[
        str, typer.Option(help="Let what is declared hold again, where a step has set another.")
    ] = "",
) -> None:
    """List the variables of scenarios, and where each value comes from."""
    from ml_platform.loading.project import project_names
    from ml_platform.scenarios.remembered import forget as forgotten
    from ml_platform.session import opened, project_of_scenario

    names = [project_of_scenario(scenario, project)] if scenario else project_names()
    listing = Table("project", "variable", "value", "from", box=None)
    for name in [project] if project else names:
        if forget and forgotten(name, forget):
            console.print(f"{name}: what a step has set as {forget} is forgotten")
        with opened(name) as session:
            for one in session.variables(scenario).values():
                listing.add_row(name, one.name, json.dumps(one.shown), one.origin)
    console.print(listing)


def _owner(store: TableStore, table: str, project: str | None) -> str:
    from ml_platform.storage.query import owner_of

    return project or owner_of(store, [TableKey.parse(table)])


def _print_rows(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    listing = Table(*columns, box=None)
    for row in rows:
        listing.add_row(*("" if value is None else str(value) for value in row))
    console.print(listing)


def _size(count: int) -> str:
    power = min(max(count.bit_length() - 1, 0) // 10, 3)
    return f"{count / 2 ** (10 * power):.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}"


if __name__ == "__main__":
    main()
