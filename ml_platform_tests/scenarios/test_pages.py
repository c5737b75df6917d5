"""The pages of records: what they answer, and the way to them from Dagster's own UI."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from ml_platform.kernel.errors import DeclarationError
from ml_platform.scenarios.calls import Calls
from ml_platform.scenarios.pages import VARIABLE, moment_of, page_url, route
from ml_platform.scenarios.recorder import Recorder, recorder_here
from ml_platform.scenarios.settle import Decision
from ml_platform.scenarios.triggers import Evaluation
from ml_platform.scenarios.webhook import app
from ml_platform_tests.test_ui import BROWSER_ARGUMENTS, CHROMIUM, PATIENCE_MS, _missing, shoot

NINE = 1769850000.0  # 2026-01-31T09:00:00Z
REPOSITORY = Path(__file__).parents[2]


class Client:
    """Asks an application without a network."""

    def __init__(self, served):
        self._transport = httpx.ASGITransport(served)

    def get(self, path, **words):
        return asyncio.run(self._ask("GET", path, **words))

    def post(self, path):
        return asyncio.run(self._ask("POST", path))

    async def _ask(self, method, path, **words):
        async with httpx.AsyncClient(transport=self._transport, base_url="http://here") as client:
            return await client.request(method, path, **words)


@pytest.fixture
def client():
    recorder = recorder_here()
    looks = [(0, "A", "first", ""), (10, "B", "waiting", "newest <b>.csv"), (12, "B", "fired", "")]
    for minute, fingerprint, decision, account in looks:
        one = Evaluation("arrival", "files", NINE + 60 * minute, account, fingerprint,
                         Decision(decision), f"reason {minute}", "")  # fmt: skip
        recorder.record("shop", "refresh", [one])
    clock = lambda: datetime.fromtimestamp(NINE + 3600, UTC)  # noqa: E731
    return Client(app(Calls(recorder.url), clock, [route(recorder, clock)]))


def test_a_page_answers_for_a_moment(client):
    answer = client.get("/scenarios/shop/refresh", params={"at": "2026-01-31T09:11"})
    assert answer.status_code == 200
    assert "At 2026-01-31 09:11:00: waiting, for reason 10" in answer.text
    assert "newest &lt;b&gt;.csv" in answer.text
    assert 'value="2026-01-31T09:11"' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/scenarios/shop/refresh?at=yesterday", 400, "this is no moment"),
        ("/scenarios/shop/<b>", 404, "no look at its triggers is recorded"),
        ("/scenarios/works/refresh", 404, "no look"),
    ],
)
def test_what_cannot_be_answered_is_told_as_plain_text(client, path, status, told):
    answer = client.get(path)
    assert (answer.status_code, told in answer.text) == (status, True)
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("url", ["sqlite:///{}/no.db", "nosuch://anna:letmein@no.db/a"])
def test_a_database_that_cannot_be_read_is_told_without_its_address(tmp_path, url):
    (tmp_path / "no.db").mkdir()
    client = Client(app(Calls("sqlite://"), more=[route(Recorder(url.format(tmp_path)))]))
    answer = client.get("/scenarios/shop/refresh")
    assert (answer.status_code, "no.db" in answer.text) == (503, False)


def test_who_only_takes_calls_shows_no_pages(client):
    alone = Client(app(Calls(recorder_here().url)))
    assert alone.get("/scenarios/shop/refresh").status_code == 404
    assert alone.post("/scenarios/shop/refresh/arrival").status_code == 404


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, ""),
        ({VARIABLE: ""}, ""),
        ({VARIABLE: "https://ml.example.org/why/"}, "https://ml.example.org/why/scenarios/shop/a"),
    ],
)
def test_a_link_is_given_where_pages_are_served(environ, url):
    assert page_url("shop", "a", environ) == url


def test_a_moment_is_in_utc_unless_it_says_another_zone():
    assert moment_of("2026-01-31T09:10").timestamp() == NINE + 600
    assert moment_of("2026-01-31T10:10+01:00").timestamp() == NINE + 600


@pytest.mark.parametrize("text", ["at nine", "", "2026-02-30", "0001-01-01T00:00+14:00"])
def test_what_is_no_moment_is_told(text):
    with pytest.raises(DeclarationError, match="no moment"):
        moment_of(text)


PROJECT = """
import os
import dagster as dg
from ml_platform.scenarios.job import KEEPER, scenario_job
from ml_platform.scenarios.sensor import scenario_sensor
from ml_platform.scenarios.words import ScenarioWords

