"""Messages in four parts, and classes that say whether a retry can help."""

from pathlib import Path

import pytest

from ml_platform.kernel import errors


def test_a_message_names_place_object_given_allowed_and_what_to_do():
    error = errors.DeclarationError(
        "key 'x'", "no layer", allowed="raw", fix="write raw/x",
        where=errors.Where(Path("defs.yaml"), 3, 7),
    )  # fmt: skip
    assert str(error) == ("defs.yaml:3:7: key 'x': no layer\n  allowed: raw\n  to do: write raw/x")


@pytest.mark.parametrize(
    ("kind", "helps"),
    [
        (errors.DeclarationError, False),
        (errors.DataError, False),
        (errors.NotFoundError, False),
        (errors.SettingsError, False),
        (errors.UnavailableError, True),
        (errors.ConflictError, True),
        (errors.StorageFullError, True),
    ],
)
def test_the_class_says_whether_trying_again_helps(kind, helps):
    assert kind("a", "b").retryable is helps
