"""What every channel tells, in the same words and order."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.message import Attachment, Message, Severity, Status
from ml_platform_tests.alerts.channels.conftest import EVENTS, FAILED

UTC_ZONE = ZoneInfo("UTC")


def labels(message):
    return [one.label for one in said.facts(message, UTC_ZONE)]


def test_facts_that_are_not_known_are_not_told():
    assert labels(EVENTS["bare"]) == []
    assert labels(replace(EVENTS["bare"], observed="1", owner="team")) == ["Observed", "Owner"]


def test_the_first_line_says_where_and_how_bad():
    assert said.headline(FAILED).startswith("[demand/production][ERROR] Check failed")
    assert said.headline(replace(FAILED, status=Status.resolved)).split()[0].endswith("[RESOLVED]")
    assert "[TEST]" in said.headline(EVENTS["sample"])
    assert said.headline(EVENTS["bare"]) == "[INFO] Hello"


def test_a_place_that_the_title_names_already_is_not_said_twice():
    message = replace(FAILED, title="[demand/production] orders are late")
    assert said.headline(message) == "[ERROR] [demand/production] orders are late"


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("UTC", "2026-08-19 02:14 UTC"),
        ("Asia/Seoul", "2026-08-19 11:14 KST (2026-08-19 02:14 UTC)"),
        ("America/New_York", "2026-08-18 22:14 EDT (2026-08-19 02:14 UTC)"),
    ],
)
def test_a_time_is_told_in_the_readers_zone_and_in_utc(zone, told):
    assert said.moment(FAILED.last_ok_at, ZoneInfo(zone)) == told


def test_a_time_without_a_zone_is_one_of_utc():
    assert said.moment(datetime(2026, 1, 2, 3, 4), UTC_ZONE) == "2026-01-02 03:04 UTC"  # noqa: DTZ001 - that is what is tried


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (3600, "1 h"),
        (90_061, "1 d 1 h"),
        (None, ""),
        (float("nan"), ""),
        (float("inf"), ""),
        (-1.0, ""),
    ],
)
def test_how_long_it_took_is_told_in_two_units(seconds, told):
    assert said.elapsed(seconds) == told


def test_who_would_acknowledge_what_is_over():
    firing = [one.label for one in said.links(FAILED)]
    assert firing == ["Open run", "Open asset", "Acknowledge", "Runbook"]
    over = [one.label for one in said.links(replace(FAILED, status=Status.resolved))]
    assert over == ["Open run", "Open asset", "Runbook"]


def test_a_digest_counts_the_worst_first_and_names_the_newest_first():
    found = said.digest(EVENTS["digest"])
    assert found.counts == (("critical", "sales-checks", 15), ("error", "sales-checks", 28))
    assert [one.text[-3:] for one in found.newest[:2]] == ["t42", "t41"]
    assert (len(found.newest), found.more) == (20, 23)


def test_what_is_over_is_counted_after_all_that_lasts():
    items = (replace(FAILED, status=Status.resolved), replace(FAILED, severity=Severity.info))
    found = said.digest(replace(FAILED, items=items))
    assert [one[0] for one in found.counts] == ["info", "resolved"]


def test_cleaning_keeps_lines_where_lines_are_meant_and_nowhere_else():
    message = Message(
        event_id="e\nx",
        event_type="custom",
        severity=Severity.error,
        title="a\r\nBcc: x@y.z",
        failure_message="line 1\nline 2",
        run_url="javascript:alert(1)",
        items=(Message(event_id="i", event_type="t", severity=Severity.info, title="b\nc"),),
        attachments=(Attachment("../../etc/pass\nwd", "text/csv", b""),),
    )
    clean = said.cleaned(message)
    assert clean.title == "a Bcc: x@y.z"
    assert clean.failure_message == "line 1\nline 2"
    assert clean.run_url == ""
    assert clean.items[0].title == "b c"
    assert clean.attachments[0].name == "pass wd"
    assert clean.severity is Severity.error


def test_an_identity_stays_as_it_is_and_one_that_cannot_be_stays_different():
    assert said.identity("demand:raw/sales:check") == "demand:raw/sales:check"
    assert said.identity("x" * 300) != said.identity("x" * 301)
    assert said.identity("a\nb") != said.identity("a b")
    assert len(said.identity("가" * 10_000)) < 200


def test_white_letters_can_be_read_on_every_colour():
    for colour in said.COLOURS.values():
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 4.5, colour  # WCAG 2.1, 1.4.3


def test_the_time_of_the_event_comes_before_that_of_the_run():
    at = datetime(2026, 8, 20, 2, 16, tzinfo=UTC)
    assert labels(replace(EVENTS["bare"], occurred_at=at, started_at=at)) == ["When", "Started"]
