"""What py-AutoClean 1.1.3 was seen to get wrong, each as a promise; and all words that it knows."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ml_platform.kernel.errors import DeclarationError
from ml_platform.preparation.transformer import AutoPrepare

NAN = float("nan")


def off(**options):
    """A preparation that does only what is asked."""
    return AutoPrepare(mode="manual", **options)


def line(rows=400, seed=0):
    """A line, y = 3 x + 5, and a bit of noise, with every eighth y missing; x is never missing."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(0, 100, rows)
    true = 3 * x + 5 + draw.normal(0, 1, rows)
    y = np.where(np.arange(rows) % 8 == 3, NAN, true)
    return pd.DataFrame({"x": x, "y": y}), true


def error(filled, true, gaps):
    """RMSE on the gaps over the standard deviation."""
    return float(np.sqrt(np.mean(np.square(filled[gaps] - true[gaps]))) / np.std(true))


@pytest.mark.parametrize("method", ["knn", "linear", "boosted", "neural", "auto"])
def test_every_gap_gets_its_own_estimate(method):  # 1
    frame, true = line()
    gaps = frame["y"].isna().to_numpy()
    filled = off(missing_num=method).fit_transform(frame)["y"].to_numpy()
    assert len(np.unique(filled[gaps])) > gaps.sum() / 2
    assert error(filled, true, gaps) < 0.2


@pytest.mark.parametrize("method", ["auto", "knn", "logreg", "most_frequent"])
def test_a_category_is_never_filled_with_a_level_between_two_others(method):  # 2
    words = ["zz"] * 199 + ["rare"] + ["a"] * 199 + [None] * 40
    frame = pd.DataFrame({"c": words, "x": np.random.default_rng(0).normal(size=439)})
    filled = off(missing_categ=method).fit_transform(frame)["c"]
    assert set(filled[399:]) <= {"zz", "a"}


@pytest.mark.parametrize("method", ["auto", "logreg", "knn", "boosted", "neural"])
def test_a_category_that_another_column_tells_is_told_by_it(method):  # 3
    keys = np.random.default_rng(0).integers(0, 5, 500)
    true = np.array([f"level {key}" for key in keys])
    frame = pd.DataFrame({"key": [f"k{key}" for key in keys], "c": true})
    frame.loc[::7, "c"] = None
    filled = off(missing_categ=method).fit_transform(frame)["c"]
    assert (filled[::7] == true[::7]).mean() > 0.95


def test_rows_with_several_gaps_are_estimated_too(deliveries, with_gaps):  # 4
    true = deliveries()
    columns = ["riders", "busy", "waiting"]
    frame, gaps = with_gaps(true, columns, 0.1, together=True)
    filled = AutoPrepare(encode_categ=False, outliers=False).fit_transform(frame)
    for name in columns:
        where = gaps[name].to_numpy()
        assert error(filled[name].to_numpy(), true[name].to_numpy(), where) < 0.5


def test_what_the_receipt_says_was_filled_was_filled():  # 5
    frame, true = line()
    gaps = frame["y"].isna()
    prepared = off(missing_num="linreg").prepare(frame)
    receipt = prepared.receipt.column("y")
    assert (receipt.method, receipt.gaps, receipt.filled) == ("linear", gaps.sum(), gaps.sum())
    assert not prepared.frame["y"].isna().any()
    measured = error(prepared.frame["y"].to_numpy(), true, gaps.to_numpy())
    assert measured == pytest.approx(receipt.errors["linear"], abs=0.02)


def test_auto_goes_through_with_integers_of_every_kind():  # 6
    draw = np.random.default_rng(0)
    numbers = draw.integers(0, 10_000, 300)
    frame = pd.DataFrame(
        {
            "int64": numbers,
            "Int64": pd.array(numbers, "Int64"),
            "with_gaps": pd.array(np.where(numbers % 9 == 0, None, numbers), "Int64"),
            "signed": numbers - 5_000,
            "small": (numbers % 100).astype("int8"),
        }
    )
    frame.loc[0, "signed"] = 900_000
    filled = AutoPrepare().fit_transform(frame)
    assert not filled.isna().any().any()
    assert filled["signed"].max() < 900_000


