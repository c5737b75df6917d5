"""`ml-platform clusters ...`: Ray clusters of this machine, started and ended by hand."""

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(help="Ray clusters of this machine.", no_args_is_help=True)
console = Console()

NameArgument = Annotated[str, typer.Argument(help="Of the cluster.")]
ForOption = Annotated[
    float, typer.Option("--for", help="Seconds until it ends, unless a step holds it longer.")
]


@app.command("list")
def list_() -> None:
    """List the clusters with who held them last, and for how long they are held."""
    from ml_platform.execution.clusters.lease import places

    listing = Table("cluster", "state", "nodes", "cores", "address", "held by", "for", box=None)
    for place in places():
        if lease := place.lease():
            rest = f"{max(lease.expires_at - time.time(), 0):.0f} s"
            state = lease.state if place.is_kept() else "lost"
            row = (place.name, state, str(lease.nodes), f"{lease.cpus:g}", lease.address)
            listing.add_row(*row, lease.owner, rest)
    console.print(listing)


@app.command()
def start(
    name: NameArgument,
    nodes: Annotated[int, typer.Option(min=1, help="How many that work.")] = 2,
    cpus: Annotated[float, typer.Option(help="Cores of each node.")] = 1,
    for_s: ForOption = 3600,
) -> None:
    """Start a cluster, or hold one that is there."""
    from ml_platform.execution.clusters.local import started

    lease = started(name, nodes, cpus, for_s)
    console.print(f"{name} is at {lease.address}; it ends by itself in {for_s:g} s")


@app.command()
def scale(name: NameArgument, nodes: Annotated[int, typer.Argument(min=1)]) -> None:
    """Let a cluster have so many nodes that work."""
    from ml_platform.execution.clusters.local import scaled

    console.print(f"{name} gets {scaled(name, nodes).nodes} nodes")


@app.command()
def stop(name: NameArgument) -> None:
    """End a cluster now, whoever holds it."""
    from ml_platform.execution.clusters.local import stopped

    stopped(name)
    console.print(f"{name} has ended")


@app.command()
def sweep() -> None:
    """End what is left of clusters that nobody holds, or whose keeper was killed."""
    from ml_platform.execution.clusters.local import swept

    found = swept()
    for one in found:
        console.print(f"{one.name}: {one.why}; {one.ended} processes were killed")
    if not found:
        console.print("nothing was left")
