"""What only shows when all pieces are together: keys declared twice, tables in a circle."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from ml_platform.loading.pieces import Broken, Found, Piece

if TYPE_CHECKING:
    from ml_platform.kernel.errors import Where


def without_twins(found: Found) -> list[Piece]:
    """The first declaration of a key stays; a later one is broken."""
    first: dict[dg.AssetKey, Where] = {}
    kept = []
    for piece in found.pieces:
        twins = sorted(key.to_user_string() for key in piece.keys() & first.keys())
        if not twins:
            kept.append(piece)
            first |= dict.fromkeys(piece.keys(), piece.where)
            continue
        other = first[dg.AssetKey.from_user_string(twins[0])]
        message = f"{twins[0]} is declared twice, first at {other}\n  to do: rename or remove one"
        name = ("broken", f"{'_'.join(twins[0].split('/'))}_line_{piece.where.line}")
        found.broken.append(Broken(name, piece.where, message))
    return kept


def without_cycles(pieces: list[Piece], broken: list[Broken]) -> list[Piece]:
    """Tables that wait for one another in a circle can never be made: all of them are broken."""
    upstream: dict[dg.AssetKey, set[dg.AssetKey]] = {}
    for piece in pieces:
        for asset in piece.definitions.assets or []:
            if isinstance(asset, dg.AssetsDefinition):
                for key in asset.keys:
                    upstream[key] = set(asset.asset_deps.get(key, ())) - {key}
    circle = _circle(upstream)
    if not circle:
        return pieces
    way = " -> ".join(key.to_user_string() for key in [*circle, circle[0]])
    kept = []
    for piece in pieces:
        caught = sorted(piece.keys() & set(circle))
        if not caught:
            kept.append(piece)
            continue
        message = f"the tables wait for one another: {way}\n  to do: break the circle"
        broken.append(Broken(tuple(caught[0].path), piece.where, message))
    return without_cycles(kept, broken)


def _circle(upstream: Mapping[dg.AssetKey, set[dg.AssetKey]]) -> list[dg.AssetKey]:
    """One circle of a graph in the order of waiting, or nothing."""
    done: set[dg.AssetKey] = set()
    for start in upstream:
        way: list[dg.AssetKey] = []
        stack: list[tuple[dg.AssetKey, Iterator[dg.AssetKey]]] = [(start, iter([start]))]
        while stack:
            step = next(stack[-1][1], None)
            if step is None:
                stack.pop()
                if way:
                    done.add(way.pop())
            elif step in way:
                return way[way.index(step) :]
            elif step not in done and step in upstream:
                way.append(step)
                stack.append((step, iter(sorted(upstream[step]))))
    return []
