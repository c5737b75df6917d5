"""What people see: the Dagster UI, the MLflow UI and the report, in a real browser.

The demand project is made once by `ml-platform demo` in a folder of its own, and `ml-platform dev`
serves it. `ML_PLATFORM_WRITE_PICTURES=1` writes what the tests see into docs/pictures.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.csv
import pytest
from playwright.sync_api import expect, sync_playwright

from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore
from ml_platform_tests.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).parents[1]
PICTURES = REPOSITORY / "docs" / "pictures"
CHROMIUM = Path("/usr/bin/chromium")
BROWSER_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
LARGEST_PICTURE_BYTES = 150_000
PATIENCE_S = 300
PATIENCE_MS = PATIENCE_S * 1000
expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Served:
    """A folder with an installation's settings, and the two servers that show what it made."""

    home: Path
    dagster: str
    mlflow: str

    @property
    def store(self):
        return TableStore(str(self.home / "var" / "tables"))

    def ask(self, query):
        """Answer a GraphQL query; its `data`."""
        request = urllib.request.Request(
            f"{self.dagster}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with _open(request) as answer:
            return json.load(answer)["data"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The demand project, made and served; all that was started has ended afterwards."""
    if not CHROMIUM.exists():
        _missing("Chromium is not installed")
    home = tmp_path_factory.mktemp("ui")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(REPOSITORY / name, home)
    _make_demand(home)
    _add_project(home)
    with _developing(home) as (dagster, mlflow):
        yield Served(home, f"http://127.0.0.1:{dagster}", f"http://127.0.0.1:{mlflow}")
    assert not _left_over(home)


@pytest.fixture(scope="module")
def chromium():
    # Of the module, not of the session: while it is open the thread has a running event loop, which
    # other tests' code would stumble over.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=BROWSER_ARGUMENTS, timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(served, chromium):
    """An empty page of a browser that nobody has used, as a newcomer has it."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def _missing(what):
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and in CI it must be")
    pytest.skip(what)


def _program():
    return Path(sys.executable).parent / "ml-platform"


def _make_demand(home):
    command, environment = [_program(), "demo"], _environment(home)
    done = subprocess.run(
        command, cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


DECLARED = """\
type: ml_platform.components.FeatureTable
attributes:
  key: features/customers
  sql: customers.sql
---
type: ml_platform.components.FeatureTable
attributes:
  key: features/returns
  sqll: returns.sql
"""

LOCATION = """
  - python_file:
      relative_path: own_location.py
      attribute: shop
      location_name: shop
      working_directory: .
"""


def _add_project(home):
    """Beside the house's projects one of the installation's own; one of its tables is broken."""
    shop = home / "own_defs" / "shop"
    shop.mkdir(parents=True)
    (home / "own_defs" / "__init__.py").touch()
    (home / "own_location.py").write_text(
        "from pathlib import Path\n"
        "import dagster as dg\n"
        "import own_defs\n"
        "from ml_platform.common import common_definitions\n"
        "from ml_platform.loading.project import load_tree\n"
        "tree = dg.ComponentTree.from_module(own_defs, project_root=Path(__file__).parent)\n"
        "shop = load_tree(tree, 'shop', common_definitions()).definitions\n"
    )
    for name in ("customers", "returns"):
        (shop / f"{name}.sql").write_text("SELECT 1 AS customer_id\n")
    (shop / "defs.yaml").write_text(DECLARED)
    with (home / "workspace.yaml").open("a") as workspace:
        workspace.write(LOCATION)


def _environment(home):
    """This process's environment, but for what would lead to another installation."""
    foreign = ("ML_PLATFORM_", "DAGSTER_", "MLFLOW_", "DEMAND_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"DAGSTER_HOME": str(home), "ML_PLATFORM_HOME": str(home / "var")}


@contextlib.contextmanager
def _developing(home):
    """`ml-platform dev` while the block runs; the ports of both UIs."""
    ports = dagster, mlflow = free_port(), free_port()
    command = [_program(), "dev", "--port", str(dagster), "--mlflow-port", str(mlflow)]
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=_environment(home),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        for address in (f"{dagster}/server_info", f"{mlflow}/health"):
            _wait_for(f"http://127.0.0.1:{address}", process, home / "dev.log")
        yield ports
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def _wait_for(address, process, log):
    deadline = time.monotonic() + PATIENCE_S
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{address} does not answer:\n{log.read_text()}")
        time.sleep(0.5)


def _answers(address):
    try:
        with _open(address):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _open(request):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return direct.open(request, timeout=PATIENCE_S)


def _left_over(home):
    """The processes that still belong to the installation."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("DAGSTER_HOME") == str(home):
                found.append(process)
    return found


def shoot(page, name, clip=None):
    """Write what the page shows into docs/pictures, where that is asked for."""
    if not os.environ.get("ML_PLATFORM_WRITE_PICTURES"):
        return
    shot = page.screenshot(clip=clip, animations="disabled")
    assert len(shot) < LARGEST_PICTURE_BYTES
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(shot)


def show_facts(page, *wanted):
    """Choose what each asset of a lineage tells of itself, in the dialogue of the UI."""
    page.locator("button:has([aria-label=config])").click()
    expect(page.get_by_text("Choose Asset Facets")).to_be_visible()
    for label in page.locator("label[for^=checkbox]").all():
        if label.locator("input").is_checked() != (label.inner_text().strip() in wanted):
            label.click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Choose Asset Facets")).to_be_hidden()


def turn_upright(page):
    """Draw the lineage from top to bottom."""
    page.locator("button:has([aria-label=settings])").last.click()
    page.get_by_text("vertical orientation").click()


def boxes(page, count):
    """The assets of a lineage that shows `count` of them: texts and places in the window."""
    nodes = page.locator("foreignObject:has([class*=assetNodeContainer])")
    expect(nodes).to_have_count(count)
    # All at one moment, for the view may still be moving.
    return nodes.evaluate_all(
        "nodes => nodes.map(one => [one.textContent, one.getBoundingClientRect().toJSON()])"
    )


def around(places, margin=14):
    left, top = (min(place[side] for place in places) - margin for side in ("x", "y"))
    right = max(place["x"] + place["width"] for place in places) + margin
    bottom = max(place["y"] + place["height"] for place in places) + margin
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def test_the_lineage_of_demand_goes_from_layer_to_layer(served, page):
    page.set_viewport_size({"width": 1280, "height": 1250})
    page.goto(f"{served.dagster}/locations/demand/asset-groups/demand/lineage")
    boxes(page, count=8)
    turn_upright(page)
    show_facts(page, "Description", "Asset checks", "Kind tag")
    page.reload()  # the view fits itself to the new layout

    answer = served.ask("{ assetNodes { assetKey { path } groupName description } }")
    described = {
        one["description"]: "/".join(one["assetKey"]["path"])
        for one in answer["assetNodes"]
        if one["groupName"] == "demand"
    }
    for description in described:
        expect(page.get_by_text(description)).to_be_visible()
    found = boxes(page, count=8)
    rows = {}
    for text, place in found:
        (key,) = [key for description, key in described.items() if description in text]
        rows.setdefault(round(place["y"]), set()).add(key)
    assert [rows[top] for top in sorted(rows)] == [
        {"raw/sales", "raw/weather"},
        {"features/sales_clean", "features/weather_clean"},
        {"features/demand"},
        {"models/demand"},
        {"predictions/demand"},
        {"reports/demand"},
    ]
    for count, checked in ((1, "2 / 2 Passed"), (1, "3 / 3 Passed")):
        expect(page.get_by_text(checked)).to_have_count(count)
    shoot(page, "lineage-demand", around([place for _, place in found]))


def test_quickstart_is_made_by_a_click_in_the_same_ui(served, page):
    lineage = f"{served.dagster}/locations/quickstart/asset-groups/quickstart/lineage"
    page.goto(lineage)
    boxes(page, count=3)
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("link", name="View", exact=True).click()
    page.wait_for_url("**/runs/**")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    # Below lie the events, which name this run's folder.
    shoot(page, "materialise", {"x": 240, "y": 0, "width": 1040, "height": 344})

    page.goto(lineage)
    expect(page.get_by_text("Materialized")).to_have_count(3)
    shoot(page, "lineage-quickstart", around([place for _, place in boxes(page, count=3)]))


def test_a_failed_check_says_on_its_asset_what_is_wrong(served, page):
    write_iris(served, strangers=3)
    # So high that the table, when it opens, does not lie on what it is about.
    page.set_viewport_size({"width": 1280, "height": 2340})
    page.goto(f"{served.dagster}/assets/features/iris?view=checks")
    page.get_by_role("button").filter(has_text=re.compile("^Execute$")).click()
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    page.get_by_text("[Show Markdown]").click()
    shown = page.get_by_role("dialog")
    expect(shown.locator("table")).to_contain_text("species")
    shoot(page, "failed-check", {"x": 0, "y": 0, "width": 1280, "height": 950})


def test_a_prepared_table_shows_its_receipt(served, page):
    page.goto(f"{served.dagster}/locations/delivery/asset-groups/delivery/lineage")
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("link", name="View", exact=True).click()
    page.wait_for_url("**/runs/**")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()

    page.goto(f"{served.dagster}/assets/features/deliveries_prepared?view=events")
    row = page.locator("tr").filter(has_text=re.compile("^receipt(?!_)"))
    row.get_by_text("[Show Markdown]").click()
    shown = page.get_by_role("dialog")
    expect(shown).to_contain_text("600 rows came, 600 left.")
    expect(shown.locator("table")).to_contain_text("error on hidden cells")
    shoot(page, "receipt-in-ui")


ACKNOWLEDGED = """
import dagster as dg
from ml_platform.alerts.listening.beside import show_acknowledged
with dg.DagsterInstance.get() as instance:
    show_acknowledged(instance, "features/demand", "Ada Lovelace", "Check failed: demand schema")
"""


def test_who_acknowledged_an_alert_stands_on_the_page_of_its_asset(served, page):
    command, environment = [sys.executable, "-c", ACKNOWLEDGED], _environment(served.home)
    subprocess.run(command, cwd=served.home, env=environment, check=True)
    page.goto(f"{served.dagster}/assets/features/demand?view=events")
    expect(
        page.get_by_text("Ada Lovelace acknowledged: Check failed: demand schema")
    ).to_be_visible()
    expect(page.get_by_role("cell", name="acknowledged by", exact=True)).to_be_visible()


def test_a_broken_declaration_shows_as_itself_with_what_is_wrong(served, page):
    page.goto(f"{served.dagster}/locations/shop/asset-groups/shop/lineage")
    texts = sorted(text for text, _ in boxes(page, count=2))
    assert "customers" in texts[0]
    assert "returns" in texts[1]

    page.goto(f"{served.dagster}/assets/features/returns?view=overview")
    expect(page.get_by_text("This declaration is broken.").first).to_be_visible()
    message = page.locator("pre").filter(has_text="defs.yaml:9").first
    expect(message).to_be_visible()
    for part in ("sqll: no such word", "allowed: sql (did you mean this?)"):
        expect(message).to_contain_text(part)


def write_iris(served, strangers):
    """Put features/iris in place as its SQL makes it, with a species of which nobody knows."""
    flowers = pyarrow.csv.read_csv(REPOSITORY / "ml_platform/defs/quickstart/iris.csv").to_pandas()
    flowers["petal_ratio"] = flowers["petal_length_cm"] / flowers["petal_width_cm"]
    flowers.loc[: strangers - 1, "species"] = "unknown"
    served.store.write("quickstart", TableKey.parse("features/iris"), flowers)


def test_a_model_tells_its_figures_and_shows_them(served, page):
    page.goto(f"{served.dagster}/assets/models/demand?view=events")
    for fact in ("wape", "baseline_wape", "verdict", "mlflow_run", "peak_memory_bytes"):
        expect(page.get_by_role("cell", name=fact, exact=True)).to_be_visible()
    row = page.locator("tr").filter(has_text=re.compile("^forecast_against_actual"))
    row.get_by_text("[Show Markdown]").click()
    picture = page.get_by_role("dialog").locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 0
    shoot(page, "model-metadata")


@pytest.mark.parametrize(
    ("name", "width", "height"), [("desk", 1280, 900), ("phone", 390, 844)], ids=lambda one: one
)
def test_the_report_fits_the_width(served, page, name, width, height):
    page.set_viewport_size({"width": width, "height": height})
    page.goto((served.home / "var/tables/demand/reports/demand/report.html").as_uri())
    expect(page.get_by_role("heading", level=2)).to_have_count(4)
    for chart in page.locator("img").all():
        assert chart.evaluate("image => image.naturalWidth") > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shoot(page, f"report-{name}")


def test_mlflow_shows_the_champion(served, page):
    page.goto(f"{served.mlflow}/#/models/demand-demand")
    expect(page.get_by_text("Version 1").first).to_be_visible()
    expect(page.get_by_text("champion").first).to_be_visible()
