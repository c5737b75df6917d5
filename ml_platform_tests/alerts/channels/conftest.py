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
from ml_platform.alerts.message import Attachment, Message, Severity, Status
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


def event(event_type, severity, title, **other):
    """A message about something else than a check, with what it knows."""
    unknown = {"observed": "", "expected": "", "check_name": "", "last_ok_at": None, "summary": ""}
    told = {
        "event_id": f"event:{event_type}",
        "event_type": event_type,
        "severity": severity,
        "title": title,
        "dedup_key": f"incident:{event_type}",
    }
    return replace(FAILED, **unknown | told | other)


TRACE = "ValueError: could not convert string to float: '1,204.5'\n  at read_sales, line 42"
RESOLVED = {"status": Status.resolved}

EVENTS = {
    "check failed": FAILED,
    "check warned": replace(FAILED, event_type="check.warned", severity=Severity.warning),
    "check recovered": replace(FAILED, event_type="check.recovered", observed="31,204", **RESOLVED),
    "run failed": event(
        "run.failed", Severity.error, "Run failed: build_sales", failure_message=TRACE
    ),
    "run canceled": event("run.canceled", Severity.warning, "Run canceled: build_sales"),
    "run too long": event(
        "run.too_long", Severity.warning, "Run takes long: build_sales", elapsed_s=7500.0
    ),
    "materialisation failed": event(
        "materialization.failed", Severity.error, "raw/sales was not made", failure_message=TRACE
    ),
    "freshness broken": event("freshness.failed", Severity.error, "raw/sales is out of date"),
    "tick failed": event("tick.failed", Severity.error, "Sensor new_files failed", asset_key=""),
    "backfill failed": event("backfill.failed", Severity.critical, "Backfill failed: 3 of 30"),
    "backfill finished": event("backfill.finished", Severity.info, "Backfill finished: 30 of 30"),
    "location failed": event("location.failed", Severity.critical, "Project demand is not there"),
    "schema changed": event(
        "schema.changed",
        Severity.warning,
        "raw/sales has another shape",
        observed="store text, week date",
        expected="store text, week date, sales_usd double",
    ),
    "drift": event("drift", Severity.warning, "Drift in temperature_c", observed="PSI 0.31"),
    "new champion": event("model.promoted", Severity.info, "models/demand has a new champion"),
    "quota": event("quota.near", Severity.warning, "92 % of 500 GB are used"),
    "scenario started": event("scenario.start", Severity.info, "Scenario weekly starts"),
    "scenario ended": event("scenario.end", Severity.info, "Scenario weekly: success"),
    "custom": event(
        "custom", Severity.info, "주문 데이터 확인 🎉", summary="한국어 안내 🚀 <b>&amp;"
    ),
    "own text": replace(
        FAILED,
        body="## 매출\n\nOnly **812** rows in `raw/sales`, see [the page](https://wiki.example/p)."
        "\n\n- ask the shop\n- run again\n\n```\nSELECT count(*)\n```",
    ),
    "digest": event(
        "digest",
        Severity.error,
        "43 messages of the last hour",
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
    """Compares a text with a golden file; `ML_PLATFORM_WRITE_GOLDEN=1` writes it instead."""

    def compare(name, text):
        file = request.path.parent / "golden" / f"{name}.txt"
        if os.environ.get("ML_PLATFORM_WRITE_GOLDEN") == "1":
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        assert text == file.read_text(), f"{file.name}: see the docstring of test_every_channel.py"

    return compare
