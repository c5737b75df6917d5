"""`AutoPrepare`: automatic cleaning as a scikit-learn transformer.

It strings the steps together - read, bound, fill, take dates apart, encode - learns each on the
training rows, and leaves a receipt. Rows never come or go in `transform`, because a pipeline has
its labels beside them; `prepare` is for tables, and drops the rows that are to be dropped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ml_platform.kernel.errors import DataError
from ml_platform.preparation.budget import rows_within, stratified
from ml_platform.preparation.columns import Column, Columns, Mask
from ml_platform.preparation.duplicates import by_key, exact, near
from ml_platform.preparation.fitted import Cells, to_cell, to_series
from ml_platform.preparation.options import (
    ALLOWED,
    AUTO,
    DELETE,
    OFF,
    check_columns,
    check_known,
    of_list,
    word,
)
from ml_platform.preparation.outliers import rows_outside
from ml_platform.preparation.reading import learn_and_read
from ml_platform.preparation.receipt import Receipt, write_receipt
from ml_platform.preparation.steps import Learnt, Options, learn


@dataclass(frozen=True)
class Prepared:
    """A prepared table.

    frame: its rows, without those that were dropped. cells: for each of these rows and each column
    that came, what was done to the cell (bits of `fitted`: 1 recoded, 2 refused, 4 clipped,
    8 filled). receipt: what was found and done.
    """

    frame: pd.DataFrame
    cells: pd.DataFrame
    receipt: Receipt


class AutoPrepare(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Automatic cleaning, learnt on training rows and applied to any.

    Args:
        mode: what an option that is not given (None) is: in "auto" it is auto, in "manual" off.
        duplicates: rows that are wholly alike: auto (the same as exact), exact, off. `prepare`
            drops them.
        duplicate_keys: columns that make rows duplicates when they agree; the first row is kept.
        near_duplicates: columns whose nearly equal texts make rows duplicates, with how similar, of
            1, they have to be: {"name": 0.9}.
        missing_num: how gaps in numbers are filled: auto, mean, median, most_frequent, constant,
            group, time, linear, boosted, knn, neural, delete, off.
        missing_categ: how gaps in categories are filled: auto, most_frequent, evidence,
            logistic, knn, boosted, neural, own, delete, off.
        fill_value: the number for `missing_num="constant"`.
        indicators: add `<column>_missing` for each column that has gaps; "auto" does so where no
            method did better than the simplest.
        outliers: auto (quartiles, measured numbers only), iqr, zscore, flag, forest, delete, off.
        outlier_param: how many interquartile ranges (iqr) or deviations (zscore) are usual.
        outlier_skip: columns whose outliers are left alone.
        encode_categ: auto, onehot, ordinal, target, frequency, hashing, off; for some columns
            alone, by name or place, ["onehot", ["shop", 3]].
        extract_datetime: the finest part taken of dates, Y, M, D, h, m, s; auto; off.
        cyclical: parts of dates as sine and cosine too.
        holidays: a country, like "KR", whose holidays get a column.
        durations: pairs of date columns whose distance in seconds gets a column.
        text: what is made of texts: string, minhash, gap (skrub's encoders), off.
        columns: what a column says for itself: {"shop": {"missing": "median", "encode": "target",
            "outliers": "off", "dates": "D", "kind": "category"}}.
        target: a column of the rows that is passed on as it is and tells nothing to the others.
        budget_s: seconds of learning after which no heavy method is begun.
        budget_mb: what learning may take of memory, beside the rows themselves; of more rows than
            that allows a sample teaches, stratified by their order.
        random_state: of the hidden cells and of the estimators.
        n_jobs: columns that learn at the same time; -1 for one a core.

    Attributes:
        receipt_: what was found in each column and done, and how well.
        preparation_: what was learnt, as plain data.
    """

    def __init__(  # noqa: PLR0913 - the options of AutoClean, and more
        self,
        *,
        mode: str = AUTO,
        duplicates: str | bool | None = None,
        duplicate_keys: list[str] | None = None,
        near_duplicates: dict[str, float] | None = None,
        missing_num: str | bool | None = None,
        missing_categ: str | bool | None = None,
        fill_value: float = 0.0,
        indicators: bool | str = False,
        outliers: str | bool | None = None,
        outlier_param: float | None = None,
        outlier_skip: list[str] | None = None,
        encode_categ: str | bool | list[Any] | None = None,
        extract_datetime: str | bool | None = None,
        cyclical: bool = False,
        holidays: str | None = None,
        durations: list[tuple[str, str]] | None = None,
        text: str | bool | None = None,
        columns: dict[str, dict[str, Any]] | None = None,
        target: str | None = None,
        budget_s: float | None = None,
        budget_mb: float | None = None,
        random_state: int = 0,
        n_jobs: int = 1,
    ) -> None:
        self.mode = mode
        self.duplicates = duplicates
        self.duplicate_keys = duplicate_keys
        self.near_duplicates = near_duplicates
        self.missing_num = missing_num
        self.missing_categ = missing_categ
        self.fill_value = fill_value
        self.indicators = indicators
        self.outliers = outliers
        self.outlier_param = outlier_param
        self.outlier_skip = outlier_skip
        self.encode_categ = encode_categ
        self.extract_datetime = extract_datetime
        self.cyclical = cyclical
        self.holidays = holidays
        self.durations = durations
        self.text = text
        self.columns = columns
        self.target = target
        self.budget_s = budget_s
        self.budget_mb = budget_mb
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Learn from training rows; see `fit_transform` for what they become."""
        self._learn(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None, **_: Any) -> Any:  # noqa: N803
        """Learn from training rows and prepare them.

        It differs from `fit(X).transform(X)` in target encodings alone: here they are cross-fitted.
        """
        frame, taught, learnt = self._learn(X, y)
        if len(taught) == len(frame):
            return self._given_back(X, frame, learnt.made)
        columns, _ = self.preparation_.read(frame)
        made = self.preparation_.apply(columns)
        return self._given_back(X, frame, _put_into(made, taught, learnt.made))

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Prepare rows by what was learnt; as many leave as came."""
        check_is_fitted(self, "preparation_")
        frame = self._frame(X, reset=False)
        columns, _ = self.preparation_.read(frame)
        return self._given_back(X, frame, self.preparation_.apply(columns))

    def row(self, values: Mapping[str, object]) -> dict[str, Any]:
        """One row, given and returned by column; the same values as `transform` gives."""
        if not hasattr(self, "preparation_"):  # the check takes as long as reading two cells
            check_is_fitted(self, "preparation_")
        made = self.preparation_.apply(self.preparation_.read_row(values))
        row = {name: to_cell(column, whole=name in self._whole) for name, column in made.items()}
        return row | {name: values.get(name) for name in self.preparation_.kept}

    def prepare(self, frame: pd.DataFrame) -> Prepared:
        """Learn from a table and prepare it: duplicates, and rows to delete, are dropped.

        Raises:
            DataError: the table cannot be prepared.
            DeclarationError: an option is not one.
        """
        frame, taught, learnt = self._learn(frame, None)
        if len(taught) < len(frame):
            return self.apply(frame)
        return self._without_dropped(frame, learnt.columns, learnt.made, learnt.cells, None)

    def apply(
        self, frame: pd.DataFrame, *, duplicates: Mapping[str, Mask] | None = None
    ) -> Prepared:
        """Prepare a table by what was learnt, and drop its rows that are to be dropped.

        Args:
            frame: the table, or a part of it.
            duplicates: for a part, its rows that repeat an earlier one of the table, by reason.
        """
        check_is_fitted(self, "preparation_")
        frame = _with_names(frame)
        columns, cells = self.preparation_.read(frame)
        made = self.preparation_.apply(columns, cells)
        return self._without_dropped(frame, columns, made, cells, duplicates)

    def _without_dropped(
        self,
        frame: pd.DataFrame,
        columns: Columns,
        made: Columns,
        cells: Cells,
        duplicates: Mapping[str, Mask] | None,
    ) -> Prepared:
        drop, reasons = self._dropped(frame, columns, duplicates)
        keep = ~drop
        result = self._as_frame(made, frame)[keep]
        marks = pd.DataFrame(cells, index=frame.index)[keep]
        receipt = write_receipt(self._findings, columns, made, cells, keep, reasons)
        return Prepared(result, marks, receipt)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names of the columns that leave."""
        del input_features
        check_is_fitted(self, "preparation_")
        return np.array(self._names, dtype=object)

    def duplicates_of(self, names: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Which of these columns make rows duplicates, by the reason that a receipt gives."""
        _, duplicates = self._options(names)
        if duplicates != OFF:
            yield "duplicates", names
        if self.duplicate_keys:
            yield f"duplicates by {', '.join(self.duplicate_keys)}", tuple(self.duplicate_keys)

    def _learn(self, X: Any, y: Any) -> tuple[pd.DataFrame, NDArray[np.int64], Learnt]:  # noqa: N803
        """All rows, the places of those that taught, and what they did."""
        frame = self._frame(X, reset=True)
        names = tuple(frame.columns)
        options, _ = self._options(names)
        check_columns(options.columns, names)
        check_known("target", options.kept, names)
        check_known("outlier_skip", options.outlier_skip, names)
        check_known("duplicate_keys", self.duplicate_keys or (), names)
        check_known("near_duplicates", tuple(self.near_duplicates or ()), names)
        if not len(frame):
            raise DataError("the rows to learn from", "there are none", fix="give at least one row")
        if not len(frame.columns):
            raise DataError("the rows to learn from", "0 feature(s), minimum of 1 is required")
        taught = self._taught(frame)
        rows = frame if len(taught) == len(frame) else frame.iloc[taught]
        learnt = learn(rows, options, self._labels(y, taught))
        self.preparation_, self._findings = learnt.preparation, learnt.findings
        self._whole = {
            name for name, reader in learnt.preparation.readers.items() if _is_whole(reader, learnt)
        }
        self._names = [*learnt.made, *options.kept]
        self.receipt_ = write_receipt(
            learnt.findings,
            learnt.columns,
            learnt.made,
            learnt.cells,
            np.ones(len(rows), bool),
            {},
        )
        return frame, taught, learnt

    def _taught(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        """The places of the rows to learn from."""
        if self.budget_mb is None:
            return np.arange(len(frame))
        return stratified(
            len(frame), rows_within(self.budget_mb, frame.shape[1]), int(self.random_state or 0)
        )

    def _options(self, names: tuple[str, ...]) -> tuple[Options, str]:
        encode, columns = of_list(self.encode_categ, self.columns or {}, names)
        said = {name: getattr(self, name) for name in ALLOWED} | {"encode_categ": encode}
        given = {name: self._word(name, said[name]) for name in ALLOWED}
        options = Options(
            missing_num=given["missing_num"],
            missing_categ=given["missing_categ"],
            fill_value=self.fill_value,
            indicators=self.indicators,
            outliers=given["outliers"],
            outlier_param=self.outlier_param,
            outlier_skip=tuple(self.outlier_skip or ()),
            encode=given["encode_categ"],
            dates=given["extract_datetime"],
            cyclical=self.cyclical,
            holidays=self.holidays,
            durations=tuple(map(tuple, self.durations or ())),  # type: ignore[arg-type]
            text=given["text"],
            columns=columns,
            kept=(self.target,) if self.target else (),
            budget_s=self.budget_s,
            seed=int(self.random_state or 0),
            jobs=_jobs(self.n_jobs),
        )
        return options, given["duplicates"]

    def _word(self, name: str, given: object) -> str:
        if given is None and name != "mode":
            return OFF if self.mode == "manual" or name == "text" else AUTO
        return word(name, given)

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:  # noqa: N803
        if not isinstance(X, pd.DataFrame):
            array = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
            return pd.DataFrame(array, columns=[f"x{place}" for place in range(array.shape[1])])
        frame = _with_names(X)
        if reset:
            self.n_features_in_ = len(frame.columns)
            self.feature_names_in_ = np.array(frame.columns, dtype=object)
        return frame

    def _labels(self, y: Any, taught: NDArray[np.int64]) -> Column | None:
        if y is None:
            return None
        labels = pd.Series(np.asarray(y).ravel()[taught], name="the labels")
        return learn_and_read("the labels", labels)[1].column

    def _dropped(
        self, frame: pd.DataFrame, columns: Columns, duplicates: Mapping[str, Mask] | None
    ) -> tuple[Mask, dict[str, int]]:
        """Rows to drop, and how many for which reason."""
        drop, reasons = np.zeros(len(frame), dtype=bool), {}
        repeated = self._repeated(frame) if duplicates is None else duplicates
        for reason, mask in (*repeated.items(), *self._drops(frame, columns)):
            new = mask & ~drop
            if new.any():
                reasons[reason] = int(new.sum())
            drop |= mask
        return drop, reasons

    def _repeated(self, frame: pd.DataFrame) -> dict[str, Mask]:
        names = tuple(frame.columns)
        found = {
            reason: exact(frame) if columns == names else by_key(frame, columns)
            for reason, columns in self.duplicates_of(names)
        }
        return found | {
            f"nearly the same {name}": near(_texts(frame[name]), similarity)
            for name, similarity in (self.near_duplicates or {}).items()
        }

    def _drops(self, frame: pd.DataFrame, columns: Columns) -> Iterator[tuple[str, Mask]]:
        options, _ = self._options(tuple(frame.columns))
        for name, column in columns.items():
            if column.kind in ("number", "flag", "category"):
                is_number = column.kind != "category"
                if options.of(name, "missing", is_number=is_number) == DELETE:
                    yield f"no value in {name}", column.missing()
        if self.preparation_.deleted:
            yield "outliers", rows_outside(columns, self.preparation_.deleted)

    def _given_back(self, X: Any, frame: pd.DataFrame, made: Columns) -> Any:  # noqa: N803
        if isinstance(X, pd.DataFrame):
            return self._as_frame(made, frame)
        return np.column_stack([to_series(column) for column in made.values()])

    def _as_frame(self, made: Columns, frame: pd.DataFrame) -> pd.DataFrame:
        given = {
            name: to_series(column, whole=name in self._whole) for name, column in made.items()
        }
        given |= {name: frame[name].to_numpy() for name in self.preparation_.kept}
        # Not put together in blocks, which would copy all of it; what is not ours alone is copied.
        own = {
            name: values if values.base is None else values.copy() for name, values in given.items()
        }
        return pd.DataFrame(own, index=frame.index, copy=False)


def _put_into(made: Columns, places: NDArray[np.int64], own: Columns) -> Columns:
    """The columns with their own values at some places."""
    whole = {name: column.with_values(column.values.copy()) for name, column in made.items()}
    for name, column in own.items():
        whole[name].values[places] = column.values
    return whole


def _texts(values: pd.Series) -> NDArray[Any]:
    """A column's cells as text, None where there is none."""
    gaps = values.isna().to_numpy(dtype=bool)
    cells = values.astype(object).to_numpy()
    return np.array(
        [None if gap else str(cell) for cell, gap in zip(cells, gaps, strict=True)], dtype=object
    )


def _is_whole(reader: Any, learnt: Learnt) -> bool:
    """Whether a column is given as integers: it is whole, and no gap can be left in it."""
    column = learnt.made.get(reader.name)
    return bool(
        reader.integers
        and column is not None
        and column.kind == "number"
        and learnt.preparation.filling is not None
        and reader.name not in learnt.preparation.unfilled
    )


def _with_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The same frame with columns called by text; nothing is copied.

    Raises:
        DataError: two columns have the same name.
    """
    names = [name if isinstance(name, str) else str(name) for name in frame.columns]
    twice = (
        sorted({name for name in names if names.count(name) > 1})
        if len(set(names)) < len(names)
        else []
    )
    if twice:
        raise DataError(
            f"column '{twice[0]}'",
            f"{names.count(twice[0])} columns have this name",
            allowed="one column of each name",
            fix="give each its own name before they are prepared",
        )
    return frame if list(frame.columns) == names else frame.set_axis(names, axis=1)


def _jobs(asked: int) -> int:
    import os

    return asked if asked > 0 else max(1, (os.cpu_count() or 1) + 1 + asked)
