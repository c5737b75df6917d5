"""AutoPrepare: a transformer of scikit-learn that gives the same whenever and for any rows."""

import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from ml_platform.kernel.errors import DataError, DeclarationError
from ml_platform.preparation.transformer import AutoPrepare

NAN = float("nan")

DOES_NOT_APPLY = {
    "check_dtype_object": "a cell that is a mapping is a category of its JSON, not refused",
    "check_estimators_nan_inf": "gaps and infinities are what it is for",
}
"""Checks of scikit-learn's that AutoPrepare cannot pass, and why it should not."""


@parametrize_with_checks(
    [AutoPrepare(), AutoPrepare(mode="manual"), AutoPrepare(indicators=True, outliers="forest")],
    expected_failed_checks=lambda _: DOES_NOT_APPLY,
)
def test_it_keeps_the_rules_of_scikit_learn(estimator, check):
    check(estimator)


def raw(rows=200, seed=0):
    """A column of each kind, most with gaps."""
    draw = np.random.default_rng(seed)
    x = draw.normal(50, 10, rows)
    frame = pd.DataFrame(
        {
            "x": x.round(2),
            "y": (2 * x + draw.normal(0, 1, rows)).round(1),
            "count": draw.integers(0, 30, rows),
            "paid": draw.random(rows) < 0.3,
            "shop": draw.choice([f"shop {n}" for n in range(15)], rows),
            "size": draw.choice(["S", "M", "L"], rows),
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 10**7, rows), "s"),
            "note": [f"please ring the bell number {n} twice" for n in draw.integers(0, 999, rows)],
            "price": [f"$ {n:,}" for n in draw.integers(500, 5_000, rows)],
        }
    )
    gaps = draw.random(frame.shape) < [0.1, 0.1, 0.1, 0, 0.1, 0.1, 0.05, 0.1, 0.1]
    return frame.astype({"count": "Int64"}).mask(pd.DataFrame(gaps, columns=frame.columns))


OPTIONS = [
    {},
    {"indicators": True, "outliers": "flag", "encode_categ": "ordinal"},
    {"outliers": "forest", "cyclical": True, "holidays": "KR", "encode_categ": "frequency"},
    {"missing_num": "knn", "missing_categ": "own", "encode_categ": "hashing"},
    {"missing_num": "neural", "missing_categ": "logreg", "outliers": "zscore"},
    {"missing_num": "time", "missing_categ": "knn", "extract_datetime": "s"},
    {"missing_num": "mean", "encode_categ": False, "extract_datetime": False},
    {"text": "minhash", "missing_categ": "boosted"},
    {"mode": "manual"},
]


def same(one, other):
    """Whether two cells are the same; numbers but for the last digits."""
    if pd.isna(one) or pd.isna(other):
        return bool(pd.isna(one) and pd.isna(other))
    if isinstance(one, (int, float, np.number)):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one == other


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_training_rows_become_the_same_in_fit_transform_and_in_transform(options):
    frame = raw()
    prepare = AutoPrepare(**options)
    pd.testing.assert_frame_equal(prepare.fit_transform(frame), prepare.transform(frame))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_row_becomes_what_it_becomes_in_a_table(options):
    frame, later = raw(), raw(40, seed=9)
    prepare = AutoPrepare(**options).fit(frame)
    table = prepare.transform(later)
    for place in range(len(later)):
        row = prepare.row(later.iloc[place].to_dict())
        assert list(row) == list(table)
        unlike = [name for name in table if not same(row[name], table[name].iloc[place])]
        assert not unlike, (unlike, row)


CELLS = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.booleans(),
    st.text(max_size=8),
    st.sampled_from(["shop 3", "S", "$ 1,200", "12", " 7 ", "2024-02-30", "2024-03-01", "nan"]),
    st.datetimes(),
    st.lists(st.integers(), max_size=2),
)
FITTED = AutoPrepare(indicators=True).fit(raw())


@given(row=st.fixed_dictionaries(dict.fromkeys(raw(2).columns, CELLS)))
def test_a_row_of_anything_becomes_what_it_becomes_in_a_table(row):
    frame = pd.DataFrame({name: pd.Series([cell], dtype=object) for name, cell in row.items()})
    table, alone = FITTED.transform(frame), FITTED.row(row)
    assert list(alone) == list(table)
    assert all(same(alone[name], table[name].iloc[0]) for name in table)
    assert not table.drop(columns="at", errors="ignore").isna().any().any()


def test_a_row_does_not_need_the_columns_that_it_does_not_know():
    frame = raw()
    prepare = AutoPrepare().fit(frame)
    told = prepare.row({"x": 50.0})
    assert told == prepare.row(dict.fromkeys(frame.columns) | {"x": 50.0})
    assert abs(told["y"] - 100) < 5


