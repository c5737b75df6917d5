"""Walk a project's folder and hand each YAML document and Python file to Dagster by itself.

Folder settings (a `defs.yaml` of type `dagster.DefsFolderComponent`) hold for all that loads below.

This is the one place that reaches below Dagster's public component API; its twin in the tests names
each thing that it leans on.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster.components.core.decl import (
    DefsFolderDecl,
    YamlDecl,
    build_component_decl_from_python_file,
    build_component_decl_from_yaml_document,
)
from dagster.components.core.defs_module import (
    ComponentFileModel,
    ComponentPath,
    DefsFolderComponent,
    context_with_injected_scope,
)
from dagster.components.resolved.core_models import post_process_defs
from dagster_shared.yaml_utils import parse_yaml_with_source_position
from dagster_shared.yaml_utils.source_position import (
    LineCol,
    SourcePosition,
    SourcePositionTree,
    ValueAndSourcePositionTree,
)

from ml_platform.execution.component import AssetComponent, definition_metadata
from ml_platform.kernel.errors import Where
from ml_platform.loading.messages import broken
from ml_platform.loading.pieces import Broken, Found, Piece

_FOLDER_TYPES = {"dagster.DefsFolderComponent", "dagster.components.DefsFolderComponent"}
_DIVIDER = re.compile(r"^---[ \t]*(?:#.*)?$", re.MULTILINE)


def isolated(tree: dg.ComponentTree) -> None:
    """Let the tree know of no files, so that it parses none by itself.

    Otherwise one file that cannot be parsed breaks the load of every other.
    """
    root = ComponentPath.from_path(tree.defs_module_path)
    empty = DefsFolderDecl(
        context=tree.decl_load_context.for_component_loc(root),
        loc=root,
        children={},
        source_tree=None,
        component_file_model=None,
    )
    tree.state_tracker.set_cache_data(root, component_decl=empty)


def load_folder(tree: dg.ComponentTree, folder: Path, context: Any) -> Found:
    """What stands in a folder and below it, with the folder's own settings applied."""
    declaration = next((p for p in (folder / "defs.yaml", folder / "defs.yml") if p.exists()), None)
    if declaration is None:
        return _load_children(tree, folder, context)
    documents = list(_documents(declaration))
    if len(documents) == 1 and _type_in(documents[0][1]) in _FOLDER_TYPES:
        return _load_settings_and_children(tree, folder, declaration, context)
    found = Found()
    for number, (line, text) in enumerate(documents):
        loc = ComponentPath.from_path(folder, number)
        _load_document(tree, context.for_component_loc(loc), declaration, line, text, found)
    return found


def _load_children(tree: dg.ComponentTree, folder: Path, context: Any) -> Found:
    found = Found()
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")):
            continue
        if path.is_dir():
            below = load_folder(tree, path, context)
            found.pieces += below.pieces
            found.broken += below.broken
        elif path.suffix == ".py":
            _load_python(tree, path, context, found)
    return found


