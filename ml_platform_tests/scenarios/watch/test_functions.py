"""Functions that say whether to start, asked over several rounds."""

import json
import sys
import types

import pytest

from ml_platform.kernel.errors import DataError, NotFoundError, UnavailableError, UserError
from ml_platform.scenarios.settle import Rules, State, decide
from ml_platform.scenarios.trigger_words import PythonLook
from ml_platform.scenarios.watch.functions import look_with_function

NESTED = json.loads('{"a":' * 12 + "1" + "}" * 12)


class Asker:
    """A function that says what it is told to, and a trigger that asks it."""

    def __init__(self, monkeypatch, rules=None):
        module = types.ModuleType("asked_module")
        module.ask = self.ask
        monkeypatch.setitem(sys.modules, "asked_module", module)
        self.says, self.given, self.now = None, {}, 0.0
        self.state, self.rules = State(), rules or Rules()

    def ask(self, **given):
        self.given = given
        return self.says() if callable(self.says) else self.says

    def look(self, says, seconds=10.0):
        self.says, self.now = says, self.now + 60
        words = PythonLook(function="asked_module:ask", arguments={"store": 7})
        look = look_with_function(words, self.state, "t", seconds)
        verdict = decide(self.state, look.parts[0], self.now, self.rules)
        self.state = verdict.state
        return str(verdict.decision), look


@pytest.fixture
def asker(monkeypatch):
    return Asker(monkeypatch)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([None, False, None], "first quiet quiet"),
        ([None, True, None], "first fired quiet"),
        ([None, True, True], "first fired fired"),
        ([True, True, False], "first fired quiet"),
        ([None, {"n": 1}, {"n": 1}, {}], "first fired fired fired"),
        ([17, 17, 18, 18, 17], "first quiet fired quiet fired"),
        (["a", None, "a", "b"], "first quiet quiet fired"),
    ],
)
def test_what_it_says_over_several_looks(asker, answers, expected):
    assert [asker.look(one)[0] for one in answers] == expected.split()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([None, True, True, True], "first waiting fired waiting"),
        ([None, True, False, True], "first waiting reverted waiting"),
        ([None, {"n": 1}, {"n": 2}, {"n": 2}], "first waiting waiting fired"),
    ],
)
def test_it_waits_for_quiet_as_all_triggers_do(monkeypatch, answers, expected):
    asker = Asker(monkeypatch, Rules(grace=60))
    assert [asker.look(one)[0] for one in answers] == expected.split()


def test_it_gets_its_arguments_and_gives_parameters(asker):
    assert asker.look({"n": 1, "stores": [1, 2]})[1].params == {"n": 1, "stores": [1, 2]}
    assert asker.given == {"store": 7}


def test_an_error_of_the_function_is_told_with_its_place(asker):
    def fails():
        raise KeyError("no such store")

    with pytest.raises(UserError, match=r"KeyError: 'no such store' .*test_functions.py, line"):
        asker.look(fails)


@pytest.mark.parametrize(
    "says",
    [object(), {"when": object()}, {"n": float("nan")}, {"text": "x" * 20_000}, [1, 2],
     NESTED],
)  # fmt: skip
def test_what_no_run_can_keep_is_refused(asker, says):
    with pytest.raises(DataError):
        asker.look(says)


def test_a_function_that_does_not_end_is_broken_off(asker):
    def turns():
        while True:
            pass

    with pytest.raises(UnavailableError, match="has not ended within"):
        asker.look(turns, seconds=0.1)


@pytest.mark.parametrize("path", ["no_such_module_here:f", "asked_module:other"])
def test_a_function_that_is_not_there_is_told(asker, path):
    with pytest.raises(NotFoundError):
        look_with_function(PythonLook(function=path), State(), "t", 5)
