"""What an expert writes for a table whose parts he knows: means of groups, and a learner on them.

It is the measure of our own on the same rows: told which columns are keys, categories and times,
trained with the gaps that the table has, and written for one table at a time. Group means are
taken out of fold (each row's from the other folds), since a row's own value must not tell itself.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from preparation.tables import Parts

FOLDS = 5
BELIEF = 2.0
"""Rows' worth of belief that a group is like all."""
TRAINING_ROWS = 20_000
TREES = {
    "objective": "l2", "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 20,
    "num_threads": 1, "deterministic": True, "verbosity": -1,
}  # fmt: skip

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Of features and partners with their targets, and of the asked rows' features and partners."""


def by_hand(learner: Learner) -> Callable[[pd.DataFrame, Parts], pd.DataFrame]:
    """A method that fills numbers by `learner`, and categories by the key's most frequent one."""

    def fill(frame: pd.DataFrame, parts: Parts) -> pd.DataFrame:
        done = _with_categories(frame, parts)
        targets = [name for name in parts.numbers if frame[name].isna().any()]
        features = _features(done, parts, targets)
        for name in targets:
            partners = frame[[one for one in targets if one != name]].to_numpy(float)
            done[name] = _filled(frame[name].to_numpy(float), features, partners, learner)
        return done

    return fill


def _with_categories(frame: pd.DataFrame, parts: Parts) -> pd.DataFrame:
    done = frame.copy()
    for name in parts.categories:
        for key in parts.keys[:1]:
            usual = frame.groupby(key)[name].agg(lambda cells: cells.mode().get(0))
            done[name] = done[name].where(done[name].notna(), frame[key].map(usual))
        done[name] = done[name].where(done[name].notna(), frame[name].mode().get(0))
    return done


def _features(frame: pd.DataFrame, parts: Parts, targets: list[str]) -> np.ndarray:
    folds = np.random.default_rng(0).integers(0, FOLDS, len(frame))
    groups, clock = _groups(frame, parts)
    means = [
        _means(frame[name].to_numpy(float), codes, folds) for name in targets for codes in groups
    ]
    others = [frame[name].to_numpy(float) for name in parts.numbers if name not in targets]
    codes = [pd.factorize(frame[name])[0] for name in parts.categories]
    return np.column_stack([*means, *clock, *others, *codes])


def _groups(frame: pd.DataFrame, parts: Parts) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Keys, and keys and the category that gaps go by within stretches of time; and the time."""
    keys = [pd.factorize(frame[name])[0] for name in parts.keys]
    if not parts.times:
        return keys, []
    moments = pd.to_datetime(frame[parts.times[0]], errors="coerce")
    seconds = (moments - moments.min()).dt.total_seconds().fillna(0.0).to_numpy()
    shared = pd.factorize(frame[parts.group])[0] if parts.group else np.zeros(len(frame), int)
    within = [
        *((shared, seconds // 1_800), (shared, seconds // 3_600), (shared, seconds // 3_600 % 24)),
        *((key, stretch) for key in keys for stretch in (seconds // 10_800, seconds // 10_800 % 8)),
    ]
    both = [pd.factorize(pd.MultiIndex.from_arrays(pair))[0] for pair in within]
    turns = 2 * np.pi * seconds / 86_400
    clock = [seconds, np.sin(turns), np.cos(turns), np.sin(turns / 7), np.cos(turns / 7)]
    return [*keys, *both], clock


def _means(values: np.ndarray, codes: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The mean of each row's group, without the rows of its own fold where its value is known."""
    known, count = ~np.isnan(values), codes.max() + 1
    usual = values[known].mean()

    def of(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = np.bincount(codes[rows], weights=values[rows], minlength=count)
        return total, np.bincount(codes[rows], minlength=count)

    total, times = of(known)
    found = ((total + BELIEF * usual) / (times + BELIEF))[codes]
    for fold in range(FOLDS):
        own = known & (folds == fold)
        less, fewer = of(own)
        table = (total - less + BELIEF * usual) / (times - fewer + BELIEF)
        found[own] = table[codes[own]]
    return found


def _filled(
    values: np.ndarray, features: np.ndarray, partners: np.ndarray, learner: Learner
) -> np.ndarray:
    rng = np.random.default_rng(0)
    known, gaps = np.flatnonzero(~np.isnan(values)), np.flatnonzero(np.isnan(values))
    rows = rng.choice(known, min(TRAINING_ROWS, len(known)), replace=False)
    # The partners are taken away as they are missing beside the gaps.
    alike = np.isnan(partners[gaps])[rng.integers(0, len(gaps), len(rows))]
    seen = np.where(alike, np.nan, partners[rows])
    done = values.copy()
    done[gaps] = learner(features[rows], seen, values[rows], features[gaps], partners[gaps])
    return done


def ridge(
    features: np.ndarray,
    partners: np.ndarray,
    target: np.ndarray,
    asked: np.ndarray,
    beside: np.ndarray,
) -> np.ndarray:
    """A ridge regression for each pattern of partners that are there."""
    found = np.empty(len(asked))
    patterns, which = np.unique(~np.isnan(beside), axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        fitting = ~np.isnan(partners[:, pattern]).any(axis=1)
        fitting = fitting if fitting.sum() > features.shape[1] else np.ones(len(target), bool)
        told = np.nan_to_num(np.column_stack([features, partners[:, pattern]])[fitting])
        centre, scale = told.mean(axis=0), told.std(axis=0) + 1e-9
        told, mean = (told - centre) / scale, target[fitting].mean()
        square = told.T @ told + BELIEF * np.eye(told.shape[1])
        weights = np.linalg.solve(square, told.T @ (target[fitting] - mean))
        rows = which == number
        given = np.nan_to_num(np.column_stack([asked, beside[:, pattern]])[rows])
        found[rows] = (given - centre) / scale @ weights + mean
    return found


def lightgbm(
    features: np.ndarray,
    partners: np.ndarray,
    target: np.ndarray,
    asked: np.ndarray,
    beside: np.ndarray,
) -> np.ndarray:
    """A hundred trees, which take missing partners as they are."""
    import lightgbm

    data = lightgbm.Dataset(np.column_stack([features, partners]), target)
    return lightgbm.train(TREES, data, 100).predict(np.column_stack([asked, beside]))
