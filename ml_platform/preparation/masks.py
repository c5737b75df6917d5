"""All trees of a booster for one row at once, where a library takes longer to be called.

QuickScorer: C. Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive
ensembles of regression trees", SIGIR 2015. Each node knows by a mask which leaves are still open
when its test fails; all tests are made, the masks of those that fail are put together, and the
leftmost leaf that is open in a tree is the one in which the row ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.roles import Numbers

MOST_LEAVES = 32
"""Of a tree: as many as a mask has bits."""

_ALL = 2**MOST_LEAVES - 1
_NONE = np.array([[-np.inf], [np.inf], [0.0]])
"""What a missing cell is to a node: below its threshold, above, or 0."""


@dataclass(frozen=True, slots=True)
class Masks:
    """The nodes of all trees, nodes x trees, and their leaves.

    cells: where a node looks in the row, which stands there once for each of `_NONE`. thresholds:
    up to which its test holds; of what fills up a small tree, always. masks: the leaves that are
    open when it fails, the leftmost is the lowest bit. values: of all leaves, 32 a tree. before:
    the place before those of each tree.
    """

    cells: NDArray[np.intp]
    thresholds: Numbers
    masks: NDArray[np.uint32]
    values: Numbers
    before: NDArray[np.intp]

    def of_row(self, row: Numbers) -> Numbers:
        """The sum over all trees, in their order, so that it is a library's to the last figure."""
        given = np.array([row, row, row])
        np.copyto(given, _NONE, where=np.isnan(row))
        fails = given.take(self.cells) > self.thresholds
        left = np.bitwise_and.reduce(np.where(fails, self.masks, np.uint32(_ALL)), axis=0)
        _, leaf = np.frexp(left & np.negative(left))  # the lowest bit, counted from 1
        found: Numbers = self.values.take(self.before + leaf).cumsum()[-1:]
        return found


def masks_of(booster: Any) -> Masks:
    """The masks of a LightGBM booster without categories, whose trees have at most 32 leaves."""
    told = booster.dump_model()
    features = told["max_feature_idx"] + 1
    trees = [_read(one["tree_structure"], features) for one in told["tree_info"]]
    shape = max(1, *(len(tree.nodes) for tree in trees)), len(trees)
    cells, thresholds = np.zeros(shape, np.intp), np.full(shape, np.inf)
    masks, values = np.full(shape, _ALL, np.uint32), np.zeros((len(trees), MOST_LEAVES))
    for number, tree in enumerate(trees):
        for place, node in enumerate(tree.nodes):
            cells[place, number], thresholds[place, number], masks[place, number] = node
        values[number, : len(tree.leaves)] = tree.leaves
    before = MOST_LEAVES * np.arange(len(trees)) - 1
    return Masks(cells, thresholds, masks, values.ravel(), before)


class _Tree(NamedTuple):
    """Cell, threshold and mask of each node, and the values of the leaves from the left."""

    nodes: list[tuple[int, float, int]]
    leaves: list[float]


def _read(root: Mapping[str, Any], features: int) -> _Tree:
    """A tree as LightGBM tells it; the leaves of a node's left side are closed when it fails."""
    tree = _Tree([], [])

    def walk(node: Mapping[str, Any]) -> None:
        if "leaf_value" in node:
            tree.leaves.append(node["leaf_value"])
            return
        first = len(tree.leaves)
        walk(node["left_child"])
        closed = (1 << len(tree.leaves)) - (1 << first)
        cell = node["split_feature"] + features * _none_of(node)
        tree.nodes.append((cell, node["threshold"], _ALL & ~closed))
        walk(node["right_child"])

    walk(root)
    return tree


def _none_of(node: Mapping[str, Any]) -> int:
    """Which of `_NONE` a missing cell is to a node; 0 where none was missing in training."""
    if node["missing_type"] != "NaN":
        return 2
    return 0 if node["default_left"] else 1
