"""Standard Webhooks: signatures, identities, what closes, and whom it may reach."""

import base64
import json
import socket
from dataclasses import replace

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.channels.wire import Line, Way
from ml_platform.kernel.errors import DeclarationError, SettingsError
from ml_platform_tests.alerts.channels.conftest import (
    EVENTS,
    FAILED,
    OTHER_SECRET,
    SIGNING_SECRET,
)
from ml_platform_tests.alerts.conftest import Reply, http_receiver

DECLARED = {
    "type": "webhook",
    "url": "https://receiver.example/hook",
    "secrets": ["${TEST_SIGNING}"],
}


def test_each_of_the_secrets_signs_so_that_one_can_take_the_others_place(reach):
    there = reach("webhook")
    there.send(FAILED)
    (request,) = there.http.requests
    for secret in (SIGNING_SECRET, OTHER_SECRET):
        Webhook(secret).verify(request.body, request.headers)
    stranger = "whsec_" + base64.b64encode(b"s" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(stranger).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SIGNING_SECRET).verify(request.body.replace(b"812", b"813"), request.headers)


def test_the_key_is_the_identity_and_each_attempt_has_its_own_time(reach):
    there = reach("webhook")
    there.send(FAILED, key="sales-checks:run-8f1c")
    there.send(FAILED, key="regel:한국")
    first, second = (one.headers for one in there.http.requests)
    assert first["webhook-id"] == "sales-checks:run-8f1c"
    assert len(second["webhook-id"]) == 32
    assert first["webhook-timestamp"].isdigit()


def test_the_body_names_the_type_the_time_and_the_facts_that_are_known(reach):
    there = reach("webhook")
    there.send(FAILED)
    (payload,) = there.arrived()
    assert payload["type"] == "check.failed"
    assert payload["timestamp"] == "2026-08-20T02:16:00+00:00"
    data = payload["data"]
    assert data["dedup_key"] == FAILED.dedup_key
    assert data["observed"] == "812"
    assert data["elapsed_s"] == 75.0
    assert "body" not in data


def test_a_number_that_json_does_not_know_is_told_as_none(reach):
    there = reach("webhook")
    there.send(replace(FAILED, elapsed_s=float("inf")))
    (payload,) = there.arrived()
    assert payload["data"]["elapsed_s"] is None


def test_a_digest_stays_thin(reach):
    there = reach("webhook")
    long = replace(FAILED, title="x" * 100, run_url="https://a.example/" + "x" * 900)
    there.send(replace(EVENTS["digest"], items=(long,) * 10_000))
    (payload,) = there.arrived()
    assert payload["data"]["digest"]["more"] == 9980


@pytest.mark.parametrize("status", [401, 403, 404, 409, 425])
def test_what_a_receiver_lacks_now_it_may_have_later(reach, status):
    there = reach("webhook")
    there.http.answers(Reply(status))
    with pytest.raises(NotDeliveredError):
        there.send(FAILED)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_this_machine_is_not_reached_unless_that_is_meant(receiver, host):
    declared = {**DECLARED, "url": f"http://{host}:{receiver.port}/hook"}
    with pytest.raises(ClosedError, match="not public"):
        channel_of(declared).send(FAILED, key="k")
    assert receiver.requests == []


def test_it_connects_to_the_address_that_was_checked_and_to_no_other(monkeypatch):
    """The name leads to a public address when it is asked first, and into the house later."""
    asked = []

    def answers(host, port, *_args, **_kind):
        if host == "8.8.8.8":
            address = host
        else:
            asked.append(host)
            address = "203.0.113.9" if len(asked) > 1 else "8.8.8.8"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    reached = []
    monkeypatch.setattr(socket.socket, "connect", lambda _self, to: reached.append(to[0]))
    with pytest.raises((NotDeliveredError, ClosedError)):
        channel_of({**DECLARED, "timeout_s": 1}).send(FAILED, key="k")
    assert reached == ["8.8.8.8"]
    assert asked == ["receiver.example"]


def test_the_certificate_and_the_host_are_those_of_the_name(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with http_receiver(certificate) as there:
        way = Way("127.0.0.1")
        good = Line("channel x", f"https://receiver.example:{there.port}/hook", 5.0)
        answer = good.post(b"{}", {}, through=way)
        assert answer.status == 200
        assert there.requests[0].headers["host"] == f"receiver.example:{there.port}"
        other = Line("channel x", f"https://other.example:{there.port}/hook", 5.0)
        with pytest.raises(NotDeliveredError, match=r"other\.example"):
            other.post(b"{}", {}, through=way)
        assert len(there.requests) == 1


BYTES = base64.b64encode(b"\xfb\xff" * 16).decode()
"""Of thirty-two bytes, with both signs in which the two alphabets of base64 differ."""


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_short",
        "whsec_not base64!",
        "whsec_",
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        # A decoder that is not strict takes all of these, as another secret than the receiver's.
        f"whsec_{BYTES[:20]}!{BYTES[20:]}",
        f"whsec_{BYTES[:20]} {BYTES[20:]}",
        f"whsec_{BYTES}\n",
        f"whsec_{BYTES}{BYTES}",
        "whsec_" + BYTES.replace("+", "-").replace("/", "_"),
    ],
)
def test_a_secret_that_cannot_sign_is_told_and_not_shown(reach, monkeypatch, secret):
    there = reach("webhook")
    monkeypatch.setenv("TEST_SIGNING", secret)
    with pytest.raises(SettingsError, match="openssl rand") as caught:
        there.send(FAILED)
    assert secret == "whsec_" or secret not in str(caught.value)
    assert there.http.requests == []


def test_further_headers_are_sent_with_their_secrets(reach):
    there = reach("webhook", headers={"Authorization": "Bearer ${TEST_SLACK_TOKEN}"})
    there.send(FAILED)
    assert there.http.requests[0].headers["authorization"] == "Bearer xoxb-very-secret-token"


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "토큰"])
def test_a_header_that_cannot_be_one_is_not_sent(reach, monkeypatch, value):
    there = reach("webhook", headers={"X-Key": "${TEST_SLACK_TOKEN}"})
    monkeypatch.setenv("TEST_SLACK_TOKEN", value)
    with pytest.raises(ClosedError, match="line end"):
        there.send(FAILED)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secrets": []}, "at least one secret"),
        ({"secrets": [SIGNING_SECRET]}, "may not stand in the file"),
        ({"headers": {"Webhook-Id": "x"}}, "written by the channel itself"),
        ({"timeout_s": 0}, "greater than 0"),
    ],
)
def test_a_declaration_that_cannot_work_is_told_at_once(changes, words):
    with pytest.raises(DeclarationError, match=words) as caught:
        channel_of(DECLARED | changes)
    assert SIGNING_SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "receiver.example", "http://[::1", "http://a:x"]
)
def test_what_is_no_address_of_http_closes_the_channel(monkeypatch, url):
    monkeypatch.setenv("TEST_URL", url)
    with pytest.raises(ClosedError, match="not one of HTTP"):
        channel_of({**DECLARED, "url": "${TEST_URL}"}).send(FAILED, key="k")


def test_the_signed_bytes_are_the_sent_bytes(reach):
    there = reach("webhook")
    there.send(EVENTS["custom"])
    (request,) = there.http.requests
    assert "주문".encode() in request.body
    assert json.loads(request.body)["data"]["title"] == "주문 데이터 확인 🎉"
