"""The base of every part of a declaration."""

import dagster as dg
from pydantic import ConfigDict


class Declared(dg.Model, dg.Resolvable):
    """A part of a declaration: a word that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
