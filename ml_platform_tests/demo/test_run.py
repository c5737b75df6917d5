"""The demo from end to end, as a person runs it: twice, with figures that hold."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore

ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(sys.executable).parent / "ml-platform"


def demo(home, *words):
    """Run `ml-platform demo` into a home of its own; what it printed."""
    environ = {name: value for name, value in os.environ.items() if "ML_PLATFORM" not in name}
    done = subprocess.run(
        [PROGRAM, "demo", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**environ, "ML_PLATFORM_HOME": str(home), "COLUMNS": "160"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def figures(printed):
    """The summary's errors: the champion's and the baseline's, as shares."""
    return [float(found) / 100 for found in re.findall(r"WAPE ([\d.]+)%", printed)]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return home, demo(home)


def test_it_says_what_it_made_and_how_to_go_on(first):
    _, done = first
    for said in ("raw/sales", "features/demand", "9 of 9 passed", "make dev", "report.html"):
        assert said in done.stdout
    assert "Traceback" not in done.stderr


def test_the_champion_beats_seasonal_naive(first):
    champion, baseline = figures(first[1].stdout)
    assert champion < 0.82 * baseline


def test_the_forecast_covers_each_store_and_the_13_weeks_after_the_last_sale(first):
    store = TableStore(str(first[0] / "tables"))
    rows = store.read("demand", TableKey("predictions", "demand")).to_pandas()
    sales = store.read("demand", TableKey("features", "sales_clean")).to_pandas()
    assert len(rows) == 45 * 13
    assert rows["week"].min().date() > sales["week"].max()
    assert ((rows["lower"] <= rows["forecast"]) & (rows["forecast"] <= rows["upper"])).all()


def test_a_second_time_gives_the_same_numbers(first):
    home, done = first
    store = TableStore(str(home / "tables"))
    key = TableKey("predictions", "demand")
    before = store.read("demand", key).drop_columns("model_version")
    again = demo(home)
    assert figures(again.stdout) == figures(done.stdout)
    assert store.read("demand", key).drop_columns("model_version").equals(before)


@pytest.mark.real_data
def test_on_the_real_stores_the_promise_is_kept_at_every_origin(tmp_path):
    folder = os.environ.get("ML_PLATFORM_DATA_DIR")
    if not folder:
        pytest.skip("ML_PLATFORM_DATA_DIR names no folder with real data")
    done = demo(tmp_path, "--data", str(Path(folder) / "store_sales.csv"))
    champion, baseline = figures(done.stdout)
    assert champion <= 0.82 * baseline
    store = TableStore(str(tmp_path / "tables"))
    frame = store.read("demand", TableKey("models", "demand")).to_pandas()
    sums = frame.assign(
        own=(frame["actual"] - frame["forecast"]).abs(),
        naive=(frame["actual"] - frame["baseline"]).abs(),
    )
    by_origin = sums.groupby("origin")[["own", "naive"]].sum()
    assert len(by_origin) >= 4
    assert (by_origin["own"] <= by_origin["naive"]).all()


def test_a_file_of_other_columns_is_refused_with_what_is_missing(tmp_path):
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("Store,Date\n1,05-02-2010\n")
    done = subprocess.run(
        [PROGRAM, "demo", "--data", str(wrong)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ML_PLATFORM_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 1
    assert "Weekly_Sales" in done.stderr
    assert "Traceback" not in done.stderr
