"""Panels are read as they are, on the calendar that they have, or refused with the reason."""

import numpy as np
import pandas as pd
import pytest

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.models.panel import Calendar, Columns, clean_panel, read_grid

COLUMNS = Columns("series", "time", "target", ("promo",), ("heat",))


def read(panel, columns=COLUMNS):
    frame = clean_panel(panel, columns)
    return read_grid(frame, columns, Calendar.of(frame["time"]))


def test_every_value_lies_at_its_series_and_step(made_panel):
    panel = made_panel(count=2, weeks=6).drop(index=3)
    grid = read(panel.sample(frac=1, random_state=0))
    assert (grid.names, grid.steps.tolist()) == (["s0", "s1"], list(range(6)))
    assert grid.target[1].tolist() == panel.loc[panel["series"] == "s1", "target"].tolist()
    assert np.isnan(grid.target[0]).nonzero()[0].tolist() == [3]
    assert grid.known[1, :, 0].tolist() == panel.loc[panel["series"] == "s1", "promo"].tolist()


def test_observed_values_end_with_each_series_own_last_target(made_panel):
    panel = made_panel(count=2, weeks=6, ahead=2)
    panel.loc[5, "target"] = np.nan
    grid = read(panel)
    assert grid.last.tolist() == [4, 5]
    assert np.isfinite(grid.observed[:, :, 0]).sum(axis=1).tolist() == [5, 6]
    assert np.isfinite(grid.known).all()


def test_nothing_after_a_place_is_left_in_a_cut_grid(made_panel):
    grid = read(made_panel()).until(100)
    assert np.isnan(grid.target[:, 101:]).all()
    assert np.isnan(grid.observed[:, 101:]).all()
    assert np.isfinite(grid.target[:, :101]).all()
    assert grid.last.tolist() == [100] * 4


def _without(column):
    return lambda panel: panel.drop(columns=column)


def _with(column, value, rows=slice(0, 1)):
    def change(panel):
        panel = panel.astype({column: object}) if isinstance(value, str) else panel.copy()
        panel.loc[rows, column] = value
        return panel

    return change


BAD_PANELS = [
    (_without("promo"), "no column 'promo'"),
    (_with("series", None), "column 'series' has no value in 2 rows"),
    (_with("promo", np.nan), "known column 'promo' has no value in 2 rows"),
    (_with("promo", "much"), "column 'promo' holds object"),
    (_with("target", np.inf), "column 'target' holds infinite"),
    (_with("time", pd.Timestamp("2020-01-07"), 0), "lies between two steps of 7 days"),
    (lambda panel: pd.concat([panel, panel.tail(2)]), "2 rows share a series and time step"),
    (lambda panel: panel.assign(time="soon"), "holds no times"),
    (lambda panel: panel[panel["time"] == "2020-01-03"], "fewer than two different times"),
]


@pytest.mark.parametrize(("spoil", "said"), BAD_PANELS, ids=[said for _, said in BAD_PANELS])
def test_a_bad_panel_is_refused_with_its_reason(spoil, said, made_panel):
    with pytest.raises(DataError, match=said):
        read(spoil(made_panel(ahead=4)))


def test_a_column_with_two_parts_to_play_is_refused(made_panel):
    with pytest.raises(DeclarationError, match="named twice: heat"):
        read(made_panel(), Columns("series", "time", "target", ("heat",), ("heat",)))


def test_whole_numbers_in_place_of_the_dates_of_fitting_are_refused(made_panel):
    panel = made_panel(ahead=4)
    calendar = Calendar.of(panel["time"])
    with pytest.raises(DataError, match="the same kind as in fitting"):
        calendar.number(panel.groupby("series").cumcount())


@pytest.mark.parametrize("rule", ["D", "7D", "h", "MS", "ME", "QE", "YE"])
def test_steps_are_counted_for_every_regular_calendar(rule):
    times = pd.Series(pd.date_range("2019-01-31", periods=30, freq=rule))
    assert Calendar.of(times).number(times).tolist() == list(range(30))


def test_four_week_periods_are_no_months():
    times = pd.Series(pd.date_range("2019-01-04", periods=60, freq="28D"))
    calendar = Calendar.of(times.drop(7))
    assert calendar.number(times).tolist() == list(range(60))


def test_iso_text_is_read_as_dates(made_panel):
    panel = made_panel(ahead=4)
    text = panel.assign(time=panel["time"].dt.strftime("%Y-%m-%d"))
    pd.testing.assert_frame_equal(clean_panel(text, COLUMNS), clean_panel(panel, COLUMNS))
