"""The class of the assets that declarations become: Dagster's own, bound to resources in one go."""

import copy
from collections.abc import Mapping

import dagster as dg


class DeclaredAsset(dg.AssetsDefinition):
    """An asset that a code location binds to its resources without making it anew.

    Dagster takes an asset apart and checks it from the start again when it binds it, a twelfth of
    the time in which a project of many tables loads. Only the resources differ afterwards.
    """

    def with_resources(self, resource_defs: Mapping[str, dg.ResourceDefinition]) -> "DeclaredAsset":
        """The same asset with these resources; those that it does not need do not matter."""
        if self.resource_defs:  # it has some already: Dagster knows which win
            return super().with_resources(resource_defs)  # type: ignore[return-value]
        bound = copy.copy(self)
        bound._resource_defs = dict(resource_defs)  # noqa: SLF001 - test_declared.py holds that this is all
        return bound
