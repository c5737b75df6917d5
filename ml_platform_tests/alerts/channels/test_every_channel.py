"""What holds for every kind of channel: every kind of event arrives, whatever it says.

The golden files show one message as each channel sends it: `ML_PLATFORM_WRITE_GOLDEN=1 pytest
ml_platform_tests/alerts/channels` writes them anew; read the difference before it is committed.
"""

import json
import logging
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.message import Message, Severity, Status
from ml_platform.kernel.errors import RetryableError, SettingsError, UserError
from ml_platform_tests.alerts.channels.conftest import (
    EVENTS,
    FAILED,
    GOOD,
    HTTP_KINDS,
    KINDS,
    PASSWORDS,
    READ,
    declaration,
    http_reach,
)
from ml_platform_tests.alerts.conftest import HttpReceiver, Reply, Request

SERVICES = [kind for kind in HTTP_KINDS if kind != "apprise"]
"""The kinds that speak HTTP themselves."""


def said(kind, arrived):
    """All that a reader of the arrived message can see."""
    if kind == "email":
        texts = [one for one in arrived.walk() if one.get_content_maintype() == "text"]
        bodies = [one.get_content() for one in texts if not one.get_filename()]
        return "\n".join([arrived["Subject"], *bodies])
    return json.dumps(arrived, ensure_ascii=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", EVENTS)
def test_every_kind_of_event_arrives_at_every_kind_of_channel(reach, kind, what):
    there, message = reach(kind), EVENTS[what]
    there.send(message)
    (arrived,) = there.arrived()
    # A rule's own text is what a telephone shows, as there is no room for both.
    told = "매출" if kind == "twilio" and message.body else message.title[:30]
    assert told in said(kind, arrived)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "slack-token"])
def test_the_message_looks_as_its_golden_file(reach, golden, kind):
    there = reach(kind)
    shown = there.channel.rendered(FAILED).replace("\r\n", "\n").rstrip("\n") + "\n"
    assert shown == golden(kind, shown), "see the docstring above"


@pytest.mark.parametrize("kind", ["slack", "teams", "webhook"])
def test_what_is_shown_beforehand_is_what_is_sent(reach, kind):
    there = reach(kind)
    there.send(EVENTS["digest"])
    assert there.arrived() == [
        {**json.loads(there.channel.rendered(EVENTS["digest"])), **_time_of(there)}
    ]


def _time_of(there):
    (arrived,) = there.arrived()
    return {"timestamp": arrived["timestamp"]} if "timestamp" in arrived else {}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
def test_a_digest_counts_names_the_newest_and_says_how_many_more(reach, kind):
    there = reach(kind)
    there.send(EVENTS["digest"])
    (arrived,) = there.arrived()
    text = said(kind, arrived)
    if kind == "twilio":
        assert "43 messages" in text
        return
    assert "raw/t42" in text
    assert "raw/t23" in text
    assert "raw/t22" not in text
    for number in ("28", "15", "23"):
        assert number in text


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"twilio", "folder"}])
def test_a_rules_own_text_takes_the_place_of_the_facts_and_the_links_stay(reach, kind):
    there = reach(kind)
    there.send(EVENTS["own text"])
    text = said(kind, there.arrived()[0])
    assert "SELECT count(*)" in text
    assert FAILED.ack_url in text
    if kind not in {"webhook", "sentry"}:
        assert "10,000 to 60,000" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_korean_and_emoji_arrive_as_they_were_written(reach, kind):
    there = reach(kind)
    there.send(EVENTS["custom"])
    assert "주문 데이터 확인 🎉" in said(kind, there.arrived()[0])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_over_is_told_otherwise_than_what_lasts(reach, kind):
    there = reach(kind)
    firing = there.channel.rendered(FAILED)
    resolved = there.channel.rendered(replace(FAILED, status=Status.resolved))
    assert "resolved" in resolved.lower()
    assert "resolved" not in firing.lower().replace("resolved {", "")
    if kind not in {"folder", "webhook"}:
        assert FAILED.ack_url in firing or kind == "twilio"
        assert FAILED.ack_url not in resolved