def test_integers_stay_integers_where_no_gap_is_left():
    made = AutoPrepare().fit_transform(raw())
    assert made["count"].dtype == np.int64
    assert AutoPrepare(missing_num=False).fit_transform(raw())["count"].isna().any()


@pytest.mark.parametrize("method", ["linear", "boosted", "neural", "knn", "mean"])
def test_a_filled_number_has_as_many_decimals_as_the_known_ones(method):
    made = AutoPrepare(missing_num=method, outliers=False).fit_transform(raw())
    for name, decimals in {"x": 2, "y": 1, "count": 0}.items():
        assert (made[name] == made[name].round(decimals)).all()


def test_a_pickled_preparation_gives_the_same_in_a_fresh_process(tmp_path):
    frame, later = raw(), raw(30, seed=4)
    prepare = AutoPrepare(outliers="forest", indicators="auto").fit(frame)
    (tmp_path / "prepare.pickle").write_bytes(pickle.dumps(prepare))
    later.to_pickle(tmp_path / "later.pickle")
    code = (
        "import pickle, pandas as pd\n"
        "prepare = pickle.load(open('prepare.pickle', 'rb'))\n"
        "prepare.transform(pd.read_pickle('later.pickle')).to_pickle('made.pickle')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    made = pd.read_pickle(tmp_path / "made.pickle")
    pd.testing.assert_frame_equal(made, prepare.transform(later), check_exact=True)


def test_a_pickled_preparation_carries_no_labels_and_little_more_than_it_needs():
    frame = raw(4_000)
    fitted = AutoPrepare(missing_num="median", missing_categ="most_frequent").fit(frame)
    assert len(pickle.dumps(fitted)) < 100_000


@pytest.mark.parametrize("options", OPTIONS[:5], ids=str)
def test_the_same_seed_gives_the_same(options):
    frame = raw()
    one, other = (AutoPrepare(random_state=7, **options).fit_transform(frame) for _ in range(2))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize("jobs", [2, -1])
def test_columns_that_learn_at_the_same_time_learn_the_same(jobs):
    frame = raw()
    alone = AutoPrepare().fit_transform(frame)
    pd.testing.assert_frame_equal(AutoPrepare(n_jobs=jobs).fit_transform(frame), alone)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_comes_is_never_changed(options):
    frame = raw()
    before = frame.copy(deep=True)
    prepare = AutoPrepare(**options)
    made = prepare.fit_transform(frame)
    prepare.prepare(frame)
    made.iloc[:, :3] = 0
    pd.testing.assert_frame_equal(frame, before)


def test_what_was_given_back_can_be_written_to_without_harm_to_the_fitted():
    frame = raw()
    prepare = AutoPrepare().fit(frame)
    first = prepare.transform(frame)
    kept = first.copy(deep=True)
    first.loc[:, :] = 0
    pd.testing.assert_frame_equal(prepare.transform(frame), kept)


def test_labels_teach_an_encoding_and_nothing_else():
    frame = raw(500)
    draw = np.random.default_rng(0)
    label = frame["shop"].str.len().fillna(0) + draw.normal(size=500)
    made = AutoPrepare(encode_categ="target").fit_transform(frame, label)
    other = AutoPrepare(encode_categ="target").fit_transform(frame, label[::-1])
    told = [name for name in made if name.endswith("_target")]
    assert told
    pd.testing.assert_frame_equal(made.drop(columns=told), other.drop(columns=told))
    assert not made[told].equals(other[told])


def test_the_row_of_a_training_row_does_not_know_its_own_label():
    shops = [f"shop {n}" for n in range(100)] * 2
    label = np.random.default_rng(0).normal(size=200)
    prepare = AutoPrepare(encode_categ="target")
    trained = prepare.fit_transform(pd.DataFrame({"shop": shops}), label)["shop_target"]
    assert abs(np.corrcoef(trained, label)[0, 1]) < 0.2


def test_a_target_among_the_columns_is_passed_on_as_it_came():
    frame = raw().assign(late=[NAN, "x", 1e9, None] * 50)
    prepare = AutoPrepare(target="late", indicators=True)
    made = prepare.fit_transform(frame)
    assert made["late"].tolist()[1:3] == ["x", 1e9]
    assert list(made) == list(prepare.get_feature_names_out())
    without = AutoPrepare(indicators=True).fit_transform(frame.drop(columns="late"))
    pd.testing.assert_frame_equal(made.drop(columns="late"), without)


def test_it_is_cloned_and_set_like_any_estimator():
    prepare = AutoPrepare(columns={"x": {"missing": "mean"}}, outlier_skip=["y"], text="string")
    assert clone(prepare).get_params() == prepare.get_params()
    assert clone(prepare).set_params(missing_num="median").missing_num == "median"


def test_names_of_columns_are_those_of_the_table():
    prepare = AutoPrepare(indicators=True).fit(raw())
    assert list(prepare.get_feature_names_out()) == list(prepare.transform(raw()))


def test_an_array_leaves_as_an_array_and_as_a_frame_when_that_is_wanted():
    array = np.random.default_rng(0).normal(size=(80, 3))
    array[::7, 1] = NAN
    made = AutoPrepare().fit_transform(array)
    assert isinstance(made, np.ndarray)
    assert not np.isnan(made).any()
    frame = AutoPrepare().set_output(transform="pandas").fit_transform(array)
    assert list(frame) == ["x0", "x1", "x2"]
    np.testing.assert_array_equal(frame.to_numpy(), made)


def test_it_is_the_first_step_of_a_pipeline():
    frame = raw(600).drop(columns="note")
    label = frame["x"].fillna(50) + np.random.default_rng(0).normal(size=600)
    model = make_pipeline(AutoPrepare(), Ridge())
    assert cross_val_score(model, frame, label, cv=3).min() > 0.8
    one = model.fit(frame, label).predict(frame.iloc[[3]])
    assert one[0] == pytest.approx(model.predict(frame)[3])


def test_it_prepares_some_of_the_columns():
    frame = raw().assign(left=1.0)
    some = ColumnTransformer([("made", AutoPrepare(), ["x", "size"])], remainder="passthrough")
    some.set_output(transform="pandas")
    made = some.fit_transform(frame)
    assert {"made__x", "made__size_S", "remainder__left"} <= set(made)


@pytest.mark.parametrize(
    "options", [{}, {"indicators": True, "cyclical": True}, {"outliers": "delete"}]
)
def test_a_table_is_prepared_at_once_as_it_is_by_what_was_learnt_of_it(options):
    frame = pd.concat([raw(), raw().head(7)], ignore_index=True)
    at_once = AutoPrepare(**options).prepare(frame)
    afterwards = AutoPrepare(**options).fit(frame).apply(frame)
    pd.testing.assert_frame_equal(at_once.frame, afterwards.frame)
    pd.testing.assert_frame_equal(at_once.cells, afterwards.cells)
    told = [{**json.loads(one.receipt.to_json()), "seconds": 0} for one in (at_once, afterwards)]
    for column in (column for one in told for column in one["columns"]):
        column["seconds"] = 0
    assert told[0] == told[1]


def test_rows_never_come_or_go_in_transform_and_do_in_prepare():
    frame = pd.concat([raw(60), raw(60)])
    prepare = AutoPrepare(duplicates=True, missing_num="delete", outliers="delete")
    assert len(prepare.fit_transform(frame)) == 120
    prepared = prepare.prepare(frame)
    assert 0 < len(prepared.frame) < 60
    assert prepared.receipt.dropped["duplicates"] == 60
    assert sum(prepared.receipt.dropped.values()) == 120 - len(prepared.frame)
    assert len(prepared.cells) == len(prepared.frame)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"outliers": "delete"}, 198),
        ({"columns": {"x": {"outliers": "delete"}}}, 199),
        ({"outliers": "delete", "outlier_skip": ["x"]}, 199),
        ({"outliers": "flag"}, 200),
    ],
    ids=str,
)
def test_rows_with_outliers_are_dropped_where_that_is_asked_for(options, left):
    x, y = np.sin(np.arange(200.0)), np.cos(np.arange(200.0))
    x[5], y[9] = 1e6, -1e6
    prepared = AutoPrepare(duplicates=False, **options).prepare(pd.DataFrame({"x": x, "y": y}))
    assert len(prepared.frame) == left
    assert prepared.receipt.dropped.get("outliers", 0) == 200 - left
    assert ("x_outlier" in prepared.frame) == (options == {"outliers": "flag"})


