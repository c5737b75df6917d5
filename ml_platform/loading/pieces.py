"""What loading finds: the pieces that hold, and the broken ones with their messages."""

from dataclasses import dataclass, field

import dagster as dg

from ml_platform.kernel.errors import Where


@dataclass(frozen=True)
class Broken:
    """A declaration that could not be loaded: where it stands and what is wrong with it.

    `name` is what it shows as in the UI: its own key where that could be read.
    """

    name: tuple[str, ...]
    where: Where
    message: str

    def __str__(self) -> str:
        place = str(self.where)
        return self.message if self.message.startswith(place) else f"{place}: {self.message}"


@dataclass(frozen=True)
class Piece:
    """What one YAML document or Python file defines."""

    where: Where
    definitions: dg.Definitions

    def keys(self) -> set[dg.AssetKey]:
        """The assets that it makes."""
        return {
            key
            for asset in self.definitions.assets or []
            if isinstance(asset, dg.AssetsDefinition)
            for key in asset.keys
        }


@dataclass
class Found:
    """What a folder holds."""

    pieces: list[Piece] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
