"""The same project, with one word of its YAML changed, makes the same files on Ray as here."""

import shutil

import pytest

from ml_platform.execution.engines.ray import connected
from ml_platform.execution.profile import Plan

# Ray's own processes and files, which it closes when the process ends and not before.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
REST = ["features/flowers", "models/colour", "predictions/colour"]
PROJECT = """
type: ml_platform.components.FeatureTable
attributes:
  key: features/daily
  sql: daily.sql
  partitions: {{every: day, start: 2024-01-01, end: 2024-01-04}}
  execution: {{engine: {engine}}}
---
type: ml_platform.components.FeatureTable
attributes:
  key: features/flowers
  python: {package}.shop.work:flowers
  inputs: {{daily: features/daily}}
  execution: {{engine: {engine}}}
---
type: ml_platform.components.Model
attributes:
  key: models/colour
  table: features/flowers
  task: classification
  target: colour
  features: [a, b]
  algorithm: random_forest
  execution: {{engine: {engine}}}
---
type: ml_platform.components.Predictions
attributes:
  key: predictions/colour
  champion_of: models/colour
  table: features/flowers
  execution: {{engine: {engine}}}
"""
DAILY = """
SELECT
    $start::DATE AS day, range AS number, sin(range + day($start::DATE)) + 3 * (range % 3) AS a,
    cos(range) - 2 * (range % 3) AS b, ['red', 'green', 'blue'][1 + range % 3] AS colour
FROM range(60)
"""
WORK = """
def flowers(daily):
    return daily.assign(a=daily["a"].round(6), size=daily["a"] * daily["b"])
"""


def files(workshop):
    """Every table's files, by their place."""
    root = workshop.root / "tables"
    found = {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*.parquet")}
    shutil.rmtree(root)
    return found


def made(workshop, engine):
    text = PROJECT.format(engine=engine, package=workshop.package)
    workshop.write("defs.yaml", text)
    for keys, partitions in ((["features/daily"], DAYS), (REST, ())):
        outcome = workshop.run(*keys, partitions=partitions)
        assert outcome.success, outcome.failures
    return files(workshop)


def test_tables_a_model_and_its_predictions_are_byte_for_byte_the_same(workshop, monkeypatch):
    workshop.write("__init__.py", "")
    workshop.write("daily.sql", DAILY)
    workshop.write("work.py", WORK)
    found = {}
    # Begun before the environment says where models are; its processes never see that by themselves
    with connected(Plan(engine="ray")):
        for engine in ("local", "ray"):
            store = workshop.root / f"{engine}.db"
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
            found[engine] = made(workshop, engine)
    assert len(found["local"]) == len(DAYS) + len(REST)
    assert found["local"].keys() == found["ray"].keys()
    others = [name for name, own in found["local"].items() if found["ray"][name] != own]
    assert others == []