def _load_settings_and_children(
    tree: dg.ComponentTree, folder: Path, declaration: Path, context: Any
) -> Found:
    """A folder whose settings are broken keeps its content; the settings show as broken."""
    trouble: list[Broken] = []
    processors: Sequence[Any] = []
    try:
        decl = _settings(folder, declaration, context)
        processors = decl.get_asset_post_processor_lists()
        model = decl.component_file_model
        context = context_with_injected_scope(
            context.for_component_loc(decl.loc),
            DefsFolderComponent,
            model.template_vars_module if model else None,
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown as the file's own
        trouble.append(broken(error, declaration, 1, None, tree))
    found = _load_children(tree, folder, context)
    found.broken += trouble
    settled = Found(broken=found.broken)
    for piece in found.pieces:
        try:
            done = post_process_defs(piece.definitions, list(processors))
        except Exception as error:  # noqa: BLE001 - as above
            settled.pieces.append(piece)
            settled.broken.append(broken(error, declaration, 1, None, tree))
            processors = []
        else:
            settled.pieces.append(replace(piece, definitions=done))
    return settled


def _settings(folder: Path, declaration: Path, context: Any) -> DefsFolderDecl:
    loc = ComponentPath.from_path(folder, 0)
    source = parse_yaml_with_source_position(declaration.read_text("utf-8"), str(declaration))
    return DefsFolderDecl(
        context=context.for_component_loc(loc),
        loc=loc,
        children={},
        source_tree=source,
        component_file_model=ComponentFileModel(**source.value),
    )


def _load_document(
    tree: dg.ComponentTree, context: Any, file: Path, line: int, text: str, found: Found
) -> None:
    try:
        source = _parsed(text, file, line)
        loc = context.component_loc
        decl: Any = build_component_decl_from_yaml_document(context, source, loc)
        tree.state_tracker.set_cache_data(
            decl.loc, component_decl=decl, component=_plain_component(decl, text)
        )
        update = _code_reference(source, file)
        with definition_metadata(update):
            made = tree.build_defs_at_path(decl.loc)
        if not _all_carry(made, update):
            made = made.with_definition_metadata_update(lambda old: {**old, **update})
        if decl.component_file_model.post_processing:
            made = post_process_defs(made, list(decl.get_asset_post_processor_lists()))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown as the file's own
        found.broken.append(broken(error, file, line, _located(text, file), tree))
    else:
        found.pieces.append(Piece(Where(file, line), made))


class _Loader(yaml.CSafeLoader):
    """YAML as Dagster reads it, days left as text, by the parser in C."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def _parsed(text: str, file: Path, line: int) -> ValueAndSourcePositionTree:
    """The document with the place of its beginning alone: the places within cost ten times this."""
    value = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe loader
    start = LineCol(line=line, col=1)
    position = SourcePosition(filename=str(file), start=start, end=start)
    return ValueAndSourcePositionTree(value, SourcePositionTree(position=position, children={}))


def _located(text: str, file: Path) -> ValueAndSourcePositionTree | None:
    """The document with the place of each of its words; nothing if it cannot be parsed."""
    try:
        return parse_yaml_with_source_position(text, str(file))
    except yaml.YAMLError:
        return None


def _plain_component(decl: YamlDecl, text: str) -> AssetComponent | None:
    """The component of a declaration without templates, straight from what stands there.

    Dagster prepares for templates first, which takes ten times as long as all the rest. What is
    not so plain is left to it.
    """
    kind, model = decl.component_type, decl.component_file_model
    if model is None or model.template_vars_module or "{{" in text:
        return None
    if not issubclass(kind, AssetComponent) or "load" in vars(kind):
        return None
    return kind.model_validate(model.attributes or {})


def _code_reference(source: ValueAndSourcePositionTree, file: Path) -> dict[str, Any]:
    """What lets the UI's "open in editor" find the declaration."""
    line = source.source_position_tree.position.start.line
    reference = dg.LocalFileCodeReference(file_path=str(file), line_number=line)
    value = dg.CodeReferencesMetadataValue(code_references=[reference])
    return {"dagster/code_references": value}


def _all_carry(made: dg.Definitions, metadata: Mapping[str, Any]) -> bool:
    """Whether the definitions are assets alone, and each has this metadata already."""
    others = [made.asset_checks, made.jobs, made.schedules, made.sensors]
    return not any(others) and all(
        isinstance(asset, dg.AssetsDefinition)
        and all(metadata.items() <= spec.metadata.items() for spec in asset.specs)
        for asset in made.assets or []
    )


def _load_python(tree: dg.ComponentTree, path: Path, context: Any, found: Found) -> None:
    try:
        loc = ComponentPath.from_path(path)
        decl = build_component_decl_from_python_file(context.for_component_loc(loc))
        tree.state_tracker.set_cache_data(loc, component_decl=decl)
        for child in decl.iterate_child_component_decls():
            tree.state_tracker.set_cache_data(child.loc, component_decl=child)
        made = tree.build_defs_at_path(loc)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown as the file's own
        found.broken.append(broken(error, path, 1, None, tree))
    else:
        found.pieces.append(Piece(Where(path), made))


def _documents(file: Path) -> Iterator[tuple[int, str]]:
    """Each document of a YAML file and its first line.

    The text is padded with empty lines, so that the parser counts as the reader of the file does;
    one document that cannot be parsed leaves the others.
    """
    text = file.read_text(encoding="utf-8", errors="replace")
    starts = [0, *(m.end() for m in _DIVIDER.finditer(text))]
    ends = [*(m.start() for m in _DIVIDER.finditer(text)), len(text)]
    for start, end in zip(starts, ends, strict=True):
        chunk = text[start:end]
        if any(line.strip() and not line.lstrip().startswith("#") for line in chunk.splitlines()):
            before = text.count("\n", 0, start)
            blank = len(chunk) - len(chunk.lstrip("\n"))
            yield before + blank + 1, "\n" * before + chunk


def _type_in(text: str) -> str | None:
    match = re.search(r"^type:\s*[\"']?([\w.]+)", text, re.MULTILINE)
    return match[1] if match else None
