"""The page of evaluations: what it says, and that it can be read on a desk and on a phone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from playwright.sync_api import sync_playwright

from ml_platform.scenarios.page import MOST_ROWS, html
from ml_platform.scenarios.recorder import Row
from ml_platform_tests.test_ui import BROWSER_ARGUMENTS, CHROMIUM, _missing, shoot

NINE = 1769850000.0  # 2026-01-31T09:00:00Z
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LOOKS = [
    (0, 1, "first", "the first look; what comes later is a change", "in: 1 file, newest a.csv", ""),
    (5, 2, "waiting", "120 s of the grace delay left", "in: 2 files, newest <b>.csv", ""),
    (10, 1, "waiting", "it changed again; 120 s are left", "in: 3 files, newest c.csv", ""),
    (12, 1, "fired", "nothing has changed for 120 s", "in: 3 files, newest c.csv", "1:arrival-1"),
    (27, 96, "quiet", "nothing has changed since the last run", "in: 3 files, newest c.csv", ""),
    (90, 1, "failed", "the look failed", "s3://shop/arrivals: it does not answer", ""),
]  # fmt: skip


def row(minute, count, decision, reason, account, key, **words):
    at = NINE + 60 * minute
    given = Row("shop", "refresh", "arrival", "files", at, at + 30 * (count - 1), count, account,
                "f", decision, reason, key)  # fmt: skip
    return replace(given, **words)


ROWS = [row(*look) for look in LOOKS]


def test_it_says_all_that_is_recorded_and_escapes_what_is_data():
    page = html("refresh", ROWS, NOW)
    assert page.count("<li") == len(ROWS)
    assert page.index("the look failed") < page.index("the first look")
    assert "newest &lt;b&gt;.csv" in page
    assert "96 looks" in page
    assert "tag%3Adagster%2Frun_key%3D1%3Aarrival-1" in page


@pytest.mark.parametrize(
    ("minute", "answer", "marked"),
    [
        (11, "At 2026-01-31 09:11:00: waiting, for it changed again", "c.csv"),
        (60, "At 2026-01-31 10:00:00: quiet, for nothing has changed since", "96 looks"),
        (-1, "At 2026-01-31 08:59:00: nothing was recorded by then.", None),
    ],
)
def test_it_answers_about_a_moment_and_marks_what_held_then(minute, answer, marked):
    page = html("refresh", ROWS, NOW, NINE + 60 * minute)
    assert answer in page
    found = page.split('<li class="asked">')
    assert len(found) == (2 if marked else 1)
    assert marked is None or marked in found[1].split("</li>")[0]


def test_each_trigger_has_its_part_and_a_long_record_is_cut():
    many = [row(n, 1, "quiet", "r", "", "", trigger="other") for n in range(MOST_ROWS + 3)]
    page = html("refresh", ROWS + many, NOW)
    assert page.count("<section>") == 2
    assert "and 3 older rows" in page


@pytest.mark.browser
@pytest.mark.parametrize(("look", "width"), [("desk", 1100), ("phone", 390)])
def test_it_fits(look, width, tmp_path):
    if not CHROMIUM.exists():
        _missing("Chromium is not installed")
    file = tmp_path / "why.html"
    long = row(95, 1, "failed", "the look failed", "s3://shop/" + "x" * 200, "")
    rows = ROWS if look == "desk" else [*ROWS, long]
    file.write_text(html("weekly_refresh", rows, NOW, NINE + 660))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGUMENTS)
        for scheme in ("dark", "light"):
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme
            )
            page, asked = context.new_page(), []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(file.as_uri())
            assert asked == [file.as_uri()]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for decision in page.locator(".decision").all():
                assert decision.is_visible()
            assert page.locator("li.asked").evaluate(
                "e => getComputedStyle(e).backgroundColor"
            ) != (page.locator("li").first.evaluate("e => getComputedStyle(e).backgroundColor"))
            if (look, scheme) == ("desk", "light"):
                shoot(page, "why-scenario")
            context.close()
        browser.close()
