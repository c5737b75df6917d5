"""What the Dagster UI shows of a fan-out while it goes on, and of the partition that failed.

A run of thirty partitions waits at the twentieth until the pictures are taken; the seventh fails.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import expect, sync_playwright

from ml_platform.operations.instance import prepare
from ml_platform_tests.ports import free_port
from ml_platform_tests.test_ui import (
    BROWSER_ARGUMENTS,
    CHROMIUM,
    PATIENCE_MS,
    PATIENCE_S,
    _answers,
    _environment,
    _missing,
    shoot,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).parents[2]
DAYS = [f"2024-01-{day:02}" for day in range(1, 31)]
FAILS, WAITS = "2024-01-07", "2024-01-20"

COMPONENT = f"""
    import time
    from pathlib import Path
    import dagster as dg
    import pyarrow as pa
    from ml_platform.execution.component import AssetComponent, Made
    from ml_platform.kernel.errors import DataError

    class Orders(AssetComponent):
        '''Makes a few rows of each day; one day has none, and one waits for a file.'''

        def build_defs(self, context):
            def make(step):
                if step.partition == "{FAILS}":
                    raise DataError("file orders.csv", "it has no row", fix="ask the shop")
                while step.partition == "{WAITS}" and not Path("open").exists():
                    time.sleep(0.1)
                rows = pa.table({{"day": [step.partition] * 3, "orders": [5, 6, 7]}})
                written = step.store.write(
                    step.project, step.key, rows, partition=step.partition
                )
                return Made(written, {{}})

            return dg.Definitions(assets=[self.asset(context, make)])
"""

LOCATION = """
    import importlib
    import sys
    from pathlib import Path
    import dagster as dg
    from ml_platform.loading.project import load_tree
    from ml_platform.storage.io_manager import TableIOManager
    from ml_platform.storage.resource import Tables

    ROOT = Path(__file__).parent
    sys.path.insert(0, str(ROOT))
    tables = Tables(root=str(ROOT / "tables"))
    resources = {"tables": tables, "io_manager": TableIOManager(tables=tables)}
    tree = dg.ComponentTree.from_module(importlib.import_module("own_defs"), project_root=ROOT)
    defs = load_tree(tree, "shop", dg.Definitions(resources=resources)).definitions
"""

RUN = f"""
import dagster as dg
from location import defs
from ml_platform.execution.launch import materialise
with dg.DagsterInstance.get() as instance:
    materialise(defs, instance, [dg.AssetKey(["features", "orders"])], {DAYS})
"""


@pytest.fixture
def home(tmp_path):
    if not CHROMIUM.exists():
        _missing("Chromium is not installed")
    shop = tmp_path / "own_defs" / "shop"
    shop.mkdir(parents=True)
    for folder in (shop.parent, shop):
        (folder / "__init__.py").touch()
    (shop / "orders.py").write_text(textwrap.dedent(COMPONENT))
    (shop / "defs.yaml").write_text(
        "type: own_defs.shop.orders.Orders\n"
        "attributes:\n"
        "  key: features/orders\n"
        "  partitions: {every: day, start: 2024-01-01, end: 2024-01-31}\n"
        "  retry: {attempts: 0}\n"
    )
    (tmp_path / "location.py").write_text(textwrap.dedent(LOCATION))
    (tmp_path / "workspace.yaml").write_text(
        "load_from: [{python_file: {relative_path: location.py, location_name: shop}}]\n"
    )
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    return tmp_path


@contextlib.contextmanager
def started(home, *arguments):
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=home, env=_environment(home), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def wait_until(condition, *processes):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.3)


def ask(address, query):
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)["data"]


def counted(address):
    """How many partitions are made, fail and are under way, as the UI is told."""
    stats = "partitionStats { numMaterialized numFailed numMaterializing }"
    found = ask(address, f"{{ assetNodes {{ assetKey {{ path }} {stats} }} }}")["assetNodes"]
    (one,) = [node["partitionStats"] for node in found]
    return one["numMaterialized"], one["numFailed"], one["numMaterializing"]


@contextlib.contextmanager
def pages(*sizes):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=BROWSER_ARGUMENTS, timeout=PATIENCE_MS
        )
        opened = []
        for width, height in sizes:
            context = browser.new_context(viewport={"width": width, "height": height})
            context.set_default_timeout(PATIENCE_MS)
            opened.append(context.new_page())
        yield opened
        browser.close()


def test_partitions_show_as_made_under_way_and_failed_while_the_run_goes_on(home, monkeypatch):
    for variable in ("ML_PLATFORM_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    prepare(home)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    serve = ("-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", "workspace.yaml")
    with (
        started(home, *serve) as server,
        started(home, "-c", RUN) as run,
        pages((1280, 760), (390, 844)) as (desk, phone),
    ):
        wait_until(lambda: _answers(f"{address}/server_info"), server)
        wait_until(lambda: counted(address)[0] == 18, server, run)
        assert counted(address) == (18, 0, 12)
        where = f"{address}/assets/features/orders?view=partitions"
        for name, page in (("desk", desk), ("phone", phone)):
            page.goto(where)
            expect(page.get_by_text("Materialized (18)")).to_be_visible()
            if name == "phone":
                page.get_by_text("Hide navigation").click()
            shoot(page, f"fan-out-{name}")
        (home / "open").touch()
        wait_until(lambda: run.poll() is not None, server)
        assert counted(address) == (29, 1, 0)
        desk.goto(f"{where}&partition={FAILS}")
        expect(desk.get_by_text("Failed (1)")).to_be_visible()
        shoot(desk, "fan-out-failed")
        with dg.DagsterInstance.from_config(str(home)) as instance:
            (ended,) = instance.get_runs()
        desk.goto(f"{address}/runs/{ended.run_id}")
        expect(desk.get_by_text("1 of 30 partitions failed").first).to_be_visible()
