"""Files whose connections stay open: how they are written, how many there are, when they close."""

import gc
from pathlib import Path

from ml_platform.operations.connections import Files


def open_files(folder: Path) -> set[str]:
    """The databases of a folder that this process has open."""
    links = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    return {Path(link).name for link in links if link.startswith(str(folder)) and ".db" in link}


def test_a_file_without_a_write_ahead_log_is_never_written_carelessly(tmp_path: Path) -> None:
    files = Files()
    engine, _ = files.engine(tmp_path / "a.db")
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    files.close()


def test_connections_that_nobody_closes_are_closed_when_they_are_forgotten(tmp_path: Path) -> None:
    files = Files()
    engine, _ = files.engine(tmp_path / "a.db")  # in use still, so that it does not end by itself
    engine.connect().close()
    assert open_files(tmp_path) == {"a.db"}
    del files
    gc.collect()
    assert open_files(tmp_path) == set()


def test_of_many_runs_only_the_last_have_their_files_open(tmp_path: Path) -> None:
    files = Files(most=2)
    for name in "abab":
        engine, _ = files.engine(tmp_path / f"{name}.db")
        engine.connect().close()
    assert open_files(tmp_path) == {"a.db", "b.db"}
    kept, is_new = files.engine(tmp_path / "a.db")
    assert not is_new
    files.engine(tmp_path / "c.db")[0].connect().close()
    assert open_files(tmp_path) == {"a.db", "c.db"}
    assert files.engine(tmp_path / "a.db") == (kept, False)
    files.close()
    assert open_files(tmp_path) == set()
