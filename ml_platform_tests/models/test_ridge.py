"""The global model's parts against effects that are known, because they were put in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ml_platform.models.panel import Calendar, Columns, clean_panel, read_grid
from ml_platform.models.ridge import Climate, Design, Effects, Scale, Sums, Tuning, season_part

COLUMNS = Columns("series", "time", "target", ("promo",), ("heat",))


def read(panel, columns=COLUMNS):
    frame = clean_panel(panel, columns)
    return read_grid(frame, columns, Calendar.of(frame["time"]))


sizes = hnp.arrays(float, (3, 8), elements=st.floats(0.01, 1e6))


@given(target=sizes, zeros=st.booleans(), sign=st.sampled_from([1.0, -1.0]))
def test_a_scale_is_undone_by_its_way_back(target, zeros, sign):
    target[:, 0] *= not zeros
    scale = Scale.of(sign * target)
    np.testing.assert_allclose(
        scale.back(scale.forward(sign * target)), sign * target, rtol=1e-6, atol=1e-9
    )


def test_forecasts_of_a_series_without_negative_values_have_none():
    scale = Scale.of(np.array([[1.0, 2.0], [0.0, 2.0], [-1.0, 2.0]]))
    assert (scale.back(np.full((3, 1), -5.0))[:, 0] < 0).tolist() == [False, False, True]


def test_a_series_that_was_not_there_in_training_takes_its_own_scale():
    mine, other = Scale.of(np.array([[1.0, 2.0]])), Scale.of(np.array([[0.0, 8.0], [0.0, 4.0]]))
    assert mine.for_rows(np.array([-1, 0]), other).unit.tolist() == [1.0, 0.0]


@given(season=st.integers(1, 400))
def test_a_season_has_at_most_53_parts_in_order(season):
    parts = season_part(np.arange(season), season)
    assert (parts[0], parts[-1]) == (0, min(season, 53) - 1)
    assert set(np.diff(parts)) <= {0, 1}
    assert season_part(np.arange(season) + season, season).tolist() == parts.tolist()


@pytest.mark.parametrize(("weeks", "seasonal"), [(52, False), (53, True)])
def test_a_season_is_learnt_from_more_than_one_only(weeks, seasonal, made_panel):
    grid = read(made_panel(weeks=weeks))
    design = Design.of(grid, 52)
    assert design.seasonal is seasonal
    width = design.columns(grid).shape[2]
    assert width == (4 + 12 + 52 if seasonal else 4)
    assert [len(one) for one in design.penalties(Tuning())] == [width] * 2


def test_an_anomaly_fades_as_it_did_in_training(made_panel):
    panel = made_panel(ahead=8, weather=0.05)
    panel["price"] = np.tile(np.cumsum(np.random.default_rng(1).normal(size=148)), 4)
    grid = read(panel, Columns("series", "time", "target", (), ("heat", "price")))
    climate = Climate.of(grid, 52)
    quick, lasting = climate.fade
    assert quick < 0.3
    assert lasting > 0.8
    ahead = climate.anomalies(grid)[:, 139:, 1]
    np.testing.assert_allclose(ahead[:, 1:], ahead[:, :-1] * lasting)


def fitted(panel, **tuning):
    grid = read(panel)
    scale, design = Scale.of(grid.target), Design.of(grid, 52)
    values = scale.forward(grid.target)
    columns = design.columns(grid)
    return Sums.of(columns, values).solve(design, Tuning(**tuning)), columns, values


def test_an_effect_that_all_series_share_is_found_though_the_largest_have_it_oftenest(made_panel):
    panel = made_panel(count=6, promotion=0.0)
    often = panel["series"].str[1:].astype(int) * 0.15 + 0.1
    panel["promo"] = (np.random.default_rng(2).random(len(panel)) < often).astype(float)
    panel["target"] *= np.exp(0.4 * panel["promo"])
    effects, _, _ = fitted(panel)
    assert effects.common[2] == pytest.approx(0.4, abs=0.02)
    assert np.abs(effects.own[:, 2]).max() < 0.03


def test_a_firmer_pull_brings_each_series_nearer_to_the_others(made_panel):
    panel = made_panel(count=4, promotion=0.2)
    stronger = (panel["series"] == "s1") & (panel["promo"] == 1)
    panel["target"] *= np.where(stronger, np.exp(0.4), 1.0)
    loose, firm = (fitted(panel, pull=pull)[0].own[1, 2] for pull in (0.1, 100.0))
    assert loose > 0.25
    assert 0 < firm < 0.1 * loose


def test_the_spread_is_that_of_the_residuals(made_panel):
    effects, columns, values = fitted(made_panel(noise=0.05))
    line = effects.line(columns, np.arange(4))
    np.testing.assert_allclose(effects.spread, np.std(values - line, axis=1), rtol=0.05)


def test_a_series_that_was_not_there_in_training_has_common_effects_only(made_panel):
    effects, columns, _ = fitted(made_panel())
    line = effects.line(columns, np.array([-1, 1, 2, 3]))
    np.testing.assert_allclose(line[0], columns[0] @ effects.common)


def test_a_residual_counts_half_after_the_memory():
    effects = Effects(Tuning(memory=2.0), np.zeros(1), np.zeros((1, 1)), np.ones(1))
    residuals = np.array([[4.0, np.nan, 1.0, np.nan]])
    assert effects.level(residuals, np.array([2])) == pytest.approx((0.5 * 4 + 1) / 1.5)
