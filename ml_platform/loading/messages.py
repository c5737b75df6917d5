"""What a person reads of a declaration that could not be loaded: where, what, what is allowed."""

import importlib
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_shared.yaml_utils.source_position import ValueAndSourcePositionTree
from pydantic import TypeAdapter, ValidationError
from yaml import MarkedYAMLError

from ml_platform.kernel.errors import DeclarationError, PlatformError, Where, closest
from ml_platform.kernel.names import TableKey
from ml_platform.loading.pieces import Broken


def broken(
    error: Exception,
    file: Path,
    line: int,
    source: ValueAndSourcePositionTree | None,
    tree: dg.ComponentTree,
) -> Broken:
    """The declaration at `line` of `file` as one that `error` broke."""
    where, message = _told(_root_cause(error), file, line, source)
    name = _key_in(source) or _name_for(file, line, tree.defs_module_path)
    return Broken(name, where, message)


def _root_cause(error: BaseException) -> BaseException:
    """The error itself, below what Dagster's loader wraps around it."""
    while error.__cause__ is not None and not isinstance(error, PlatformError | ValidationError):
        error = error.__cause__
    return error


def _told(
    error: BaseException, file: Path, line: int, source: ValueAndSourcePositionTree | None
) -> tuple[Where, str]:
    """Where to look and what to say."""
    if isinstance(error, PlatformError):
        where = error.where or Where(file, line)
        return where, str(error)
    if isinstance(error, ValidationError) and source is not None:
        return _invalid(error, file, line, source)
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        where = Where(file, mark.line + 1, mark.column + 1)
        return where, f"the YAML cannot be read: {error.problem}"
    if isinstance(error, SyntaxError):
        return Where(Path(error.filename or file), error.lineno), f"{error.msg}"
    at = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    where = Where(file, at[-1].lineno if at else line)
    return where, f"{type(error).__name__}: {error}"


def _invalid(
    error: ValidationError, file: Path, line: int, source: ValueAndSourcePositionTree
) -> tuple[Where, str]:
    """Every field that is wrong, each with its line and what is allowed there."""
    model = _attributes_model(source)
    found: dict[tuple[str | int, ...], str] = {}
    for one in _error_details(error, model, source):
        path, said = _field_error(one, model)
        found.setdefault(path, said)
    places = {path: _line_of(path, source, line) for path in found}
    lines = sorted((places[path], said) for path, said in found.items())
    first = lines[0][0]
    rest = [f"{file}:{at}: {said}" if n else said for n, (at, said) in enumerate(lines)]
    return Where(file, first), "\n".join(rest)


def _attributes_model(source: ValueAndSourcePositionTree) -> Any:
    """The model of the declaration's attributes, if its type is known."""
    name = source.value.get("type") if isinstance(source.value, dict) else None
    module, _, attribute = str(name).rpartition(".")
    try:
        component = getattr(importlib.import_module(module), attribute)
        return component.get_model_cls()
    except (ImportError, AttributeError, ValueError):
        return None


def _error_details(
    error: ValidationError, model: Any, source: ValueAndSourcePositionTree
) -> list[Any]:
    """Pydantic's own list; asked again of the attributes, whose paths begin at them."""
    attributes = source.value.get("attributes")
    if model is not None:
        try:
            TypeAdapter(model).validate_python(attributes or {})
        except ValidationError as again:
            return [{**one, "loc": ("attributes", *one["loc"])} for one in again.errors()]
    return list(error.errors())


def _field_error(one: Mapping[str, Any], model: Any) -> tuple[tuple[str | int, ...], str]:
    """The path in the YAML and the sentence for one of pydantic's errors.

    Dagster lets every field be a template, so pydantic says everything twice: once for the type
    and once for a string. What it says of the string is left out, and the names of the union's
    members are no part of the path.
    """
    path = tuple(p for p in one["loc"] if isinstance(p, int) or re.fullmatch(r"[a-z_]\w*", p))
    path = tuple(p for p in path if p not in {"str", "int", "float", "bool"})
    name = ".".join(map(str, path[1:] or path))
    if one["type"] == "extra_forbidden":
        allowed = closest(str(path[-1]), _fields_at(model, path[1:-1]))
        return path, f"{name}: no such word\n  allowed: {allowed}"
    if one["type"] == "missing":
        return path, f"{name}: it is missing"
    said = one["msg"].removeprefix("Value error, ")
    return path, f"{name}: {said}, given {one['input']!r}" if name else said


def _fields_at(model: Any, path: Sequence[str | int]) -> list[str]:
    """The words allowed at a path below the attributes."""
    for part in path:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation)
        if model is None:
            return []
    return sorted(model.model_fields) if model is not None else ["attributes", "type"]


def _model_in(annotation: Any) -> Any:
    """The pydantic model within a field's type, however it is wrapped."""
    if hasattr(annotation, "model_fields"):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        model = _model_in(inner)
        if model is not None:
            return model
    return None


def _line_of(path: Sequence[str | int], source: ValueAndSourcePositionTree, fallback: int) -> int:
    position = source.source_position_tree
    line = fallback
    for part in path:
        if part not in position.children:
            break
        position = position.children[part]
        line = position.position.start.line
    return line


def _key_in(source: ValueAndSourcePositionTree | None) -> tuple[str, ...] | None:
    """The key that a broken declaration has, if it can be read."""
    value = source.value if source else None
    attributes = value.get("attributes") if isinstance(value, dict) else None
    key = attributes.get("key") if isinstance(attributes, dict) else None
    if isinstance(key, str):
        try:
            return TableKey.parse(key).parts
        except DeclarationError:
            return None
    return None


def _name_for(file: Path, line: int, root: Path) -> tuple[str, ...]:
    parts = file.relative_to(root).with_suffix("").parts[1:]
    stem = "_".join(re.sub(r"\W", "_", part) for part in parts)
    return ("broken", stem if line == 1 else f"{stem}_line_{line}")
