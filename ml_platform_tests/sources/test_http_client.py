"""The client: what it tries again, how long it waits, what it tells."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from ml_platform.sources.http_client import Client, Patience, beginning
from ml_platform_tests.sources.conftest import Reply


@pytest.fixture
def waits():
    return []


def get(url, waits, params=None, headers=None, secrets=(), **patience):
    with Client("API x", headers or {}, secrets, Patience(**patience), waits.append) as client:
        return client.get(url, params)


@pytest.mark.parametrize(
    "passing",
    [
        Reply(status=500),
        Reply(status=503, body={"error": "busy"}),
        Reply(status=429),
        Reply(body=b"x" * 100, cut=True),
        Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_what_passes_is_tried_again(server, waits, passing):
    url = server.answers(passing, passing, {"ok": 1})
    assert get(url, waits).body == b'{"ok": 1}'
    assert len(server.requests) == 3
    assert len(waits) == 2


@pytest.mark.parametrize("passing", [Reply(hang=True), Reply(body=b"x" * 1000, drip=0.02)])
def test_a_server_that_hangs_or_drips_is_not_waited_for_without_end(server, waits, passing):
    url = server.answers(passing, b"good")
    assert get(url, waits, timeout_s=0.3).body == b"good"
    server.requests.clear()
    with pytest.raises(UnavailableError, match=r"2 attempts .* within 0.3 s \(ReadTimeout\)"):
        get(server.answers(passing), waits, timeout_s=0.3, attempts=2)


def test_the_end_of_patience_says_how_often_how_long_and_what_was_last(server, waits):
    url = server.answers(Reply(status=500), Reply(status=502, body=b"<h1>Bad\n gateway</h1>"))
    with pytest.raises(UnavailableError) as caught:
        get(url, waits, attempts=4)
    assert len(server.requests) == 4
    pattern = "no good answer after 4 attempts in 0.0 s; the last time it answered 502 Bad Gateway"
    assert pattern in str(caught.value).replace("in 0.1 s", "in 0.0 s")
    assert "<h1>Bad gateway</h1>" in str(caught.value)
    assert len(waits) == 3


def test_nobody_there_is_told_after_all_attempts(free_port, waits):
    with pytest.raises(UnavailableError, match=r"2 attempts .* ConnectError"):
        get(f"http://127.0.0.1:{free_port}/", waits, attempts=2)


def test_waits_grow_from_a_random_part_of_the_first_to_the_longest(server):
    url = server.answers(Reply(status=500))
    tries = []
    for _ in range(12):
        waits = []
        with pytest.raises(UnavailableError):
            get(url, waits, attempts=7, first_wait_s=1.0, longest_wait_s=8.0)
        tries.append(waits)
    limits = [1, 2, 4, 8, 8, 8]
    for turn in zip(*tries, strict=True):
        limit = limits.pop(0)
        assert all(0 <= wait <= limit for wait in turn)
        # Full jitter spreads over the whole span: twelve draws in one half happen once in 2,000.
        assert len(set(turn)) > 1
    assert max(max(waits) for waits in tries) > 4


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_to(server, waits, status):
    get(server.answers(Reply(status=status, headers={"Retry-After": "7"}), b"ok"), waits)
    assert waits == [7.0]


def test_retry_after_may_be_a_date(server, waits):
    moment = format_datetime(datetime.now(tz=UTC) + timedelta(seconds=40), usegmt=True)
    get(server.answers(Reply(status=429, headers={"Retry-After": moment}), b"ok"), waits)
    assert 20 < waits[0] <= 40


@pytest.mark.parametrize("nonsense", ["soon", "", "-3"])
def test_a_retry_after_that_says_nothing_is_not_believed(server, waits, nonsense):
    url = server.answers(Reply(status=429, headers={"Retry-After": nonsense}), b"ok")
    get(url, waits, first_wait_s=0.5)
    assert 0 <= waits[0] <= 0.5


def test_a_retry_after_beyond_all_patience_ends_the_attempts(server, waits):
    url = server.answers(Reply(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(UnavailableError, match=r"1 attempt in .* and asks to wait 3600 s"):
        get(url, waits)
    assert waits == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, DeclarationError),
        (401, SettingsError),
        (403, SettingsError),
        (404, NotFoundError),
        (422, DeclarationError),
    ],
)
def test_a_refusal_is_told_at_once_with_what_was_said(server, waits, status, kind):
    url = server.answers(Reply(status=status, body=b"no:\n " + b"because " * 100))
    with pytest.raises(kind, match=f"it answered {status} .*: no: because because") as caught:
        get(url, waits)
    assert len(server.requests) == 1
    assert len(str(caught.value)) < 500


def test_a_redirect_is_told_and_not_followed(server, waits):
    url = server.answers(Reply(status=301, headers={"Location": "https://new.example.org/"}))
    with pytest.raises(DeclarationError, match=r"301: moved to https://new\.example\.org/"):
        get(url, waits)
    assert len(server.requests) == 1


def test_parameters_join_those_of_the_address(server, waits):
    get(server.answers(b"ok") + "/v1?a=1", waits, params={"b": "2 é"})
    assert server.params == [{"a": "1", "b": "2 é"}]


@pytest.mark.parametrize("value", ["token\n", "tokén"])
def test_a_header_that_cannot_be_sent_is_told_without_its_value(server, waits, value):
    with pytest.raises(SettingsError, match="a header cannot be sent") as caught:
        get(server.answers(b"ok"), waits, headers={"Authorization": value}, secrets=[value])
    assert "tok" not in str(caught.value)


def test_a_wrong_address_is_told(waits):
    with pytest.raises(DeclarationError, match="correct the base URL"):
        get("ftp://127.0.0.1/x", waits)
    with pytest.raises(DeclarationError, match="correct the base URL"):
        get("http://127.0.0.1:port/x", waits)


def test_no_message_and_no_log_line_shows_a_secret(server, waits, caplog):
    secret = "s3cret/é&"
    url = server.answers(lambda request: Reply(status=400, body=request["params"]["key"].encode()))
    with caplog.at_level(logging.DEBUG), pytest.raises(DeclarationError) as caught:
        get(url, waits, params={"key": secret}, secrets=[secret])
    lines = "\n".join(record.getMessage() for record in caplog.records)
    assert "HTTP/1." in lines
    assert "key=***" in lines
    for form in ("s3cret", "%C3%A9"):
        assert form not in str(caught.value)
        assert form not in lines


def test_the_log_is_left_as_it_was(server, waits):
    get(server.answers(b"ok"), waits, secrets=["x"])
    assert logging.getLogger("httpx").filters == []


@pytest.mark.parametrize(
    ("link", "absolute"),
    [
        ("/v1?p=2", "http://a:80/v1?p=2"),
        ("?p=2", "http://a:80/v0?p=2"),
        ("http://a/x", "http://a/x"),
    ],
)
def test_a_link_on_the_same_host_is_followed(link, absolute):
    with Client("API x", {}, [], Patience()) as client:
        assert client.same_host(link, "http://a:80/v0?p=1").replace(":80", "") == absolute.replace(
            ":80", ""
        )


@pytest.mark.parametrize("link", ["http://b/v1", "https://a/v1", "http://a:81/v1", "//b/v1"])
def test_a_link_to_another_host_is_refused(link):
    with (
        Client("API x", {}, [], Patience()) as client,
        pytest.raises(DataError, match="the next page is said to be on"),
    ):
        client.same_host(link, "http://a/v0")


@pytest.mark.parametrize("name", ["timeout_s", "attempts", "first_wait_s", "longest_wait_s"])
def test_patience_is_a_positive_number(name):
    with pytest.raises(DeclarationError, match=name):
        Patience(**{name: 0})


def test_the_beginning_of_a_body_is_one_line():
    assert beginning(b" a\n\t b\xff ") == "a b\N{REPLACEMENT CHARACTER}"
    assert beginning(b"") == "nothing"
    assert beginning(b"x" * 999) == "x" * 200 + "..."
