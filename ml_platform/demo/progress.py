"""What a person who waits in a terminal sees of a run."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape

from ml_platform.execution.launch import Happening


@contextlib.contextmanager
def told_on(console: Console) -> Iterator[Callable[[Happening], None]]:
    """A teller that keeps one moving line for what goes on, and prints what has ended."""
    begun = time.monotonic()
    made: set[str] = set()
    with console.status("starting") as status:

        def tell(one: Happening) -> None:
            seconds = f"[dim]{time.monotonic() - begun:6.1f} s[/dim]"
            if one.kind == "started":
                status.update(escape(one.what.replace("__", "/")))
            elif one.kind == "made" and one.what not in made:
                made.add(one.what)
                console.print(f"{seconds}  [green]made[/green]     {escape(one.what)}")
            elif one.kind == "checked":
                word = "[green]passed[/green] " if one.passed else "[red]FAILED[/red] "
                console.print(
                    f"{seconds}  {word}  {escape(one.what)}  [dim]{escape(one.message)}[/dim]"
                )
            elif one.kind == "failed":
                console.print(
                    f"{seconds}  [red]failed[/red]   {escape(one.what)}\n{escape(one.message)}"
                )

        yield tell