@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.parametrize(
    ("reply", "wait_s"),
    [
        (Reply(429, b"slow down", {"Retry-After": "17"}), 17.0),
        (Reply(503, b"", {"Retry-After": "0"}), 0.0),
        (Reply(500, b"oops"), None),
        (Reply(502, b"<h1>Bad gateway</h1>"), None),
        (Reply(408), None),
        (Reply(429, b"", {"Retry-After": "soon"}), None),
        (Reply(429, b"", {"Retry-After": "9" * 400}), 86_400.0),
        (Reply(cut=True), None),
    ],
)
def test_what_passes_is_to_be_tried_again_when_the_receiver_says(reach, kind, reply, wait_s):
    there = reach(kind)
    there.http.answers(reply)
    with pytest.raises(NotDeliveredError) as caught:
        there.send(FAILED)
    assert caught.value.retry_after_s == wait_s
    assert len(there.http.requests) == 1


@pytest.mark.parametrize("kind", SERVICES)
def test_a_wait_may_be_told_as_a_date(reach, kind):
    there = reach(kind)
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    there.http.answers(Reply(429, b"", {"Retry-After": at}))
    with pytest.raises(NotDeliveredError) as caught:
        there.send(FAILED)
    assert 60 < caught.value.retry_after_s <= 90


DRIPPING = Reply(200, b"x" * 1000, drip=0.02)


@pytest.mark.parametrize(
    ("kind", "reply"),
    # Apprise waits for each piece of an answer, not for the whole.
    [*((kind, Reply(hang=True)) for kind in HTTP_KINDS), *((kind, DRIPPING) for kind in SERVICES)],
)
def test_a_slow_receiver_is_not_waited_for_without_end(reach, kind, reply):
    there = reach(kind, timeout_s=0.3)
    there.http.answers(reply)
    with pytest.raises(NotDeliveredError):
        there.send(FAILED)


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_a_receiver_that_is_down_may_come_back(closed_port, kind):
    nobody = HttpReceiver(f"http://127.0.0.1:{closed_port}", closed_port)
    there = http_reach(kind, nobody)
    with pytest.raises(NotDeliveredError):
        there.send(FAILED)


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(reach, other_receiver, kind, status):
    there = reach(kind)
    there.http.answers(Reply(status, b"", {"Location": f"{other_receiver.url}/elsewhere"}))
    with pytest.raises((ClosedError, NotDeliveredError)) as caught:
        there.send(FAILED)
    assert other_receiver.requests == []
    assert kind == "apprise" or isinstance(caught.value, ClosedError)


@pytest.mark.parametrize("kind", SERVICES)
def test_a_receiver_that_is_gone_for_good_closes_the_channel(reach, kind):
    there = reach(kind)
    there.http.answers(Reply(410, b"gone"))
    with pytest.raises(ClosedError):
        there.send(FAILED)


@pytest.mark.parametrize("kind", SERVICES)
def test_a_message_that_is_not_liked_is_refused_and_the_next_one_may_pass(reach, kind):
    there = reach(kind)
    there.http.answers(Reply(400, b"bad words"), GOOD[kind])
    with pytest.raises(UserError, match="bad words") as caught:
        there.send(FAILED)
    assert not isinstance(caught.value, ClosedError)
    there.send(FAILED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [200, 302, 403, 500])
def test_no_secret_is_shown_in_errors_logs_or_forms(reach, caplog, kind, status):
    there, secrets = reach(kind), _secrets_of(kind)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "apprise")
    shown = [repr(there.channel), there.channel.rendered(FAILED)]
    if there.http:
        # Some services say back what they do not like.
        there.http.answers(lambda request: _echo(request, status))
        with suppress(UserError, RetryableError):
            there.send(FAILED)
            assert status == 200
        secrets += there.http.requests[0].headers.get("authorization", "").split()[1:]
        shown += [caplog.text]
        there.http.answers(lambda request: _echo(request, max(status, 300)))
        with pytest.raises((UserError, RetryableError)) as caught:
            there.send(FAILED)
        shown += [str(caught.value), repr(caught.value), caplog.text]
    for secret in secrets:
        assert secret not in "\n".join(shown), secret


def _echo(request, status):
    words = f"{request.path} {request.headers} {' '.join(_secrets_of(None))}"
    return Reply(status, words, {"Location": f"https://elsewhere.example{request.path}"})


def _secrets_of(kind):
    """The secrets that a kind of channel uses; all of them for none."""
    if kind is None:
        return ["hook-secret-path", *PASSWORDS.values()]
    declared = json.dumps(declaration(kind, HttpReceiver())) if kind in HTTP_KINDS else ""
    named = [value for name, value in PASSWORDS.items() if f"${{{name}}}" in declared]
    return [*named, *(["hook-secret-path"] if "hook-secret-path" in declared else [])]


