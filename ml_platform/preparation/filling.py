"""Fill gaps by what was learnt: one fill a column, the same for a million rows and for one.

The one principle, kept in `race`: a method learns from cells that were hidden the way the
table's own gaps lie, with everything it needs computed from what was left; it is judged on hidden
cells that it has not learnt from; and in `auto` it is used only where it beats the median or the
most frequent value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.classifiers import Classifier
from ml_platform.preparation.columns import Column, Columns, Mask
from ml_platform.preparation.design import Design, Told, ask_all
from ml_platform.preparation.estimators import Estimator
from ml_platform.preparation.evidence import Evidence
from ml_platform.preparation.gaps import any_of
from ml_platform.preparation.roles import Codes, Numbers, Roles, Rows, out_of_unit
from ml_platform.preparation.surroundings import Surroundings

FREE = {"group": "expected", "time": "between"}
"""Methods that need no estimator, and the word of the surroundings that is their answer."""


@dataclass(frozen=True)
class Judged:
    """How the candidates for one column did on hidden cells.

    chosen: the method that is used. errors: of each candidate, RMSE / standard deviation for a
    number, share of wrong ones for a category. cells: how many hidden cells judged it. gaps: how
    many cells of the training rows are missing. recoverable: whether anything beat the simplest.
    """

    chosen: str
    errors: Mapping[str, float] = field(default_factory=dict)
    cells: int = 0
    gaps: int = 0
    seconds: float = 0.0
    recoverable: bool = True


@dataclass(frozen=True)
class NumberFill:
    """How one number is filled; what its estimator cannot be asked gets the constant."""

    method: str
    constant: float
    design: Design | None = None
    estimator: Estimator | None = None
    decimals: int | None = None

    def needs(self, target: str) -> tuple[str, ...]:
        """Columns whose surroundings it asks."""
        if self.design is not None:
            return (target, *self.design.partners)
        return (target,) if self.method in FREE else ()

    def is_whole(self) -> bool:
        """Whether all it can fill in are whole numbers."""
        is_constant = self.design is None and self.method not in FREE
        return self.decimals == 0 or (is_constant and self.constant == np.rint(self.constant))

    def of(self, target: str, told: Told) -> Numbers:
        """A value for each row."""
        if self.method in FREE:
            found = told.of[target][FREE[self.method]]
        elif self.design is not None and self.estimator is not None:
            found = self.estimator.predict(self.design.matrix(told))
        else:
            found = np.full(told.rows.count, self.constant)
        return found if self.decimals is None else np.round(found, self.decimals)


@dataclass(frozen=True)
class CategoryFill:
    """How one category is filled: by what learnt to guess it, or with its most frequent value."""

    method: str
    constant: int
    guess: Evidence | Classifier | None = None

    def of(self, rows: Rows) -> Codes:
        """A code for each row."""
        if self.guess is None:
            return np.full(rows.count, self.constant)
        return self.guess.predict(rows)


@dataclass(frozen=True)
class Filling:
    """All fills of a table, learnt; `judged` says how good each is."""

    roles: Roles
    numbers: Mapping[str, NumberFill]
    categories: Mapping[str, CategoryFill]
    surroundings: Mapping[str, Surroundings]
    judged: Mapping[str, Judged]

    def fill(self, columns: Columns) -> tuple[Columns, dict[str, Mask]]:
        """The columns without gaps, and where each had one that was filled."""
        masks = {
            name: columns[name].missing()
            for name in (*self.categories, *self.numbers)
            if name in columns
        }
        masks = {name: mask for name, mask in masks.items() if np.count_nonzero(mask)}
        if not masks:
            return columns, {}
        filled = dict(columns)
        lacking = any_of(np.array(list(masks.values())).T)
        places = np.flatnonzero(lacking)
        if len(places) < len(lacking):
            columns = {name: column.take(places) for name, column in columns.items()}
        rows = self.roles.rows(columns)
        here = {name: mask[places] for name, mask in masks.items()}
        rows = rows.with_keys(self._fill_categories(filled, rows, here, places))
        self._fill_numbers(filled, rows, here, places)
        return filled, masks

    def _fill_categories(
        self,
        filled: dict[str, Column],
        rows: Rows,
        masks: Mapping[str, Mask],
        places: NDArray[np.intp],
    ) -> dict[str, Codes]:
        """Put what is missing into the columns, at the places of `rows`; the keys without gaps."""
        keys = {}
        for name, how in self.categories.items():
            if name not in masks:
                continue
            gaps = np.flatnonzero(masks[name])
            codes = how.of(rows.take(gaps))
            column = filled[name]
            values = column.values.copy()
            values[places[gaps]] = (
                self.roles.coded[name][codes] if name in self.roles.coded else codes
            )
            filled[name] = column.with_values(values)
            keys[name] = rows.keys[name].copy()
            keys[name][gaps] = codes
        return keys

    def _fill_numbers(
        self,
        filled: dict[str, Column],
        rows: Rows,
        masks: Mapping[str, Mask],
        places: NDArray[np.intp],
    ) -> None:
        wanted = [name for name in self.numbers if name in masks]
        if not wanted:
            return
        gaps = {name: np.flatnonzero(masks[name]) for name in wanted}
        needs = {name: self.numbers[name].needs(name) for name in wanted}
        told = ask_all(self.surroundings, rows, gaps, needs)
        for name in wanted:
            values = filled[name].values.copy()
            found = self.numbers[name].of(name, told[name])
            values[places[gaps[name]]] = out_of_unit(found, self.roles.unit(name))
            filled[name] = filled[name].with_values(values)
