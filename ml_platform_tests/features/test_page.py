"""The page on preparation, docs/preparation.md: its examples load, and it names every word."""

import re
from pathlib import Path

import pytest
import yaml

from ml_platform.execution.preparing import ColumnOptions, PreparationOptions
from ml_platform.features.component import PreparedTable
from ml_platform.kernel.names import TableKey
from ml_platform_tests.features.test_prepared import orders

PAGE = (Path(__file__).parents[2] / "docs" / "preparation.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_loads_as_it_stands(workshop, example):
    workshop.write("example/defs.yaml", example)
    project = workshop.load()
    assert not project.broken, project.broken[0]
    keys = {one["attributes"].get("key") for one in yaml.safe_load_all(example)} - {None}
    made = project.definitions.resolve_asset_graph().executable_asset_keys
    assert keys <= {key.to_user_string() for key in made}


def test_the_example_of_rows_of_which_too_much_was_imputed_names_them(workshop):
    (example,) = (one for one in EXAMPLES if "imputed_share" in one)
    workshop.store.write("shop", TableKey("raw", "orders"), orders())
    workshop.write("example/defs.yaml", example)
    outcome = workshop.run()
    (failed,) = (one for one in outcome.failures if one.what == "features/orders_prepared: schema")
    gaps = int(orders().head(300)["load"].isna().sum())
    assert f"{gaps} of 300 rows" in failed.message


OWN = ["table", "target", "learnt_by", "add_imputed_share"]


def test_the_tables_of_the_page_name_every_word_in_order_and_no_other():
    named = {
        heading: re.findall(
            r"^\| `(\w+)` \|", PAGE.split(f"## {heading}\n")[1].split("\n## ")[0], re.MULTILINE
        )
        for heading in ("The table", "The options")
    }
    assert named == {"The table": OWN, "The options": list(PreparationOptions.model_fields)}
    assert set(OWN) == set(PreparedTable.model_fields) - set(PreparationOptions.model_fields) - set(
        PreparedTable.__mro__[1].model_fields
    )


def test_the_words_of_a_column_are_named():
    (said,) = re.findall(r"^A column says (.*), with the words", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", said) == list(ColumnOptions.model_fields)
