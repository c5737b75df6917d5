"""`Reporter` as people write it: loaded as the server does, with its rule in the one sensor."""

import pytest

from ml_platform.alerts.component import Reporter, rules_in
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.sensor import INTERVAL_S, NAME


@pytest.fixture(autouse=True)
def channels(tmp_path, monkeypatch):
    file = tmp_path / "channels.yaml"
    file.write_text("inbox: {type: folder}\nchat: {type: folder}\n")
    monkeypatch.setenv("ML_PLATFORM_CHANNELS", str(file))
    return file


def declare(workshop, name, **attributes):
    given = {"name": name, "channels": ["inbox"], **attributes}
    workshop.declare("Reporter", f"alerts_{name}", **given)


def test_all_rules_of_a_project_are_in_its_one_sensor(workshop):
    declare(workshop, "one")
    declare(workshop, "two", digest={"every": "day", "at": "08:00"})
    project = workshop.load()
    assert project.broken == []
    [sensor] = project.definitions.sensors
    assert (sensor.name, sensor.minimum_interval_seconds) == (NAME, INTERVAL_S)
    assert sensor.default_status.value == "RUNNING"
    assert sorted(rule.name for rule in rules_in(project.definitions)) == ["one", "two"]


def test_what_was_declared_is_what_the_sensor_has(workshop):
    words = {
        "events": ["check.*"],
        "condition": "failures > 1",
        "quiet_hours": {"start": "22:00", "end": "07:00", "timezone": "Asia/Seoul"},
        "maintenance": [{"start": "2026-01-01", "end": "2026-01-02"}],
        "escalate": [{"after_min": 5, "channels": ["chat"]}],
    }
    declare(workshop, "one", **words)
    [rule] = rules_in(workshop.load().definitions)
    assert rule == Rule(name="one", channels=["inbox"], **words)


def test_a_time_of_day_needs_no_quotes(workshop):
    workshop.write(
        "alerts/defs.yaml",
        """
        type: ml_platform.components.Reporter
        attributes:
          name: one
          channels: [inbox]
          quiet_hours: {start: 22:00, end: 07:00}
        """,
    )
    project = workshop.load()
    assert project.broken == []
    [rule] = rules_in(project.definitions)
    assert (rule.quiet_hours.start, rule.quiet_hours.end) == ("22:00", "07:00")


def test_a_project_without_a_rule_has_no_sensor(workshop):
    workshop.table("shops")
    assert not workshop.load().definitions.sensors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"channels": ["inbx"]}, "inbox (did you mean this?)"),
        ({"fallback": ["nobody"]}, "there is no channel 'nobody'"),
        ({"escalate": [{"after_min": 5, "channels": ["boss"]}]}, "there is no channel 'boss'"),
        ({"events": ["check.faild"]}, "check.failed (did you mean this?)"),
        ({"condition": "severty == 'error'"}, "severity (did you mean this?)"),
        ({"body": "{% for x in range(9) %}{% endfor %}"}, "a call"),
        ({"chanel": "x"}, "channels"),
        ({"quiet_hours": {"start": "22:00", "end": "7"}}, "no time of day"),
        ({"quiet_hours": {"start": "22:00", "end": "07:00", "timezone": "Mars"}}, "Mars"),
    ],
)
def test_a_wrong_rule_shows_as_itself_and_the_others_go_on(workshop, words, said):
    declare(workshop, "wrong", **words)
    declare(workshop, "right")
    project = workshop.load()
    [broken] = project.broken
    assert "alerts_wrong/defs.yaml" in str(broken.where)
    assert said in broken.message
    assert [rule.name for rule in rules_in(project.definitions)] == ["right"]


def test_a_second_rule_of_a_name_is_broken_and_names_the_first(workshop):
    declare(workshop, "one")
    workshop.declare("Reporter", "more", name="one", channels=["chat"])
    project = workshop.load()
    [broken] = project.broken
    assert "rule one is declared twice, first at" in broken.message
    [rule] = rules_in(project.definitions)
    assert rule.channels == ["inbox"]


@pytest.mark.parametrize("text", ["inbox: {type: nonsense}", "[", None])
def test_wrong_or_missing_channels_break_no_rule(workshop, channels, text):
    # The sensor tells of them with each tick; rules that vanished would tell nobody.
    channels.unlink() if text is None else channels.write_text(text)
    declare(workshop, "one", channels=["anything"])
    assert workshop.load().broken == []


def test_every_word_of_a_rule_can_be_said_in_yaml():
    assert set(Reporter.model_fields) == set(Rule.model_fields)
    assert Reporter.model().__name__ == "ReporterModel"
