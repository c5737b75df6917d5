"""The receipt of the delivery project in a browser, of made-up rows and of real ones."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import sync_playwright

from ml_platform.kernel.names import TableKey
from ml_platform_tests.test_ui import BROWSER_ARGUMENTS, CHROMIUM, _missing, shoot

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

PROJECT = Path(__file__).parents[2] / "ml_platform" / "defs" / "delivery"
REAL = Path(os.environ.get("ML_PLATFORM_DATA_DIR", "")) / "delivery_real.parquet"
WIDTHS = {"desk": 1100, "phone": 390}
SHOWN_PX = 1000


def make(workshop, file):
    """The project as it stands, on another file of the same columns."""
    declared = list(yaml.safe_load_all((PROJECT / "defs.yaml").read_text()))
    declared[0]["attributes"]["file"]["path"] = str(file)
    workshop.write("defs.yaml", yaml.safe_dump_all(declared, sort_keys=False))
    shutil.copy(PROJECT / "deliveries.sql", workshop.shop)
    outcome = workshop.run("raw/deliveries", "features/deliveries", "features/deliveries_prepared")
    assert outcome.success, outcome.failures
    return Path(workshop.metadata("features/deliveries_prepared")["receipt_page"])


def assert_it_fits(receipt, picture):
    """Insist that the page fits each width in light and dark, and asks nobody for anything."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGUMENTS)
        for width in WIDTHS.values():
            for scheme in ("dark", "light"):
                context = browser.new_context(
                    viewport={"width": width, "height": SHOWN_PX}, color_scheme=scheme
                )
                page, asked = context.new_page(), []
                page.on("request", lambda request, asked=asked: asked.append(request.url))
                page.goto(receipt.as_uri())
                assert asked == [receipt.as_uri()]
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                for bars in page.locator("svg").all():
                    assert 100 < bars.bounding_box()["width"] <= width
                if picture and (width, scheme) == (WIDTHS["desk"], "light"):
                    shoot(page, picture)
                context.close()
        browser.close()


def test_the_receipt_of_the_delivery_project_fits_desk_and_phone(workshop):
    if not CHROMIUM.exists():
        _missing("Chromium is not installed")
    assert_it_fits(make(workshop, PROJECT / "deliveries.csv"), picture=None)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_file(), reason="ML_PLATFORM_DATA_DIR is not set")
def test_the_project_turns_the_real_rows_into_features_with_their_receipt(workshop):
    if not CHROMIUM.exists():
        _missing("Chromium is not installed")
    assert_it_fits(make(workshop, REAL), picture="receipt")
    key = TableKey("features", "deliveries_prepared")
    rows = workshop.store.read("shop", key).to_pandas()
    assert len(rows) > 29_000
    assert not rows.isna().any().any()
    assert 0 < rows["imputed_share"].max() < 0.5
