"""What the kinds of channels share."""

import pytest

from ml_platform.alerts.channels.base import Secrets, as_json, shrunk
from ml_platform.alerts.channels.channel import RefusedError
from ml_platform.kernel.errors import SettingsError


def test_secrets_are_filled_in_and_remembered(monkeypatch):
    monkeypatch.setenv("TEST_A", "one")
    secrets = Secrets("channel x")
    assert secrets("${TEST_A}-${TEST_MISSING:-other}") == "one-other"
    assert secrets.values == ["one"]
    with pytest.raises(SettingsError, match="channel x: the environment variable TEST_MISSING"):
        secrets("${TEST_MISSING}")


def test_the_largest_allowance_that_fits_is_taken():
    assert shrunk("channel x", lambda n: "x" * n, len, 10_000) == "x" * 2900
    assert shrunk("channel x", lambda n: "x" * n, len, 450) == "x" * 400


def test_what_cannot_be_made_small_enough_is_refused():
    with pytest.raises(RefusedError, match="larger than 10"):
        shrunk("channel x", lambda n: "x" * n, len, 10)


def test_letters_of_every_alphabet_are_sent_as_they_are():
    assert as_json({"a": "가🎉"}) == '{"a":"가🎉"}'.encode()
