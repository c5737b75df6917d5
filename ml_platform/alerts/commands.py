"""`ml-platform alerts ...`: look into the outbox, try rules and channels out, put things right."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ml_platform.alerts.channels.channel import Channel
from ml_platform.alerts.compose import message_of, sample_event, short_id
from ml_platform.alerts.installed import ack_url, known_channels, outbox_here, place_of
from ml_platform.alerts.outbox import Book
from ml_platform.alerts.report import reaches, unanswered
from ml_platform.alerts.routing import acknowledge
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.settings import DEFAULT_PORT, AlertSettings
from ml_platform.kernel.clock import system_clock
from ml_platform.kernel.errors import DeclarationError, NotFoundError, Where, closest

app = typer.Typer(help="What is told, to whom, and what became of it.", no_args_is_help=True)
console = Console()

_SHOWN = ("pending", "held", "dead")


@app.command("list")
def list_(
    status: Annotated[
        str, typer.Option(help="pending, held, dead, sent, muted or gathered; else what waits.")
    ] = "",
    limit: Annotated[int, typer.Option(help="How many of each.")] = 20,
) -> None:
    """List what waits, is held back or could not be delivered, and the channels that are closed."""
    with outbox_here().book() as book:
        counts, closed = book.counted(), book.closed()
        found = [one for what in [status] if what for one in book.with_status(what, limit)]
        if not status:
            found = [one for what in _SHOWN for one in book.with_status(what, limit)]
    console.print(", ".join(f"{n} {what}" for what, n in sorted(counts.items())) or "nothing yet")
    for name, reason in closed.items():
        console.print(f"channel {name} is closed: {reason}", markup=False)
    listing = Table("id", "status", "rule", "channel", "attempts", "due (UTC)", "title", box=None)
    for one in found:
        said = (
            f"{one.message.title}\n{one.error.splitlines()[0]}" if one.error else one.message.title
        )
        due = f"{one.due_at:%m-%d %H:%M:%S}"
        _add(listing, one.id, one.status, one.rule, one.channel, one.attempts, due, said)
    console.print(listing)


@app.command()
def preview(
    rule: Annotated[str, typer.Argument(help="Its name, with its project where two share it.")],
    event: Annotated[str, typer.Option(help="A recorded event; else the newest that fits.")] = "",
    file: Annotated[
        Path | None, typer.Option(help="A defs.yaml to read the rule from, as it stands there now.")
    ] = None,
) -> None:
    """Show what a rule would send on each of its channels; nothing is sent."""
    settings = AlertSettings.from_environment()
    with outbox_here().book() as book:
        rule_id, found = _in_file(rule, file) if file else _rule(book, rule)
        happened = book.event(event) if event else book.latest_event(found.kinds)
    if event and happened is None:
        raise NotFoundError(f"event {event}", "it is not in the outbox", fix="leave --event out")
    is_sample = happened is None
    happened = happened or sample_event(system_clock(), rule_id.partition("/")[0])
    key = f"preview-{short_id(rule_id)}"
    message, wrong = message_of(
        happened, found, place_of(settings), dedup_key=key, ack_url=ack_url(settings, key)
    )
    message = replace(message, is_sample=is_sample)
    console.print(f"rule {rule_id}, event {happened.id} ({happened.type})", style="bold")
    if wrong:
        console.print(wrong, style="red", markup=False)
    channels = known_channels()
    for name in found.channels:
        console.print(f"\n{name}", style="bold")
        typer.echo(_channel(channels, name).rendered(message))


@app.command()
def test(channel: Annotated[str, typer.Argument(help="Its name in channels.yaml.")]) -> None:
    """Send one sample message to a channel, here and now."""
    settings = AlertSettings.from_environment()
    target = _channel(known_channels(), channel)
    rule = Rule(name="sample", channels=[channel])
    event = sample_event(system_clock())
    key = f"sample-{event.id}"
    message, _ = message_of(event, rule, place_of(settings), dedup_key=key)
    receipt = target.send(replace(message, is_sample=True), key=f"msg_{event.id}")
    told = " ".join(filter(None, (receipt.id, receipt.remark)))
    console.print(f"{channel} took it{f': {told}' if told else ''}", markup=False)


@app.command()
def report(days: Annotated[float, typer.Option(help="Over how many days.")] = 30.0) -> None:
    """Show per rule and channel what was told, acknowledged and ignored, and what is noisy."""
    with outbox_here().book() as book:
        found = reaches(book.figures(book.now - timedelta(days=days)))
    listing = Table(
        "rule", "channel", "told", "incidents", "acknowledged", "ignored", "went by itself", "",
        box=None,
    )  # fmt: skip
    for one in found:
        numbers = (one.told, one.incidents, one.acknowledged, one.ignored, one.by_themselves)
        _add(listing, one.rule, one.channel, *numbers, one.verdict(days))
    console.print(listing)
    for name in unanswered(found):
        console.print(f"Nobody answers on channel {name}.", markup=False)


@app.command()
def resend(number: Annotated[int, typer.Argument(help="As `alerts list` shows it.")]) -> None:
    """Send what was given up, or waits, with the next tick; with all its attempts before it."""
    with outbox_here().book() as book:
        if not book.release(number):
            raise NotFoundError(
                f"delivery {number}", "none of this number is dead, held or pending",
                fix="`ml-platform alerts list` shows them",
            )  # fmt: skip
    console.print(f"{number} is due now")


@app.command()
def ack(
    number: Annotated[int, typer.Argument(help="A delivery, as `alerts list` shows it.")],
    by: Annotated[str, typer.Option(help="Who looks into it.")],
) -> None:
    """Acknowledge the incident of a delivery: it is not repeated, and its channels hear of it."""
    with outbox_here().book() as book:
        one = book.delivery(number)
        if one is None:
            raise NotFoundError(f"delivery {number}", "there is none of this number")
        incident, is_new = acknowledge(book, one.dedup_key, by)
    who = incident.acknowledged_by or "nobody"
    console.print(
        f"acknowledged by {by}" if is_new else f"{incident.state.value} already, by {who}"
    )


@app.command("open")
def open_(channel: Annotated[str, typer.Argument(help="Its name in channels.yaml.")]) -> None:
    """Let a channel be used again that was closed; what waits for it is sent."""
    _channel(known_channels(), channel)
    with outbox_here().book() as book:
        was_closed = book.open(channel)
    console.print(f"{channel} is open" + ("" if was_closed else ", as it was"))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.")] = DEFAULT_PORT,
) -> None:
    """Serve the page on which messages are acknowledged, until Ctrl-C."""
    import uvicorn

    from ml_platform.alerts.page import app as page

    settings = AlertSettings.from_environment()
    # Without an access log: it would hold the links, and who has one may acknowledge.
    uvicorn.run(
        page(outbox_here(), settings.secret()),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )


def _rule(book: Book, name: str) -> tuple[str, Rule]:
    rules = book.rules()
    found = [one for one in rules if name in {one, one.partition("/")[2]}]
    if len(found) != 1:
        raise NotFoundError(
            f"rule {name}",
            "several projects have it" if found else "no sensor has used such a rule yet",
            allowed=closest(name, found or list(rules)),
            fix="name it with its project, or its file with --file",
        )
    return found[0], rules[found[0]]


def _in_file(name: str, file: Path) -> tuple[str, Rule]:
    """A rule as its file says it now."""
    import yaml
    from pydantic import ValidationError

    try:
        documents = [one for one in yaml.safe_load_all(file.read_text("utf-8")) if one]
    except (OSError, yaml.YAMLError) as error:
        raise DeclarationError(f"file {file}", str(error), where=Where(file)) from error
    rules = {
        one["attributes"].get("name"): one["attributes"]
        for one in documents
        if isinstance(one, dict) and str(one.get("type", "")).endswith(".Reporter")
    }
    if name not in rules:
        raise NotFoundError(f"rule {name}", f"{file} has none", allowed=closest(name, list(rules)))
    try:
        return f"{_project_of(file)}/{name}", Rule.model_validate(rules[name])
    except ValidationError as error:
        raise DeclarationError(f"rule {name}", str(error), where=Where(file)) from None


def _project_of(file: Path) -> str:
    parts = file.absolute().parts
    after = [two for one, two in pairwise(parts) if one == "defs"]
    return after[-1] if after else "project"


def _channel(channels: Any, name: str) -> Channel:
    if name not in channels:
        raise NotFoundError(
            f"channel {name}", "it is not declared", allowed=closest(name, sorted(channels))
        )
    found: Channel = channels[name]
    return found


def _add(listing: Table, *values: object) -> None:
    from rich.text import Text

    listing.add_row(*(Text(str(one)) for one in values))
