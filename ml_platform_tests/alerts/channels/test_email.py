"""E-mail, to a real mail server."""

import re
import socket
import threading
from dataclasses import replace

import pytest

from ml_platform.alerts.channels.channel import ClosedError, NotDeliveredError, RefusedError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.message import Attachment, Severity, Status
from ml_platform.kernel.errors import DeclarationError, SettingsError
from ml_platform_tests.alerts.channels.conftest import EVENTS, FAILED, mail_reach
from ml_platform_tests.alerts.conftest import mail_receiver

LOGIN = {"username": "platform", "password": "${TEST_SMTP_PASSWORD}"}


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_letter_travels_encrypted_and_with_a_login(certificate, security):
    with mail_receiver(certificate, security, must_log_in=True) as mail:
        there = mail_reach(mail, security=security, ca_file=str(certificate), **LOGIN)
        there.send(FAILED)
        assert mail.encrypted == [True]
        assert mail.logins == [True]
        assert len(there.arrived()) == 1


def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(certificate):
    with mail_receiver(certificate, "starttls") as mail:
        with pytest.raises(NotDeliveredError, match=r"CERTIFICATE_VERIFY_FAILED|certificate"):
            mail_reach(mail, security="starttls").send(FAILED)
        assert mail.raw == []


def test_a_server_that_cannot_encrypt_gets_nothing(mailbox):
    with pytest.raises(ClosedError, match="STARTTLS"):
        mail_reach(mailbox, security="starttls").send(FAILED)
    assert mailbox.raw == []


def test_a_wrong_password_closes_the_channel_and_is_not_shown(certificate, monkeypatch):
    monkeypatch.setenv("TEST_SMTP_PASSWORD", "not-the-password")
    with mail_receiver(certificate, "tls", must_log_in=True) as mail:
        with pytest.raises(ClosedError, match="535") as caught:
            mail_reach(mail, security="tls", ca_file=str(certificate), **LOGIN).send(FAILED)
        assert "not-the-password" not in str(caught.value)


def test_firing_and_resolved_are_one_thread_and_another_incident_is_not(mailbox):
    there = mail_reach(mailbox)
    first = there.send(FAILED, key="k1")
    there.send(replace(FAILED, status=Status.resolved), key="k2", thread=first.thread)
    there.send(replace(FAILED, dedup_key="another"), key="k3")
    firing, resolved, other = there.arrived()
    assert resolved["In-Reply-To"] == firing["Message-ID"] == first.id
    assert resolved["References"].split() == [firing["References"], firing["Message-ID"]]
    assert other["References"] not in resolved["References"]
    assert len({one["Message-ID"] for one in (firing, resolved, other)}) == 3


def test_what_a_resolved_letter_refers_to_is_known_without_a_receipt(mailbox):
    there = mail_reach(mailbox)
    there.send(FAILED, key="k1")
    there.send(replace(FAILED, status=Status.resolved), key="k2")
    firing, resolved = there.arrived()
    assert firing["References"] == resolved["References"]


def test_machines_do_not_answer_and_people_see_how_urgent_it_is(mailbox):
    there = mail_reach(mailbox)
    for severity in Severity:
        there.send(replace(FAILED, severity=severity))
    there.send(replace(FAILED, status=Status.resolved))
    letters = there.arrived()
    assert {one["Auto-Submitted"] for one in letters} == {"auto-generated"}
    assert {one["X-Auto-Response-Suppress"] for one in letters} == {"All"}
    assert [one["Importance"] for one in letters] == ["low", "normal", "high", "high", "low"]


@pytest.mark.parametrize(
    ("options", "left_by"),
    [
        ({}, "<mailto:platform@example.org?subject=unsubscribe%20sales-checks>"),
        ({"unsubscribe": "leave@example.org"}, "<mailto:leave@example.org?subject="),
        ({"unsubscribe": "https://a.example/leave"}, "<https://a.example/leave>"),
    ],
)
def test_a_digest_is_a_list_that_can_be_left(mailbox, options, left_by):
    there = mail_reach(mailbox, **options)
    there.send(replace(EVENTS["digest"], rule_id="Sales checks"))
    there.send(FAILED)
    digest, single = there.arrived()
    assert digest["List-Id"] == "<sales-checks.example.org>"
    assert digest["List-Unsubscribe"].startswith(left_by)
    assert ("List-Unsubscribe-Post" in digest) == left_by.startswith("<https")
    assert "List-Unsubscribe" not in single


def test_files_go_along_under_their_names(mailbox):
    there = mail_reach(mailbox)
    there.send(EVENTS["with a file"])
    (mail,) = there.arrived()
    assert mail.get_content_type() == "multipart/mixed"
    (file,) = mail.iter_attachments()
    assert file.get_filename() == "보고서.csv"
    assert file.get_content_type() == "text/csv"
    assert file.get_payload(decode=True) == b"store,sales\n1,812\n"


def test_a_file_that_is_too_large_is_named_with_where_it_is(mailbox):
    there = mail_reach(mailbox)
    files = (
        Attachment("large.csv", "text/csv", b"x" * 9_000_000),
        Attachment("larger.csv", "text/csv", b"x" * 1_000_001),
        Attachment("small", "nonsense\r\nX: y", b"12"),
    )
    there.send(replace(FAILED, attachments=files))
    (mail,) = there.arrived()
    taken = [(one.get_filename(), one.get_content_type()) for one in mail.iter_attachments()]
    assert taken == [("large.csv", "text/csv"), ("small", "application/octet-stream")]
    plain = mail.get_body(("plain",)).get_content()
    assert "larger.csv (1.0 MB)" in plain
    assert f"look at {FAILED.run_url}" in plain
    assert "larger.csv (1.0 MB)" in mail.get_body(("html",)).get_content()