refresh = ScenarioWords(
    name="refresh",
    triggers=[{"name": "arrival", "every": "5s", "grace": "1h",
               "files": {"paths": [os.environ["ARRIVALS"]]}}],
    steps=[{"name": "count", "set_variables": {"n": 1}}],
)
defs = dg.Definitions(
    resources=KEEPER,
    jobs=[scenario_job("shop", refresh)],
    sensors=[scenario_sensor("shop", refresh)],
)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(words, folder):
    with (folder / f"{words[0]}.log").open("w") as log:
        started = subprocess.Popen(
            [Path(sys.executable).parent / words[0], *words[1:]],
            cwd=folder, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(started.pid, signal.SIGINT)
        try:
            started.wait(5)  # a UI with a browser on it takes half a minute
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


@pytest.fixture
def ui(tmp_path, monkeypatch):
    """Dagster's UI and daemon with a scenario whose first look is over, and the pages beside it."""
    if not CHROMIUM.exists():
        _missing("Chromium is not installed")
    folder = tmp_path / "host"
    arrivals = folder / "arrivals"
    arrivals.mkdir(parents=True)
    shutil.copy(REPOSITORY / "dagster.yaml", folder)
    (folder / "shop.py").write_text(PROJECT)
    ports = free_port(), free_port()
    for name, value in {
        "DAGSTER_HOME": folder,
        "ML_PLATFORM_HOME": folder / "var",
        "ARRIVALS": "arrivals",
        VARIABLE: f"http://127.0.0.1:{ports[1]}",
        "ML_PLATFORM_UI_URL": f"http://127.0.0.1:{ports[0]}",
    }.items():
        monkeypatch.setenv(name, str(value))
    dagster = ("dagster", "dev", "-f", "shop.py", "-h", "127.0.0.1", "-p", str(ports[0]))
    pages = ("ml-platform", "scenario", "serve", "--pages", "--port", str(ports[1]))
    with process(dagster, folder), process(pages, folder):
        _wait(lambda: recorder_here().rows("shop", "refresh"), folder)
        (arrivals / "week-05.csv").write_text("1")
        _wait(lambda: len(recorder_here().rows("shop", "refresh")) > 1, folder)
        yield f"http://127.0.0.1:{ports[0]}"


def _wait(condition, folder):
    end = time.monotonic() + PATIENCE_MS / 1000
    while not condition():
        if time.monotonic() > end:
            pytest.fail((folder / "dagster.log").read_text()[-4000:])
        time.sleep(0.5)


@pytest.mark.browser
@pytest.mark.timeout(900)
def test_the_ui_of_dagster_tells_what_a_tick_saw_and_leads_to_the_page(ui):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGUMENTS)
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{ui}/locations/shop.py/sensors/refresh_triggers")
        page.get_by_role("button", name="0 runs requested").first.click()
        expect(page.get_by_text("week-05.csv").first).to_be_visible()
        expect(page.get_by_text("arrival: waiting, ").first).to_be_visible()
        shoot(page, "why-tick", {"x": 128, "y": 70, "width": 1024, "height": 200})
        page.goto(f"{ui}/locations/shop.py/jobs/refresh")
        link = page.get_by_role("link", name="/scenarios/shop/refresh")
        with page.expect_popup() as opened:
            link.click()
        why = opened.value
        expect(why.get_by_role("heading", name="Why refresh ran, or did not")).to_be_visible()
        why.get_by_label("What held at").fill("2020-01-31T09:10")
        why.get_by_role("button", name="Tell").click()
        expect(why.get_by_text("nothing was recorded by then")).to_be_visible()
        assert "week-05.csv" in why.content()
        for width in (1100, 390):
            why.set_viewport_size({"width": width, "height": 900})
            assert why.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
