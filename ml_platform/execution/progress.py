"""What a person who waits in a terminal sees of a backfill: how far it is, and what went wrong."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ml_platform.execution.launch import Happening


@contextlib.contextmanager
def counted_on(console: Console, table: str, total: int) -> Iterator[Callable[[Happening], None]]:
    """A teller that counts the partitions of a table as they end, and prints what failed."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("partitions"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(escape(table), total=total)
        step = table.replace("/", "__")
        troubled = False

        def tell(one: Happening) -> None:
            nonlocal troubled
            if one.kind in {"made", "kept"} and one.what == table:
                progress.advance(task)
            elif one.kind == "troubled" and one.what == step:
                troubled = True
                progress.advance(task)
                progress.console.print(f"[red]{escape(one.message)}[/red]")
            elif one.kind == "checked" and not one.passed:
                said = f"{one.what}  {one.message}"
                progress.console.print(f"[red]check FAILED[/red]  {escape(said)}")
            elif one.kind == "failed":
                # Its errors have been told as they came.
                said = one.message.partition("\n")[0] if troubled else one.message
                progress.console.print(f"[red]{escape(said)}[/red]")

        yield tell
