"""What a person reads of a declaration that could not be loaded: where, what, what is allowed."""

import importlib
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_shared.yaml_utils.source_position import ValueAndSourcePositionTree
from pydantic import BaseModel, ValidationError
from yaml import MarkedYAMLError

from ml_platform.kernel.errors import DeclarationError, PlatformError, Where, closest
from ml_platform.kernel.names import TableKey
from ml_platform.loading.pieces import Broken

_WORDS_ALONE = "literal["
"""How pydantic calls the words of a field that takes something else besides."""


def broken(
    error: Exception,
    file: Path,
    line: int,
    source: ValueAndSourcePositionTree | None,
    tree: dg.ComponentTree,
) -> Broken:
    """The declaration at `line` of `file` as one that `error` broke."""
    cause = _invalid_attributes(source) or _root_cause(error)
    where, message = _told(cause, file, line, source)
    name = _key_in(source) or _name_for(file, line, tree.defs_module_path)
    return Broken(name, where, message)


def _invalid_attributes(source: ValueAndSourcePositionTree | None) -> ValidationError | None:
    """What pydantic says of the attributes when it is asked directly.

    Dagster lets every field be a template too, so that its own validation says everything twice,
    once for the type and once for a string, and misses some mistakes.
    """
    component = _component_in(source)
    attributes = source.value.get("attributes") if source and component else None
    if component is None or "{{" in repr(attributes):
        return None
    try:
        component.model_validate(attributes or {})
    except ValidationError as error:
        return error
    return None


def _component_in(source: ValueAndSourcePositionTree | None) -> type[BaseModel] | None:
    """The class that a declaration names, if it exists and has fields."""
    value = source.value if source else None
    name = value.get("type") if isinstance(value, dict) else None
    module, _, attribute = str(name).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        return None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


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
    component = _component_in(source)
    begin = ("attributes",) if component is not None and error.title == component.__name__ else ()
    found = []
    for one in _meant(error):
        path = (*begin, *one["loc"])
        found.append((_line_of(path, source, line), _field_error(one, path, component)))
    found.sort()
    rest = [f"{file}:{at}: {said}" if n else said for n, (at, said) in enumerate(found)]
    return Where(file, found[0][0]), "\n".join(rest)


def _meant(error: ValidationError) -> list[Mapping[str, Any]]:
    """The errors; of a field that takes a word or a mapping, those of what was given."""
    return [
        one
        for one in error.errors()
        if not (isinstance(one["input"], dict) and _WORDS_ALONE in str(one["loc"][-1:]))
    ]


def _field_error(
    one: Mapping[str, Any], path: tuple[str | int, ...], component: type[BaseModel] | None
) -> str:
    """The sentence for one of pydantic's errors."""
    name = ".".join(map(str, path[1:] or path))
    if one["type"] == "extra_forbidden":
        allowed = closest(str(path[-1]), _fields_at(component, path[1:-1]))
        return f"{name}: no such word\n  allowed: {allowed}"
    if one["type"] == "missing":
        return f"{name}: it is missing"
    cause = one.get("ctx", {}).get("error")
    if isinstance(cause, PlatformError) or (cause and not path[1:]):
        return str(cause)
    return f"{name}: {cause or one['msg']}, given {one['input']!r}"


def _fields_at(model: Any, path: Sequence[str | int]) -> list[str]:
    """The words allowed at a path below the attributes."""
    for part in path:
        # What is no field is a place in a list, a person's own word, or one of several kinds.
        if model is not None and part in model.model_fields:
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
            continue
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
