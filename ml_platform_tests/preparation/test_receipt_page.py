"""The page of a receipt: whole in itself, true to its data, and safe with any of it."""

import html
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from ml_platform.preparation.receipt import ColumnReceipt, Receipt
from ml_platform.preparation.transformer import AutoPrepare

VOID = {"meta", "br", "rect", "wbr", "input", "img"}


def orders(rows=400):
    rng = np.random.default_rng(0)
    shop = rng.integers(0, 8, rows)
    frame = pd.DataFrame(
        {
            "shop": [f"shop {one}" for one in shop],
            "items_in_order": rng.normal(10, 3, rows) + 4 * shop,
            "weight": rng.normal(2, 1, rows) + shop,
            "same": 1,
        }
    )
    gaps = rng.random(rows) < 0.2
    frame.loc[gaps, ["items_in_order", "weight"]] = np.nan
    return pd.concat([frame, frame.head(5)], ignore_index=True)


@pytest.fixture(scope="module")
def receipt():
    return AutoPrepare().prepare(orders()).receipt


@pytest.fixture(scope="module")
def page(receipt):
    return receipt.to_html("features/orders", "shop, run 12345678")


class Balance(HTMLParser):
    """Insists that each tag that opens is closed in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def text_of(page):
    plain = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).replace("<wbr>", "")
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", plain)).split())


def card_of(page, name):
    cards = page.replace("<wbr>", "").split('<section class="card">')[1:]
    return next(card for card in cards if f"<h3>{name}</h3>" in card)


def test_the_page_needs_no_other_host_and_closes_what_it_opens(page):
    assert not re.findall(r"""(?:src|href|url\()\s*=?\s*["']?\s*(?:https?:)?//""", page)
    assert "<script" not in page
    balance = Balance()
    balance.feed(page)
    assert balance.open == []


def test_the_page_tells_rows_that_went_gaps_and_where_they_lie_together(page, receipt):
    said = text_of(page)
    assert "features/orders" in said
    assert f"rows came {receipt.rows} rows left {receipt.rows_left}" in said
    assert f"{receipt.dropped['duplicates']}: duplicates" in said
    gaps = receipt.column("weight").gaps
    assert f"weight {gaps}" in said
    assert f"items_in_order, weight {gaps} rows" in said


def test_each_column_shows_its_values_before_and_after_in_as_many_bars(page, receipt):
    for name in ("items_in_order", "weight"):
        card = card_of(page, name)
        column = receipt.column(name)
        assert card.count('<rect class="before"') == len(column.before["counts"])
        assert card.count('<rect class="after"') == len(column.after["counts"])


def test_the_tallest_bar_is_the_fullest_bin_and_none_is_higher_than_the_picture(page, receipt):
    column = receipt.column("weight")
    heights = re.findall(r'<rect class="(\w+)"[^>]* height="([\d.]+)"', card_of(page, "weight"))
    before = [float(height) for kind, height in heights if kind == "before"]
    counts = column.before["counts"]
    assert int(np.argmax(before)) == int(np.argmax(counts))
    assert max(float(height) for _, height in heights) == 58.0


def test_all_candidates_stand_with_their_errors_the_best_first(page, receipt):
    column = receipt.column("weight")
    said = text_of(card_of(page, "weight"))
    assert f"Filled by {column.method}" in said
    places = [
        said.index(f"{name} {error:.3f}")
        for name, error in sorted(column.errors.items(), key=lambda pair: pair[1])
    ]
    assert len(places) > 2
    assert places == sorted(places)


def test_a_column_that_no_method_can_tell_says_so():
    column = ColumnReceipt(
        "noise", "number", 10, [], gaps=2, filled=2, method="median",
        errors={"median": 1.0, "boosted": float("nan")}, recoverable=False,
    )  # fmt: skip
    page = Receipt(10, 10, {}, [], [column], {}).to_html()
    assert "Not recoverable" in page
    assert "boosted" not in page
    assert "Not recoverable" not in Receipt(10, 10, {}, [], [], {}).to_html()


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x>', "a_<b>_c"])
def test_what_is_data_stays_text(evil):
    frame = pd.DataFrame({evil: [evil, "b", None, evil] * 5, "n": range(20)})
    page = AutoPrepare().prepare(frame).receipt.to_html(evil, evil)
    plain = page.replace("<wbr>", "")
    assert evil not in plain
    assert html.escape(evil, quote=False).split("_")[0] in plain.replace("&#34;", '"')


FRAMES = {
    "no value at all": {"a": [None, None, None]},
    "one row": {"a": [1.0], "b": ["x"]},
    "nothing but one value": {"a": [1, 1, 1, 1], "b": ["x"] * 4},
    "near the end of what a float can hold": {"a": [1e308, -1e308, 1e308, None]},
    "infinities": {"a": [np.inf, -np.inf, 1.0, 2.0]},
    "dates": {"a": pd.to_datetime(["2024-01-01", None, "2024-01-03"])},
    "texts": {"a": [f"a long text about the number {n} of many" for n in range(40)]},
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_strange_table_has_a_page_too(name):
    page = AutoPrepare().prepare(pd.DataFrame(FRAMES[name])).receipt.to_html()
    assert "<h3>a</h3>" in page
