"""Pictures of tables: what is drawn, and that it is read on light and on dark ground."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from ml_platform.execution.picture import COLOURS, INK, Chart, png
from ml_platform.kernel.errors import DataError

FRAME = pd.DataFrame({"x": range(10), "y": range(10), "low": np.arange(10) - 3.0, "high": 12.0})
GROUNDS = ["#ffffff", "#111827"]


def pixels(chart, frame=FRAME):
    """Height x width x (red, green, blue, opacity), each 0 to 1."""
    return imread(io.BytesIO(png(chart, frame)))


def luminance(colour):
    """As WCAG 2.2 defines it."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("colour", [INK, *COLOURS])
def test_every_colour_stands_out_from_light_and_from_dark_ground(colour, ground):
    darker, lighter = sorted([luminance(colour), luminance(ground)])
    assert (lighter + 0.05) / (darker + 0.05) >= 3  # WCAG's least for graphics and large text


@pytest.mark.parametrize("kind", ["line", "bar"])
def test_a_picture_has_no_ground_of_its_own(kind):
    opacity = pixels(Chart(kind, "x", ("y",), title="t", unit="u"))[..., 3]
    assert opacity[0, 0] == opacity[-1, -1] == 0
    assert np.median(opacity) == 0
    assert opacity.max() == 1


def share_of_band(frame):
    """How much of the picture is half see-through in the colour of its only line."""
    shot = pixels(Chart("line", "x", ("y",), band=("low", "high")), frame)
    is_blue = np.abs(shot[..., :3] - to_rgb(COLOURS[0])).max(axis=2) < 0.02
    return np.mean(is_blue & (np.abs(shot[..., 3] - 0.3) < 0.02))


def test_the_space_between_the_bounds_is_filled_in_the_lines_colour():
    assert share_of_band(FRAME) > 0.2


def test_a_band_is_drawn_only_where_its_bounds_are_known():
    later = FRAME.assign(low=FRAME["low"].where(FRAME["x"] >= 5))
    assert 0.05 < share_of_band(later) < share_of_band(FRAME)


def test_a_column_that_the_table_lacks_is_named_with_the_likeliest():
    with pytest.raises(DataError, match=r"high \(did you mean this\?\)"):
        png(Chart("line", "x", ("y",), band=("low", "hig")), FRAME)
