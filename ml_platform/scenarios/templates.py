"""What a declaration says of a run: expressions (`= params.n + 1`) and templates (`{{ ... }}`).

Both ask about the same five names, and are looked at when the declaration is read: they call
nothing and keep nothing. What is secret comes out as `***`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError
from ml_platform.kernel.expression import check, compiled, environment, parsed

if TYPE_CHECKING:
    from jinja2 import nodes

NAMES = ("outcome", "steps", "params", "variables", "trigger")
"""What may be asked about; docs/scenarios.md says what each holds."""

MOST_SIGNS = 10_000
LONGEST_TEXT = 20_000
"""What a template makes is cut there, in characters."""

_NODES = ("Template", "Output", "TemplateData", "If")


def is_template(text: str) -> bool:
    """Whether a text holds anything to be filled in."""
    return "{{" in text or "{%" in text


def checked(text: str) -> str:
    """The text, if what is to be filled in can be.

    Raises:
        DeclarationError: an unknown name, a call, a loop, or what cannot be read.
    """
    if is_template(text):
        check(_tree(text), _subject(text), names=NAMES, more_nodes=_NODES)
    return text


def checked_below(values: dict[str, Any]) -> dict[str, Any]:
    """The values, if all texts in them can be filled in; raises as `checked` and `compiled`."""
    for text in _texts(values):
        if text.startswith("="):
            compiled(text[1:].strip(), NAMES)
        else:
            checked(text)
    return values


def filled(value: Any, known: Mapping[str, Any]) -> Any:
    """The value with every text in it filled in; `= ...` keeps the type of what it says.

    Raises:
        DataError: it asks for what is not there.
    """
    if isinstance(value, Mapping):
        return {name: filled(one, known) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, known) for one in value]
    if not isinstance(value, str):
        return value
    if value.startswith("="):
        return compiled(value[1:].strip(), NAMES).value(known)
    return rendered(value, known) if is_template(value) else value


def rendered(text: str, known: Mapping[str, Any]) -> str:
    """What a template says.

    Raises:
        DataError: it asks for what is not there.
    """
    from jinja2 import TemplateError

    try:
        made = environment().from_string(text).render(dict(known))
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise DataError(
            _subject(text), str(error) or type(error).__name__,
            fix="ask for what is there; `x is defined` asks whether it is",
        ) from error  # fmt: skip
    return made if len(made) <= LONGEST_TEXT else made[: LONGEST_TEXT - 1] + "…"


def variables_asked(value: Any, *, condition: bool = False) -> set[str]:
    """The variables that the texts in a value ask for by name, but whether they are there.

    Args:
        value: texts, and lists and mappings of them.
        condition: whether a text is an expression even without `=`, as `if` is.
    """
    found: set[str] = set()
    for text in _texts(value):
        if condition or text.startswith("="):
            tree = parsed(text.removeprefix("=").strip(), _subject(text), as_expression=True)
        elif is_template(text):
            tree = _tree(text)
        else:
            continue
        found |= _asked_in(tree)
    return found


def _asked_in(tree: "nodes.Node") -> set[str]:
    from jinja2 import nodes

    careful = [
        node.node
        for node in tree.find_all((nodes.Test, nodes.Filter))
        if node.name in {"defined", "undefined", "default"}
    ]
    everywhere = [tree, *tree.find_all((nodes.Getattr, nodes.Getitem))]
    return {name for node in everywhere if node not in careful and (name := _variable(node))}


def _variable(node: "nodes.Node") -> str | None:
    """The name in `variables.name` or `variables['name']`."""
    from jinja2 import nodes

    if not isinstance(node, (nodes.Getattr, nodes.Getitem)):
        return None
    if not (isinstance(node.node, nodes.Name) and node.node.name == "variables"):
        return None
    if isinstance(node, nodes.Getattr):
        return node.attr
    return str(node.arg.value) if isinstance(node.arg, nodes.Const) else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _tree(text: str) -> "nodes.Node":
    return parsed(text, _subject(text), as_expression=False, most_signs=MOST_SIGNS)


def _subject(text: str) -> str:
    short = 40
    return f"template '{text[:short]}{'…' if len(text) > short else ''}'"
