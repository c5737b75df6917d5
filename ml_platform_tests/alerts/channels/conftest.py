"""One message of every kind of event, and every kind of channel with a real receiver behind it."""

import io
import json
import os
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from apprise import Apprise
from sentry_sdk.envelope import Envelope

from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.compose import Place, message_of, notice
from ml_platform.alerts.event import KINDS as EVENT_KINDS
from ml_platform.alerts.event import OURS, Event
from ml_platform.alerts.message import Attachment, Message, Severity, Status
from ml_platform.alerts.rules import Rule
from ml_platform_tests.alerts.channels import limits
from ml_platform_tests.alerts.conftest import Reply, http_receiver, mail_receiver

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    # Its services, loaded at the first use, import a module that Python 3.13 has no longer.
    Apprise.instantiate("json://127.0.0.1")

UI = "https://platform.example"
SIGNING_SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + "b3RoZXItc2VjcmV0LW9mLXRoaXJ0eS1ieXRlcyEh"
PASSWORDS = {
    "TEST_SLACK_TOKEN": "xoxb-very-secret-token",
    "TEST_SIGNING": SIGNING_SECRET,
    "TEST_SIGNING_OLD": OTHER_SECRET,
    "TEST_TWILIO_TOKEN": "twilio-very-secret-token",
    "TEST_SMTP_PASSWORD": "s3cret:word",
    "TEST_PUBLIC_KEY": "0123456789abcdef0123456789abcdef",
}
"""What no receiver but the one it belongs to may see, by the variable that holds it."""

FAILED = Message(
    event_id="run:8f1c2a6e:raw/sales:row_count_in_range",
    event_type="check.failed",
    severity=Severity.error,
    title="Check failed: row_count_in_range on raw/sales (2026-08-20)",
    summary="Downstream blocked: features/sales, models/demand.",
    project="demand",
    environment="production",
    run_id="8f1c2a6e-0b1d-4c3e-9f2a-6d5e4c3b2a10",
    run_url=f"{UI}/runs/8f1c2a6e",
    asset_key="raw/sales",
    asset_url=f"{UI}/assets/raw/sales",
    partition="2026-08-20",
    check_name="row_count_in_range",
    observed="812",
    expected="10,000 to 60,000",
    last_ok_at=datetime(2026, 8, 19, 2, 14, tzinfo=UTC),
    owner="team:sales",
    ack_url=f"{UI}/acknowledge/c2lnbmVk",
    runbook_url="https://wiki.example/sales",
    occurred_at=datetime(2026, 8, 20, 2, 16, tzinfo=UTC),
    started_at=datetime(2026, 8, 20, 2, 15, tzinfo=UTC),
    elapsed_s=75.0,
    dedup_key="demand:raw/sales:row_count_in_range:2026-08-20",
    rule_id="sales-checks",
    trigger_name="daily",
    trigger_reason="file changed: sales_20260820.csv",
)


TRACE = "ValueError: could not convert string to float: '1,204.5'\n  at read_sales, line 42"
RESOLVED = {"status": Status.resolved}


def told(kind):
    """A message of a kind of event, as the platform words it."""
    if kind in OURS:
        return notice(
            kind, "n1", f"Notice {kind}", about=FAILED, summary="why", now=FAILED.occurred_at
        )
    happened = Event(
        id=f"log-1-{kind}", type=kind, at=FAILED.occurred_at, project="demand",
        subject=f"subject of {kind}", what="raw/sales or weekly", summary=f"What {kind} says.",
        asset_key="raw/sales", run_id=FAILED.run_id, scenario="weekly", trigger_name="monday",
        observed="PSI 0.31", expected="up to 0.25", failure_message=TRACE, elapsed_s=75.0,
    )  # fmt: skip
    rule = Rule(name="all", channels=["inbox"], owner="team:sales", runbook_url=FAILED.runbook_url)
    place = Place(UI, "production")
    return message_of(happened, rule, place, dedup_key=kind, ack_url=FAILED.ack_url)[0]


EVENTS = {
    **{kind: told(kind) for kind in EVENT_KINDS},
    "check warned": replace(FAILED, event_type="check.warned", severity=Severity.warning),
    "check recovered": replace(FAILED, event_type="check.recovered", observed="31,204", **RESOLVED),
    "run failed": replace(
        FAILED,
        event_id="event:run.failed",
        event_type="run.failed",
        observed="",
        expected="",
        check_name="",
        last_ok_at=None,
        summary="",
        title="Run failed: build_sales",
        failure_message=TRACE,
        dedup_key="incident:run.failed",
    ),
    "custom": replace(
        told("message"), title="주문 데이터 확인 🎉", summary="한국어 안내 🚀 <b>&amp;"
    ),
    "own text": replace(
        FAILED,
        body="## 매출\n\nOnly **812** rows in `raw/sales`, see [the page](https://wiki.example/p)."
        "\n\n- ask the shop\n- run again\n\n```\nSELECT count(*)\n```",
    ),
    "digest": replace(
        told("message"),
        event_type="digest",
        severity=Severity.error,
        title="43 messages of the last hour",
        items=tuple(
            replace(
                FAILED,
                title=f"Check failed: row_count on raw/t{n}",
                severity=Severity.error if n % 3 else Severity.critical,
            )
            for n in range(43)
        ),
    ),
    "with a file": replace(
        FAILED, attachments=(Attachment("보고서.csv", "text/csv", b"store,sales\n1,812\n"),)
    ),
    "sample": replace(FAILED, is_sample=True),
    "bare": Message(event_id="e", event_type="custom", severity=Severity.info, title="Hello"),
}
"""What can happen; and forms of messages that look different."""