def test_a_line_is_continued_as_a_line():  # 7
    x = np.r_[np.arange(1.0, 301.0), [110.25, 165.5, 290.75]]
    frame = pd.DataFrame({"x": x, "y": 3 * x + 5})
    frame.loc[300:, "y"] = NAN
    frame.loc[5:295:10, "y"] = NAN
    filled = off(missing_num="linreg").fit_transform(frame)["y"]
    assert filled[300:].tolist() == pytest.approx([335.75, 501.5, 877.25], rel=0.02)


def test_labels_do_not_fill_features(deliveries, with_gaps):  # 8
    frame, _ = with_gaps(deliveries(1000), ["riders", "kind"], 0.1)
    draw = np.random.default_rng(3)
    one, other = frame["riders"].fillna(0.0), draw.normal(size=len(frame))
    options = {"encode_categ": "ordinal"}
    with_one = AutoPrepare(**options).fit_transform(frame, one)
    pd.testing.assert_frame_equal(with_one, AutoPrepare(**options).fit_transform(frame, other))
    named = [
        AutoPrepare(target="label", **options).fit_transform(frame.assign(label=label))
        for label in (one, other)
    ]
    pd.testing.assert_frame_equal(*[made.drop(columns="label") for made in named])
    pd.testing.assert_frame_equal(named[0].drop(columns="label"), with_one)


def test_what_is_learnt_is_learnt_from_training_rows_alone():  # 8
    train = pd.DataFrame({"x": [1.0, 2.0, 3.0, NAN]})
    fitted = off(missing_num="mean").fit(train)
    assert fitted.transform(pd.DataFrame({"x": [NAN, 1_000.0]}))["x"].tolist() == [2.0, 1_000.0]


