"""Microsoft Teams: the retired address, what its answers mean, what must not be Markdown."""

import json
from dataclasses import replace

import pytest

from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.message import Severity, Status
from ml_platform.kernel.errors import DeclarationError
from ml_platform_tests.alerts.channels.conftest import FAILED
from ml_platform_tests.alerts.conftest import Reply

RETIRED = [
    "https://acme.webhook.office.com/webhookb2/1@2/IncomingWebhook/3/4",
    "https://ACME.Webhook.Office.com./webhookb2/1",
    "https://webhook.office.com/x",
    "https://outlook.office.com/webhook/1",
]


@pytest.mark.parametrize("url", RETIRED)
def test_the_retired_address_is_refused_with_what_to_do_instead(url):
    with pytest.raises(DeclarationError, match="Workflows") as caught:
        channel_of({"type": "teams", "url": url})
    assert "webhookb2" not in str(caught.value)


def test_it_is_refused_also_when_a_variable_holds_it(monkeypatch):
    monkeypatch.setenv("TEST_TEAMS", RETIRED[0])
    channel = channel_of({"type": "teams", "url": "${TEST_TEAMS}"})
    with pytest.raises(ClosedError, match="Workflows"):
        channel.send(FAILED, key="k")


@pytest.mark.parametrize(
    "url",
    [
        "https://prod-1.westus.logic.azure.com:443/workflows/1/triggers/manual/paths/invoke",
        "https://default.api.powerplatform.com/powerautomate/automations/direct/workflows/1",
        "https://notwebhook.office.com.example.org/x",
        "${TEAMS_WORKFLOW_URL}",
    ],
)
def test_other_addresses_may_be_declared(url):
    assert channel_of({"type": "teams", "url": url}).name == "teams"


def test_a_signature_may_not_stand_in_the_file():
    with pytest.raises(DeclarationError, match="it is a secret") as caught:
        channel_of({"type": "teams", "url": "https://a.logic.azure.com/x?sig=abcdef"})
    assert "abcdef" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_status_of_success_is_one(reach, status):
    there = reach("teams")
    there.http.answers(Reply(status, b"1" if status == 200 else b""))
    assert there.send(FAILED, thread="1").thread == "1"
    assert len(there.http.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        "Webhook message delivery failed with error: Teams endpoint returned HTTP error 429",
        {"error": {"code": "TriggerInputSchemaMismatch"}},
    ],
)
def test_an_answer_of_success_that_tells_of_a_failure_is_one(reach, body):
    there = reach("teams")
    there.http.answers(Reply(200, body))
    with pytest.raises(NotDeliveredError):
        there.send(FAILED)


@pytest.mark.parametrize(
    ("change", "style"),
    [
        ({"severity": Severity.info}, "accent"),
        ({"severity": Severity.warning}, "warning"),
        ({"severity": Severity.critical}, "attention"),
        ({"status": Status.resolved}, "good"),
    ],
)
def test_the_bar_above_shows_how_bad_it_is(reach, change, style):
    there = reach("teams")
    card = json.loads(there.channel.rendered(replace(FAILED, **change)))
    assert card["attachments"][0]["content"]["body"][0]["style"] == style


def test_a_text_makes_no_link_and_no_emphasis(reach):
    there = reach("teams")
    there.send(replace(FAILED, observed="[click](https://evil.example) *now* snake_case"))
    (payload,) = there.arrived()
    facts = payload["attachments"][0]["content"]["body"]
    (known,) = [one for one in facts if one["type"] == "FactSet"]
    observed = {one["title"]: one["value"] for one in known["facts"]}["Observed"]
    assert observed == r"\[click\](https://evil.example) \*now\* snake_case"