def test_gaps_are_marked_where_none_is_filled_too():
    made = AutoPrepare(mode="manual", indicators=True).fit_transform(raw())
    for name in ("x", "shop", "at"):
        assert made[f"{name}_missing"].tolist() == raw()[name].isna().astype(float).tolist(), name


def test_rows_alike_in_some_columns_are_one():
    frame = pd.DataFrame({"key": [1, 1, 2, 2], "x": [1.5, 2.5, 3.5, 4.5]})
    prepared = AutoPrepare(duplicate_keys=["key"]).prepare(frame)
    assert prepared.frame["x"].tolist() == [1.5, 3.5]


def test_rows_whose_texts_are_nearly_the_same_are_one():
    names = ["Blue Door Cafe", "blue door café", None, "Red Door Cafe", None, "Harbour Bakery"]
    frame = pd.DataFrame({"name": names, "x": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]})
    prepared = AutoPrepare(near_duplicates={"name": 0.9}).prepare(frame)
    assert prepared.frame["x"].tolist() == [1.5, 3.5, 4.5, 5.5, 6.5]
    assert prepared.receipt.dropped == {"nearly the same name": 1}


def test_the_cell_mask_says_which_cells_are_not_as_they_came():
    frame = raw()
    frame.loc[3, "x"] = 1e6
    prepared = AutoPrepare(encode_categ=False, extract_datetime=False, duplicates=False).prepare(
        frame
    )
    for name in ("x", "y", "count", "shop", "size"):
        given, made, cells = frame[name], prepared.frame[name], prepared.cells[name]
        differs = ~(given == made).fillna(False).astype(bool)
        assert ((cells > 0) == differs).all(), name
        assert ((cells & 8 > 0) == given.isna()).all()
    assert prepared.cells.loc[3, "x"] == 4
    assert prepared.cells.dtypes.eq(np.uint8).all()
    assert list(prepared.cells) == list(frame)


