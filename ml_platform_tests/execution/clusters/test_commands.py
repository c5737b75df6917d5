"""`ml-platform clusters ...`: what it prints of clusters that are there and that are not."""

import time
import warnings

import pytest
from rich.console import Console

from ml_platform.execution.clusters.lease import Lease, place_of
from ml_platform.kernel.errors import NotFoundError

with warnings.catch_warnings():
    # Click's own, about a name that Typer still asks for.
    warnings.simplefilter("ignore", DeprecationWarning)
    from ml_platform.execution.clusters.commands import app


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path))
    monkeypatch.setattr(
        "ml_platform.execution.clusters.commands.console", Console(width=250, highlight=False)
    )

    def run(*words):
        app(words, standalone_mode=False)
        return capsys.readouterr().out

    return run


def made(name, expires_in=90, **words):
    place = place_of(name)
    place.folder.parent.mkdir(exist_ok=True, parents=True)
    place.made()
    place.write(Lease(2, 4, time.time() + expires_in, "run 1234", **words))
    return place


def test_a_cluster_is_listed_with_who_holds_it_and_whether_its_keeper_lives(run):
    with made("nightly", state="ready", address="127.0.0.1:6379").keeper_lock():
        made("gone", state="ready")
        lines = run("list").splitlines()
    assert lines[1].split()[:6] == ["gone", "lost", "2", "4", "run", "1234"]
    assert lines[2].split()[:5] == ["nightly", "ready", "2", "4", "127.0.0.1:6379"]


def test_to_scale_is_to_write_down_how_many_are_wanted(run):
    place = made("nightly")
    assert run("scale", "nightly", "5") == "nightly gets 5 nodes\n"
    assert place.lease().nodes == 5


def test_a_sweep_takes_what_nobody_keeps_and_leaves_what_somebody_holds(run):
    with made("held", state="ready").keeper_lock():
        made("lost", state="ready")
        made("starting")
        made("over", expires_in=-100)
        told = run("sweep").splitlines()
        assert run("sweep") == "nothing was left\n"
    assert told == [
        "lost: its keeper was gone; 0 processes were killed",
        "over: nobody held it any more; 0 processes were killed",
    ]
    assert place_of("held").lease()
    assert place_of("starting").lease()


def test_a_cluster_that_is_not_there_is_told_with_those_that_are(run):
    made("nightly")
    with pytest.raises(NotFoundError, match=r"allowed: nightly \(did you mean this\?\)"):
        run("stop", "nigthly")
