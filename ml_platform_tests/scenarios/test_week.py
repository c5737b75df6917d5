"""A week of looks at a real folder, recorded as it goes: what is told of it afterwards.

Each working day three files come in the morning, a minute and then five minutes apart. The clock is
made up; the folder, the trigger and the record are as in use.
"""

import os
import warnings
from datetime import UTC, datetime, timedelta

import pytest

from ml_platform.scenarios.recorder import Recorder
from ml_platform.scenarios.trigger_words import Trigger
from ml_platform.scenarios.triggers import Cursor, go_round
from ml_platform.scenarios.watch.files import look_at_files

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # typer's own, of its parser
    from ml_platform.scenarios import commands

MONDAY = datetime(2026, 1, 26, tzinfo=UTC)
MINUTES = 7 * 24 * 60


def arrive(folder, minute):
    """What happens in the folder in this minute of the week."""
    day, of_day = divmod(minute, 24 * 60)
    if day > 4 or of_day not in {540, 541, 546}:
        return
    file = folder / f"day{day}_{of_day - 540}.csv"
    file.write_text("store,sales\n")
    at = (MONDAY + timedelta(minutes=minute)).timestamp()
    os.utime(file, (at, at))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The record of the week, and the runs that were started in it as minutes of the week."""
    folder = tmp_path_factory.mktemp("in")
    recorder = Recorder(f"sqlite:///{tmp_path_factory.mktemp('record') / 'week.db'}")
    words = {"name": "arrival", "files": {"paths": [str(folder)]}, "every": "5m", "grace": "2m"}
    trigger, text, started = Trigger(**words), None, []

    def look(_trigger, _state):
        return look_at_files([str(folder)])

    for minute in range(MINUTES):
        arrive(folder, minute)
        now = (MONDAY + timedelta(minutes=minute, seconds=30)).timestamp()
        done = go_round([trigger], Cursor.read(text, now), now, look, is_running=lambda: False)
        text = done.cursor.text()
        started += [minute] * len(done.starts)
        recorder.record("shop", "refresh", done.evaluations)
    return recorder, started


@pytest.fixture
def week(recorded, monkeypatch):
    """The week is over; the runs that were started in it."""
    recorder, started = recorded
    monkeypatch.setenv("ML_PLATFORM_SCENARIOS_URL", recorder.url)
    monkeypatch.setattr(commands, "system_clock", lambda: MONDAY + timedelta(minutes=MINUTES))
    monkeypatch.setattr(commands.console, "width", 250)
    return started


def test_each_morning_became_one_run_before_the_late_file_and_one_after_it(week):
    of_day = [divmod(minute, 24 * 60) for minute in week]
    assert [day for day, _ in of_day] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert all(541 < minute < 546 for _, minute in of_day[::2])
    assert all(546 < minute < 552 for _, minute in of_day[1::2])


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2026-01-26T08:00", ["quiet", "107 looks", "nothing there"]),
        ("2026-01-26T09:03", ["waiting", "2 files", "newest day0_1.csv of 2026-01-26 09:01:00"]),
        ("2026-01-26T09:10", ["waiting", "3 files", "newest day0_6.csv", "120 s of the grace"]),
        ("2026-01-29T09:11", ["fired", "12 files", "newest day3_6.csv", "run 8 of this trigger"]),
        ("2026-02-01T12:00", ["quiet", "15 files", "newest day4_6.csv of 2026-01-30 09:06:00"]),
    ],
)
def test_why_names_the_file_at_any_time_of_the_week(week, said, at, told):
    output = said("why", "refresh", "--at", at)
    assert [word for word in told if word not in output] == []


@pytest.mark.parametrize(
    ("grace", "told"),
    [
        ([], "13 changes would have become 10 runs with a grace delay of 120 s"),
        (["--grace", "8m"], "13 changes would have become 5 runs with a grace delay of 480 s"),
        (["--grace", "2d"], "13 changes would have become 1 run with a grace delay of 172,800 s"),
    ],
)
def test_rehearse_replays_the_week_with_any_grace_delay_and_suggests_one(week, said, grace, told):
    output = said("rehearse", "refresh", "--since", "8d", *grace)
    assert told in output
    assert "`grace: 8m` would make one run of each burst" in output


def test_the_week_is_a_row_for_each_thing_that_came_of_it(week, said):
    lines = said("history", "refresh", "--since", "8d").splitlines()[1:]
    decisions = [line.split()[6] for line in lines]
    assert decisions.count("fired") == len(week)
    assert len(lines) < 40  # of some 2,000 looks
