"""Every other service, through Apprise."""

from dataclasses import replace

import pytest

from ml_platform.alerts.channels.apprise import body
from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.message import Severity, Status
from ml_platform_tests.alerts.channels.conftest import EVENTS, FAILED
from ml_platform_tests.alerts.conftest import Reply


def test_title_text_and_kind_arrive(reach):
    there = reach("apprise")
    there.send(FAILED)
    (arrived,) = there.arrived()
    assert arrived["title"].startswith("[demand/production][ERROR] Check failed")
    assert "Observed:  812" in arrived["message"]
    assert arrived["message"].count("Check failed") == 0
    assert arrived["type"] == "failure"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"severity": Severity.info}, "info"),
        ({"severity": Severity.warning}, "warning"),
        ({"severity": Severity.critical}, "failure"),
        ({"status": Status.resolved}, "success"),
    ],
)
def test_the_kind_is_the_severity(reach, change, kind):
    there = reach("apprise")
    there.send(replace(FAILED, **change))
    assert there.arrived()[0]["type"] == kind


@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_a_no_is_not_delivered_whatever_the_reason(reach, status):
    there = reach("apprise")
    there.http.answers(Reply(status))
    with pytest.raises(NotDeliveredError, match="did not take the message"):
        there.send(FAILED)


@pytest.mark.parametrize("url", ["nosuchservice://x", "", "json://"])
def test_a_url_that_apprise_does_not_know_closes_the_channel(monkeypatch, url):
    monkeypatch.setenv("TEST_URL", url)
    with pytest.raises(ClosedError, match="does not know"):
        channel_of({"type": "apprise", "url": "${TEST_URL}"}).send(FAILED, key="k")


@pytest.mark.parametrize("longest", [40, 200, 400, 1000, 8000])
def test_a_shortened_text_keeps_its_links_where_there_is_room(reach, longest):
    channel = reach("apprise").channel
    text = body(replace(EVENTS["run failed"], failure_message="x " * 9000), channel, longest)
    assert len(text) <= longest
    assert (FAILED.run_url in text) == (longest >= 200)
