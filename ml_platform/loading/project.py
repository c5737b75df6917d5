"""Load one project, so that a broken file breaks itself and nothing else.

Dagster's own loader gives up a whole code location for one wrong YAML. Here an asset that carries
the message stands in the place of each declaration that fails; when it is run it fails with it.
"""

import contextlib
import gc
import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from ml_platform.alerts.component import rules_in
from ml_platform.alerts.sensor import alerts_sensor
from ml_platform.execution.automation import automation_sensor
from ml_platform.execution.component import beta_used_on_purpose
from ml_platform.kernel.errors import DeclarationError
from ml_platform.kernel.marks import BROKEN_TAG
from ml_platform.kernel.settings import Settings
from ml_platform.loading.folder import isolated, load_folder
from ml_platform.loading.graph import without_cycles, without_twins
from ml_platform.loading.pieces import Broken, Piece
from ml_platform.loading.scenarios import without_troubled_scenarios
from ml_platform.storage.syntax import parsed_together

DEFS_ROOT = Path(__file__).parent.parent / "defs"

_BETA = (
    r"Parameter `execution_type`"
    r"|Class `\w*CodeReference\w*`"
    r"|Function `load_definitions_from_modules?`"
    r"|Parameter `owners` of initializer `SensorDefinition"
)


@dataclass(frozen=True)
class Project:
    """A loaded project: what it defines, and what of it is broken."""

    name: str
    definitions: dg.Definitions
    broken: list[Broken]


def project_names(root: Path = DEFS_ROOT) -> list[str]:
    """The projects there are: the folders under `defs/`."""
    return sorted(
        p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "_"))
    )


def load_project(name: str, common: dg.Definitions | None = None) -> Project:
    """Load the project `name` of this installation.

    Args:
        name: a folder under `defs/`.
        common: what holds for every project, such as resources.

    Raises:
        DeclarationError: there is no such project.
    """
    if name not in project_names():
        raise DeclarationError(
            f"project '{name}'", "no such folder under defs/", allowed=", ".join(project_names())
        )
    module = importlib.import_module("ml_platform.defs")
    tree = dg.ComponentTree.from_module(module, project_root=DEFS_ROOT.parent.parent)
    return load_tree(tree, name, common)


def load_tree(tree: dg.ComponentTree, name: str, common: dg.Definitions | None = None) -> Project:
    """Load the project in the folder `name` of a component tree."""
    isolated(tree)
    folder = tree.defs_module_path / name
    with _no_collection(), beta_used_on_purpose(_BETA):
        kept = Settings.from_environment().home / "loading" / f"{name}.json"
        with parsed_together(_queries_below(folder), kept):
            found = load_folder(tree, folder, tree.decl_load_context)
        pieces = without_cycles(without_twins(found), found.broken)
        pieces = _without_rule_twins(pieces, found.broken)
        pieces = without_troubled_scenarios(pieces, found.broken)
        merged = _merged(pieces, found.broken, name, common or dg.Definitions())
    return Project(name, merged, found.broken)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage meanwhile.

    Nearly all that is made here stays, and looking through it again and again takes a tenth of the
    whole time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _queries_below(folder: Path) -> Iterator[str]:
    """The SQL files of a project; what cannot be read is told by the declaration that names it."""
    for path in folder.rglob("*.sql"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            yield path.read_text(encoding="utf-8")


def _merged(
    pieces: list[Piece], broken: list[Broken], name: str, common: dg.Definitions
) -> dg.Definitions:
    """All pieces as one; if they refuse each other, those are left out that the rest refuses."""
    whole = _all(pieces, broken, name, common)
    try:
        dg.Definitions.validate_loadable(whole)
    except Exception:  # noqa: BLE001 - found out and told below
        kept: list[Piece] = []
        for piece in pieces:
            try:
                dg.Definitions.validate_loadable(_all([*kept, piece], [], name, common))
            except Exception as error:  # noqa: BLE001 - it becomes the file's message
                label = ("broken", _safe(f"{piece.where.file.parent.name}_{piece.where.line}"))
                message = f"{type(error).__name__}: {error}"
                broken.append(Broken(label, piece.where, message))
            else:
                kept.append(piece)
        whole = _all(kept, broken, name, common)
    return whole


def _without_rule_twins(pieces: list[Piece], broken: list[Broken]) -> list[Piece]:
    """The first rule of a name stays; a later one would take its place, and is broken."""
    first: dict[str, Piece] = {}
    kept = []
    for piece in pieces:
        twins = [rule.name for rule in rules_in(piece.definitions) if rule.name in first]
        if not twins:
            kept.append(piece)
            first |= {rule.name: piece for rule in rules_in(piece.definitions)}
            continue
        other = first[twins[0]].where
        message = f"rule {twins[0]} is declared twice, first at {other}\n  to do: rename one"
        name = ("broken", f"rule_{_safe(twins[0])}_line_{piece.where.line}")
        broken.append(Broken(name, piece.where, message))
    return kept


def _safe(text: str) -> str:
    return re.sub(r"\W", "_", text)


def _all(
    pieces: Sequence[Piece], broken: Iterable[Broken], name: str, common: dg.Definitions
) -> dg.Definitions:
    taken = {key for piece in pieces for key in piece.keys()}  # noqa: SIM118 - not a dict
    shown = dg.Definitions(assets=[_as_asset(one, name, taken) for one in broken])
    whole = dg.Definitions.merge(*(piece.definitions for piece in pieces), shown, common)
    rules = rules_in(whole)
    sensors: list[dg.SensorDefinition] = [alerts_sensor(name, rules)] if rules else []
    if any(_is_automatic(piece) for piece in pieces):
        sensors.append(automation_sensor())
    return dg.Definitions.merge(whole, dg.Definitions(sensors=sensors)) if sensors else whole


def _is_automatic(piece: Piece) -> bool:
    return any(
        spec.automation_condition is not None
        for asset in piece.definitions.assets or []
        if isinstance(asset, dg.AssetsDefinition)
        for spec in asset.specs
    )


def _as_asset(one: Broken, project: str, taken: set[dg.AssetKey]) -> dg.AssetsDefinition:
    """A broken declaration as an asset that carries its message and fails with it when run."""
    key = dg.AssetKey(one.name)
    if key in taken:
        key = dg.AssetKey(["broken", _safe("_".join(one.name))])
    taken.add(key)
    text = f"**This declaration is broken.**\n\n```text\n{one}\n```"

    @dg.asset(
        key=key,
        group_name=project,
        kinds={"broken"},
        description=text,
        tags={BROKEN_TAG: "true"},
        metadata={"message": dg.MetadataValue.md(text)},
    )
    def broken() -> None:
        raise dg.Failure(str(one), allow_retries=False)

    return broken
