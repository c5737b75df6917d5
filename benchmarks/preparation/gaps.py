"""Hiding cells whose values are known, and the error of what was put there.

Two protocols, the same for every table. **A** hides 7 % of each column at random. **B** hides as
cells really go missing: the columns that are missing together are hidden together, 3 to 60 % of a
level of the category that tells most about it (most where most are missing), more where values are
high, in blocks as long as the real ones; some stores (or whatever the key says) lose their category
wholly; of other columns 2.5 % are hidden. Hidden are the columns that really have gaps; where none
has, all that are neither key nor time.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from preparation.tables import Parts

PROTOCOLS = ("A", "B")
AT_RANDOM = 0.07
SELDOM, OFTEN = 0.03, 0.60
ALONE = 0.15
KEYS_WITHOUT = 0.03
CATEGORY_AT_RANDOM = 0.03
REST = 0.025
ALL_TOGETHER_RUN = 12


@dataclass(frozen=True)
class Hidden:
    """A table with known cells taken out: which ones, by column."""

    frame: pd.DataFrame
    masks: dict[str, np.ndarray]


@dataclass(frozen=True)
class Errors:
    """By column: root mean square error / standard deviation, or the share that is right.

    `known` is the share right among cells whose key shows the category elsewhere. `empty` is the
    share of hidden cells left without a value: such a number counts as the median, such a category
    as wrong. `altered` counts cells that were known and came back as something else.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    categories: dict[str, float] = field(default_factory=dict)
    known: dict[str, float] = field(default_factory=dict)
    empty: float = 0.0
    altered: int = 0


def complete_rows(frame: pd.DataFrame, parts: Parts, most: int = 60_000) -> pd.DataFrame:
    """The rows without a gap, in the order of the table; columns half empty are left out."""
    names = [*parts.times, *parts.keys, *parts.numbers, *parts.categories]
    kept = [name for name in frame if name in names and frame[name].isna().mean() < 0.5]
    whole = frame[kept].dropna()
    if len(whole) < 500:
        raise SystemExit(f"{len(whole)} rows without a gap: 500 are needed to measure errors")
    if len(whole) > most:
        whole = whole.sample(most, random_state=0).sort_index()
    return whole.reset_index(drop=True)


def hide(truth: pd.DataFrame, parts: Parts, protocol: str, seed: int) -> Hidden:
    """`truth` with cells taken out by the protocol; another seed takes others."""
    rng = np.random.default_rng([seed, PROTOCOLS.index(protocol)])
    names = [name for name in parts.gappy or [*parts.numbers, *parts.categories] if name in truth]
    if protocol == "A":
        masks = {name: rng.random(len(truth)) < AT_RANDOM for name in names}
    else:
        masks = _as_they_go(rng, truth, parts, names)
    frame = truth.copy()
    for name, mask in masks.items():
        frame[name] = frame[name].mask(mask)
    return Hidden(frame, masks)


def _as_they_go(
    rng: np.random.Generator, truth: pd.DataFrame, parts: Parts, names: list[str]
) -> dict[str, np.ndarray]:
    together = parts.together if parts.gappy else parts.numbers
    together = [name for name in together if name in truth]
    masks = {name: rng.random(len(truth)) < REST for name in names}
    if together:
        masks |= dict.fromkeys(together, _in_blocks(rng, truth, parts, together[0]))
    for name in names:
        if parts.keys and name in parts.categories and not _is_id(truth[name]):
            masks[name] = _of_whole_keys(rng, truth[parts.keys[0]])
    return masks


def _is_id(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values)


