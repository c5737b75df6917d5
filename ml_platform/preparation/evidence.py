"""Guess a missing category from the groups that its row belongs to.

A store's market is the market of its other rows; where the store is new, its kind of shop says a
little. Each key gives evidence for each category, log p(category | group) - log p(category), with
groups of few rows drawn to the whole, and the evidence of a few keys is added: naive Bayes, with
its keys chosen one after the other by what they gain on hidden cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.columns import Mask
from ml_platform.preparation.roles import Codes, Numbers, Rows

Scores = NDArray[np.float64]

_BELIEF = 0.5
_MOST_KEYS = 4
_BANDS = 16
_LEAST_GAIN = 0.002
_MOST_CELLS = 8_000_000
_BAND = "~"
_BANDED_ROWS = 5_000


@dataclass(frozen=True)
class Evidence:
    """What each of some keys says of a category.

    prior: log share of each category. tables: key -> (groups + 1) x categories, the last row for
    groups without evidence. edges: for a number used as a key, the bounds of its bands.
    """

    prior: Numbers
    tables: Mapping[str, Scores]
    edges: Mapping[str, Numbers]

    def scores(self, rows: Rows) -> Scores:
        """Rows x categories: the log of how likely each is, but for a constant."""
        keys = with_bands(rows, self.edges).keys
        found = np.tile(self.prior, (rows.count, 1))
        for key, table in self.tables.items():
            found += said_by(table, keys[key])
        return found

    def predict(self, rows: Rows) -> Codes:
        """The likeliest category of each row."""
        found: Codes = np.argmax(self.scores(rows), axis=1)
        return found


def learn_evidence(
    target: Codes, rows: Rows, categories: int, keys: Sequence[str], edges: Mapping[str, Numbers]
) -> Evidence:
    """Count what is known: `target` is -1 where it is missing or hidden."""
    known = np.flatnonzero(target >= 0)
    target = target[known]
    prior = _prior(target, categories)
    tables = {key: _table(target, rows.keys[key][known], prior) for key in keys}
    return Evidence(prior, tables, {key: edges[key] for key in keys if key in edges})


def _prior(target: Codes, categories: int) -> Numbers:
    share = np.bincount(target + 1, minlength=categories + 1)[1 : categories + 1] + _BELIEF
    found: Numbers = np.log(share / share.sum())
    return found


def _table(target: Codes, codes: Codes, prior: Numbers) -> Scores:
    seen = codes >= 0
    if not seen.all():
        codes, target = codes[seen], target[seen]
    groups, categories = int(codes.max(initial=-1)) + 1, len(prior)
    count = np.bincount(codes * categories + target, minlength=groups * categories)
    rows = np.bincount(codes, minlength=groups) + _BELIEF
    scores = np.zeros((groups + 1, categories))
    told = scores[:-1]
    np.add(count.reshape(groups, categories), _BELIEF * np.exp(prior), out=told)
    told /= rows[:, None]
    np.log(told, out=told)
    told -= prior
    return scores


def said_by(table: Scores, codes: Codes) -> Scores:
    """The table's row of each code; missing and unseen groups take the last, which says nothing."""
    last = len(table) - 1
    found: Scores = table.take(np.where((codes < 0) | (codes >= last), last, codes), axis=0)
    return found


def band_of(name: str) -> str:
    """The key that a number's bands are."""
    return _BAND + name


def bands_of(numbers: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """The bounds that make a key `~name` of each number: sixteen bands of as many rows."""
    edges = {}
    for name, values in numbers.items():
        known = values[:: len(values) // _BANDED_ROWS + 1]
        known = np.sort(known[~np.isnan(known)])
        if len(known):
            edges[band_of(name)] = np.unique(known[len(known) * np.arange(1, _BANDS) // _BANDS])
    return edges


def with_bands(rows: Rows, edges: Mapping[str, Numbers]) -> Rows:
    """The same rows with the bands of their numbers as further keys."""
    wanted = {key: bounds for key, bounds in edges.items() if key not in rows.keys}
    numbers = {key: rows.numbers[key.removeprefix(_BAND)] for key in wanted}
    return rows.with_keys(
        {
            key: np.where(np.isnan(numbers[key]), -1, np.searchsorted(bounds, numbers[key]))
            for key, bounds in wanted.items()
        }
    )


@dataclass(frozen=True)
class Sight:
    """The rows by which keys are tried, without their hidden cells.

    rows: some of the table's, or all. places: which of the table's these are, in order. long: the
    codes, in all rows, of keys with so many groups that some rows tell too little of each.
    """

    rows: Rows
    places: NDArray[np.intp]
    long: Mapping[str, Codes] = field(default_factory=dict)

    def tables(self, target: Codes, prior: Numbers, keys: Sequence[str]) -> dict[str, Scores]:
        """What each key says of a category, by the rows in which that is known."""
        some = target[self.places]
        of_some, of_all = np.flatnonzero(some >= 0), np.flatnonzero(target >= 0)
        return {
            key: _table(target[of_all], self.long[key][of_all], prior)
            if key in self.long
            else _table(some[of_some], self.rows.keys[key][of_some], prior)
            for key in keys
        }


def choose_keys(
    target: Codes, hidden: NDArray[np.intp], sight: Sight, categories: int, wanted: Sequence[str]
) -> tuple[list[str], Mask]:
    """The keys whose evidence, added one by one, gets most of the hidden cells right.

    Returns:
        The keys, strongest first, and which hidden cells they get right; no key when none does
        better than the most frequent category.
    """
    seen = target.copy()
    seen[hidden] = -1
    truth, asked = target[hidden], sight.rows.take(np.searchsorted(sight.places, hidden))
    prior = _prior(seen, categories)
    small = [
        key for key in wanted if (int(sight.rows.keys[key].max()) + 2) * categories <= _MOST_CELLS
    ]
    tables = sight.tables(seen, prior, small)
    said = {key: said_by(table, asked.keys[key]) for key, table in tables.items()}
    total = np.tile(prior, (len(hidden), 1))
    best = _right(total, truth)
    chosen: list[str] = []
    while len(chosen) < _MOST_KEYS and said:
        gained = {key: _right(total + scores, truth) for key, scores in said.items()}
        key = max(gained, key=lambda one: gained[one])
        if gained[key] < best + _LEAST_GAIN:
            break
        best, total = gained[key], total + said.pop(key)
        chosen.append(key)
    return chosen, np.argmax(total, axis=1) == truth


def _right(scores: Scores, truth: Codes) -> float:
    return float(np.mean(np.argmax(scores, axis=1) == truth)) if len(truth) else 0.0
