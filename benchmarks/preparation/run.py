"""What the two parts of the preparation benchmark share: the names of methods, and how they run."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from preparation import fill, peer
from preparation.tables import Parts

CLOSED, BOOSTED, AUTO = OURS = ("ours, closed form", "ours, boosted", "ours, auto")
WHOLE, SKRUB = "ours, everything", "skrub Cleaner + TableVectorizer"
ROWS_KEPT = "ours, everything, rows kept"
SIMPLE = "median, most frequent"
RIDGE, TREES = BY_HAND = ("ridge by hand", "LightGBM by hand")
PEERS = (
    *(SIMPLE, "mean, most frequent", "IterativeImputer(BayesianRidge)", "KNNImputer(5)"),
    *BY_HAND,
)
AUTOCLEAN = "AutoClean"


@dataclass(frozen=True)
class Run:
    """What holds for a whole run: a folder for its files, threads, whether AutoClean runs anew."""

    folder: Path
    threads: int
    again: bool

    @property
    def environ(self) -> dict[str, str]:
        """The threads, as the libraries of every method read them."""
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        return dict.fromkeys(names, str(self.threads))

    def write(self, name: str, frame: pd.DataFrame) -> Path:
        """A table as a file that a method in another process reads."""
        path = self.folder / f"{name}.parquet"
        frame.to_parquet(path, index=False)
        return path

    def fill(self, method: str, parts: Parts, pairs: list[tuple[Path, Path | None]]):
        """A method on files, each with the file for its result or None, in a fresh process."""
        return fill.in_fresh_process(method, parts, pairs, self.environ)

    def autoclean(self, frame: pd.DataFrame) -> peer.Cleaned:
        """AutoClean's missing stage on a table, now or as kept from before."""
        return peer.clean(frame, self.environ, again=self.again)
