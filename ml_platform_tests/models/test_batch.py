"""Many regressions in one solve are the same as each by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_platform.models.batch import KNOTS, Batch, Clock, Hold, fitted, recent, spread_of

CLOCK = Clock(origin=119, unit=30.0, seasons=(7.0, 30.4))
HOLD = Hold(slope=1.0, bend=0.5)


def problem(series, own, gaps, seed):
    """Columns, values and holds of some series; the first three are whole, and so twins."""
    draw = np.random.default_rng(seed)
    time = CLOCK.columns(np.arange(120))
    seen = (draw.random((series, 120)) >= gaps).astype(float)
    seen[:3] = 1
    columns = draw.normal(size=(own, series, 120)) * seen
    columns[:, :3] = columns[:, :1]
    values = draw.normal(size=(series, 120)).cumsum(axis=1) * seen
    lengths = np.full(series, 120)
    holds = np.hstack([CLOCK.holds(HOLD, lengths), np.full((series, own), 0.3)])
    return time, columns, seen, values, holds


def alone(time, own, seen, values, holds):
    """Ridge of one series as least squares with a row for each penalty."""
    columns = np.column_stack([time, *own])[seen > 0]
    rows = np.vstack([columns, np.diag(np.sqrt(holds))])
    return np.linalg.lstsq(rows, np.append(values[seen > 0], np.zeros(len(holds))))[0]


@settings(max_examples=25, deadline=None)
@given(
    series=st.integers(4, 12),
    own=st.integers(0, 2),
    gaps=st.sampled_from([0.0, 0.1, 0.7]),
    seed=st.integers(0, 1000),
)
def test_all_series_in_one_solve_have_the_effects_of_each_alone(series, own, gaps, seed):
    time, columns, seen, values, holds = problem(series, own, gaps, seed)
    effects = Batch.of(time, columns, seen).solve(values, holds)
    for s in range(series):
        one = alone(time, columns[:, s], seen[s], values[s], holds[s])
        line = time @ one[: time.shape[1]] + columns[:, s].T @ one[time.shape[1] :]
        np.testing.assert_allclose(effects[s], one, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(fitted(effects, time, columns)[s], line, rtol=1e-8, atol=1e-8)


def test_twins_share_a_matrix_and_a_different_gap_or_column_makes_none():
    time, columns, seen, _, _ = problem(6, 1, 0.2, 0)
    assert Batch.of(time, columns, seen).twins[0].tolist() == [0, 1, 2]
    columns[0, 1, 5] += 1
    seen[2, 7] = 0
    assert len(Batch.of(time, columns, seen).twins) == 6


def test_what_no_series_is_long_enough_to_learn_is_left_out_and_would_be_zero():
    _, _, seen, values, _ = problem(4, 0, 0.1, 1)
    clock = Clock(119, 365.25, (7.0, 365.25))
    short = clock.for_length(120)
    assert short.seasons == (7.0,)
    assert short.knots == KNOTS[:3]
    steps, lengths, none = np.arange(120), np.full(4, 120), np.zeros((0, 4, 120))
    lines = []
    for one in (clock, short):
        batch = Batch.of(one.columns(steps), none, seen)
        lines.append(batch.line(batch.solve(values, one.holds(HOLD, lengths))))
    np.testing.assert_allclose(lines[0], lines[1], atol=1e-8)


@pytest.mark.parametrize(
    ("steps", "young", "waves"),
    [(360, (), 0), (365, (365.25,), 2), (547, (365.25,), 2), (548, (), 20)],
)
def test_a_season_that_was_seen_once_has_its_first_harmonic_alone(steps, young, waves):
    clock = Clock(steps - 1, 365.25, (7.0, 365.25)).for_length(steps)
    assert clock.young == young
    of_time = 2 + len(clock.knots) + 6  # level, slope, bends and the week
    assert clock.columns(np.arange(steps)).shape[1] == of_time + waves


def test_series_with_and_without_a_whole_season_are_held_each_by_its_own_length():
    clock = Clock(599, 365.25, (365.25,))
    unseen, once, twice = clock.holds(HOLD, np.array([300, 400, 600]))[:, -20:-10]
    assert (unseen > 1e9).all()
    assert once[0] == pytest.approx(0.05 * 365.25)
    assert (once[1:] > 1e9).all()
    assert twice.tolist() == [HOLD.season * order for order in range(1, 11)]


def test_a_bend_moves_what_was_before_it_and_nothing_after_the_origin():
    columns = CLOCK.columns(np.arange(150))
    bends = columns[:, 2 : 2 + len(KNOTS)]
    assert (bends[119:] == 0).all()
    assert (bends[0, np.array(KNOTS) * 30 < 119] > 0).all()
    assert columns[119, :2].tolist() == [1.0, 0.0]


def test_a_season_of_any_shape_is_learnt_whole_when_it_is_short():
    clock = Clock(69, 7.0, (7.0,))
    shape = np.array([5.0, -1.0, 0.0, 2.0, -4.0, 1.0, -3.0])
    values = np.tile(shape, 10)[None, :]
    batch = Batch.of(clock.columns(np.arange(70)), np.zeros((0, 1, 70)), np.ones((1, 70)))
    firm = Hold(slope=1e9, bend=1e9, season=1e-9)
    line = batch.line(batch.solve(values, clock.holds(firm, np.array([70]))))
    np.testing.assert_allclose(line, values, atol=1e-6)


def test_wild_values_move_a_tamed_series_little():
    clock = Clock(99, 52.0, ())
    draw = np.random.default_rng(3)
    values = draw.normal(0, 1, (1, 100))
    wild = values.copy()
    wild[0, 60:64] += 1000
    batch = Batch.of(clock.columns(np.arange(100)), np.zeros((0, 1, 100)), np.ones((1, 100)))
    holds = clock.holds(Hold(slope=1e9, bend=1e9), np.array([100]))
    level = {
        kind: float(batch.line(batch.solve(one, holds))[0, -1])
        for kind, one in (
            ("clean", values),
            ("wild", wild),
            ("tamed", batch.tamed(wild, holds, rounds=20)),
        )
    }
    assert abs(level["wild"] - level["clean"]) > 30
    assert abs(level["tamed"] - level["clean"]) < 0.3


def test_a_robust_spread_is_the_medians_and_the_means_where_that_is_zero():
    rest = np.array([[1.0, -2.0, 3.0, np.nan], [0.0, 0.0, 3.0, np.nan], [np.nan] * 4])
    assert spread_of(rest) == pytest.approx([1.4826 * 2, 1.0, 0.0])


def test_recent_residuals_count_by_their_age_from_each_series_own_end():
    rest = np.array([[8.0, np.nan, 4.0, 2.0], [8.0, np.nan, 4.0, np.nan], [np.nan] * 4])
    found = recent(rest, np.array([3, 2, 3]), [1.0])
    assert found[0, 0] == pytest.approx((2 + 4 / 2 + 8 / 8) / (1 + 1 / 2 + 1 / 8 + 1))
    assert found[0, 1] == pytest.approx((4 + 8 / 4) / (1 + 1 / 4 + 1))
    assert found[0, 2] == 0
