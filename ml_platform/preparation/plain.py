"""What pandas gives, as plain arrays: of numbers, of flags, of moments, or of cells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_platform.preparation.cells import EXACT, is_null
from ml_platform.preparation.columns import Mask

_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class Plain:
    """A pandas column as an array: of numbers, of flags, of moments, or of cells.

    With `codes` the cells are the distinct ones, and -1 is a missing cell. `cut` marks moments that
    were finer than a microsecond.
    """

    form: Literal["number", "flag", "moment", "cells"]
    array: NDArray[Any]
    codes: NDArray[Any] | None = None
    said: str = ""
    zone: str = ""
    cut: Mask | None = None

    def cells(self) -> NDArray[Any]:
        """Its values as Python objects."""
        if self.form == "flag":
            flags: NDArray[Any] = (self.array == 1.0).astype(object)
            flags[np.isnan(self.array)] = None
            return flags
        if self.form == "moment":
            return _objects(list(self.array))
        if self.said == "integers":
            whole = self.array.astype(object)
            known = ~np.isnan(self.array)
            whole[known] = self.array[known].astype(np.int64)
            return whole
        return self.array if self.form == "cells" else self.array.astype(object)

    def spread(self) -> tuple[Sequence[Any], NDArray[Any] | None]:
        """Its distinct cells and the code of each row's; else all cells and no codes."""
        cells = self.cells()
        return (cells.tolist(), self.codes) if self.codes is not None else _distinct(cells)

    def cell(self, row: int) -> Any:
        """What stands in one row."""
        return self.cells()[row if self.codes is None else self.codes[row]]

    def sample(self) -> list[Any]:
        """Known cells from all over the column; none when it is of one type anyway."""
        if self.form != "cells":
            return []
        step = 1 if self.codes is not None else max(1, len(self.array) // _SAMPLE)
        some = self.array[::step].tolist()
        known = [cell for cell in some if type(cell) is str or not is_null(cell)]
        return known or [cell for cell in self.array.tolist() if not is_null(cell)][:_SAMPLE]


def _distinct(cells: NDArray[Any]) -> tuple[list[Any], NDArray[Any] | None]:
    """Of texts the distinct ones and the code of each row's; all of other cells, and no codes."""
    try:
        codes, distinct = pd.factorize(cells)
    except TypeError:  # a list among them
        return cells.tolist(), None
    # Of other cells 1, 1.0 and True would be one; a text is like nothing but itself.
    if not all(isinstance(one, str) for one in distinct):
        return cells.tolist(), None
    return distinct.tolist(), np.asarray(codes)


def _objects(cells: Sequence[Any]) -> NDArray[Any]:
    """An array of objects, of lists too (which numpy would take for a second dimension)."""
    array = np.empty(len(cells), object)
    for row, cell in enumerate(cells):
        array[row] = cell
    return array


def plain_of(values: pd.Series) -> Plain:
    """A column of any of pandas' types, its own, Arrow's and numpy's."""
    dtype = values.dtype
    if isinstance(dtype, pd.SparseDtype):
        return plain_of(pd.Series(np.asarray(values)))
    if isinstance(dtype, pd.PeriodDtype):
        return plain_of(values.dt.to_timestamp())
    if isinstance(dtype, pd.CategoricalDtype):
        levels = _objects(values.cat.categories.tolist())
        return Plain("cells", levels, values.cat.codes.to_numpy(), said="categories")
    if isinstance(dtype, np.dtype):
        return _plain_array(values.to_numpy())
    return _plain_extension(values)


def _plain_array(values: NDArray[Any]) -> Plain:
    kind = values.dtype.kind
    if kind == "b":
        return Plain("flag", values.astype(np.float64))
    if kind == "f":
        with np.errstate(over="ignore"):
            return Plain("number", values.astype(np.float64), said=str(values.dtype))
    if kind in "iu":
        return _plain_integers(values)
    if kind == "M":
        moments = values.astype("datetime64[us]")
        cut = (moments != values) & ~np.isnat(values)
        return Plain("moment", moments, cut=cut if cut.any() else None)
    if kind == "m":
        seconds = values.astype("timedelta64[us]") / np.timedelta64(1, "s")
        return Plain("number", seconds, said="durations")
    return Plain("cells", values.astype(object, copy=False))


def _plain_integers(values: NDArray[Any]) -> Plain:
    """As floats, unless those could not tell two neighbours apart."""
    numbers = values.astype(np.float64)
    if len(numbers) and (numbers.max() >= EXACT or numbers.min() <= -EXACT):
        return Plain("cells", values.astype(object))
    return Plain("number", numbers, said="integers")


def _plain_extension(values: pd.Series) -> Plain:
    """Nullable, Arrow-backed and zoned columns."""
    dtype: Any = values.dtype
    kind = getattr(dtype, "kind", "O")
    if kind == "b":
        return Plain("flag", values.to_numpy(dtype=np.float64, na_value=np.nan))
    if kind in "iu":
        known = _plain_integers(values.dropna().to_numpy(dtype=f"{kind}8"))
        if known.form == "number":
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            return Plain("number", numbers, said="integers")
    if kind == "f":
        return Plain("number", values.to_numpy(dtype=np.float64, na_value=np.nan))
    if getattr(dtype, "type", None) is pd.Timestamp:
        zone = str(values.dt.tz) if values.dt.tz is not None else ""
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None) if zone else values
        moments = _plain_array(naive.to_numpy(dtype=f"datetime64[{_unit(dtype)}]"))
        return replace(moments, zone=zone)
    return Plain("cells", _as_objects(values))


def _unit(dtype: Any) -> str:
    """How fine moments are: "ns", "us", "ms" or "s"."""
    return str(dtype.pyarrow_dtype.unit if isinstance(dtype, pd.ArrowDtype) else dtype.unit)


def _as_objects(values: pd.Series) -> NDArray[Any]:
    missing: Any = None  # the stubs of pandas do not know that it is allowed
    return np.asarray(values.to_numpy(dtype=object, na_value=missing))
