"""Ridge regression in closed form, one solution for each pattern of clues that are missing.

A. E. Hoerl, R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems",
Technometrics 12 (1970). All patterns are solved from sums over the rows in which their own clues
are known, so a row without a partner's value is told by what remains, and not by a guess at it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.columns import Mask
from ml_platform.preparation.design import Matrix, some_rows
from ml_platform.preparation.gaps import as_words
from ml_platform.preparation.roles import Numbers

PENALTY = 2.0
"""Rows' worth of belief that a coefficient is 0, on columns of standard deviation 1."""

_MOST_PATTERNS = 6
_LEAST_SHARE = 0.01
_LEAST_ROWS = 60
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Solution:
    """Coefficients of one pattern."""

    used: NDArray[np.intp]
    centre: Numbers
    scale: Numbers
    weights: Numbers
    mean: float

    def predict(self, matrix: Matrix) -> Numbers:
        """The estimate of each row."""
        if len(matrix) == 1:
            return np.array([self.of_row(matrix[0])])
        # Added column by column, so that a row is told the very same alone and among others.
        found = np.zeros(len(matrix))
        for column, centre, weight in zip(self.used, self.centre, self._slopes, strict=True):
            found += (matrix[:, column] - centre) * weight
        return found + self.mean

    def of_row(self, row: Numbers) -> float:
        """The same of one row, by the same sums of floats."""
        parts = (row[self.used] - self.centre) * self._slopes
        return float(parts.cumsum()[-1]) + self.mean

    @cached_property
    def _slopes(self) -> Numbers:
        return self.weights / self.scale


@dataclass(frozen=True)
class ClosedForm:
    """Solutions by pattern; a pattern without its own takes the one that uses no clue.

    clues: the number of columns at the right of the matrix that may be NaN.
    low, high: the range of known targets; an estimate outside it is drawn to its edge.
    """

    clues: int
    solutions: Mapping[bytes, Solution]
    low: float
    high: float

    def predict(self, matrix: Matrix) -> Numbers:
        """The estimate of each row of a design's matrix."""
        if len(matrix) == 1:
            row = matrix[0]
            one = self._solution(~np.isnan(row[len(row) - self.clues :])).of_row(row)
            return np.array([min(max(one, self.low), self.high)])
        found = np.empty(len(matrix))
        for pattern, rows in _by_pattern(matrix, self.clues):
            found[rows] = self._solution(pattern).predict(some_rows(matrix, rows))
        return np.minimum(np.maximum(found, self.low), self.high)

    def _solution(self, pattern: Mask) -> Solution:
        found = self.solutions.get(pattern.tobytes())
        return self.solutions[bytes(self.clues)] if found is None else found


def learn_closed_form(matrix: Matrix, target: Numbers, clues: int) -> ClosedForm:
    """Solve for each frequent pattern of known clues, and for none."""
    scaled, centre, scale = _scaled(matrix)
    groups = [
        (pattern, len(rows), *_sums(some_rows(scaled, rows), target[rows]))
        for pattern, rows in _by_pattern(matrix, clues)
    ]
    least = max(_LEAST_SHARE * len(matrix), 1)
    wanted = [pattern for pattern, count, _, _ in groups if count >= least][:_MOST_PATTERNS]
    solutions = {}
    for pattern in [np.zeros(clues, dtype=bool), *wanted]:
        # Rows that know more than the pattern are rows that know the pattern.
        fitting = [group for group in groups if (group[0] >= pattern).all()]
        if sum(count for _, count, _, _ in fitting) >= _LEAST_ROWS or not pattern.any():
            squares = np.sum([group[2] for group in fitting], axis=0)
            products = np.sum([group[3] for group in fitting], axis=0)
            solutions[pattern.tobytes()] = _solve(squares, products, pattern, centre, scale)
    return ClosedForm(clues, solutions, float(target.min()), float(target.max()))


def _scaled(matrix: Matrix) -> tuple[Matrix, Numbers, Numbers]:
    """Columns of mean 0 and deviation 1 with 0 where a clue is missing, and one of ones."""
    unknown = np.isnan(matrix)
    count = np.maximum(len(matrix) - np.count_nonzero(unknown, axis=0), 1)
    found = np.empty((matrix.shape[1] + 1, len(matrix))).T
    found[:, -1] = 1.0
    filled = found[:, :-1]
    np.copyto(filled, matrix)
    filled[unknown] = 0.0
    centre = filled.sum(axis=0) / count
    filled -= centre
    filled[unknown] = 0.0
    scale = np.sqrt(np.einsum("ij,ij->j", filled, filled) / count)
    scale = np.where(scale > _ROUNDING * (1 + np.abs(centre)), scale, np.inf)
    filled /= scale
    return found, centre, scale


def _sums(scaled: Matrix, target: Numbers) -> tuple[Matrix, Numbers]:
    return scaled.T @ scaled, scaled.T @ target


def _solve(
    squares: Matrix, products: Numbers, pattern: Mask, centre: Numbers, scale: Numbers
) -> Solution:
    plain = len(centre) - len(pattern)
    used = np.r_[np.arange(plain), plain + np.flatnonzero(pattern)]
    with_one = np.r_[used, len(centre)]
    penalty = np.diag(np.r_[np.full(len(used), PENALTY), 0.0])
    weights = np.linalg.solve(squares[np.ix_(with_one, with_one)] + penalty, products[with_one])
    return Solution(used, centre[used], scale[used], weights[:-1], float(weights[-1]))


def _by_pattern(matrix: Matrix, clues: int) -> list[tuple[Mask, NDArray[np.intp]]]:
    """Which clues are known and in which rows, the most frequent pattern first."""
    known = ~np.isnan(matrix[:, matrix.shape[1] - clues :])
    _, first, place, counts = np.unique(
        as_words(known),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    order = np.argsort(-counts, kind="stable")
    return [(known[first[one]], np.flatnonzero(place == one)) for one in order]
