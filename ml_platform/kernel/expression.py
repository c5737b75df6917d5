"""Conditions that a person writes, such as `outcome == 'FAILED'`: looked at first, then evaluated.

They are Jinja2's expressions, cut down to what can neither reach Python nor run long: names,
values, comparisons, arithmetic, tests and a few filters. What they are asked about is the caller's
matter.
"""

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError, DeclarationError, closest

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.environment import TemplateExpression
    from jinja2.sandbox import SandboxedEnvironment

MOST_SIGNS = 1000
"""The longest expression, in characters; an honest one has some tens."""

DEEPEST = 60
"""How many parts may stand within each other; a sum of sixty numbers is as deep as that."""

FILTERS = frozenset(
    {"abs", "default", "escape", "first", "float", "int", "last", "length", "lower", "round"}
    | {"title", "trim", "truncate", "upper"}
)
"""None of them makes much out of little, however often it is applied."""

TESTS = frozenset(
    {"defined", "undefined", "none", "true", "false", "number", "string", "in", "odd", "even"}
    | {"eq", "ne", "lt", "le", "gt", "ge"}
)

_NODES = frozenset(
    {"Name", "Const", "List", "Tuple", "Compare", "Operand", "And", "Or", "Not", "CondExpr"}
    | {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Neg", "Pos", "Concat"}
    | {"Getattr", "Getitem", "Filter", "Test", "Keyword"}
)
_ALLOWED = (
    "names, values, == != < > in, and / or / not, + - * / %, a if b else c, "
    f"the filters {', '.join(sorted(FILTERS))}"
)


@dataclass(frozen=True)
class Expression:
    """A condition that was looked at; `compiled` makes it from text."""

    text: str
    names: tuple[str, ...]
    _run: "TemplateExpression"

    def value(self, variables: Mapping[str, Any]) -> Any:
        """What it says of these variables.

        Raises:
            DataError: a variable or a part of one is not there, or its value does not fit.
        """
        from jinja2 import TemplateError

        try:
            found = self._run(dict(variables))
            bool(found)  # an unknown part of a known name says so only when it is looked at
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise DataError(
                f"condition '{self.text}'",
                str(error) or type(error).__name__,
                fix="compare what is there; `x is defined` asks whether it is",
            ) from error
        return found

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """Whether it is true of these variables; raises as `value` does."""
        return bool(self.value(variables))


def compiled(text: str, names: Collection[str]) -> Expression:
    """The expression, if it asks about nothing but `names` and holds nothing that could run away.

    Raises:
        DeclarationError: it cannot be read, or it holds an unknown name or a forbidden part.
    """
    subject = f"condition '{text if len(text) <= MOST_SIGNS else text[:40] + '…'}'"
    tree = parsed(text, subject, as_expression=True)
    check(tree, subject, names=names)
    run = environment().compile_expression(text, undefined_to_none=False)
    return Expression(text, tuple(sorted(_names_in(tree))), run)


def parsed(
    text: str, subject: str, *, as_expression: bool, most_signs: int = MOST_SIGNS
) -> "nodes.Node":
    """The text as Jinja2 reads it, an expression or a whole template; nothing of it is run.

    Raises:
        DeclarationError: it is too long, too deep or not readable.
    """
    from jinja2 import TemplateSyntaxError
    from jinja2.parser import Parser

    if len(text) > most_signs:
        raise DeclarationError(
            subject, f"{len(text):,} characters long", allowed=f"up to {most_signs:,}"
        )
    try:
        if as_expression:
            parser = Parser(environment(), text, state="variable")
            tree: nodes.Node = parser.parse_expression()
            parser.stream.expect("eof")
        else:
            tree = environment().parse(text)
        _check_depth(tree)
    except TemplateSyntaxError as error:
        raise DeclarationError(subject, error.message or "not readable", allowed=_ALLOWED) from None
    except RecursionError:
        raise DeclarationError(subject, "too many parts within each other") from None
    return tree


def _check_depth(tree: "nodes.Node") -> None:
    """What is deeper than `DEEPEST` would be walked, compiled and run only up to Python's limit."""
    layer, depth = [tree], 0
    while layer := [child for node in layer for child in node.iter_child_nodes()]:
        depth += 1
        if depth > DEEPEST:
            raise RecursionError


def check(
    tree: "nodes.Node",
    subject: str,
    *,
    names: Collection[str],
    more_nodes: Collection[str] = (),
) -> None:
    """Refuse what a text must not hold; `more_nodes` are classes of Jinja2's allowed besides.

    Raises:
        DeclarationError: an unknown name, filter or test, a call, or another forbidden part.
    """
    from jinja2 import nodes

    for node in (tree, *tree.find_all(nodes.Node)):
        kind = type(node).__name__
        if kind not in _NODES and kind not in more_nodes:
            raise DeclarationError(subject, f"{_said(node)} is not allowed here", allowed=_ALLOWED)
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            _refuse(subject, "filter", node.name, FILTERS)
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            _refuse(subject, "test", node.name, TESTS)
    for name in _names_in(tree):
        if name not in names:
            _refuse(subject, "name", name, names)


@functools.cache
def environment() -> "SandboxedEnvironment":
    """Jinja2's sandbox, further narrowed: attributes are keys of mappings, arithmetic is small."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    class Narrow(SandboxedEnvironment):
        intercepted_binops = frozenset({"*", "%", "**", "+"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _check_operands(operator, left, right)
            return super().call_binop(context, operator, left, right)

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            return self.undefined(obj=obj, name=attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, (Mapping, list, tuple, str)):
                return (
                    super().getitem(obj, argument)
                    if _has(obj, argument)
                    else self.undefined(obj=obj, name=argument)
                )
            return self.undefined(obj=obj, name=argument)

    return Narrow(undefined=StrictUndefined, autoescape=False)


def _has(found: Any, argument: Any) -> bool:
    if isinstance(found, Mapping):
        return argument in found
    return isinstance(argument, int) and -len(found) <= argument < len(found)


_LARGEST = 10**100


def _check_operands(operator: str, left: Any, right: Any) -> None:
    """Only numbers are multiplied, and only up to a size; text is not repeated or formatted."""
    if operator == "+" and isinstance(left, type(right)):
        return
    for one in (left, right):
        if not isinstance(one, (int, float)) or abs(one) > _LARGEST:
            raise TypeError(f"'{operator}' takes numbers of ordinary size here")


def _names_in(tree: "nodes.Node") -> set[str]:
    """The free names: those that a loop of a template brings along are not."""
    from jinja2 import meta, nodes

    if isinstance(tree, nodes.Template):
        return meta.find_undeclared_variables(tree)
    own = [tree] if isinstance(tree, nodes.Name) else []
    return {node.name for node in (*own, *tree.find_all(nodes.Name))}


def _said(node: "nodes.Node") -> str:
    words: dict[str, str] = {
        "Call": "a call",
        "Pow": "a power",
        "Slice": "a slice",
        "Dict": "a mapping",
        "For": "a loop",
    }
    return words.get(type(node).__name__, f"'{type(node).__name__.lower()}'")


def _refuse(subject: str, what: str, name: str, allowed: Collection[str]) -> None:
    raise DeclarationError(
        subject, f"there is no {what} '{name}'", allowed=closest(name, sorted(allowed))
    )
