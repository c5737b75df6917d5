"""Tables made by `AutoPrepare`: their rows, what was done to each cell, what was learnt, receipts.

Beside a prepared table stand a table of its cells, the fitted preparation, which prepares other
rows in the same way, and the receipt as JSON and as a page. The component knows how they are asked
for; this knows how they are made, kept and found again.
"""

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import DataError
from ml_platform.kernel.names import TableKey, file_stem
from ml_platform.storage.tables import TableStore

if TYPE_CHECKING:
    import pandas as pd

    from ml_platform.preparation.receipt import Receipt
    from ml_platform.preparation.transformer import AutoPrepare, Prepared

KEPT = "preparation.pickle"
"""The name of the fitted preparation in the folder of its table."""

IMPUTED_SHARE = "imputed_share"

_LIBRARIES = ("scikit-learn", "pandas", "numpy", "lightgbm", "skrub")


@dataclass(frozen=True)
class Kept:
    """A fitted preparation, and its version: the same for the same bytes."""

    preparation: "AutoPrepare"
    version: str


@dataclass(frozen=True)
class Place:
    """Where a prepared table lies and what made it."""

    store: TableStore
    project: str
    key: TableKey
    partition: str | None
    run_id: str
    keep_versions: int

    def publish(self, name: str, content: bytes) -> str:
        """Put a document beside the table; its URL."""
        return self.store.publish(
            self.project, self.key, name, content, keep_versions=self.keep_versions
        )


def cells_key(key: TableKey) -> TableKey:
    """The table of the cells of a prepared table."""
    return TableKey(key.layer, f"{key.name}_cells")


def learn(frame: "pd.DataFrame", options: Mapping[str, Any]) -> "tuple[AutoPrepare, Prepared]":
    """Learn a preparation from these rows, and prepare them.

    Raises:
        DataError, DeclarationError: the rows or the options do not allow it.
    """
    from ml_platform.preparation.transformer import AutoPrepare

    preparation = AutoPrepare(**options)
    return preparation, preparation.prepare(frame)


def with_imputed_share(prepared: "Prepared") -> "pd.DataFrame":
    """The rows with `imputed_share`: which share (0 to 1) of a row's inputs was filled.

    Raises:
        DataError: the table has such a column already.
    """
    from ml_platform.preparation.fitted import FILLED

    if IMPUTED_SHARE in prepared.frame:
        raise DataError(
            f"column '{IMPUTED_SHARE}'",
            "the table has one already",
            fix="rename it, or leave `add_imputed_share` out",
        )
    filled = (prepared.cells.to_numpy() & FILLED) > 0
    return prepared.frame.assign(**{IMPUTED_SHARE: filled.mean(axis=1)})


def keep(place: Place, preparation: "AutoPrepare") -> Kept:
    """Write a fitted preparation beside its table; what it replaces stays as a version."""
    content = pickle.dumps(preparation)
    fingerprint = sha256(content).hexdigest()[:12]
    head = {"version": fingerprint, "libraries": {name: version(name) for name in _LIBRARIES}}
    place.publish(KEPT, json.dumps(head).encode() + b"\n" + content)
    return Kept(preparation, fingerprint)


def find(store: TableStore, project: str, key: TableKey) -> Kept:
    """The fitted preparation of a prepared table.

    Raises:
        NotFoundError: the table was not prepared yet.
        DataError: it was kept by libraries with which these cannot read it.
    """
    head, _, content = store.document(project, key, KEPT).partition(b"\n")
    said = json.loads(head)
    try:
        # Like a model, it runs code when it is loaded; who may write there may do so anyhow.
        preparation = pickle.loads(content)  # noqa: S301
    except (AttributeError, ImportError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(
            f"the preparation of {project}:{key}",
            f"it cannot be read: {error}",
            allowed=", ".join(f"{name} {number}" for name, number in said["libraries"].items()),
            fix=f"materialise {key} again",
        ) from error
    return Kept(preparation, said["version"])


def publish_receipt(place: Place, receipt: "Receipt", preparation_version: str) -> str:
    """Write the receipt as JSON and as a page beside the table; the page's URL."""
    made_at = datetime.now(tz=UTC)
    origin = {
        "project": place.project,
        "table": str(place.key),
        "partition": place.partition,
        "preparation_version": preparation_version,
        "run_id": place.run_id,
        "made_at": made_at.isoformat(timespec="seconds"),
    }
    data = {**origin, "receipt": asdict(receipt)}
    name = "receipt" if place.partition is None else f"receipt-{file_stem(place.partition)}"
    place.publish(f"{name}.json", json.dumps(data, ensure_ascii=False, default=str).encode())
    said = (
        f"{place.project}, {made_at:%Y-%m-%d %H:%M UTC}, run {place.run_id[:8]}, "
        f"preparation {preparation_version}"
    )
    title = str(place.key) if place.partition is None else f"{place.key}, {place.partition}"
    return place.publish(f"{name}.html", receipt.to_html(title, said).encode())