@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        ("slack-token", "TEST_SLACK_TOKEN"),
        ("webhook", "TEST_SIGNING_OLD"),
        ("twilio", "TEST_TWILIO_TOKEN"),
        ("sentry", "TEST_PUBLIC_KEY"),
    ],
)
def test_a_variable_that_is_not_set_is_named_when_a_message_is_sent(
    reach, monkeypatch, kind, variable
):
    there = reach(kind)
    monkeypatch.delenv(variable)
    there.channel.rendered(FAILED)
    with pytest.raises(SettingsError, match=variable):
        there.send(FAILED)
    assert there.http.requests == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_key_is_known_to_the_receiver_at_each_attempt(reach, kind):
    there = reach(kind)
    for _ in range(2):
        there.send(FAILED, key="regel/한국:1")
    marks = {
        "email": lambda: [one["Message-ID"] for one in there.arrived()],
        "folder": lambda: [one["key"] for one in there.arrived() * 2],
        "webhook": lambda: [one.headers["webhook-id"] for one in there.http.requests],
        "sentry": lambda: [one["event_id"] for one in there.arrived()],
        "apprise": lambda: ["no such thing"] * 2,
    }
    found = marks.get(
        kind, lambda: [one.headers["idempotency-key"] for one in there.http.requests]
    )()
    assert len(found) == 2
    assert len(set(found)) == 1


LONG = st.sampled_from(
    ["a", "가", "🎉", "&<>", "`*_~[]", '"\\', "\r\n.\r\nBcc: x@y.z\r\n", "{{x}}"]
)
TEXT = st.one_of(
    st.text(max_size=60),
    st.builds(lambda piece, n: piece * n, LONG, st.sampled_from([1, 40, 700, 3000])),
    st.sampled_from(["", "```\n" * 9, "<!channel>", "\ud800 half", "\x00\x1b[31m", "#" * 300]),
)
URL = st.one_of(
    TEXT,
    st.sampled_from(["javascript:alert(1)", "https://a.example/?x=<y>|z", "http://[", "//x"]),
    st.builds(lambda n: "https://a.example/" + "x" * n, st.sampled_from([1, 200, 980, 5000])),
)
NUMBERS = st.one_of(st.none(), st.floats())
TIMES = st.one_of(st.none(), st.datetimes(), st.datetimes(timezones=st.just(UTC)))


def messages(items):
    kinds = {str: TEXT, float | None: NUMBERS, datetime | None: TIMES}
    made = {
        one.name: URL if one.name.endswith("_url") else kinds[one.type]
        for one in fields(Message)
        if one.type in kinds
    }
    made |= {"severity": st.sampled_from(Severity), "status": st.sampled_from(Status)}
    return st.builds(Message, **made, items=items, is_sample=st.booleans())


ANY = messages(
    st.one_of(
        st.just(()),
        st.builds(
            lambda one, other, n: (one,) * n + (other,),
            messages(st.just(())),
            messages(st.just(())),
            st.sampled_from([1, 30]),
        ),
    )
)


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("piece", ["x", "가", "🎉", "&<>", "word "])
@pytest.mark.parametrize("gathered", [0, 30])
def test_a_message_that_is_too_long_everywhere_is_shortened_with_its_links(
    reach, kind, piece, gathered
):
    told = {
        one.name: piece * (20_000 // len(piece))
        for one in fields(Message)
        if one.type is str and not one.name.endswith("_url") and one.name != "body"
    }
    message = replace(FAILED, **told)
    there = reach(kind)
    there.send(replace(message, items=(message,) * gathered))
    (arrived,) = there.arrived()
    assert FAILED.run_url in said(kind, arrived) or kind == "twilio"


@pytest.mark.parametrize("kind", HTTP_KINDS)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(message=ANY)
def test_whatever_a_message_says_is_within_what_the_service_takes(monkeypatch, kind, message):
    posted = []

    def post(line, content, headers, **_way):
        posted.append(Request(line.url, {k.lower(): v for k, v in headers.items()}, content))
        return _answer(GOOD[kind])

    if kind == "apprise":
        assert channel_of(declaration(kind, HttpReceiver())).rendered(message)
        return
    monkeypatch.setattr("ml_platform.alerts.channels.wire.Line.post", post)
    channel = channel_of(declaration(kind, HttpReceiver("http://127.0.0.1:1", 1)))
    channel.send(message, key="rule:event")
    READ[kind](posted[-1])


def _answer(reply):
    from ml_platform.alerts.channels.wire import Answer

    return Answer(reply.status, reply.headers, reply.content)
