"""The record of evaluations: what stays, what is folded, what is forgotten."""

from datetime import timedelta

import pytest

from ml_platform.kernel.errors import SettingsError, UnavailableError
from ml_platform.scenarios.recorder import Recorder, recorder_here
from ml_platform.scenarios.settle import Decision
from ml_platform.scenarios.triggers import Evaluation


def look(at, decision="quiet", fingerprint="A", trigger="t", key=""):
    reason = f"because, at {at}"
    return Evaluation(
        trigger, "files", at, f"seen at {at}", fingerprint, Decision(decision), reason, key
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def recorder(request, tmp_path):
    if request.param == "sqlite":
        return Recorder(f"sqlite:///{tmp_path / 'deep' / 'scenarios.db'}")
    return Recorder(request.getfixturevalue("postgres_url"))


def kept(recorder, **when):
    rows = recorder.rows("shop", "refresh", **when)
    return [(row.decision, row.first_at, row.last_at, row.count) for row in rows]


def test_looks_that_come_to_the_same_are_one_row(recorder):
    for at in range(5):
        recorder.record("shop", "refresh", [look(at)])
    [row] = recorder.rows("shop", "refresh")
    assert (row.first_at, row.last_at, row.count) == (0, 4, 5)
    assert (row.account, row.reason) == ("seen at 4", "because, at 4")


@pytest.mark.parametrize(
    "other",
    [{"decision": "waiting"}, {"fingerprint": "B"}, {"trigger": "u"}, {"key": "run 2"}],
)
def test_what_came_to_something_else_is_a_row_of_its_own(recorder, other):
    recorder.record("shop", "refresh", [look(0), look(1, **other)])
    assert len(kept(recorder)) == 2


def test_triggers_that_take_turns_are_folded_each_for_itself(recorder):
    for at in range(4):
        recorder.record("shop", "refresh", [look(at), look(at, trigger="u")])
    assert [count for *_, count in kept(recorder)] == [4, 4]


def test_other_scenarios_and_projects_are_apart(recorder):
    recorder.record("shop", "refresh", [look(0)])
    recorder.record("shop", "other", [look(0)])
    recorder.record("works", "refresh", [look(0)])
    assert len(kept(recorder)) == 1
    assert len(recorder.rows(None, "refresh")) == 2


def test_a_time_finds_the_rows_that_touch_it(recorder):
    for at, decision in [(0, "quiet"), (5, "quiet"), (10, "waiting"), (20, "fired")]:
        recorder.record("shop", "refresh", [look(at, decision)])
    assert kept(recorder, since=3, until=12) == [("quiet", 0, 5, 2), ("waiting", 10, 10, 1)]


def test_old_rows_are_forgotten(recorder):
    recorder.keep = timedelta(seconds=100)
    recorder.record("shop", "refresh", [look(0, "waiting")])
    recorder.record("shop", "refresh", [look(50)])
    recorder.record("shop", "refresh", [look(120)])
    assert kept(recorder) == [("quiet", 50, 120, 2)]


def test_an_address_that_is_none_is_told():
    with pytest.raises(SettingsError, match=r".") as error:
        Recorder("nothing://here").record("shop", "refresh", [look(0)])
    assert "ML_PLATFORM_SCENARIOS_URL" in str(error.value)


def test_a_server_that_does_not_answer_is_told_without_its_password():
    with pytest.raises(UnavailableError) as error:
        Recorder("postgresql://me:secret@127.0.0.1:1/db").record("shop", "refresh", [look(0)])
    assert "secret" not in str(error.value)


def test_it_lies_beside_dagsters_own_or_where_the_variable_says(home):
    assert recorder_here().url == f"sqlite:///{home}/dagster/scenarios.db"
    assert recorder_here({"ML_PLATFORM_SCENARIOS_URL": "sqlite:///x"}).url == "sqlite:///x"
