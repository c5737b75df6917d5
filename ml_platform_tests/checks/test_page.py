"""The page for analysts, docs/checks.md: its examples load, and it names every word."""

import re
from pathlib import Path

import pytest
import yaml

from ml_platform.checks.component import Checks, DriftFields
from ml_platform.checks.schema import Column, TableSchema

PAGE = (Path(__file__).parents[2] / "docs" / "checks.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_loads_as_it_stands(workshop, example):
    key = yaml.safe_load(example)["attributes"]["table"]
    layer, name = key.split("/")
    if layer == "raw":
        workshop.write("table/rows.csv", "store\n1\n")
        workshop.declare("Source", "table", key=key, file={"path": "rows.csv"})
    else:
        workshop.table(name)
    workshop.write("checks/defs.yaml", example)
    project = workshop.load()
    assert not project.broken, project.broken[0]
    checks = project.definitions.resolve_asset_graph().asset_check_keys
    kinds = {"pandera", "great_expectations", "drift"}
    declared = yaml.safe_load(example)["attributes"].keys() & kinds
    assert {one.asset_key.to_user_string() for one in checks} == {key}
    assert len(checks) == len(declared)


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("# Checks", Checks),
        ("## The table, for pandera", TableSchema),
        ("## A column", Column),
        ("## Drift", DriftFields),
    ],
)
def test_each_table_of_the_page_names_every_word_in_order_and_no_other(heading, model):
    section = PAGE.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(model.model_fields)
