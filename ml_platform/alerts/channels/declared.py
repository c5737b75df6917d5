"""The channels that an installation, or a rule, declares: each name with a kind and its options.

Reading them contacts nobody and reads no secret: `${NAME}` is filled in when a message is sent.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import ValidationError

from ml_platform.alerts.channels.apprise import AppriseChannel
from ml_platform.alerts.channels.base import Declared, is_secret
from ml_platform.alerts.channels.channel import Channel
from ml_platform.alerts.channels.email import EmailChannel
from ml_platform.alerts.channels.folder import FolderChannel
from ml_platform.alerts.channels.sentry import SentryChannel
from ml_platform.alerts.channels.slack import SlackChannel
from ml_platform.alerts.channels.teams import TeamsChannel
from ml_platform.alerts.channels.twilio import TwilioChannel
from ml_platform.alerts.channels.webhook import WebhookChannel
from ml_platform.kernel.errors import DeclarationError, NotFoundError, Where, closest
from ml_platform.kernel.settings import default_home

KINDS: Mapping[str, type[Declared]] = MappingProxyType(
    {
        "folder": FolderChannel,
        "email": EmailChannel,
        "slack": SlackChannel,
        "teams": TeamsChannel,
        "webhook": WebhookChannel,
        "twilio": TwilioChannel,
        "sentry": SentryChannel,
        "apprise": AppriseChannel,
    }
)
"""Every kind of channel, by the word of its `type:`."""

_VARIABLE = "ML_PLATFORM_CHANNELS"
_FILE = "channels.yaml"


def channels_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The installation's file: `ML_PLATFORM_CHANNELS`, else channels.yaml beside workspace.yaml."""
    return Path(environ.get(_VARIABLE) or default_home().parent / _FILE)


def channels_of(path: Path | None = None) -> Mapping[str, Channel]:
    """The channels that a file declares, by name.

    Args:
        path: the file; by default the installation's.

    Raises:
        NotFoundError: there is no such file.
        DeclarationError: it does not declare channels; it names the line and what is allowed.
    """
    file = path or channels_file()
    root = _read(file)
    made = {}
    for name, (line, node) in root.children.items():
        declaration = {"name": name, **_mapping(node, f"channel {name}", Where(file, line))}
        made[str(name)] = _made(declaration, file, root.children[name][1], line)
    return MappingProxyType(made)


def channel_of(declaration: Mapping[str, Any]) -> Channel:
    """One channel, as a rule declares it within itself.

    Raises:
        DeclarationError: it is not one; a `where` is for the caller to add, who knows the file.
    """
    return _made(dict(declaration), None, None, None)


@dataclass
class _Node:
    """A value of a YAML file, and of a mapping each key's line and value."""

    value: Any
    children: dict[Any, tuple[int, "_Node"]] = field(default_factory=dict)


def _read(file: Path) -> _Node:
    try:
        text = file.read_text("utf-8")
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        found = _node(root, loader, file) if root is not None else _Node({})
    except FileNotFoundError:
        raise NotFoundError(
            f"channels in {file}", "no such file", fix=f"write it, or set {_VARIABLE}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"channels in {file}", f"it cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)
        given = f"the YAML cannot be read: {error.problem}"
        raise DeclarationError("channels", given, where=where) from None
    except yaml.YAMLError as error:
        raise DeclarationError("channels", f"no YAML: {error}", where=Where(file)) from None
    _mapping(found, "channels", Where(file, 1))
    return found


def _node(node: yaml.Node, loader: yaml.SafeLoader, file: Path) -> _Node:
    value = loader.construct_object(node, deep=True)
    found = _Node(value)
    if isinstance(node, yaml.MappingNode):
        for key, inner in node.value:
            name, line = loader.construct_object(key, deep=True), key.start_mark.line + 1
            if name in found.children:
                first = found.children[name][0]
                given = f"it is declared twice, first in line {first}"
                raise DeclarationError(f"channels: {name}", given, where=Where(file, line))
            found.children[name] = (line, _node(inner, loader, file))
    return found


def _mapping(node: _Node, subject: str, where: Where) -> Mapping[str, Any]:
    if isinstance(node.value, Mapping):
        return node.value
    raise DeclarationError(
        subject,
        f"{type(node.value).__name__} in place of names with their values",
        allowed="for each channel its name, and below it type: and its options",
        fix="write it as\n    inbox:\n      type: folder",
        where=where,
    )


def _made(
    declaration: dict[str, Any], file: Path | None, node: _Node | None, line: int | None
) -> Declared:
    """The channel of one declaration, or what is wrong with it, one sentence a field."""
    kind = declaration.get("type")
    subject = f"channel {declaration.get('name') or kind or 'without a name'}"
    if not isinstance(kind, str) or kind not in KINDS:
        given = f"'{kind}' is no type of channel" if kind else "its type is missing"
        where = _where(("type",), file, node, line)
        raise DeclarationError(subject, given, allowed=closest(str(kind), list(KINDS)), where=where)
    try:
        return KINDS[kind].model_validate({"name": kind, **declaration})
    except ValidationError as error:
        raise _told(error, KINDS[kind], subject, lambda at: _where(at, file, node, line)) from None


def _told(
    error: ValidationError, model: type[Declared], subject: str, where_of: Any
) -> DeclarationError:
    """The first mistake with what is allowed, the others after it."""
    found = sorted(
        ((where_of(one["loc"]), one) for one in error.errors()),
        key=lambda both: (both[0].line or 0) if both[0] else 0,
    )
    where, first = found[0]
    rest = [f"line {at.line}: {_sentence(one, model)}" if at else _sentence(one, model)
            for at, one in found[1:]]  # fmt: skip
    unknown = first["type"] == "extra_forbidden"
    allowed = closest(str(first["loc"][-1]), sorted({*model.model_fields})) if unknown else ""
    given = "; ".join([_sentence(first, model), *rest])
    return DeclarationError(subject, given, allowed=allowed, where=where)


def _sentence(one: Mapping[str, Any], model: type[Declared]) -> str:
    """What is wrong with a field; what was given for a secret is not repeated."""
    path: Sequence[str | int] = one["loc"]
    name = ".".join(map(str, path))
    if one["type"] == "extra_forbidden":
        return f"{name}: no such word"
    if one["type"] == "missing":
        return f"{name}: it is missing"
    cause = one.get("ctx", {}).get("error")
    info = model.model_fields.get(str(path[0])) if path else None
    shown = "" if cause or info is None or is_secret(info) else f", given {one['input']!r}"
    return f"{name}: {cause or one['msg']}{shown}".removeprefix(": ")


def _where(
    path: Sequence[str | int], file: Path | None, node: _Node | None, line: int | None
) -> Where | None:
    """The line of a field, or of the nearest thing around it that has one."""
    if file is None:
        return None
    for part in path:
        if node is None or part not in node.children:
            break
        line, node = node.children[part]
    return Where(file, line)
