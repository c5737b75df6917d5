"""`ml-platform scenario ...`: ask why a scenario ran or did not, and rehearse its triggers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml_platform.kernel.clock import system_clock
from ml_platform.kernel.errors import DeclarationError, NotFoundError
from ml_platform.scenarios.page import html as page_of
from ml_platform.scenarios.pages import moment_of
from ml_platform.scenarios.parts import seconds
from ml_platform.scenarios.recorder import Row, recorder_here
from ml_platform.scenarios.rehearse import compared, suggested
from ml_platform.scenarios.settle import Rules
from ml_platform.scenarios.webhook import DEFAULT_PORT
from ml_platform.scenarios.webhook import serve as take_calls

if TYPE_CHECKING:
    from ml_platform.scenarios.recorder import Recorder

app = typer.Typer(help="Triggers that wait for quiet, and what they start.", no_args_is_help=True)
console = Console()

ProjectOption = Annotated[
    str | None, typer.Option("--project", "-p", help="Whose, where two have the same name.")
]


@app.command()
def why(
    name: Annotated[str, typer.Argument(help="The scenario.")],
    at: Annotated[str, typer.Option(help="A moment in UTC, like 2026-01-31T09:10; else now.")] = "",
    project: ProjectOption = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page of all that is recorded to this file instead.")
    ] = None,
) -> None:
    """Tell what each trigger saw at a time, what was decided, and why."""
    moment = moment_of(at).timestamp() if at else system_clock().timestamp()
    if html:
        everything = _recorded(recorder_here(), name, project)
        page = page_of(name, everything, system_clock(), moment if at else None)
        html.write_text(page, encoding="utf-8")
        console.print(f"the record of {name} is in {html}", soft_wrap=True)
        return
    rows = _recorded(recorder_here(), name, project, until=moment)
    for trigger in sorted({(row.project, row.trigger) for row in rows}):
        last = [row for row in rows if (row.project, row.trigger) == trigger][-1]
        for line in told(last, moment):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def told(row: Row, moment: float) -> list[str]:
    """A row in words."""
    looks = "one look" if row.count == 1 else f"{row.count:,} looks from {_said(row.first_at)}"
    ago = "" if row.last_at <= moment else " and later"
    lines = [
        f"{row.project}: {row.scenario}, trigger {row.trigger} ({row.kind}): {row.decision}",
        f"  why:  {row.reason}",
        f"  when: {looks}, the last at {_said(row.last_at)}{ago}",
    ]
    lines += [f"  saw:  {row.account}"] if row.account else []
    lines += [f"  run:  {row.run_key}"] if row.run_key else []
    return lines


@app.command()
def history(
    name: Annotated[str, typer.Argument(help="The scenario.")],
    since: Annotated[str, typer.Option(help="How far back, like 7d.")] = "7d",
    project: ProjectOption = None,
) -> None:
    """List what its triggers saw and decided, looks of the same kind in one row."""
    listing = Table("from (UTC)", "to (UTC)", "looks", "trigger", "decision", "why", box=None)
    for row in _recorded(recorder_here(), name, project, since=_ago(since)):
        cells = (_said(row.first_at), _said(row.last_at), row.count, row.trigger, row.decision)
        listing.add_row(*(escape(str(cell)) for cell in cells), escape(row.reason))
    console.print(listing)


@app.command()
def rehearse(
    name: Annotated[str, typer.Argument(help="The scenario.")],
    since: Annotated[str, typer.Option(help="How far back, like 30d.")] = "30d",
    grace: Annotated[str, typer.Option(help="The grace delay to try, like 10m.")] = "2m",
    project: ProjectOption = None,
) -> None:
    """Replay what was recorded, and tell how many runs would have come of it; nothing is run."""
    rows = _recorded(recorder_here(), name, project, since=_ago(since))
    watched = sorted({(row.project, row.trigger) for row in rows if row.fingerprint})
    if not watched:
        raise NotFoundError(f"scenario {name}", "no trigger of it that watches something was seen")
    for owner, trigger in watched:
        of_one = [row for row in rows if (row.project, row.trigger) == (owner, trigger)]
        found, tried = compared(of_one, Rules(), _length(grace, "--grace"))
        counted = [_counted(found.changes, "change"), _counted(len(found.runs), "run")]
        console.print(
            f"{trigger}: {' would have become '.join(counted)} with a grace delay of {tried:,.0f} s"
        )
        better = suggested(found)
        if better is not None:
            console.print(
                f"  nearly all of a burst comes within {found.p99_gap:,.0f} s of the last"
            )
            console.print(f"  change; `grace: {better / 60:.0f}m` would make one run of each burst")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.")] = DEFAULT_PORT,
    *,
    pages: Annotated[
        bool, typer.Option("--pages", help="Show the record of each scenario there too.")
    ] = False,
) -> None:
    """Take signed calls for triggers of the kind `webhook`, until Ctrl-C."""
    take_calls(host, port, with_pages=pages)


def _recorded(
    recorder: "Recorder", name: str, project: str | None, since: float = 0.0, until: float = 1e18
) -> list[Row]:
    rows = recorder.rows(project, name, since, until)
    if not rows:
        raise NotFoundError(
            f"scenario {name}", "no look at its triggers is recorded for this time",
            fix="see whether its sensor is on and the daemon runs",
        )  # fmt: skip
    return rows


def _ago(text: str) -> float:
    return (system_clock() - timedelta(seconds=_length(text, "--since"))).timestamp()


def _length(text: str, option: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise DeclarationError(option, str(error)) from None


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


def _said(at: float) -> str:
    return f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M:%S}"
