"""Calls over HTTP, to a real server: taken once, and only from whoever has the key."""

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import uvicorn
from standardwebhooks.webhooks import Webhook

from ml_platform.scenarios.called import look_at_calls
from ml_platform.scenarios.calls import FORGOTTEN_S, Calls, Hook
from ml_platform.scenarios.recorder import recorder_here
from ml_platform.scenarios.watch.plain import MOST_CHARACTERS
from ml_platform.scenarios.webhook import app
from ml_platform_tests.ports import free_port

KEY = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER_KEY = "whsec_" + base64.b64encode(b"another key, as long as the first").decode()
HOOK = Hook("shop", "refresh", "order")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def calls(request, monkeypatch):
    monkeypatch.setenv("HOOK_KEY", KEY)
    if request.param == "postgres":
        monkeypatch.setenv("ML_PLATFORM_SCENARIOS_URL", request.getfixturevalue("postgres_url"))
    return Calls(recorder_here().url)


class Caller:
    """A server on a free port, and calls of it."""

    def __init__(self, url):
        self.url = url

    def call(self, body=b"", call_id="msg_1", key=KEY, ago=0.0, path="shop/refresh/order", **more):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        at = datetime.now(UTC) - timedelta(seconds=ago)
        headers = {
            "webhook-id": call_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(key).sign(call_id, at, body.decode("utf-8", "replace")),
            **more,
        }
        return httpx.post(f"{self.url}/scenarios/{path}", content=body, headers=headers, timeout=60)


@pytest.fixture
def caller(calls):
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app(calls), "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Caller(f"http://127.0.0.1:{port}")
    server.should_exit = True
    thread.join()


class Trigger:
    """The trigger's side: what it knows, and what a run that starts now would get."""

    def __init__(self, calls):
        self.calls, self.handled = calls, None
        self.look()

    def look(self):
        look = look_at_calls(self.calls, HOOK, "${HOOK_KEY}", self.handled, time.time())
        self.handled = look.parts[0]
        return look


def test_a_call_is_taken_and_its_body_becomes_parameters(calls, caller):
    trigger = Trigger(calls)
    assert caller.call({"store": 7}).status_code == 202
    look = trigger.look()
    assert look.params["store"] == 7
    assert [one["id"] for one in look.params["calls"]] == ["msg_1"]
    assert trigger.look().params == {}


def test_calls_of_one_burst_are_one_change_and_none_of_them_is_lost(calls, caller):
    trigger = Trigger(calls)
    for number in range(3):
        caller.call({"n": number}, f"msg_{number}")
    look = trigger.look()
    assert [one["params"]["n"] for one in look.params["calls"]] == [0, 1, 2]
    assert look.params["n"] == 2
    assert trigger.look().params == {}


def test_the_same_call_again_is_answered_and_starts_nothing(calls, caller):
    trigger = Trigger(calls)
    assert [caller.call({"n": 1}).status_code for _ in range(3)] == [202, 200, 200]
    assert len(trigger.look().params["calls"]) == 1
    assert caller.call({"n": 1}).status_code == 200
    assert trigger.look().params == {}
    assert caller.call({"n": 2}).status_code == 409


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"key": OTHER_KEY}, 401),
        ({"ago": 400}, 401),
        ({"ago": -400}, 401),
        ({"webhook-signature": "v1,AAAA"}, 401),
        ({"webhook-signature": "nothing"}, 401),
        ({"webhook-signature": ""}, 401),
        ({"webhook-id": "msg_2"}, 401),
        ({"webhook-timestamp": "now"}, 401),
        ({"body": b"\xff\xfe"}, 401),
        ({"call_id": "x" * 300}, 401),
        ({"path": "shop/refresh/other"}, 404),
        ({"path": "shop/refresh"}, 404),
        ({"body": b" " * (MOST_CHARACTERS + 1)}, 413),
        ({"body": b"not json"}, 400),
        ({"body": b"[1]"}, 400),
        ({"body": b'{"n": NaN}'}, 400),
        ({"body": b"[" * 9000}, 400),
    ],
)
def test_what_is_refused_leaves_nothing(calls, caller, options, status):
    trigger = Trigger(calls)
    assert caller.call(**{"body": {"n": 1}, **options}).status_code == status
    assert trigger.look().params == {}


def test_only_what_triggers_say_of_themselves_is_called(calls, caller):
    assert caller.call().status_code == 404
    calls.announce(HOOK, "${HOOK_KEY}", time.time() - FORGOTTEN_S - 1)
    assert caller.call().status_code == 404
    calls.announce(HOOK, "${HOOK_KEY}", time.time())
    assert caller.call().status_code == 202


@pytest.mark.parametrize("key", [None, "", "whsec_", "whsec_c2hvcnQ="])
def test_a_key_that_is_not_right_is_told_here_and_not_to_the_caller(
    calls, caller, monkeypatch, key
):
    calls.announce(HOOK, "${HOOK_KEY}", time.time())
    monkeypatch.delenv("HOOK_KEY")
    if key is not None:
        monkeypatch.setenv("HOOK_KEY", key)
    answer = caller.call()
    assert answer.status_code == 503
    assert "HOOK_KEY" not in answer.text


def test_calls_at_once_are_each_taken_once_and_in_the_order_of_their_numbers(calls, caller):
    trigger = Trigger(calls)
    seen = []

    def send(number):
        for _ in range(2):
            caller.call({"n": number}, f"msg_{number}")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen += [one["params"]["n"] for one in trigger.look().params.get("calls", [])]
        time.sleep(0.02)
    seen += [one["params"]["n"] for one in trigger.look().params.get("calls", [])]
    assert sorted(seen) == list(range(8))