def _in_blocks(
    rng: np.random.Generator, truth: pd.DataFrame, parts: Parts, by_value: str
) -> np.ndarray:
    """Rows to hide: by level from seldom to often, by value, in blocks on end in time."""
    group = truth[parts.group] if parts.group in truth else pd.Series(0, index=truth.index)
    level = pd.factorize(group)[0]
    share = _shares(group, parts.often)[level]
    run = parts.run if parts.gappy else ALL_TOGETHER_RUN
    when = truth[parts.times[0]] if parts.times else pd.Series(truth.index)
    order = np.lexsort([pd.factorize(when, sort=True)[0], level])
    place = np.empty(len(truth), dtype=int)
    place[order] = np.arange(len(truth)) + rng.integers(run)
    block = pd.factorize(level * len(truth) + place // run)[0]
    high = truth[by_value].rank(pct=True).groupby(block).transform("mean").to_numpy()
    drawn = rng.random(block.max() + 1)[block]
    return drawn < share * (0.5 + high)


def _shares(group: pd.Series, often: dict[str, float]) -> np.ndarray:
    """The share to hide in each level, the more the oftener it really has gaps."""
    levels = pd.factorize(group)[1]
    if len(levels) == 1:
        return np.array([ALONE])
    rank = np.argsort(np.argsort([often.get(str(level), 0.0) for level in levels], kind="stable"))
    return np.geomspace(SELDOM, OFTEN, len(levels))[rank]


def _of_whole_keys(rng: np.random.Generator, keys: pd.Series) -> np.ndarray:
    codes = pd.factorize(keys)[0]
    bare = rng.random(codes.max() + 1) < KEYS_WITHOUT
    return bare[codes] | (rng.random(len(keys)) < CATEGORY_AT_RANDOM)


def errors(truth: pd.DataFrame, hidden: Hidden, filled: pd.DataFrame, parts: Parts) -> Errors:
    """What the fills in `filled`, row by row the same table, are worth."""
    if len(filled) != len(truth):
        raise SystemExit(f"{len(filled)} rows came back of {len(truth)}")
    found = Errors(
        empty=_share_empty(hidden, filled),
        altered=sum(_altered(truth[name], filled[name], hidden.masks.get(name)) for name in truth),
    )
    for name, mask in hidden.masks.items():
        if name in parts.numbers:
            found.numbers[name] = _nrmse(truth[name], hidden.frame[name], filled[name], mask)
            continue
        right = _same(truth[name], filled[name])
        found.categories[name] = float(right[mask].mean())
        shown = mask & _shown_elsewhere(truth, hidden, parts, name)
        found.known[name] = float(right[shown].mean())
    return found


def _nrmse(truth: pd.Series, shown: pd.Series, filled: pd.Series, mask: np.ndarray) -> float:
    values = pd.to_numeric(filled, errors="coerce").astype(float).fillna(shown.median())
    off = values.to_numpy()[mask] - truth.to_numpy(dtype=float)[mask]
    return float(np.sqrt(np.mean(off**2)) / truth.std())


def _same(truth: pd.Series, filled: pd.Series) -> np.ndarray:
    """Where the two hold the same value, whatever type it came back in."""
    if pd.api.types.is_datetime64_any_dtype(truth):
        came = pd.to_datetime(filled, errors="coerce")
        return (came.to_numpy() == truth.to_numpy()).astype(bool)
    if pd.api.types.is_numeric_dtype(truth):
        came = pd.to_numeric(filled, errors="coerce").astype(float).to_numpy()
        return np.isclose(came, truth.to_numpy(dtype=float), rtol=1e-9, atol=0)
    texts = filled.astype(object).astype(str).to_numpy()
    return texts == truth.astype(str).to_numpy()


def _altered(truth: pd.Series, filled: pd.Series, mask: np.ndarray | None) -> int:
    changed = ~_same(truth, filled)
    return int(changed.sum() if mask is None else changed[~mask].sum())


def _shown_elsewhere(truth: pd.DataFrame, hidden: Hidden, parts: Parts, name: str) -> np.ndarray:
    if not parts.keys:
        return np.ones(len(truth), dtype=bool)
    shown = hidden.frame[name].notna()
    return shown.groupby(truth[parts.keys[0]]).transform("any").to_numpy()


def _share_empty(hidden: Hidden, filled: pd.DataFrame) -> float:
    cells = sum(int(mask.sum()) for mask in hidden.masks.values())
    empty = sum(int(filled[name].isna()[mask].sum()) for name, mask in hidden.masks.items())
    return empty / max(1, cells)
