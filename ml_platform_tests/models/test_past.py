"""What a series' own past says, without what came after."""

import copy

import numpy as np
import pandas as pd
import pytest

from ml_platform.models.forecast import conformal_quantile
from ml_platform.models.panel import Calendar, Columns, read_grid
from ml_platform.models.past import (
    CHOICES,
    HOLDS,
    USUAL,
    History,
    Trial,
    View,
    mixed,
    quantiles,
    weighed,
    widths_of,
)

COLUMNS = Columns("series", "time", "target", ("promo",))


def history(count=3, days=200, seed=0):
    draw = np.random.default_rng(seed)
    time = pd.date_range("2024-01-01", periods=days)
    week = 1 + 0.3 * np.sin(2 * np.pi * np.arange(days) / 7)
    parts = [
        pd.DataFrame(
            {
                "series": f"s{s}",
                "time": time,
                "target": 50 * week * np.exp(draw.normal(0, 0.1, days)),
                "promo": (draw.random(days) < 0.2).astype(float),
            }
        )
        for s in range(count)
    ]
    panel = pd.concat(parts, ignore_index=True)
    grid = read_grid(panel, COLUMNS, Calendar.of(panel["time"]))
    return History.of(grid, (7.0, 365.25))


def spoilt(one, place):
    changed = copy.deepcopy(one)
    changed.heights[:, place:] = 99.0
    changed.known[:, :, place:] = -5.0
    return changed


def test_what_is_seen_at_an_origin_knows_nothing_of_what_came_after_it():
    clean = history()
    at = {name: View.of(one, 120) for name, one in (("a", clean), ("b", spoilt(clean, 121)))}
    np.testing.assert_array_equal(at["a"].effects(), at["b"].effects())
    np.testing.assert_array_equal(at["a"].basis.span, at["b"].basis.span)
    moved = View.of(spoilt(clean, 120), 120)
    assert np.abs(moved.effects() - at["a"].effects()).max() > 0.1


def test_a_trial_misses_what_came_by_as_much_as_its_choice_says():
    one = history()
    trial = Trial.of(one, 150, 14)
    number = CHOICES.index((USUAL, 1, 1.0))
    sure = np.zeros((3, len(CHOICES)))
    sure[:, number] = 1
    sums, counts = trial.errors()
    np.testing.assert_allclose(np.abs(trial.misses(sure)).sum(axis=1), sums[:, number])
    assert counts.tolist() == [14, 14, 14]


def test_the_choice_that_erred_least_counts_most_and_a_short_series_takes_the_usual_one():
    one = history()
    one.heights[2, :145] = np.nan
    trial = Trial.of(one, 150, 14)
    weights, judged = weighed([trial], 3)
    sums, _ = trial.errors()
    assert judged.tolist() == [True, True, False]
    assert (weights.argmax(axis=1) == sums.argmin(axis=1))[:2].all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert {CHOICES[n][0] for n in np.flatnonzero(weights[2])} == {USUAL}


def test_averaged_effects_are_those_of_averaged_forecasts():
    one = history()
    view = View.of(one, 199)
    effects = view.effects()
    draw = np.random.default_rng(1).random((3, len(CHOICES)))
    weights = draw / draw.sum(axis=1, keepdims=True)
    average, carried = mixed(effects, weights)
    lines = view.basis.lines([*effects, average], one.steps, one.known)
    shares = [weights[:, [h == k for h, _, _ in CHOICES]].sum(axis=1) for k in range(len(HOLDS))]
    said = sum(share[:, None] * line for share, line in zip(shares, lines, strict=False))
    np.testing.assert_allclose(lines[-1], said, rtol=1e-9)
    assert carried.min() >= 0
    assert carried.sum(axis=1).max() <= 1


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8, 0.99])
def test_quantiles_of_rows_are_the_conformal_quantiles_of_each(level):
    scores = np.random.default_rng(2).normal(size=(4, 11))
    scores[1, 3:9] = np.nan
    scores[3] = np.nan
    found = quantiles([scores[:, :5], scores[:, 5:]], level, 4)
    for row in range(3):
        assert found[row] == conformal_quantile(np.abs(scores[row]), level)
    assert np.isnan(found[3])


def test_an_interval_is_never_narrower_further_on_and_grows_with_the_root_where_unjudged():
    one = history()
    view = View.of(one, 199)
    misses = np.random.default_rng(3).normal(size=(3, 9)) * np.linspace(3, 1, 9)
    misses[2] = np.nan
    widths = widths_of([misses], view, 9, 0.8)
    assert (np.diff(widths, axis=1) >= 0).all()
    np.testing.assert_allclose(widths[2] / widths[2, 0], np.sqrt(np.arange(1, 10)))