def test_columns_may_say_for_themselves():
    frame = raw()
    made = AutoPrepare(
        outliers=False,
        columns={
            "x": {"missing": "mean"},
            "shop": {"encode": "frequency"},
            "size": {"encode": False, "missing": "own"},
            "at": {"dates": "Y"},
            "note": {"text": "minhash"},
        },
    ).fit_transform(frame)
    assert len(set(made["x"][frame["x"].isna()])) == 1
    assert "shop_frequency" in made
    assert set(made["size"]) == {"S", "M", "L", "(missing)"}
    assert [name for name in made if name.startswith("at_")] == ["at_year"]
    assert any(name.startswith("note_") for name in made)


def test_kinds_may_be_said():
    frame = pd.DataFrame({"zone": [1, 2, 3, 4] * 20, "size": ["1", "2"] * 40})
    made = AutoPrepare(
        duplicates=False, columns={"zone": {"kind": "category"}, "size": {"kind": "category"}}
    ).fit_transform(frame)
    assert list(made) == ["zone_1", "zone_2", "zone_3", "zone_4", "size_1", "size_2"]


def test_a_budget_of_no_time_leaves_the_light_methods():
    frame = raw(500)
    prepare = AutoPrepare(budget_s=0.0).fit(frame)
    tried = {one for column in prepare.receipt_.columns for one in column.errors}
    assert "boosted" not in tried
    assert "linear" in tried or "group" in tried
    assert not prepare.transform(frame).isna().any().any()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"missing_num": "mode"}, "most_frequent"),
        ({"columns": {"nowhere": {"missing": "mean"}}}, "nowhere"),
        ({"columns": {"x": {"fill": "mean"}}}, "fill"),
        ({"columns": {"x": {"missing": "own"}}}, "own"),
        ({"columns": {"x": {"kind": "colour"}}}, "colour"),
        ({"target": "nowhere"}, "nowhere"),
        ({"outlier_skip": ["nowhere"]}, "nowhere"),
        ({"duplicate_keys": ["nowhere"]}, "nowhere"),
        ({"near_duplicates": {"nowhere": 0.9}}, "nowhere"),
        ({"near_duplicates": {"x": 2}}, "above 0, up to 1"),
        ({"durations": [("at", "nowhere")]}, "nowhere"),
        ({"durations": [("at", "x")]}, "x"),
        ({"holidays": "Atlantis"}, "Atlantis"),
        ({"encode_categ": "target"}, "target"),
        ({"outlier_param": -1}, "-1"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_by_name(options, word):
    with pytest.raises((DataError, DeclarationError), match=word):
        AutoPrepare(**options).prepare(raw())


def test_within_a_budget_a_sample_teaches_and_all_rows_are_prepared():
    frame = raw(6_000)
    small = AutoPrepare(budget_mb=3.0)
    made = small.fit_transform(frame)
    taught = small.receipt_.rows
    assert 1_000 <= taught < 3_000
    assert len(made) == 6_000
    assert made.notna().all().all()
    pd.testing.assert_frame_equal(made, small.transform(frame))
    assert len(small.prepare(frame).frame) == 6_000


def test_labels_of_rows_that_taught_are_cross_fitted_within_a_budget_too():
    rng = np.random.default_rng(0)
    keys = [f"shop {one}" for one in rng.integers(0, 200, 4_000)]
    frame, labels = pd.DataFrame({"key": keys, "n": rng.random(4_000)}), rng.random(4_000)
    small = AutoPrepare(encode_categ="target", missing_num="off", budget_mb=0.6)
    made = small.fit_transform(frame, labels)
    again = small.transform(frame)
    differs = (made.iloc[:, 0].to_numpy() != again.iloc[:, 0].to_numpy()).sum()
    assert 0 < differs <= small.receipt_.rows
