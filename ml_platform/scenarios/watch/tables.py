"""Tables of this platform, or some of their partitions, as a fingerprint of their files."""

from ml_platform.kernel.errors import UnavailableError
from ml_platform.kernel.names import TableKey, file_stem
from ml_platform.scenarios.watch.look import Look, Tally
from ml_platform.storage.tables import TableStore


def look_at_tables(
    store: TableStore, project: str, keys: list[str], partitions: list[str] | None = None
) -> Look:
    """Look at each table: the names, sizes and times of its files; nothing of them is read.

    A table without data is an empty one. Files are replaced and never changed in place, so what is
    seen is what a reader of the same moment gets.

    Raises:
        UnavailableError: the store does not answer.
    """
    wanted = {f"{file_stem(one)}.parquet" for one in partitions or []}
    tallies = []
    for key in keys:
        tally, table = Tally(), TableKey.parse(key)
        try:
            files = store.files.list_files(f"{project}/{table.layer}/{table.name}")
        except OSError as error:
            raise UnavailableError(f"table {project}:{key}", str(error)) from error
        for file in files:
            if not wanted or file.name in wanted:
                at = file.modified.timestamp()
                tally.add(file.name, file.size, at, f"{at:.6f}")
        tallies.append((f"table {key}", tally))
    account = "; ".join(tally.sentence(what) for what, tally in tallies)
    return Look(tuple(tally.fingerprint for _, tally in tallies), account)
