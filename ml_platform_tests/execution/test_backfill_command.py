"""`ml-platform backfill` and `usage`, as a person types them on the demand project's sales."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ml_platform.demo.sample import make_sample
from ml_platform.demo.systems import write_sales_database

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "ml-platform"
RANGE = ["--partitions", "2012-01-01..2012-06-01"]


class Desk:
    """A folder of one's own with the instance and the sales database."""

    def __init__(self, folder):
        self.folder, self.sales = folder, folder / "sales.db"
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(REPOSITORY / name, folder)
        write_sales_database(make_sample(stores=2), f"sqlite:///{self.sales}")
        self.environ = {
            **{k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"},
            "ML_PLATFORM_HOME": str(folder / "var"),
            "DEMAND_SALES_URL": f"sqlite:///{self.sales}",
            "COLUMNS": "400",
        }

    def type(self, *words):
        return subprocess.run(
            [PROGRAM, *words],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def begin(self, *words):
        return subprocess.Popen(
            [PROGRAM, *words], cwd=self.folder, env=self.environ, stdout=subprocess.DEVNULL
        )

    def sell(self, value, week="2012-03-02"):
        with sqlite3.connect(self.sales) as database:
            database.execute(
                "UPDATE weekly_sales SET weekly_sales = ? WHERE week_start = ?", (value, week)
            )
        database.close()

    def written(self):
        return sorted(one.stem for one in (self.folder / "var").rglob("raw/sales/2*.parquet"))


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_a_plan_tells_what_would_happen_and_starts_nothing(desk):
    done = desk.type("backfill", "raw/sales", *RANGE, "--plan")
    assert done.returncode == 0, done.stderr
    for said in (
        "6: 2012-01-01 to 2012-06-01 (6 missing)",
        "nothing is known",
        "models/demand (all of it) is out of date afterwards",
        "the source is asked 6 times",
        "nothing was started",
    ):
        assert said in done.stdout
    assert desk.written() == []


@pytest.mark.parametrize("words", [["--plan", "--run"], ["--resume", "--plan"]])
def test_one_cannot_ask_for_two_things_at_once(desk, words):
    done = desk.type("backfill", "raw/sales", *words)
    assert done.returncode == 2
    assert "one of --plan, --run and --resume" in done.stderr


@pytest.mark.parametrize("way", [["--resume"], [*RANGE, "--failed"]])
def test_a_backfill_that_failed_for_a_month_is_made_whole(desk, way):
    desk.sell("closed")
    done = desk.type("backfill", "raw/sales", *RANGE)
    assert done.returncode == 1
    assert "1 of 6 partitions failed: 2012-03-01" in done.stdout
    assert "column 'weekly_sales'" in done.stdout
    assert len(desk.written()) == 5
    desk.sell(1000.0)
    again = desk.type("backfill", "raw/sales", *way)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(desk.written()) == 6
    nothing = desk.type("backfill", "raw/sales", *way)
    assert ("none is open" in nothing.stdout) or ("made all its partitions" in nothing.stderr)
    row = next(line for line in desk.type("usage").stdout.splitlines() if "raw/sales" in line)
    assert row.split()[:4] == ["demand", "raw/sales", "2", "6"]


@pytest.mark.fault
def test_a_backfill_that_is_killed_is_gone_on_with_and_makes_nothing_twice(desk):
    going = desk.begin("backfill", "raw/sales")
    while len(desk.written()) < 3:
        time.sleep(0.02)
        assert going.poll() is None
    going.kill()
    going.wait()
    before = {one: desk.folder.rglob(f"raw/sales/{one}.parquet") for one in desk.written()}
    times = {one: next(found).stat().st_mtime_ns for one, found in before.items()}
    assert len(times) < 33
    done = desk.type("backfill", "raw/sales", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(desk.written()) == 33
    again = [
        one
        for one, was in times.items()
        if next(desk.folder.rglob(f"raw/sales/{one}.parquet")).stat().st_mtime_ns != was
    ]
    # The one that was written last may not have been recorded any more.
    assert len(again) <= 1
