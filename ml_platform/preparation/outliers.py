"""Outliers: bounds of one column, learnt once, and how alone a row stands among all columns.

Bounds are learnt on the known values alone, and without a spread there are none. The forest is
scikit-learn's; its trees are kept as arrays, because its own scoring of one row takes milliseconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.preparation.columns import Column, Columns, Mask, rows_of

Method: TypeAlias = Literal["iqr", "zscore"]
Floats: TypeAlias = NDArray[np.float64]

USUAL: dict[Method, float] = {"iqr": 1.5, "zscore": 3.5}
"""How many spreads a value may lie away: Tukey 1977; Iglewicz and Hoaglin 1993."""

_NORMAL = 1.4826  # the standard deviation of normal values, in median absolute deviations
_FEW = 10
_LOOK = 10_000
_ALONE = 0.5
_CHUNK = 500  # rows times trees stay in the cache: nearly twice as fast
_ROWS_A_TREE = 256


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is usual in a column; infinite where there are no bounds."""

    low: float = -np.inf
    high: float = np.inf

    def outside(self, values: Floats) -> Mask:
        """Where a value lies outside; a missing one does not."""
        return (values < self.low) | (values > self.high)

    def winsorise(self, values: Floats) -> Floats:
        """The same values, those outside moved to the bound they passed."""
        return np.minimum(np.maximum(values, self.low), self.high)  # `clip` takes twice as long

    def whole(self) -> "Bounds":
        """The same for whole numbers, at whole numbers: those that are moved stay whole."""
        low, high = np.ceil(self.low), np.floor(self.high)
        return Bounds(float(low), float(high)) if low <= high else self


def learn_bounds(values: Floats, method: Method = "iqr", param: float | None = None) -> Bounds:
    """The bounds of the known values.

    Args:
        values: numbers, NaN where there is none.
        method: "iqr" are the quartiles, `param` (1.5) interquartile ranges further out; "zscore" is
            the median, `param` (3.5) deviations to both sides, where the deviation is measured by
            the median absolute deviation, which outliers do not widen.
        param: how far out the bounds are.

    Raises:
        DeclarationError: the method is unknown, or `param` is no number above zero.
    """
    distance = _distance(method, param)
    known = values[np.isfinite(values)]
    if not len(known):
        return Bounds()
    with np.errstate(over="ignore", invalid="ignore"):  # 1e308 and more: no bound is passed
        if method == "iqr":
            low, high = np.quantile(known, [0.25, 0.75])
            spread = high - low
        else:
            low = high = np.median(known)
            spread = _NORMAL * np.median(np.abs(known - low))
        lowest, highest = low - distance * spread, high + distance * spread
    return Bounds(float(lowest), float(highest)) if 0 < spread < np.inf else Bounds()


def _distance(method: Method, param: float | None) -> float:
    if method not in USUAL:
        raise DeclarationError(
            "outliers", f"there is no method {method!r}", allowed=", ".join(USUAL)
        )
    if param is None:
        return USUAL[method]
    if isinstance(param, bool) or not param > 0:
        raise DeclarationError(
            "outliers", f"the distance is {param!r}", allowed="a number above 0",
            fix=f"leave it out for the usual one, {USUAL[method]}; to do nothing, say so",
        )  # fmt: skip
    return float(param)


def flag(values: Floats, bounds: Bounds) -> Column:
    """A flag column: 1 where a value lies outside."""
    return Column("flag", bounds.outside(values).astype(np.float64))


def rows_outside(columns: Columns, bounds: Mapping[str, Bounds]) -> Mask:
    """Rows in which a value of any bounded column lies outside: those to delete."""
    outside = np.zeros(rows_of(columns), np.bool_)
    for name, bound in bounds.items():
        outside |= bound.outside(columns[name].values)
    return outside


def is_clippable(column: Column) -> str | None:
    """Why a column's values must not be moved without being asked for; None when they may be.

    Numbers of which few are different are codes or marks on a scale. Whole numbers from zero up
    are counts, codes or ids: to move them to a bound makes things that were never counted.
    """
    if column.kind != "number":
        return f"a {column.kind} is not measured"
    known = column.values[np.isfinite(column.values)]
    if not len(known):
        return "no value is known"
    if known.min() == known.max():
        return "constant"
    if _is_few(known):
        return f"fewer than {_FEW} different values"
    if known.min() >= 0 and bool((known == np.rint(known)).all()):
        return "whole numbers from 0 up: counts, codes or ids"
    return None


def _is_few(known: Floats) -> bool:
    if len(np.unique(known[:_LOOK])) >= _FEW:
        return False
    return len(known) <= _LOOK or len(np.unique(known)) < _FEW


