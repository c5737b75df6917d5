"""LightGBM's trees for estimates: many rows by LightGBM itself, one row by a walk in Python.

To ask LightGBM for one row takes 0.3 to 1 ms, of which the trees take the least: a predictor is
made, arrays are handed over, threads are woken. A walk down eighty trees takes a twentieth of that,
and gives the very same number, because it compares and adds the same floats in the same order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from ml_platform.preparation.design import Matrix
from ml_platform.preparation.roles import Numbers

_FEW_ROWS = 1_000
_DEFAULT_LEFT, _MISSING_BITS, _MISSING_IS_NAN = 2, 12, 8
"""Bits of LightGBM's `decision_type`: where missing values go, and which values are missing."""


_PARTS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")

Node: TypeAlias = "float | tuple[int, float, bool, Node, Node]"
"""A leaf's value; or a feature, the threshold up to which it goes left, whether a missing one goes
left, and the two nodes after it. Plain tuples, of which Python takes the parts in one step."""


def value_of(node: Node, row: Sequence[float]) -> float:
    """What a tree says of a row."""
    while isinstance(node, tuple):
        feature, threshold, nan_left, left, right = node
        value = row[feature]
        # Only NaN is not itself.
        is_left = value <= threshold if value == value else nan_left  # noqa: PLR0124
        node = left if is_left else right
    return node


@dataclass(frozen=True)
class Trees:
    """A LightGBM booster of numbers, whose features are all numbers."""

    booster: Any

    def __getstate__(self) -> dict[str, Any]:
        """The booster alone; the lists are made of it again where a row is asked."""
        return {"booster": self.booster}

    def predict(self, matrix: Matrix) -> Numbers:
        """The estimate of each row."""
        if len(matrix) == 1:
            return np.array([self._walked(matrix[0].tolist())])
        # To wake the other threads takes eight times as long as few rows do.
        threads = {"num_threads": 1} if len(matrix) < _FEW_ROWS else {}
        found: Numbers = self.booster.predict(matrix, **threads)
        return found

    def _walked(self, row: Sequence[float]) -> float:
        total = 0.0
        for tree in self._trees:
            total += value_of(tree, row)
        return total

    @cached_property
    def _trees(self) -> list[Node]:
        return list(trees_in(self.booster.model_to_string()))


def trees_in(model: str) -> Iterator[Node]:
    """The roots of the trees in LightGBM's text of a model, with every figure of their numbers."""
    for block in model.split("\nTree=")[1:]:
        lines = (line.partition("=") for line in block.split("\n\n")[0].splitlines())
        yield _root({name: values.split() for name, _, values in lines})


def _root(said: Mapping[str, list[str]]) -> Node:
    """The first node; each stands before those that it leads to, so they are made from the last."""
    leaves = [float(one) for one in said["leaf_value"]]
    if "split_feature" not in said:
        return leaves[0]
    nodes: dict[int, Node] = {~place: value for place, value in enumerate(leaves)}
    parts = zip(*(said[name] for name in _PARTS), strict=True)
    for place, (feature, border, kind, left, right) in reversed(list(enumerate(parts))):
        threshold = float(border)
        nan_left = _nan_goes_left(int(kind), threshold)
        nodes[place] = (int(feature), threshold, nan_left, nodes[int(left)], nodes[int(right)])
    return nodes[0]


def _nan_goes_left(kind: int, threshold: float) -> bool:
    """Where none was missing in training, NaN counts as 0."""
    if kind & _MISSING_BITS == _MISSING_IS_NAN:
        return bool(kind & _DEFAULT_LEFT)
    return threshold >= 0.0
