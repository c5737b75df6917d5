"""Texts tell what is missing beside them, to the network that reads them."""

import pickle

import numpy as np
import pandas as pd
import pytest

from ml_platform.preparation.transformer import AutoPrepare
from ml_platform.preparation.words import WIDTH, said_in

COLOURS = ("red", "green", "blue", "black")
WEIGHTS = {"tiny": 1.0, "middling": 5.0, "huge": 20.0}


def offers(rows=2_500, seed=0):
    """Offers whose title says their colour and, by its size, their weight; both have gaps."""
    draw = np.random.default_rng(seed)
    colour, size = draw.choice(COLOURS, rows), draw.choice(list(WEIGHTS), rows)
    what = draw.choice(["chair", "table", "lamp", "shelf", "carpet"], rows)
    number = draw.integers(0, 9_999, rows)
    title = [
        f"offer {n} a {s} and {c} {w} for every home"
        for n, s, c, w in zip(number, size, colour, what, strict=True)
    ]
    weight = np.array([WEIGHTS[one] for one in size]) * draw.normal(1, 0.05, rows)
    return pd.DataFrame(
        {"title": title, "colour": colour, "weight": weight.round(3), "stock": draw.random(rows)}
    )


def filled(missing, seed=0):
    truth = offers(seed=seed)
    gaps = np.random.default_rng(seed + 1).random((len(truth), 2)) < 0.2
    frame = truth.assign(
        colour=truth["colour"].mask(gaps[:, 0]), weight=truth["weight"].mask(gaps[:, 1])
    )
    learnt = AutoPrepare(mode="manual", missing_num=missing, missing_categ=missing).fit(frame)
    done = learnt.transform(frame)
    right = (done["colour"] == truth["colour"])[gaps[:, 0]].mean()
    off = (done["weight"] - truth["weight"])[gaps[:, 1]].std() / truth["weight"].std()
    return right, off, learnt, frame


def test_the_network_reads_in_a_title_what_is_missing_beside_it():
    right, off, learnt, frame = filled("neural")
    assert right > 0.95
    assert off < 0.3
    again = pickle.loads(pickle.dumps(learnt)).transform(frame)
    pd.testing.assert_frame_equal(again, learnt.transform(frame))


def test_a_row_alone_is_read_as_among_others_and_without_a_title_is_filled_too():
    _, _, learnt, frame = filled("neural")
    many = learnt.transform(frame)
    for place in np.flatnonzero(frame["colour"].isna())[:10]:
        alone = learnt.row(frame.iloc[place].to_dict())
        assert alone["colour"] == many["colour"].iloc[place]
        assert alone["weight"] == pytest.approx(many["weight"].iloc[place])
    untold = learnt.row({"title": None, "colour": None, "weight": None, "stock": 0.5})
    assert untold["colour"] in COLOURS
    assert np.isfinite(untold["weight"])


def test_methods_that_do_not_read_are_not_asked_to():
    learnt = filled("boosted")[2]
    assert learnt.preparation_.filling.roles.texts == ()


def test_the_same_words_are_the_same_numbers_and_none_are_zeros():
    texts = np.array(["A red chair", "chair red a", None, ""], object)
    said = said_in({"title": texts}, 4)
    assert said.shape == (4, WIDTH)
    np.testing.assert_allclose(said[0], said[1])
    assert said[0].any()
    assert not said[2:].any()
    assert said_in({}, 4).shape == (4, 0)
