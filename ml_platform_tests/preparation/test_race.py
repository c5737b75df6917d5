# ruff: noqa: PD011 - a Column is no frame of pandas
"""Methods race on cells hidden as the table's own gaps lie; what wins is better, or not used."""

import numpy as np
import pandas as pd
import pytest

from ml_platform.preparation.race import NUMBER_METHODS, Wanted, learn_filling
from ml_platform.preparation.reading import learn_and_read

NAN = np.nan
TOGETHER = ["riders", "busy", "waiting"]


def read(frame):
    return {name: learn_and_read(name, frame[name])[1].column for name in frame}


def learn(frame, method="auto", **options):
    wanted = Wanted(dict.fromkeys(frame, method), "auto", dict.fromkeys(frame, 7.0), {}, **options)
    return learn_filling(read(frame), wanted)


def fill(frame, method="auto", **options):
    filling = learn(frame, method, **options)
    filled, _ = filling.fill(read(frame))
    return {name: column.values for name, column in filled.items()}, filling.judged


def error(filled, true, gaps):
    gaps, true = np.asarray(gaps), np.asarray(true)
    return float(np.sqrt(np.mean(np.square(filled[gaps] - true[gaps]))) / np.std(true))


def test_columns_missing_together_are_told_far_better_than_by_the_mean(deliveries, with_gaps):
    true = deliveries()
    frame, gaps = with_gaps(true, TOGETHER, 0.1, together=True)
    filled, judged = fill(frame)
    for name in TOGETHER:
        assert error(filled[name], true[name], gaps[name]) < 0.5
        assert judged[name].recoverable


def test_columns_missing_alone_are_told_by_each_other(deliveries, with_gaps):
    true = deliveries()
    frame, gaps = with_gaps(true, TOGETHER, 0.1)
    filled, _ = fill(frame)
    for name in TOGETHER:
        assert error(filled[name], true[name], gaps[name]) < 0.25


@pytest.mark.parametrize("together", [True, False])
def test_the_error_that_is_told_is_the_error_that_is_made(deliveries, with_gaps, together):
    true = deliveries()
    frame, gaps = with_gaps(true, TOGETHER, 0.1, together=together)
    filled, judged = fill(frame)
    for name in TOGETHER:
        told = judged[name].errors[judged[name].chosen]
        assert told == pytest.approx(error(filled[name], true[name], gaps[name]), rel=0.3)


def test_neighbours_in_time_beat_the_mean_of_the_group_where_blocks_are_missing():
    draw = np.random.default_rng(0)
    hours = pd.date_range("2024-01-01", periods=3_000, freq="h")
    true = np.cumsum(draw.normal(size=3_000)) + 20
    frame = pd.DataFrame({"at": hours, "hour": hours.hour.astype(str), "x": true})
    gaps = np.zeros(3_000, bool)
    for start in draw.integers(0, 2_990, 40):
        gaps[start : start + 8] = True
    filled, judged = fill(frame.assign(x=np.where(gaps, NAN, true)))
    errors = judged["x"].errors
    assert errors["time"] < 0.5 * errors["median"]
    assert errors["time"] < errors["group"]
    assert error(filled["x"], true, gaps) < 0.3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rows", [150, 1_200])
def test_pure_noise_is_not_recoverable_and_gets_the_median(seed, rows):
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"luck": draw.normal(size=rows), "other": draw.normal(size=rows)})
    frame.loc[draw.random(rows) < 0.15, "luck"] = NAN
    filled, judged = fill(frame)
    assert (judged["luck"].chosen, judged["luck"].recoverable) == ("median", False)
    gaps = frame["luck"].isna().to_numpy()
    assert set(filled["luck"][gaps]) == {frame["luck"].median()}


def test_the_mean_of_skewed_noise_is_no_discovery():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"luck": draw.lognormal(0, 1.5, 2_000), "other": draw.normal(size=2_000)})
    frame.loc[draw.random(2_000) < 0.15, "luck"] = NAN
    judged = learn(frame).judged["luck"]
    assert (judged.chosen, judged.recoverable) == ("median", False), judged.errors


def test_noise_with_gaps_like_a_comb_is_not_learnt_by_heart():
    values = np.random.default_rng(0).normal(size=300)
    values[::7] = NAN
    for seed in range(5):
        judged = learn(pd.DataFrame({"luck": values}), seed=seed).judged["luck"]
        assert judged.chosen == "median", judged.errors


