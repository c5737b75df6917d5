"""Text messages: one line that fits, and what Twilio's codes mean."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError, RefusedError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.channels.sms import GSM_7, alphabet, segments
from ml_platform.alerts.channels.twilio import sms
from ml_platform.kernel.errors import DeclarationError
from ml_platform_tests.alerts.channels.conftest import EVENTS, FAILED
from ml_platform_tests.alerts.conftest import Reply

BARE = EVENTS["bare"]


def test_a_usual_message_is_one_segment_with_its_whole_link():
    text = sms(FAILED, 3)
    assert segments(text) == 1
    assert text.endswith(FAILED.run_url)
    assert alphabet(text) is GSM_7


def test_a_korean_message_takes_as_few_segments_as_hold_its_beginning_and_the_link():
    message = replace(FAILED, title="매출 데이터가 예상보다 적습니다: 확인해 주세요 " * 4)
    text = sms(message, 3)
    assert text.endswith(FAILED.run_url)
    assert segments(text) == 2
    assert "매출 데이터가" in text


def test_a_link_without_room_is_left_out_whole():
    message = replace(BARE, title="가" * 200, run_url="https://a.example/" + "x" * 900)
    text = sms(message, 2)
    assert "https" not in text
    assert segments(text) == 2


@given(st.text(max_size=900), st.text(max_size=900), st.integers(1, 10))
def test_no_message_costs_more_than_allowed(title, observed, most):
    text = sms(replace(FAILED, title=title, observed=observed), most)
    assert segments(text) <= most
    assert len(text) <= 1600


def test_a_form_is_posted_as_the_account(reach):
    there = reach("twilio", status_callback="https://a.example/status")
    assert there.send(FAILED).id == "SM0123"
    (form,) = there.arrived()
    assert form["To"] == "+821012345678"
    assert form["From"] == "+15005550006"
    assert form["StatusCallback"] == "https://a.example/status"
    request = there.http.requests[0]
    assert request.path == "/2010-04-01/Accounts/AC0123/Messages.json"
    assert request.headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, 21610, ClosedError),
        (400, 21211, ClosedError),
        (400, 21614, ClosedError),
        (401, 20003, ClosedError),
        (429, 20429, NotDeliveredError),
        (503, 20503, NotDeliveredError),
        (400, 21617, RefusedError),
    ],
)
def test_twilios_codes_say_whether_the_number_is_closed(reach, status, code, error):
    there = reach("twilio")
    there.http.answers(Reply(status, {"code": code, "message": "no", "status": status}))
    with pytest.raises(error, match=str(code)):
        there.send(FAILED)


def test_an_answer_of_success_without_a_message_is_none(reach):
    there = reach("twilio")
    there.http.answers(Reply(200, "<html>log in</html>"))
    with pytest.raises(NotDeliveredError):
        there.send(FAILED)


def test_an_error_of_a_taken_message_is_a_remark(reach):
    there = reach("twilio")
    there.http.answers(Reply(201, {"sid": "SM1", "error_code": 30008}))
    assert there.send(FAILED).remark == "Twilio warns: 30008"


@pytest.mark.parametrize("number", ["01012345678", "+8210", "+82 10 1234 5678", "+0123456789"])
def test_a_number_that_is_none_is_told_at_once_or_when_it_is_read(number, monkeypatch):
    declared = {
        "type": "twilio",
        "account_sid": "AC1",
        "auth_token": "${TEST_TWILIO_TOKEN}",
        "from_number": "+15005550006",
    }
    with pytest.raises(DeclarationError, match=r"E\.164"):
        channel_of({**declared, "to": number})
    monkeypatch.setenv("TEST_NUMBER", number)
    with pytest.raises(ClosedError, match="number"):
        channel_of({**declared, "to": "${TEST_NUMBER}"}).send(FAILED, key="k")


def test_one_sender_is_needed():
    declared = {
        "type": "twilio",
        "account_sid": "AC1",
        "auth_token": "${TEST_TWILIO_TOKEN}",
        "to": "+821012345678",
    }
    with pytest.raises(DeclarationError, match="either from_number or messaging_service_sid"):
        channel_of(declared)
