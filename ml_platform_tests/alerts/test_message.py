"""What is said about an event."""

from ml_platform.alerts.message import Severity


def test_severities_are_ranked_from_the_least_to_the_worst():
    assert sorted(Severity, key=lambda one: one.rank) == ["info", "warning", "error", "critical"]