ATTACK = "Done\r\nBcc: thief@evil.example\r\n\r\n<script>alert(1)</script>\r\n.\r\nQUIT\r\n"


def test_no_text_of_a_message_becomes_a_head_a_command_or_a_script(mailbox):
    there = mail_reach(mailbox)
    changes = dict.fromkeys(
        ["title", "summary", "project", "environment", "rule_id", "dedup_key", "failure_message"],
        ATTACK,
    )
    message = replace(FAILED, **changes, attachments=(Attachment(ATTACK, ATTACK, b""),))
    there.send(message, key=ATTACK, thread="")
    (mail,) = there.arrived()
    assert "Bcc" not in mail
    assert mailbox.envelopes == [
        ("platform@example.org", ["team@example.org", "minji@example.org"])
    ]
    assert "<script>" not in mail.get_body(("html",)).get_content()


def test_addresses_of_the_environment_cannot_carry_heads_either(mailbox, monkeypatch):
    monkeypatch.setenv("TEST_TO", "a@example.org\r\nBcc: thief@evil.example")
    with pytest.raises(SettingsError, match="no addresses"):
        mail_reach(mailbox, to=["${TEST_TO}"]).send(FAILED)
    assert mailbox.raw == []


def test_to_cc_and_bcc_all_get_it_and_the_last_stay_unseen(mailbox, monkeypatch):
    monkeypatch.setenv("TEST_TO", "Kim <a@example.org>, b@example.org")
    there = mail_reach(
        mailbox,
        to=["${TEST_TO}"],
        cc=['"Lee, 지우" <c@example.org>'],
        bcc=["boss@example.org", "a@example.org"],
        reply_to="help@example.org",
    )
    there.send(FAILED)
    (mail,) = there.arrived()
    (_, receivers) = mailbox.envelopes[0]
    assert receivers == [f"{one}@example.org" for one in ("a", "b", "c", "boss")]
    assert b"boss" not in mailbox.raw[0]
    assert str(mail["Cc"]) == '"Lee, 지우" <c@example.org>'
    assert mail["Reply-To"] == "help@example.org"


def test_one_refused_receiver_is_a_remark_and_all_refused_is_an_error():
    with mail_receiver(refuses={"minji@example.org": "550 no such user"}) as mail:
        there = mail_reach(mail)
        receipt = there.send(FAILED)
        assert receipt.remark == "refused: minji@example.org (550 no such user)"
        assert mail.envelopes[0][1] == ["team@example.org"]
        mail.refuses["team@example.org"] = "550 gone"
        with pytest.raises(RefusedError, match=r"no such user.*gone|gone.*no such user"):
            there.send(FAILED)
        mail.refuses["team@example.org"] = "450 busy"
        with pytest.raises(NotDeliveredError, match="450 busy"):
            there.send(FAILED)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("451 try later", NotDeliveredError),
        ("452 no room", NotDeliveredError),
        ("552 too large", RefusedError),
        ("554 looks like spam", RefusedError),
        ("530 log in first", ClosedError),
    ],
)
def test_the_servers_code_says_whether_to_try_again(answer, error):
    with mail_receiver(after_data=answer) as mail, pytest.raises(error, match=re.escape(answer)):
        mail_reach(mail).send(FAILED)


def test_a_server_that_is_down_or_silent_may_come_back(closed_port):
    class Nobody:
        port, raw = closed_port, ()

    with pytest.raises(NotDeliveredError, match="refused"):
        mail_reach(Nobody).send(FAILED)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        Nobody.port = silent.getsockname()[1]
        with pytest.raises(NotDeliveredError, match="timed out"):
            mail_reach(Nobody, timeout_s=0.3).send(FAILED)


def test_a_letter_that_was_taken_is_not_lost_by_a_rude_goodbye():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = threading.Thread(target=_rude_server, args=(listening,))
        taken.start()

        class Rude:
            port, raw = listening.getsockname()[1], ()

        assert mail_reach(Rude).send(FAILED).id
        taken.join()


def _rude_server(listening):
    """Takes one letter and hangs up in place of a goodbye."""
    there, _ = listening.accept()
    with there, there.makefile("rwb") as wire:

        def say(text):
            wire.write(f"{text}\r\n".encode())
            wire.flush()

        say("220 hello")
        for heard in wire:
            if heard.upper().startswith(b"DATA"):
                say("354 go on")
                while wire.readline() != b".\r\n":
                    pass
                say("250 taken")
            elif heard.upper().startswith(b"QUIT"):
                return
            else:
                say("250 fine")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": ["nobody"]}, "'nobody' is no address"),
        ({"to": ["a@b.example\nBcc: c@d.example"]}, "no address"),
        ({"to": []}, "nobody is told"),
        ({"password": "plain"}, r"write \$\{NAME\}"),
        ({"security": "none", **LOGIN}, "in the clear"),
        ({"username": "me"}, "a username and a password"),
        ({"security": "ssl"}, "'starttls', 'tls' or 'none'"),
        ({"port": 70000}, "65535"),
        ({"sender": "Platform"}, "no address"),
    ],
)
def test_a_declaration_that_cannot_work_is_told_at_once(changes, words):
    declared = {"type": "email", "host": "h", "sender": "a@b.example", "to": ["c@d.example"]}
    with pytest.raises(DeclarationError, match=words) as caught:
        channel_of(declared | changes)
    assert "plain" not in str(caught.value)


def test_a_korean_address_reaches_a_server_that_takes_such(mailbox):
    there = mail_reach(mailbox, to=["민지@example.org"])
    there.send(FAILED)
    assert mailbox.envelopes[0][1] == ["민지@example.org"]