@pytest.mark.parametrize("seed", range(6))
def test_a_category_of_luck_is_not_recoverable(seed):
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({name: draw.choice([*"abc"], 400) for name in ("luck", "x", "y", "z")})
    frame.loc[draw.random(400) < 0.15, "luck"] = None
    judged = learn(frame).judged["luck"]
    assert (judged.chosen, judged.recoverable) == ("most_frequent", False)


def test_a_category_is_told_by_its_key(deliveries, with_gaps):
    true = deliveries()
    frame, gaps = with_gaps(true, ["market", "kind"], 0.1)
    filling = learn(frame)
    filled, _ = filling.fill(read(frame))
    for name in ("market", "kind"):
        words = np.array(filled[name].levels, object)[filled[name].values]
        where = gaps[name].to_numpy()
        assert (words[where] == true[name][where]).all()
        assert filling.judged[name].errors["evidence"] < 0.02


def test_what_is_missing_together_is_not_told_by_what_is_missing_with_it():
    draw = np.random.default_rng(0)
    kind = draw.integers(0, 4, 1_000)
    frame = pd.DataFrame(
        {
            "a": [f"a{one}" for one in kind],
            "b": [f"b{one}" for one in kind],
            "x": 10.0 * kind + draw.normal(size=1_000),
        }
    )
    frame.loc[draw.random(1_000) < 0.1, ["a", "b", "x"]] = None
    judged = learn(frame).judged
    assert judged["x"].errors["linear"] > 0.9
    assert all(judged[name].errors["evidence"] > 0.5 for name in "ab")
    assert not any(judged[name].recoverable for name in "abx")


def test_a_number_that_is_a_name_is_filled_with_a_name_that_exists(deliveries, with_gaps):
    true = deliveries()
    frame, gaps = with_gaps(true.assign(store_id=true["store_id"] * 3.0), ["store_id"], 0.05)
    filled, _ = fill(frame)
    assert set(filled["store_id"][gaps["store_id"]]) <= set(true["store_id"] * 3.0)


@pytest.mark.parametrize("method", NUMBER_METHODS)
def test_the_method_that_is_asked_for_is_used(deliveries, with_gaps, method):
    frame, gaps = with_gaps(deliveries(800), ["riders"], 0.1)
    filled, judged = fill(frame, method)
    assert judged["riders"].chosen == method
    known = frame["riders"].dropna()
    simple = {"mean": known.mean(), "median": known.median(), "constant": 7.0}
    simple["most_frequent"] = known.mode()[0]
    found = filled["riders"][gaps["riders"]]
    assert np.isfinite(found).all()
    if method in simple:
        assert set(found) == {simple[method]}
    else:
        assert len(set(found)) > 10


def test_a_method_is_used_in_auto_only_if_it_beats_the_simplest(deliveries, with_gaps):
    columns = ["riders", "busy", "waiting", "luck"]
    frame, _ = with_gaps(deliveries(), columns, 0.1)
    judged = learn(frame).judged
    for name in columns:
        errors, chosen = judged[name].errors, judged[name].chosen
        assert errors[chosen] <= errors["median"]
        if chosen != "median":
            assert errors[chosen] == min(errors.values())
    assert judged["luck"].chosen == "median"


def test_the_order_of_rows_does_not_decide(deliveries, with_gaps):
    frame, _ = with_gaps(deliveries(), TOGETHER, 0.1, together=True)
    mixed = frame.sample(frac=1, random_state=0)
    filled, _ = fill(frame)
    again, _ = fill(mixed)
    for name in TOGETHER:
        same = pd.Series(again[name], mixed.index).sort_index().to_numpy()
        assert np.corrcoef(same, filled[name])[0, 1] > 0.99


@pytest.mark.parametrize("known", [0, 1, 2, 39, 41])
def test_columns_of_few_values_are_filled_simply(known):
    values = np.full(120, NAN)
    values[:known] = np.arange(known)
    filled, judged = fill(pd.DataFrame({"x": values, "y": np.arange(120.0)}))
    if known and known < 40:
        assert set(filled["x"][known:]) == {np.median(np.arange(known))}
    assert known == 0 or not np.isnan(filled["x"]).any()
    assert judged["x"].gaps == 120 - known
