"""Made-up tables that the tests of preparation share."""

import numpy as np
import pandas as pd
import pytest

TOGETHER = ["riders", "busy", "waiting"]


def deliveries(rows=3000, seed=0):
    """Orders of 30 stores in 4 markets: no gaps yet.

    Riders follow the hour of a market and the size of a store; busy riders and waiting orders
    follow the riders. `kind` is told by the store; `luck` by nothing.
    """
    draw = np.random.default_rng(seed)
    store = draw.integers(0, 30, rows)
    market = store % 4
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta(
        np.sort(draw.integers(0, 20 * 86_400, rows)), "s"
    )
    hour = at.hour + at.minute / 60
    riders = (
        40 + 20 * np.sin(2 * np.pi * (hour - market) / 24) + 10 * market + draw.normal(0, 2, rows)
    )
    busy = 0.8 * riders + draw.normal(0, 2, rows)
    return pd.DataFrame(
        {
            "at": at,
            "store_id": store,
            "market": [f"m{one}" for one in market],
            "kind": [f"k{one % 7}" for one in store],
            "riders": riders.round(1).to_numpy(),
            "busy": busy.round(1).to_numpy(),
            "waiting": (1.3 * busy + draw.normal(0, 3, rows)).round(1).to_numpy(),
            "luck": draw.normal(0, 1, rows).round(3),
        }
    )


def with_gaps(frame, columns, share, seed=1, *, together=False):
    """The same table with gaps, at random, or in the same rows of all columns."""
    draw = np.random.default_rng(seed)
    gaps = pd.DataFrame(False, index=frame.index, columns=columns)
    row = draw.random(len(frame)) < share
    for name in columns:
        gaps[name] = row if together else draw.random(len(frame)) < share
    return frame.mask(gaps.reindex(columns=frame.columns, fill_value=False)), gaps


@pytest.fixture(name="deliveries")
def _deliveries():
    return deliveries


@pytest.fixture(name="with_gaps")
def _with_gaps():
    return with_gaps
