"""What counts as drift: a change of size that is more than chance, and nothing else."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from ml_platform.checks.drift import Limits, compare, report
from ml_platform.checks.profile import from_text, to_text, values_of

RANDOM = np.random.default_rng(7)
USUAL = Limits()


def figures(before, now, limits=USUAL):
    """The figures of one column `x`, by name."""
    reference = values_of(pd.DataFrame({"x": before}), [])
    profiles = {name: one.profile() for name, one in reference.items()}
    found = compare(profiles, values_of(pd.DataFrame({"x": now}), []), limits)
    return {one.name: one for one in found}


def drifted(before, now, limits=USUAL):
    return sorted(name for name, one in figures(before, now, limits).items() if one.is_drift)


def normal(rows, mean=0.0, spread=1.0):
    return RANDOM.normal(mean, spread, rows)


def words(rows, **shares):
    return RANDOM.choice(list(shares), rows, p=list(shares.values()))


def holes(values, share):
    return np.where(RANDOM.random(len(values)) < share, np.nan, values)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param(normal(5000), normal(5000), [], id="nothing has changed"),
        pytest.param(normal(5000), normal(5000, 1.0), ["ks", "psi"], id="the mean has moved"),
        pytest.param(normal(5000), normal(5000, 0, 3), ["ks", "psi"], id="it is wider"),
        pytest.param(normal(400_000), normal(400_000, 0.03), [], id="a trifle, in many rows"),
        pytest.param(normal(30), normal(30), [], id="chance, in few rows"),
        pytest.param(normal(5000), normal(30, 3.0), ["ks", "psi"], id="much, in few rows"),
        pytest.param([5.0] * 500, [5.0] * 90, [], id="one value only"),
        pytest.param([5.0] * 500, [6.0] * 90, ["ks"], id="one value that is another"),
        pytest.param([5.0] * 500, [4.0] * 90, ["ks"], id="one value that is less"),
        pytest.param(normal(5000), holes(normal(5000), 0.3), ["missing"], id="values are missing"),
        pytest.param(holes(normal(5000), 0.5), holes(normal(5000), 0.52), [], id="as many holes"),
        pytest.param(normal(900), [np.nan] * 900, ["missing"], id="nothing is there any more"),
        pytest.param([np.nan] * 900, [np.nan] * 900, [], id="nothing was or is there"),
        pytest.param(normal(900), normal(900).astype(str), ["kind"], id="numbers became texts"),
        pytest.param(
            words(3000, a=0.5, b=0.5), words(3000, a=0.5, b=0.5), [], id="categories as before"
        ),
        pytest.param(
            words(3000, a=0.5, b=0.5), words(3000, a=0.9, b=0.1), ["jensen_shannon"],
            id="one category has grown",
        ),
        pytest.param(
            words(3000, a=0.5, b=0.5), words(3000, a=0.4, b=0.4, c=0.2), ["jensen_shannon"],
            id="a category is new",
        ),
        pytest.param(
            words(12, a=0.5, b=0.5), words(12, a=0.5, b=0.5), [], id="few of each category"
        ),
        pytest.param(
            [True] * 500 + [False] * 500, [True] * 50 + [False] * 950, ["jensen_shannon"],
            id="truth values",
        ),
        pytest.param(
            [Decimal(n) for n in range(100)] * 9, [Decimal(n + 60) for n in range(100)] * 9,
            ["ks", "psi"], id="decimals are numbers",
        ),
    ],
)  # fmt: skip
def test_what_is_drift(before, now, expected):
    assert drifted(before, now) == expected


def test_equal_distributions_are_seldom_drift_however_few_the_rows():
    alarms = sum(bool(drifted(normal(rows), normal(rows))) for rows in [20] * 150 + [60] * 150)
    assert alarms <= 4


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200),
)
def test_the_distance_is_the_largest_difference_at_any_value(before, now):
    upto = [[np.mean(np.array(one) <= x) for x in before + now] for one in (before, now)]
    known = np.abs(np.subtract(*upto)).max()
    assert figures(before, now)["ks"].value == pytest.approx(known, abs=1e-9)


def test_of_many_values_the_distance_is_off_by_a_thousandth_at_most():
    before, now = normal(50_000), normal(40_000, 0.4, 1.3)
    known = ks_2samp(before, now, method="asymp").statistic
    assert figures(before, now)["ks"].value == pytest.approx(known, abs=0.001)


def test_the_distance_of_categories_is_that_of_the_library():
    before, now = words(3000, a=0.6, b=0.3, c=0.1), words(2000, a=0.3, b=0.3, c=0.4)
    shares = [[np.mean(one == name) for name in "abc"] for one in (before, now)]
    found = figures(before, now)["jensen_shannon"].value
    assert found == pytest.approx(jensenshannon(*shares, base=2))


def test_the_index_is_that_of_its_definition():
    before, now = np.arange(1000.0), np.arange(500.0, 1500.0)
    first = np.full(10, 0.1)
    second = np.array([0, 0, 0, 0, 0, 0.1, 0.1, 0.1, 0.1, 0.6])
    first, second = (
        (one * 1000 + 0.5) / (1000 + 0.5 * len(one)) for one in (first, second)
    )  # half a row in each tenth, so that none is empty
    known = np.sum((second - first) * np.log(second / first))
    assert figures(before, now)["psi"].value == pytest.approx(known, rel=0.01)


def test_the_limits_are_those_that_were_declared():
    before, now = normal(5000), normal(5000, 1.0)
    assert drifted(before, now, Limits(psi=9, ks=0.9)) == []
    assert drifted(before, now, Limits(psi=9, ks=0.1)) == ["ks"]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), max_size=60))
def test_a_profile_that_was_kept_says_the_same(values):
    values_ = values_of(pd.DataFrame({"x": pd.Series(values, dtype=object)}), [])
    profiles = {name: one.profile() for name, one in values_.items()}
    assert from_text(to_text(profiles, "mark", "about")) == (profiles, "mark", "about")


def test_a_report_shows_every_figure_and_no_name_breaks_it():
    reference = values_of(pd.DataFrame({"a|b": normal(500), "c": ["x"] * 500}), [])
    profiles = {name: one.profile() for name, one in reference.items()}
    now = values_of(pd.DataFrame({"a|b": normal(500, 2), "c": ["x"] * 500}), [])
    tokens = MarkdownIt("commonmark").enable("table").parse(report(compare(profiles, now), "said"))
    cells = ["".join(one.content for one in t.children) for t in tokens if t.children and t.level]
    rows = [cells[start : start + 2] for start in range(1, len(cells), 5)]
    assert rows == [
        ["column", "figure"], ["a|b", "psi"], ["a|b", "ks"], ["a|b", "missing"], ["c", "missing"],
        ["c", "jensen_shannon"],
    ]  # fmt: skip
