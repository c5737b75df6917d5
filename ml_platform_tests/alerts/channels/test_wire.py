"""One POST, and what its answer means."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError, RefusedError
from ml_platform.alerts.channels.wire import Answer, Line, retry_after_s
from ml_platform_tests.alerts.conftest import Reply

LINE = Line(
    "channel x", "https://a.example/hooks/long-secret-segment?sig=abcdefgh", 5.0, ["s3cret"]
)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("0", 0), ("17", 17), (" 5 ", 5), ("", None), ("-3", None), ("1.5", None), ("٣", None)],
)
def test_a_wait_is_a_whole_number_of_seconds(header, wait_s):
    assert retry_after_s(header) == wait_s


@pytest.mark.parametrize(
    ("offset_s", "least", "most"), [(60, 30, 60), (-3600, 0, 0), (10**7, 86_400, 86_400)]
)
def test_a_date_is_counted_from_now_and_never_waited_for_more_than_a_day(offset_s, least, most):
    at = datetime.now(UTC) + timedelta(seconds=offset_s)
    assert least <= retry_after_s(format_datetime(at, usegmt=True)) <= most
    assert least <= retry_after_s(at.strftime("%a, %d %b %Y %H:%M:%S")) <= most


@given(st.text())
def test_no_header_is_a_crash(header):
    wait = retry_after_s(header)
    assert wait is None or 0 <= wait <= 86_400


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (300, ClosedError), (308, ClosedError), (400, RefusedError), (401, ClosedError),
        (403, ClosedError), (404, ClosedError), (408, NotDeliveredError), (410, ClosedError),
        (413, RefusedError), (422, RefusedError), (429, NotDeliveredError),
        (500, NotDeliveredError), (503, NotDeliveredError), (599, NotDeliveredError),
    ],
)  # fmt: skip
def test_the_status_says_whether_to_try_again(status, error):
    assert type(LINE.failure(Answer(status, {}, b"why"))) is error


def test_the_address_and_the_parts_of_it_that_may_be_secret_are_hidden():
    text = "s3cret at https://a.example/hooks/long-secret-segment?sig=abcdefgh: long-secret-segment"
    assert LINE.hidden(text) == "*** at ***: ***"
    assert LINE.hidden("a.example/hooks says abcdefgh") == "a.example/hooks says ***"
    assert "secret" not in repr(LINE)


def test_an_address_is_hidden_also_as_it_looks_within_another():
    assert "long-secret" not in LINE.hidden(
        "?next=https%3A%2F%2Fa.example%2Fhooks%2Flong-secret-segment"
    )


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_object_has_no_fields(body):
    assert Answer(200, {}, body).fields == {}


def test_an_answer_without_end_is_not_read_to_its_end(receiver):
    receiver.answers(Reply(200, b"x" * 5_000_000))
    answer = Line("channel x", receiver.url, 5.0).post(b"{}", {})
    assert 65_536 < len(answer.body) < 1_000_000


def test_a_proxy_of_the_environment_is_used(receiver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", receiver.url)
    monkeypatch.setenv("NO_PROXY", "")
    Line("channel x", "http://receiver.invalid/hook", 5.0).post(b"{}", {})
    assert receiver.requests[0].path == "http://receiver.invalid/hook"