@dataclass(frozen=True, slots=True)
class Forest:
    """An isolation forest over the number columns (Liu, Ting and Zhou 2008), as arrays.

    Args:
        names: the columns, in the order of `features`.
        medians: what stands for a missing value, so that it makes no row alone.
        roots: the first node of each tree.
        features: by node, the column that is looked at.
        thresholds: by node, where it divides; a leaf has infinity.
        nexts: by node, the nodes for "at most the threshold" and "above"; a leaf has itself.
        depths: by node, how many steps a row in this leaf needed, those not grown included.
        steps: how many steps the longest way has.
        usual: the depth that a row has on average.
        limit: the score above which a row is an outlier.
    """

    names: tuple[str, ...]
    medians: Floats
    roots: NDArray[np.int32]
    features: NDArray[np.int32]
    thresholds: Floats
    nexts: NDArray[np.int32]
    depths: Floats
    steps: int
    usual: float
    limit: float

    def score(self, columns: Columns) -> Floats:
        """How alone each row stands: 0 to 1, about 0.5 for a row like the others."""
        rows = rows_of(columns)
        chunks = [self._score(columns, start) for start in range(0, rows, _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros(0)

    def outside(self, columns: Columns) -> Mask:
        """The rows that stand alone."""
        return self.score(columns) > self.limit

    def _score(self, columns: Columns, start: int) -> Floats:
        matrix = _matrix(columns, self.names, self.medians, slice(start, start + _CHUNK))
        first = (matrix.shape[1] * np.arange(len(matrix)))[:, None]
        nodes = np.broadcast_to(self.roots, (len(matrix), len(self.roots)))
        cells, nexts = matrix.ravel(), self.nexts.ravel()
        for _ in range(self.steps):
            above = cells.take(first + self.features.take(nodes)) > self.thresholds.take(nodes)
            nodes = nexts.take(2 * nodes + above)
        scores: Floats = 2.0 ** -(self.depths.take(nodes).mean(axis=1) / self.usual)
        return scores


def learn_forest(
    columns: Columns, *, share: float | None = None, trees: int = 100, random_state: int = 0
) -> Forest:
    """Grows a forest over all number and flag columns.

    Args:
        columns: the rows to learn from.
        share: the share of them that are outliers; None leaves it to the score: above 0.5.
        trees: how many.
        random_state: the same seed grows the same forest.

    Raises:
        DataError: there is no number column, or no row.
        DeclarationError: `share` is not between 0 and 0.5.
    """
    if share is not None and not 0 < share <= _ALONE:
        raise DeclarationError(
            "outliers", f"the share of outliers is {share!r}", allowed="above 0, up to 0.5"
        )
    names = tuple(name for name, one in columns.items() if one.kind in ("number", "flag"))
    if not names or not rows_of(columns):
        raise DataError(
            "outliers by isolation forest", f"{len(names)} number columns, {rows_of(columns)} rows",
            allowed="at least one of each", fix="turn outliers off, or name a column of numbers",
        )  # fmt: skip
    return _limited(_grow(columns, names, trees, random_state), columns, share)


def _limited(forest: Forest, columns: Columns, share: float | None) -> Forest:
    if share is None:
        return forest
    return replace(forest, limit=float(np.quantile(forest.score(columns), 1 - share)))


def _grow(columns: Columns, names: tuple[str, ...], trees: int, random_state: int) -> Forest:
    from sklearn.ensemble import IsolationForest

    medians = np.array([_median(columns[name].values) for name in names])
    rows = np.random.default_rng(random_state).permutation(rows_of(columns))
    # More rows than the trees can look at only cost time.
    some = np.sort(rows[: _ROWS_A_TREE * trees])
    matrix = _matrix(columns, names, medians, some)
    grown = IsolationForest(
        n_estimators=trees, max_samples=min(_ROWS_A_TREE, len(some)), random_state=random_state
    ).fit(matrix)
    parts = [_tree_arrays(tree.tree_) for tree in grown.estimators_]
    sizes = [len(part[0]) for part in parts]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    features, thresholds, nexts, depths = (
        np.concatenate([part[i] for part in parts]) for i in range(4)
    )
    return Forest(
        names, medians, roots, features, thresholds,
        nexts + np.repeat(roots, sizes)[:, None], depths,
        steps=max(int(tree.tree_.max_depth) for tree in grown.estimators_),
        usual=float(_average_path(np.array([float(grown.max_samples_)]))[0]) or 1.0, limit=_ALONE,
    )  # fmt: skip


def _matrix(columns: Columns, names: tuple[str, ...], medians: Floats, rows: Any) -> Floats:
    """The columns beside each other, gaps filled; float32 as scikit-learn's trees compare."""
    matrix = np.column_stack([columns[name].values[rows] for name in names])
    limit = np.finfo(np.float32).max
    filled = np.where(np.isnan(matrix), medians, matrix)
    return np.clip(filled, -limit, limit).astype(np.float32).astype(np.float64)


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def _tree_arrays(tree: Any) -> tuple[NDArray[np.int32], Floats, NDArray[np.int32], Floats]:
    """Features, thresholds, next nodes and depths of one tree; a leaf leads to itself."""
    itself = np.arange(tree.node_count)
    leaf = tree.children_left < 0
    nexts = np.column_stack([tree.children_left, tree.children_right])
    nexts = np.where(leaf[:, None], itself[:, None], nexts).astype(np.int32)
    features = np.where(leaf, 0, tree.feature).astype(np.int32)
    depths = np.zeros(tree.node_count)
    for node, (left, right) in _inner_nodes(tree):
        depths[[left, right]] = depths[node] + 1
    depths += _average_path(tree.n_node_samples.astype(np.float64))
    return features, np.where(leaf, np.inf, tree.threshold), nexts, depths


def _inner_nodes(tree: Any) -> Iterator[tuple[int, tuple[int, int]]]:
    """Nodes that divide, each before its children: scikit-learn numbers them so."""
    pairs = zip(tree.children_left.tolist(), tree.children_right.tolist(), strict=True)
    return ((node, pair) for node, pair in enumerate(pairs) if pair[0] >= 0)


def _average_path(rows: Floats) -> Floats:
    """The mean depth of a search tree of so many rows: equation 1 of Liu, Ting and Zhou 2008."""
    many = np.maximum(rows, 3.0)
    path = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, path))  # noqa: PLR2004 - two rows
