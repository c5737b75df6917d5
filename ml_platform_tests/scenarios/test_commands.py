"""`ml-platform scenario ...` over a recorded morning."""

import warnings
from datetime import UTC, datetime

import pytest

from ml_platform.kernel.errors import DeclarationError, NotFoundError
from ml_platform.scenarios.recorder import recorder_here
from ml_platform.scenarios.settle import Decision
from ml_platform.scenarios.triggers import Evaluation

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # typer's own, of its parser
    from ml_platform.scenarios import commands

NINE = 1769850000.0  # 2026-01-31T09:00:00Z


@pytest.fixture
def morning(monkeypatch):
    """Quiet from 9:00, a file at 9:05, another at 9:10, built at 9:20."""
    looks = [
        (0, "A", "first", "in: 1 file", ""),
        (5, "B", "waiting", "in: 2 files, newest b.csv", ""),
        (10, "C", "waiting", "in: 3 files, newest c.csv", ""),
        (20, "C", "fired", "in: 3 files, newest c.csv", "1:arrival-1"),
        (30, "C", "quiet", "in: 3 files, newest c.csv", ""),
        (40, "C", "quiet", "in: 3 files, newest c.csv", ""),
    ]
    for minute, fingerprint, decision, account, key in looks:
        one = Evaluation("arrival", "files", NINE + 60 * minute, account, fingerprint,
                         Decision(decision), f"reason {minute}", key)  # fmt: skip
        recorder_here().record("shop", "refresh", [one])
    monkeypatch.setattr(commands, "system_clock", lambda: datetime.fromtimestamp(NINE + 3600, UTC))
    monkeypatch.setattr(commands.console, "width", 200)


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2026-01-31T09:12", ["waiting", "newest c.csv", "reason 10"]),
        ("2026-01-31T09:07", ["waiting", "newest b.csv", "reason 5"]),
        ("2026-01-31T10:22+01:00", ["fired", "1:arrival-1"]),
        ("2026-01-31T09:35", ["quiet", "2 looks from 2026-01-31 09:30:00", "and later"]),
        ("", ["quiet", "reason 40"]),
    ],
)
def test_why_tells_what_was_seen_and_decided_at_a_time(morning, said, at, told):
    output = said("why", "refresh", *(["--at", at] if at else []))
    assert [word for word in told if word not in output] == []


def test_history_lists_looks_of_the_same_kind_in_one_row(morning, said):
    lines = said("history", "refresh").splitlines()
    assert len(lines) == 1 + 5
    assert "fired" in lines[4]
    assert lines[5].split()[4:7] == ["2", "arrival", "quiet"]


def test_history_says_names_with_brackets_as_they_are(morning, said):
    seen = Evaluation("[bold]", "files", NINE + 2700, "", "D", Decision("waiting"), "in [/red]", "")
    recorder_here().record("shop", "refresh", [seen])
    assert {"[bold]", "[/red]"} <= set(said("history", "refresh").split())


def test_rehearse_tells_how_many_runs_a_grace_delay_makes(morning, said):
    assert "2 changes would have become 2 runs with a grace delay of 60 s" in said(
        "rehearse", "refresh", "--grace", "1m"
    )
    output = said("rehearse", "refresh", "--grace", "6m")
    assert "2 changes would have become 1 run " in output
    assert "`grace: 6m`" in output


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (["why", "nothing"], NotFoundError, "no look at its triggers is recorded"),
        (["why", "refresh", "--at", "yesterday"], DeclarationError, "this is no moment"),
        (["why", "refresh", "--at", "2020-01-01"], NotFoundError, "for this time"),
        (["rehearse", "refresh", "--since", "long"], DeclarationError, "no length of time"),
        (["history", "refresh", "-p", "works"], NotFoundError, "no look"),
    ],
)
def test_what_cannot_be_answered_is_told(morning, said, words, error, told):
    with pytest.raises(error) as found:
        said(*words)
    assert told in str(found.value)
