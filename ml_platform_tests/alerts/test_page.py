"""The page on which an incident is acknowledged, asked over HTTP as browsers and scanners ask."""

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlencode

import httpx
import pytest

from ml_platform.alerts.compose import Place
from ml_platform.alerts.event import Event
from ml_platform.alerts.links import signed
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.page import LONGEST_NAME, app
from ml_platform.alerts.routing import Desk, ingest
from ml_platform.alerts.rules import Rule

SECRET = b"a secret"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Desktop:
    """A page in front of an outbox with one open incident."""

    def __init__(self, url):
        self.outbox = Outbox(url, lambda: NOON)
        self.app = app(self.outbox, SECRET)
        desk = Desk("shop", [Rule(name="r", channels=["inbox"])], Place(), lambda _: "")
        event = Event(id="e1", type="check.failed", at=NOON, project="shop", subject="s",
                      what="<script>alert(1)</script>", summary="It's <b>bad</b>.")  # fmt: skip
        with self.outbox.book() as book:
            ingest(book, desk, [event])
            self.key = book.with_status("pending")[0].dedup_key
        self.path = f"/ack/{signed(self.key, SECRET)}"

    def ask(self, path, method="get", form=None):
        async def one():
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
                return await client.request(method, path, content=urlencode(form or {}))

        return asyncio.run(one())

    def press(self, **form):
        return self.ask(self.path, "post", form)

    @property
    def incident(self):
        with self.outbox.book() as book:
            return book.incident_of(self.key)


@pytest.fixture
def desktop(tmp_path):
    return Desktop(f"sqlite:///{tmp_path}/alerts.db")


@pytest.mark.parametrize("method", ["get", "head"])
def test_opening_the_link_changes_nothing(desktop, method):
    answer = desktop.ask(desktop.path, method)
    assert answer.status_code == 200
    assert desktop.incident.state == "firing"


def test_the_page_says_what_it_is_about_and_has_a_button(desktop):
    text = desktop.ask(desktop.path).text
    assert "&lt;script&gt;alert(1)" in text
    assert "It&#x27;s &lt;b&gt;bad&lt;/b&gt;." in text
    assert "<script>" not in text
    assert 'method="post"' in text


def test_the_button_acknowledges_and_says_who(desktop):
    answer = desktop.press(by="Ada <Lovelace>")
    assert "Ada &lt;Lovelace&gt; acknowledged this at 2026-03-02 12:00 UTC" in answer.text
    assert (desktop.incident.state, desktop.incident.acknowledged_by) == (
        "acknowledged", "Ada <Lovelace>",
    )  # fmt: skip
    assert "acknowledged this at" in desktop.ask(desktop.path).text


def test_the_second_who_presses_it_reads_who_was_first(desktop):
    desktop.press(by="Ada")
    assert "Ada acknowledged" in desktop.press(by="Bob").text
    assert desktop.incident.acknowledged_by == "Ada"


@pytest.mark.parametrize("form", [{}, {"by": ""}, {"by": "   "}, {"other": "x"}])
def test_without_a_name_nothing_is_acknowledged(desktop, form):
    assert desktop.press(**form).status_code == 200
    assert desktop.incident.state == "firing"


def test_a_name_is_cut_and_a_huge_form_is_not_read_to_its_end(desktop):
    desktop.press(by="x" * 100_000)
    assert desktop.incident.acknowledged_by == "x" * LONGEST_NAME


@pytest.mark.parametrize(
    "path", ["/ack/nonsense", "/ack/" + signed("another", SECRET), "/ack/" + signed("s", b"no")]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_that_does_not_hold_leads_nowhere(desktop, path, method):
    assert desktop.ask(path, method).status_code == 404
    assert desktop.incident.state == "firing"


def test_nothing_on_the_page_is_loaded_from_elsewhere_or_kept(desktop):
    answer = desktop.ask(desktop.path)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "http" not in answer.text


@pytest.mark.parametrize("path", ["/", "/ack", "/docs"])
def test_there_is_nothing_else(desktop, path):
    assert desktop.ask(path).status_code == 404