@dataclass
class Reach:
    """A channel and the receiver behind it.

    Attributes:
        channel: as declared.
        http: the HTTP receiver, where it is one.
        mail: the mail receiver, where it is one.
        arrived: what the receiver has, read as its service would, after every limit is checked.
    """

    channel: object
    arrived: object
    http: object = None
    mail: object = None

    def send(self, message, key="rule:event", thread=""):
        return self.channel.send(message, key=key, thread=thread)


GOOD = {
    "slack": Reply(200, "ok"),
    "slack-token": Reply(200, {"ok": True, "ts": "1503435956.000247", "channel": "C0123"}),
    "teams": Reply(202, b""),
    "webhook": Reply(204, b""),
    "twilio": Reply(201, {"sid": "SM0123", "status": "queued", "error_code": None}),
    "sentry": Reply(200, {"id": "0123456789abcdef0123456789abcdef"}),
    "apprise": Reply(200, b"ok"),
}
"""What each service answers when it takes a message."""


def declaration(kind, http):
    """How a channel to the receiver is declared."""
    return {
        "slack": {"type": "slack", "webhook_url": f"{http.url}/services/T0/B0/hook-secret-path"},
        "slack-token": {
            "type": "slack",
            "token": "${TEST_SLACK_TOKEN}",
            "channel": "C0123",
            "api_url": f"{http.url}/api",
        },
        "teams": {"type": "teams", "url": f"{http.url}/workflows/hook-secret-path"},
        "webhook": {
            "type": "webhook",
            "url": f"{http.url}/hooks/hook-secret-path",
            "secrets": ["${TEST_SIGNING}", "${TEST_SIGNING_OLD}"],
            "allow_private": True,
        },
        "twilio": {
            "type": "twilio",
            "account_sid": "AC0123",
            "auth_token": "${TEST_TWILIO_TOKEN}",
            "from_number": "+15005550006",
            "to": "+821012345678",
            "api_url": http.url,
        },
        "sentry": {"type": "sentry", "dsn": f"http://${{TEST_PUBLIC_KEY}}@127.0.0.1:{http.port}/7"},
        "apprise": {"type": "apprise", "url": f"json://127.0.0.1:{http.port}/hook-secret-path"},
    }[kind]


def _envelope_of(request):
    found = Envelope.deserialize_from(io.BytesIO(request.body))
    return found.get_event()


READ = {
    "slack": lambda request: limits.slack(request.json),
    "slack-token": lambda request: limits.slack(request.json),
    "teams": lambda request: limits.teams(request.json, request.body),
    "webhook": lambda request: limits.webhook(request, [SIGNING_SECRET, OTHER_SECRET]),
    "twilio": lambda request: limits.twilio(dict(parse_qsl(request.body.decode()))),
    "sentry": lambda request: limits.sentry(_envelope_of(request)),
    "apprise": lambda request: request.json,
}
"""How each service reads a request; each insists on its limits and returns what it read."""

HTTP_KINDS = [*GOOD]
KINDS = [*HTTP_KINDS, "email", "folder"]


@pytest.fixture(autouse=True)
def secrets(monkeypatch, tmp_path):
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path))


def http_reach(kind, http, **options):
    http.answers(GOOD[kind])
    channel = channel_of({"name": kind, **declaration(kind, http), **options})
    return Reach(channel, lambda: [READ[kind](one) for one in http.requests], http=http)


def mail_reach(mail, **options):
    declared = {
        "type": "email",
        "name": "email",
        "host": "127.0.0.1",
        "port": mail.port,
        "security": "none",
        "sender": "Platform <platform@example.org>",
        "to": ["team@example.org", "Kim, 민지 <minji@example.org>"[5:]],
    }
    channel = channel_of(declared | options)
    return Reach(channel, lambda: [limits.letter(one) for one in mail.raw], mail=mail)


def folder_reach(**options):
    channel = channel_of({"type": "folder", "name": "folder", **options})

    def arrived():
        return [json.loads(one.read_text()) for one in sorted(channel.path.glob("*.json"))]

    return Reach(channel, arrived)


@pytest.fixture
def reach():
    """Makes the channel of a kind with its receiver: `reach("slack", timeout_s=1)`."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def made(kind, **options):
            if kind == "folder":
                return folder_reach(**options)
            if kind == "email":
                return mail_reach(stack.enter_context(mail_receiver()), **options)
            return http_reach(kind, stack.enter_context(http_receiver()), **options)

        yield made


@pytest.fixture
def golden(request):
    """The text of a golden file; `ML_PLATFORM_WRITE_GOLDEN=1` makes it of what is given first."""

    def kept(name, text):
        file = request.path.parent / "golden" / f"{name}.txt"
        if os.environ.get("ML_PLATFORM_WRITE_GOLDEN") == "1":
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return file.read_text()

    return kept
