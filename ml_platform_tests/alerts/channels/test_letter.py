"""The letter: its page in a real browser, and the same as plain text.

`ML_PLATFORM_WRITE_PICTURES=1` writes what the browser shows into docs/pictures.
"""

import os
import re
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from playwright.sync_api import sync_playwright

from ml_platform.alerts.channels.facts import cleaned
from ml_platform.alerts.channels.letter import html, text
from ml_platform.alerts.message import Severity, Status
from ml_platform_tests.alerts.channels.conftest import EVENTS, FAILED
from ml_platform_tests.alerts.channels.test_every_channel import ANY
from ml_platform_tests.test_ui import BROWSER_ARGUMENTS, CHROMIUM, _missing

ZONE = ZoneInfo("UTC")
PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
LARGEST_PICTURE_BYTES = 150_000
LOOKS = {
    "failed": FAILED,
    "warned": EVENTS["check warned"],
    "recovered": EVENTS["check recovered"],
    "run": EVENTS["run failed"],
    "own": EVENTS["own text"],
    "digest": EVENTS["digest"],
    "critical": replace(FAILED, severity=Severity.critical, is_sample=True),
    "bare": EVENTS["bare"],
    "korean": EVENTS["custom"],
    "long": replace(FAILED, title="x" * 300, observed="y" * 500, failure_message="z" * 2000),
}


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM.exists():
        _missing("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [600, 390])
@pytest.mark.parametrize("look", LOOKS)
def test_the_page_fits_each_width_and_can_be_read_in_light_and_dark(
    chromium, tmp_path, look, width, scheme
):
    file = tmp_path / "letter.html"
    file.write_text(html(cleaned(LOOKS[look]), ZONE))
    context = chromium.new_context(
        viewport={"width": width, "height": 500}, color_scheme=scheme, java_script_enabled=True
    )
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(_FAINTEST) >= 4.5  # WCAG 2.1, 1.4.3
    _shoot(page, look, width, scheme)
    context.close()


_FAINTEST = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).map((c) => {
    c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    const clear = parts(colour)[3] === 0;
    return clear && node.parentElement ? behind(node.parentElement) : colour;
  };
  let faintest = 21;
  for (const node of document.querySelectorAll('td, a, p, h1, h2, div, span, pre, code')) {
    const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!own || getComputedStyle(node).fontSize === '0px') continue;
    const both = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
    faintest = Math.min(faintest, (both[0] + 0.05) / (both[1] + 0.05));
  }
  return faintest;
}"""
"""The least contrast between letters and what lies behind them."""


def _shoot(page, look, width, scheme):
    """Keep the picture of the document, and any other where a person asked for them."""
    folder = os.environ.get("ML_PLATFORM_LETTERS_DIR")
    if folder:
        page.screenshot(path=Path(folder) / f"{look}-{width}-{scheme}.png", full_page=True)
    if os.environ.get("ML_PLATFORM_WRITE_PICTURES") == "1" and (look, width, scheme) == (
        *("failed", 600),
        "light",
    ):
        target = PICTURES / "alert-mail.png"
        page.screenshot(path=target, full_page=True)
        assert target.stat().st_size <= LARGEST_PICTURE_BYTES


def test_page_and_text_tell_the_same_facts():
    page, plain = html(FAILED, ZONE), text(FAILED, ZONE)
    for fact in ("812", "10,000 to 60,000", "raw/sales", "2026-08-19 02:14 UTC", "team:sales"):
        assert fact in page
        assert fact in plain
    for url in (FAILED.run_url, FAILED.ack_url, FAILED.runbook_url):
        assert f'href="{url}"' in page
        assert url in plain


def test_a_remark_stands_in_both():
    assert "One file is too large" in html(FAILED, ZONE, "One file is too large")
    assert "One file is too large" in text(FAILED, ZONE, "One file is too large")


@settings(max_examples=60, deadline=None)
@given(message=ANY)
def test_no_text_becomes_markup_of_the_page(message):
    page = html(cleaned(message), ZONE)
    plain = html(replace(EVENTS["bare"], title="Hello"), ZONE)
    known = set(re.findall(r"<[/!]?([a-z0-9]+)", plain)) | {
        *("h2", "pre", "a", "span", "div", "code", "strong", "br", "p"),
    }
    assert set(re.findall(r"<[/!]?([a-zA-Z0-9]+)", page)) <= known
    assert set(re.findall(r'href="([a-z]+):', page)) <= {"http", "https"}
    assert not re.search(r"\son[a-z]+=", re.sub(r">[^<]*<", "><", page))


@pytest.mark.parametrize("status", Status)
def test_the_bar_has_the_colour_of_what_happened(status):
    page = html(replace(FAILED, status=status), ZONE)
    colour = {"firing": "#D92D20", "resolved": "#067647"}[status.value]
    assert f"background:{colour};padding:11px" in page
