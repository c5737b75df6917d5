"""`ml-platform demo`: the demand project from its two source systems to a forecast and a report."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml_platform.demo.progress import told_on
from ml_platform.demo.sample import make_sample, read_sales
from ml_platform.demo.systems import serving, write_sales_database
from ml_platform.execution.launch import Outcome, keys_of
from ml_platform.kernel.settings import Settings
from ml_platform.session import Session, Tell, opened
from ml_platform.storage.tables import TableStore

if TYPE_CHECKING:
    import pandas as pd

PROJECT = "demand"
SALES_URL, CONDITIONS_URL = "DEMAND_SALES_URL", "DEMAND_CONDITIONS_URL"
MODEL = dg.AssetKey(["models", "demand"])


def run_demo(console: Console, data: Path | None) -> bool:
    """Fill the source systems, run the project, and print what came out; whether it went well."""
    frame = read_sales(data) if data else make_sample()
    what = str(data) if data else "made-up sales (`make demo DATA=file.csv` takes yours)"
    console.print(f"[bold]Demand project[/bold] on {escape(what)}")
    with source_systems(frame), opened(PROJECT) as session:
        with told_on(console) as tell:
            outcomes = make_all(session, tell)
        if not all(outcome.success for outcome in outcomes):
            console.print("[red]The run stopped; what failed is named above.[/red]")
            return False
        _print_summary(console, session, outcomes)
    return True


@contextlib.contextmanager
def source_systems(frame: "pd.DataFrame", port: int = 0) -> Iterator[None]:
    """The two source systems, and the environment variables that name them, while the block runs.

    A variable that is set already names a real system, which is left alone.
    """
    folder = Settings.from_environment().home / "demo"
    with contextlib.ExitStack() as stack:
        if SALES_URL not in os.environ:
            folder.mkdir(parents=True, exist_ok=True)
            url = f"sqlite:///{folder / 'sales.db'}"
            write_sales_database(frame, url)
            stack.enter_context(_environment(SALES_URL, url))
        if CONDITIONS_URL not in os.environ:
            url = stack.enter_context(serving(frame, port))
            stack.enter_context(_environment(CONDITIONS_URL, url))
        yield


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def make_all(session: Session, tell: Tell) -> list[Outcome]:
    """Make the partitioned tables in one run, then the others in another; stop at a failure."""
    graph = session.project.definitions.resolve_asset_graph()
    keys = keys_of(session.project.definitions)
    divided = [key for key in keys if graph.get(key).is_partitioned]
    partitions = graph.get(divided[0]).partitions_def
    known = partitions.get_partition_keys() if partitions else []
    outcomes = [session.make(divided, tell, known)]
    if outcomes[0].success:
        outcomes.append(session.make([key for key in keys if key not in divided], tell))
    return outcomes


def _print_summary(console: Console, session: Session, outcomes: list[Outcome]) -> None:
    settings = Settings.from_environment()
    store = TableStore(settings.storage_root, settings.memory_limit)
    listing = Table("table", "rows", "partitions", box=None, title_justify="left")
    for info in store.tables(PROJECT):
        rows = store.rows(PROJECT, info.key)
        listing.add_row(str(info.key), f"{rows:,}", str(info.partitions))
    console.print()
    console.print(listing)
    console.print()
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(session, outcomes, settings):
        facts.add_row(f"[bold]{name}[/bold]", escape(value))
    console.print(facts)
    console.print("\nGo on: [bold]make dev[/bold] opens all of this in the Dagster UI.")


def _facts(
    session: Session, outcomes: list[Outcome], settings: Settings
) -> Iterator[tuple[str, str]]:
    """What a person wants to know of the whole, as names and values."""
    checks = [one for outcome in outcomes for one in outcome.happenings if one.kind == "checked"]
    yield "checks", f"{sum(one.passed for one in checks)} of {len(checks)} passed"
    model = _metadata(session, MODEL)
    error, baseline = model["wape"], model["baseline_wape"]
    yield "champion", f"WAPE {error:.2%}, 13 weeks ahead, mean of 4 origins"
    yield "seasonal naive", f"WAPE {baseline:.2%}: the champion is {1 - error / baseline:.0%} below"
    yield "verdict", model["verdict"]
    yield "forecast", f'ml-platform sql "FROM {PROJECT}.predictions.demand"'
    yield "report", _metadata(session, dg.AssetKey(["reports", "demand"]))["dagster/uri"]
    yield "MLflow run", f"{model['mlflow_run']} in {settings.tracking_uri}"
    yield "run history", str(settings.home / "dagster")


def _metadata(session: Session, key: dg.AssetKey) -> dict[str, Any]:
    """What the asset's last materialisation said of itself."""
    event = session.instance.get_latest_materialization_event(key)
    found = event.asset_materialization if event else None
    return {name: value.value for name, value in found.metadata.items()} if found else {}
