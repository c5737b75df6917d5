"""What only shows when all scenarios of a project are together: circles, unknown names."""

import dagster as dg

from ml_platform.kernel.settings import Settings
from ml_platform.loading.pieces import Broken, Piece
from ml_platform.scenarios.variables import platform_variables
from ml_platform.scenarios.whole import project_variables, scenarios_in, troubles


def without_troubled_scenarios(pieces: list[Piece], broken: list[Broken]) -> list[Piece]:
    """The pieces without the scenarios that cannot go well; those are broken.

    Where a declaration is broken already, what it would have declared is not known; so names are
    looked for in projects that are whole otherwise.
    """
    all_of_them = dg.Definitions.merge(*(_metadata_of(piece) for piece in pieces))
    scenarios = scenarios_in(all_of_them)
    if not scenarios:
        return pieces
    known = None
    if not broken:
        known = {*platform_variables(Settings.from_environment().variables_file)}
        known |= {*project_variables(all_of_them)}
    found = troubles(scenarios, known)
    kept = []
    for piece in pieces:
        caught = sorted({*scenarios_in(piece.definitions)} & {*found})
        if not caught:
            kept.append(piece)
        for name in caught:
            label = ("broken", f"scenario_{name}")
            broken.append(Broken(label, piece.where, f"scenario {name}: {found[name]}"))
    return kept


def _metadata_of(piece: Piece) -> dg.Definitions:
    return dg.Definitions(metadata=piece.definitions.metadata)
