"""`tell`, as a step calls it: from any process, once a key."""

import subprocess
import sys

import pytest

from ml_platform.alerts.event import KINDS, OURS
from ml_platform.alerts.message import Severity
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.tell import About, tell
from ml_platform.kernel.errors import DeclarationError


@pytest.fixture
def outbox(tmp_path):
    return Outbox(f"sqlite:///{tmp_path}/alerts.db")


def taken(outbox, project="shop"):
    with outbox.book() as book:
        return book.take_told(project, 100)


def test_what_is_told_has_all_that_is_known(outbox):
    about = About(
        scenario="nightly", run_id="r1", owners=("team:shop",), elapsed_s=2.5, facts={"n": 1}
    )
    tell("Nightly ended", project="shop", key="r1/end", kind="scenario.ended", about=about,
         summary="All is made.", severity=Severity.warning, outbox=outbox)  # fmt: skip
    [found] = taken(outbox)
    assert (found.type, found.what, found.summary) == (
        "scenario.ended", "Nightly ended", "All is made.",
    )  # fmt: skip
    assert (found.scenario, found.run_id, found.elapsed_s) == ("nightly", "r1", 2.5)
    assert (found.owners, found.facts, found.severity) == (
        ("team:shop",), {"n": 1}, Severity.warning,
    )  # fmt: skip


def test_a_key_is_told_once_in_its_project_and_again_in_another(outbox):
    assert tell("a", project="shop", key="k", outbox=outbox)
    assert not tell("b", project="shop", key="k", outbox=outbox)
    assert tell("c", project="other", key="k", outbox=outbox)
    assert [e.what for e in taken(outbox)] == ["a"]
    assert [e.what for e in taken(outbox, "other")] == ["c"]


def test_processes_that_tell_the_same_at_once_tell_once(outbox):
    program = (
        "import sys; from ml_platform.alerts.tell import tell\n"
        "from ml_platform.alerts.outbox import Outbox\n"
        "print(tell('t', project='shop', key='k', outbox=Outbox(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, outbox.url]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(6)]
    said = sorted(one.communicate()[0].decode().strip() for one in started)
    assert said == ["False"] * 5 + ["True"]


def test_the_environment_says_where_it_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PLATFORM_ALERTS_URL", f"sqlite:///{tmp_path}/mine.db")
    tell("t", project="shop", key="k")
    assert len(taken(Outbox(f"sqlite:///{tmp_path}/mine.db"))) == 1


@pytest.mark.parametrize("kind", ["nonsense", *sorted(OURS)])
def test_only_kinds_that_there_are_can_be_told(outbox, kind):
    with pytest.raises(DeclarationError, match="no such kind"):
        tell("t", project="shop", key="k", kind=kind, outbox=outbox)
    assert set(KINDS) > OURS
