"""Which version of a model is champion, as a fingerprint."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ml_platform.scenarios.watch.look import Look

Champion = Callable[[str], tuple[str, float] | None]
"""A model's champion: its version and since when, in seconds since 1970; None where it has none."""


def look_at_champions(keys: Sequence[str], champion: Champion) -> Look:
    """Look at each model; a version that is trained and does not become champion is no change."""
    found = [(key, champion(key)) for key in keys]
    account = "; ".join(_sentence(key, one) for key, one in found)
    versions = {key: one[0] if one else None for key, one in found}
    return Look(tuple(v or "none" for v in versions.values()), account, {"champions": versions})


def _sentence(key: str, one: tuple[str, float] | None) -> str:
    if one is None:
        return f"{key}: no champion"
    since = datetime.fromtimestamp(one[1], tz=UTC)
    return f"{key}: version {one[0]}, champion since {since:%Y-%m-%d %H:%M:%S} UTC"
