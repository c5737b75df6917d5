"""A rule's own words: Jinja2 templates over the fields of a message, looked at before they run.

A template may print, ask and go through the items of a digest. It calls nothing and keeps nothing,
so none can run long or reach Python.
"""

from dataclasses import fields
from typing import Any

from ml_platform.alerts.message import Message
from ml_platform.kernel.errors import DataError
from ml_platform.kernel.expression import check, environment, parsed

MOST_SIGNS = 10_000
LONGEST_TEXT = 20_000
"""What a template makes is cut there, in characters; channels cut again to their own limits."""

VARIABLES = tuple(
    one.name for one in fields(Message) if one.name not in {"body", "attachments", "version"}
)
"""What a template may print."""

_NODES = ("Template", "Output", "TemplateData", "If", "For")


def checked_template(text: str) -> None:
    """Refuse a template that could not run, or could run away.

    Raises:
        DeclarationError: an unknown variable, a call, an assignment, a loop but over `items`.
    """
    from jinja2 import nodes

    from ml_platform.kernel.errors import DeclarationError

    subject = f"template '{text[:40]}{'…' if len(text) > 40 else ''}'"  # noqa: PLR2004 - a look
    tree = parsed(text, subject, as_expression=False, most_signs=MOST_SIGNS)
    check(tree, subject, names=VARIABLES, more_nodes=_NODES)
    loops = list(tree.find_all(nodes.For))
    for loop in loops:
        over = loop.iter.name if isinstance(loop.iter, nodes.Name) else ""
        if over != "items" or loop.recursive or list(loop.find_all(nodes.For)):
            raise DeclarationError(
                subject, "a loop over something else, or within another", allowed="for x in items"
            )


def rendered(template: str, message: Message) -> str:
    """What the template makes of a message.

    Raises:
        DataError: it asks for what this message does not have.
    """
    from jinja2 import TemplateError

    try:
        made = environment().from_string(template).render(variables_of(message))
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise DataError(
            f"template '{template[:40]}'",
            str(error) or type(error).__name__,
            allowed=", ".join(VARIABLES),
        ) from error
    return made if len(made) <= LONGEST_TEXT else made[: LONGEST_TEXT - 1] + "…"


def variables_of(message: Message) -> dict[str, Any]:
    """The message's fields as plain values, for templates."""
    found: dict[str, Any] = {name: getattr(message, name) for name in VARIABLES}
    found["items"] = [variables_of(one) for one in message.items]
    found["severity"], found["status"] = message.severity.value, message.status.value
    return found