@pytest.mark.parametrize(
    "option",
    [
        *[{"missing_num": word} for word in ("auto", "linreg", "knn", "mean", "median")],
        *[{"missing_num": word} for word in ("most_frequent", "delete", False)],
        *[{"missing_categ": word} for word in ("auto", "logreg", "knn", "most_frequent")],
        *[{"missing_categ": word} for word in ("delete", False)],
        *[{"duplicates": word} for word in ("auto", True, False)],
        *[{"outliers": word} for word in ("auto", "winz", "delete", False)],
        {"outliers": "winz", "outlier_param": 3.0},
        *[{"encode_categ": word} for word in ("auto", ["onehot"], ["label"], False)],
        *[{"encode_categ": [word, ["c"]]} for word in ("onehot", "label", "auto")],
        {"encode_categ": ["onehot", [2]]},
        *[{"extract_datetime": word} for word in ("auto", "D", "M", "Y", "h", "m", "s", False)],
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", ["auto", "manual"])
def test_every_option_that_autoclean_documents_goes_through(option, mode):  # 9
    frame, _ = line(120)
    frame = frame.assign(c=[*"abc"] * 40, at=pd.date_range("2024-01-01", periods=120, freq="37min"))
    frame.loc[::9, "c"] = None
    prepared = AutoPrepare(mode=mode, **option).prepare(frame)
    assert len(prepared.frame) == prepared.receipt.rows_left
    filled = {"missing_num": "y", "missing_categ": "c"}
    for name, column in filled.items():
        if option.get(name) and column in prepared.frame:
            assert not prepared.frame[column].isna().any()


def test_encodings_that_are_asked_for_are_made():  # 10
    frame = pd.DataFrame({"c": [*"ab"] * 10, "d": [*"xy"] * 10})
    made = {
        "onehot": ["c_a", "c_b", "d_x", "d_y"],
        "label": ["c_ordinal", "d_ordinal"],
    }
    for word, columns in made.items():
        assert list(off(encode_categ=[word]).fit_transform(frame)) == columns
    assert list(off(encode_categ=["label", ["d"]]).fit_transform(frame)) == ["c", "d_ordinal"]


@pytest.mark.parametrize(
    "option",
    [
        {"encode_categ": "nonsense"},
        {"encode_categ": ["nonsense"]},
        {"encode_categ": ["onehot", ["no such column"]]},
        {"missing_num": "logreg"},
        {"missing_categ": "mean"},
        {"outliers": True},
        {"outliers": "winz", "outlier_param": False},
        {"extract_datetime": "W"},
        {"duplicates": "some"},
        {"mode": "automatic"},
        {"columns": {"c": {"missing": "mean"}}},
    ],
    ids=str,
)
def test_words_that_say_nothing_are_refused(option):  # 10
    frame = pd.DataFrame({"c": [*"ab"] * 10, "x": range(20)})
    with pytest.raises(DeclarationError):
        AutoPrepare(**option).fit(frame)


@pytest.mark.parametrize(
    "values",
    [
        [1] * 5 + [0] * 95,
        [True] * 5 + [False] * 95,
        [*range(99), 10_000],
        [1] * 60 + [2] * 30 + [40] * 10,
    ],
    ids=["a flag of one in twenty", "a flag of its own type", "counts", "few levels"],
)
def test_flags_counts_codes_and_ids_are_not_winsorised(values):  # 11
    frame = pd.DataFrame({"x": values})
    prepared = AutoPrepare(duplicates=False).prepare(frame)
    assert prepared.frame["x"].tolist() == [float(value) for value in values]
    assert prepared.receipt.column("x").clipped == 0


@pytest.mark.parametrize("missing_num", ["auto", False])
def test_a_gap_does_not_hide_an_outlier(missing_num):  # 12
    values = np.random.default_rng(0).normal(20, 2, 200)
    values[[3, 50]] = 1e6, NAN
    prepared = AutoPrepare(missing_num=missing_num).prepare(pd.DataFrame({"x": values}))
    assert prepared.frame["x"].max() < 40
    assert prepared.receipt.column("x").clipped >= 1


def test_the_parts_of_two_dates_stand_beside_each_other():  # 13
    days = pd.date_range("2024-01-30", periods=50, freq="17h")
    frame = pd.DataFrame({"made": days, "paid": days + pd.Timedelta("40D")})
    made = AutoPrepare().fit_transform(frame)
    assert made["made_month"].tolist() == frame["made"].dt.month.tolist()
    assert made["paid_month"].tolist() == frame["paid"].dt.month.tolist()


@pytest.mark.parametrize("hash_seed", ["0", "1", "2"])
def test_columns_come_in_one_order_whatever_the_seed_of_hashes(hash_seed):  # 13
    code = (
        "import pandas as pd\n"
        "from ml_platform.preparation.transformer import AutoPrepare\n"
        "d = pd.date_range('2024-01-30', periods=50, freq='17h')\n"
        "f = pd.DataFrame({'b': d, 'a': d[::-1], 'c': list('uvwxy') * 10})\n"
        "print(*AutoPrepare().fit(f).get_feature_names_out())\n"
    )
    env = os.environ | {"PYTHONHASHSEED": hash_seed}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert out.stdout.split() == [
        "b_month", "b_day", "b_weekday", "b_hour",
        "a_month", "a_day", "a_weekday", "a_hour",
        "c_u", "c_v", "c_w", "c_x", "c_y",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["at_day", "at_hour"])
def test_a_column_of_the_users_is_never_written_over(name):  # 14
    days = pd.date_range("2024-01-01", periods=48, freq="h")
    mine = np.arange(48) + 0.5
    for order in (["at", name], [name, "at"]):
        frame = pd.DataFrame({"at": days, name: mine})[order]
        made = AutoPrepare().fit_transform(frame)
        assert made[name].tolist() == mine.tolist()
        assert made.shape[1] > 2


def test_a_number_of_four_figures_is_no_year():  # 14
    frame = pd.DataFrame({"x": ["2019", "2020", "1999", "2024"] * 5})
    assert AutoPrepare(duplicates=False).fit_transform(frame)["x"].tolist()[:2] == [2019.0, 2020.0]


@pytest.mark.parametrize(
    ("depth", "parts"),
    [
        ("Y", ["year"]),
        ("M", ["year", "month"]),
        ("D", ["year", "month", "day", "weekday"]),
        ("h", ["year", "month", "day", "weekday", "hour"]),
        ("m", ["year", "month", "day", "weekday", "hour", "minute"]),
        ("s", ["year", "month", "day", "weekday", "hour", "minute", "second"]),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_dates_are_taken_apart_down_to_the_part_that_is_asked(depth, parts, as_text):  # 15
    days = pd.Series(pd.date_range("2021-11-05 01:02:03", periods=60, freq="991h13min7s"))
    given = days.dt.strftime("%Y-%m-%d %H:%M:%S") if as_text else days
    made = AutoPrepare(extract_datetime=depth).fit_transform(pd.DataFrame({"at": given}))
    assert [name.removeprefix("at_") for name in made] == parts
    for part in parts:
        assert made[f"at_{part}"].tolist() == getattr(days.dt, part).tolist()


def test_a_column_without_a_value_does_not_keep_others_from_being_filled():  # 16
    frame, true = line()
    gaps = frame["y"].isna().to_numpy()
    filled = AutoPrepare().fit_transform(frame.assign(empty=None, empty_too=NAN))
    assert error(filled["y"].to_numpy(), true, gaps) < 0.2
    assert not filled.isna().any().any()


def test_rows_that_are_deleted_take_their_own_cells_with_them():  # 17
    frame = pd.DataFrame({"x": [1.0, NAN, 3.0, 4.0] * 10 + [1e6], "c": [*"abcd"] * 10 + ["z"]})
    frame["n"] = np.arange(41) + 0.5
    frame.loc[7] = None
    prepared = off(missing_num="delete", outliers="winz").prepare(frame)
    left = frame[frame["x"].notna() & frame["n"].notna()]
    assert prepared.frame.index.tolist() == left.index.tolist()
    assert prepared.frame["c"].tolist() == left["c"].tolist()
    assert prepared.frame["x"].max() < 100
    assert prepared.frame["n"].tolist() == left["n"].tolist()
    assert prepared.cells.index.tolist() == left.index.tolist()


@pytest.mark.parametrize("as_text", [True, False])
def test_small_numbers_keep_their_figures(as_text):  # 18
    numbers = [1e-05, 2e-06, 3.25e-07, 1e-05]
    frame = pd.DataFrame({"x": [str(number) for number in numbers] if as_text else numbers})
    assert AutoPrepare(duplicates=False).fit_transform(frame)["x"].tolist() == numbers


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, 2, None, 4, 1000] * 8, "Int64"),
        pd.array([1.5, 2, None, 4, 1000] * 8, "Float64"),
        pd.array([True, False, None, True, True] * 8, "boolean"),
        np.array([1.5, np.inf, -np.inf, 4, NAN] * 8),
    ],
    ids=["Int64", "Float64", "boolean", "infinities"],
)
def test_nullable_and_infinite_values_are_numbers_with_gaps(values):  # 19
    prepared = AutoPrepare(outliers="winz", duplicates=False).prepare(pd.DataFrame({"x": values}))
    assert prepared.frame["x"].notna().all()
    assert np.isfinite(prepared.frame["x"].astype(float)).all()
    gaps = int(pd.isna(pd.Series(values).replace([np.inf, -np.inf], None)).sum())
    receipt = prepared.receipt.column("x")
    assert (receipt.gaps, receipt.filled) == (gaps, gaps)


def test_the_index_stays():  # 20
    frame, _ = line(50)
    frame.index = pd.Index([f"row {n}" for n in range(50)], name="key")
    assert AutoPrepare().fit_transform(frame).index.equals(frame.index)
    assert AutoPrepare().prepare(frame).cells.index.equals(frame.index)


def test_a_flag_stays_one_column():  # 20
    frame = pd.DataFrame({"paid": [True, False] * 10, "said": ["yes", "no"] * 10})
    made = AutoPrepare(duplicates=False).fit_transform(frame)
    assert made.to_dict("list") == {"paid": [1.0, 0.0] * 10, "said": [1.0, 0.0] * 10}


def test_winsorising_costs_one_look_however_many_outliers(monkeypatch):  # 21
    from ml_platform.preparation.outliers import Bounds

    looks = []
    inner = Bounds.winsorise
    monkeypatch.setattr(
        Bounds, "winsorise", lambda self, values: looks.append(len(values)) or inner(self, values)
    )
    for outliers in (1, 2_000):
        values = np.random.default_rng(0).normal(size=50_000)
        values[:outliers] = 1e6
        looks.clear()
        AutoPrepare(outliers="winz").fit(pd.DataFrame({"x": values}))
        assert 0 < len(looks) <= 3
