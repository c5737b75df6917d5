"""Gradient boosting over all series: what harmonic regressions of them miss, learnt together.

What belongs here: the rows that trees learn from, made at origins in the past as they will be made
in use, and how many trees help. What does not: the regressions (`past`, `batch`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ml_platform.models.batch import spread_of
from ml_platform.models.forecast import PanelForecaster, conformal_quantile
from ml_platform.models.harmonic import seasons_of
from ml_platform.models.panel import joined
from ml_platform.models.past import BLOCKS, CHOICES, FEWEST, TINY, History, View, mixed

if TYPE_CHECKING:
    from ml_platform.models.panel import Floats, Grid, Ints

BOOSTING = {
    "objective": "regression_l1",  # the error that WAPE and MASE sum
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
MOST_TREES = 600
PATIENCE = 40
FEWEST_ROWS = 500
RECENT = 7
"""Steps over which a known column's latest mean is taken."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much of what the trees say is believed; none, where that was best at the last origin."""

CHANCE = 0.01
"""The gain there that says nothing: trees that are stopped at their best gain as much on noise."""


class BoostedForecaster(PanelForecaster):
    """One gradient-boosted model for all series, over lags that are known at the horizon.

    LightGBM (Ke et al., 2017) learns what a harmonic regression of each series got wrong at origins
    in the past: from the steps ahead, the calendar, the known columns at, before and after a step,
    the latest levels, and the residuals of whole seasons before that lie at least a horizon back.
    So trees need not learn trends, which they cannot go on with. The number of trees, and how much
    of them is believed, is chosen at the last origin; intervals come from the residuals there.

    Takes the same parameters as `PanelForecaster`; `observed` columns are not used.
    """

    ORIGINS = 6

    def _learn(self, grid: "Grid") -> None:
        history, end = self._history(grid), int(grid.last.max())
        looks = [Look.of(history, at, self._ahead(at)) for at in self._origins(end)]
        self.booster_, self.share_, self.widths_ = boosted(
            looks, self.horizon, self.level, self.random_state
        )
        if self.booster_ is None:
            self.notes_.append(
                f"The history is too short to learn {self.horizon} steps ahead from origins inside "
                "it: the forecasts are those of harmonic regressions alone."
            )
        elif not self.share_:
            self.notes_.append("Boosting did not help at the last origin: it is left out.")

    def _history(self, grid: "Grid") -> History:
        return History.of(grid, seasons_of(self.calendar_, self.season_length))

    def _ahead(self, origin: int) -> "Ints":
        return origin + np.arange(1, self.horizon + 1)

    def _origins(self, end: int) -> list[int]:
        """Places in the past, the latest first, half a horizon apart."""
        apart = max(self.horizon // 2, 1)
        found = [end - self.horizon - apart * k for k in range(self.ORIGINS)]
        return [one for one in found if one >= FEWEST - 1]

    def _forecast(self, grid: "Grid") -> "tuple[Floats, Floats, Floats]":
        whole = joined(self.grid_, grid)
        history, end = self._history(whole), int(whole.last.max())
        # A series that ended before the others is forecast from its own end on.
        places = np.arange(int(whole.last.min()) + 1, whole.target.shape[1])
        look = Look.of(history, end, places)
        said = look.base + self.share_ * look.said_by(self.booster_)
        ahead = np.clip(places[None, :] - whole.last[:, None], 1, self.horizon)
        half = look.spread[:, None] * self.widths_[ahead - 1]
        answer = np.full((3, *grid.target.shape), np.nan)
        for number, move in enumerate((0, -half, half)):
            bound = np.full(whole.target.shape, np.nan)
            bound[:, places] = history.scale.back(said + move)
            answer[number] = bound[:, grid.part_of(whole)]
        return answer[0], answer[1], answer[2]


# --- What trees learn from ------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """What regressions say at an origin of the steps after it, and what else was known of them.

    Attributes:
        base: S x h forecasts on the scale, the mean of all choices.
        rest: what came, less the base; NaN where it is not known.
        spread: the usual size of the residuals in the past of each series, S numbers.
        features: S x h x f, NaN where there is no value.
    """

    base: "Floats"
    rest: "Floats"
    spread: "Floats"
    features: "Floats"

    @classmethod
    def of(cls, history: History, origin: int, places: "Ints") -> "Look":
        """Learn at the place `origin`, and look at `places`."""
        view = View.of(history, origin)
        effects = view.effects()
        even = np.full((len(history.heights), len(CHOICES)), 1 / len(CHOICES))
        average, _ = mixed(effects, even)
        (fit,) = view.basis.lines([average], history.steps, history.known)
        levels = view.levels(average)
        # Halfway between no level and the whole of it, which is left to the trees.
        base = fit[:, places] + levels.mean(axis=0)[:, None] / 2
        past = history.heights - fit
        past[:, origin + 1 :] = np.nan
        spread = np.maximum(spread_of(past), TINY)
        lines = view.basis.lines(list(effects), history.steps[places], history.known[:, :, places])
        told = [
            *(line - base for line in lines),
            *(np.broadcast_to(one[:, None], base.shape) for one in (*levels, spread)),
            *_of_time(history, places, origin, len(base)),
            *_of_seasons_before(past, history, places, origin),
            *_of_known(history, average, places),
        ]
        features = np.stack([one.astype(np.float32) for one in told], axis=2)
        return cls(base, history.heights[:, places] - base, spread, features)

    def rows(self) -> "tuple[Floats, Floats]":
        """Features and what the base missed, for the steps whose truth is known."""
        known = np.isfinite(self.rest)
        return self.features[known], self.rest[known]

    def said_by(self, booster: Any) -> "Floats":
        """What trees add to the base, S x h; 0 without trees."""
        if booster is None:
            return np.zeros_like(self.base)
        flat = self.features.reshape(-1, self.features.shape[2])
        return cast("Floats", booster.predict(flat).reshape(self.base.shape))


def _of_time(history: History, places: "Ints", origin: int, count: int) -> "list[Floats]":
    """Steps ahead, and where in each season a step lies."""
    steps = history.steps[places]
    told = [places - origin, *(steps % season for season in history.seasons)]
    return [np.broadcast_to(one.astype(float), (count, len(places))) for one in told]


def _of_seasons_before(
    past: "Floats", history: History, places: "Ints", origin: int
) -> "list[Floats]":
    """Residuals one season and two before each step, from the first whole season that is known."""
    reach = max(int(places[-1]) - origin, 1)
    short = round(min(history.seasons, default=1.0))
    told = []
    for season in history.seasons:
        length = max(round(season / short), 1) * short  # 364 days: the same weekday
        nearest = -(-reach // length) * length
        told += [_shifted(past, places - lag) for lag in (nearest, nearest + length)]
    return told


def _shifted(values: "Floats", places: "Ints") -> "Floats":
    inside = (places >= 0) & (places < values.shape[1])
    return np.where(inside, values[:, np.clip(places, 0, values.shape[1] - 1)], np.nan)


def _of_known(history: History, effects: "Floats", places: "Ints") -> "list[Floats]":
    """Known columns at each step, the step before and after, their latest mean, and the effect."""
    told = []
    first = effects.shape[1] - len(history.known)
    for number, column in enumerate(history.known):
        here, before = column[:, places], _shifted(column, places - 1)
        after = _shifted(column, places + 1)
        window = np.stack([_shifted(column, places - back) for back in range(RECENT)])
        there = np.isfinite(window)
        latest = np.where(there, window, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        told += [here, before, after, latest, here * effects[:, first + number, None]]
    return told


# --- Trees ----------------------------------------------------------------------------------------


def boosted(
    looks: list[Look], horizon: int, level: float, random_state: int
) -> "tuple[Any, float, Floats]":
    """The trees, the share of them that helped at the latest origin, and the intervals' widths.

    Args:
        looks: the latest first, half a horizon apart: those that overlap the latest are not learnt
            from while it judges.
        horizon: in steps.
        level: what an interval should hold.
        random_state: of what is drawn.

    Returns:
        A LightGBM booster or None, a share, and horizon widths in spreads of the series.
    """
    usual = np.sqrt(np.arange(1, horizon + 1))
    if not looks or not np.isfinite(looks[0].rest).any():
        return None, 0.0, usual
    earlier = looks[2:]
    if sum(int(np.isfinite(one.rest).sum()) for one in earlier) < FEWEST_ROWS:
        return None, 0.0, _widths(looks[0], looks[0].rest, level)
    trial = _trees(earlier, random_state, judged=looks[0])
    added = looks[0].said_by(trial)
    misses = {share: np.nanmean(np.abs(looks[0].rest - share * added)) for share in SHARES}
    share = min(misses, key=lambda one: misses[one])
    if misses[share] > (1 - CHANCE) * misses[0.0]:
        share = 0.0
    rounds = max(int(trial.best_iteration), 1)
    final = _trees(looks, random_state, rounds=rounds) if share else trial
    return final, share, _widths(looks[0], looks[0].rest - share * added, level)


def _trees(
    looks: list[Look], random_state: int, *, judged: Look | None = None, rounds: int = MOST_TREES
) -> Any:
    """Boosted trees on all rows of these looks, ended early where `judged` does not get better."""
    import lightgbm

    parts = [one.rows() for one in looks]
    features, rest = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
    data = lightgbm.Dataset(features, rest, free_raw_data=False)
    settings = {**BOOSTING, "seed": random_state}
    if judged is None:
        return lightgbm.train(settings, data, rounds)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    check = lightgbm.Dataset(*judged.rows(), reference=data)
    return lightgbm.train(settings, data, rounds, valid_sets=[check], callbacks=[stop])


def _widths(look: Look, misses: "Floats", level: float) -> "Floats":
    """Half an interval at each step ahead, in spreads; never narrower further on."""
    scores = np.abs(misses) / look.spread[:, None]
    blocks = np.array_split(scores, min(BLOCKS, scores.shape[1]), axis=1)
    found = [
        np.full(one.shape[1], conformal_quantile(one, level) if np.isfinite(one).any() else np.nan)
        for one in blocks
    ]
    return np.maximum.accumulate(np.nan_to_num(np.concatenate(found)))
