"""Models whose champion is watched."""

from ml_platform.scenarios.watch.champions import look_at_champions


def test_a_new_champion_is_a_change_and_its_version_a_parameter():
    champions = {"models/demand": ("3", 0.0), "models/other": None}
    look = look_at_champions([*champions], champions.get)
    assert look.parts == ("3", "none")
    assert look.params == {"champions": {"models/demand": "3", "models/other": None}}
    assert look.account == (
        "models/demand: version 3, champion since 1970-01-01 00:00:00 UTC; "
        "models/other: no champion"
    )
