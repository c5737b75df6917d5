"""docs/alerts.md says what is so: its examples load, its tables name everything and no more."""

import re
from pathlib import Path

import pytest
import yaml

from ml_platform.alerts.event import KINDS
from ml_platform.alerts.quota import QuotaWords
from ml_platform.alerts.rules import CONDITION_NAMES, Rule
from ml_platform.alerts.timing import ATTEMPTS_AFTER_S

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def section(heading):
    return PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text):
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([\w.]+)`", row)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_a_rule_or_a_quota(example):
    declared = yaml.safe_load(example)
    word = declared["type"].removeprefix("ml_platform.components.")
    assert {"Reporter": Rule, "Quota": QuotaWords}[word](**declared["attributes"]).name
    assert len(EXAMPLES) == 4


def test_the_table_of_attributes_names_all_of_them():
    assert sorted(first_cells(section("A rule"))) == sorted(Rule.model_fields)


def test_the_table_of_limits_names_all_of_them_in_order():
    assert first_cells(section("A quota")) == list(QuotaWords.model_fields)


def test_the_table_of_events_names_all_of_them_once():
    assert sorted(first_cells(section("Events"))) == sorted(KINDS)


def test_what_a_condition_may_ask_is_listed():
    listed = section("A rule").partition("A condition asks for")[2].partition("It and")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == set(CONDITION_NAMES)


def test_the_python_example_tells(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PLATFORM_ALERTS_URL", f"sqlite:///{tmp_path}/alerts.db")
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/alerts.md", "exec"), {})
    from ml_platform.alerts.outbox import Outbox

    with Outbox(f"sqlite:///{tmp_path}/alerts.db").book() as book:
        [found] = book.take_told("shop", 10)
    assert (found.type, found.asset_key) == ("drift.found", "features/sales")


def test_the_waits_between_attempts_are_those_of_the_schedule():
    words = "5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h"
    assert words in " ".join(PAGE.split())
    hours = [int(n) * 3600 for n in (2, 5, 10, 14, 20, 24)]
    assert list(ATTEMPTS_AFTER_S) == [0, 5, 300, 1800, *hours]
